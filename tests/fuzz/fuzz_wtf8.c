/* fuzz_wtf8.c: bytes taken as units and as WTF-8. Any units come back as they were; bytes that are
 * WTF-8 come back as they were, so that no name has two spellings. */
#include "err.h"
#include "fuzz.h"
#include "wtf8.h"

static void check_units(const uint8_t *data, size_t count)
{
    size_t room = count * WTF8_UNIT_BYTES_MAX, len = 0, again_count = 0;
    char *bytes = malloc(room + 1);
    FUZZ_CHECK(bytes);
    FUZZ_CHECK(wtf8_from_utf16(data, count, bytes, room, &len) == 0 && len <= room);
    uint16_t *again = malloc(count * sizeof *again + 1);
    FUZZ_CHECK(again);
    FUZZ_CHECK(wtf8_to_utf16(bytes_of(bytes, len), again, count, &again_count) == 0);
    FUZZ_CHECK(again_count == count && (count == 0 || memcmp(again, data, count * 2) == 0));
    if (len > 0)
        FUZZ_CHECK(wtf8_from_utf16(data, count, bytes, len - 1, &len) == ERR_LIMIT);
    free(again);
    free(bytes);
}

static void check_bytes(const uint8_t *data, size_t size)
{
    size_t count = 0, len = 0;
    uint16_t *units = malloc(size * sizeof *units + 1);
    char *again = malloc(size + 1);
    FUZZ_CHECK(units && again);
    int code = wtf8_to_utf16(bytes_of((const char *)data, size), units, size, &count);
    FUZZ_CHECK(code == 0 || code == ERR_INVALID);
    if (code == 0) {
        FUZZ_CHECK(count <= size);
        FUZZ_CHECK(wtf8_from_utf16(units, count, again, size, &len) == 0 && len == size);
        FUZZ_CHECK(size == 0 || memcmp(again, data, size) == 0);
    }
    free(again);
    free(units);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_units(data, size / 2);
    check_bytes(data, size);
    return 0;
}
