/* fuzz_inotify.c: the bytes of a read from an inotify descriptor. The parser goes on by whole
 * records, stays within the buffer, and ends. */
#include "err.h"
#include "fuzz.h"
#include "inotify_parse.h"

#define RECORD_HEAD_BYTES 16 /* inotify(7) */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *buffer = (const char *)data;
    struct inotify_record record;
    size_t offset = 0;

    for (;;) {
        size_t before = offset;
        int rc = inotify_parse(buffer, size, &offset, &record);
        if (rc != 1) {
            FUZZ_CHECK(rc == 0 || rc == ERR_INVALID);
            FUZZ_CHECK((rc == 0) == (before == size) && offset == before);
            return 0;
        }
        FUZZ_CHECK(offset >= before + RECORD_HEAD_BYTES && offset <= size);
        if (record.name.len > 0) {
            FUZZ_CHECK(record.name.at == buffer + before + RECORD_HEAD_BYTES);
            FUZZ_CHECK(record.name.len < offset - before - RECORD_HEAD_BYTES);
            FUZZ_CHECK(!memchr(record.name.at, 0, record.name.len));
        }
    }
}
