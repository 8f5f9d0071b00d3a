/* fuzz_fanotify.c: the bytes of a read from a fanotify descriptor that reports file handles. The
 * parser goes on by whole records, all it points to lies within its record, and it ends. */
#include "err.h"
#include "fanotify_parse.h"
#include "fuzz.h"

#define RECORD_HEAD_BYTES 24 /* fanotify(7) */
#define PLACE_BYTES_MIN   17 /* file system id, length and type of the handle, a byte of it */

static void check_within(struct bytes part, const char *from, const char *to)
{
    if (part.len > 0)
        FUZZ_CHECK(part.at >= from && part.at < to && part.len <= (size_t)(to - part.at));
}

static void check_place(const struct fanotify_place *place, const char *from, const char *to)
{
    check_within(place->id, from, to);
    check_within(place->name, from, to);
    FUZZ_CHECK(place->id.len == 0 || place->id.len >= PLACE_BYTES_MIN);
    if (place->name.len > 0) {
        FUZZ_CHECK(!memchr(place->name.at, 0, place->name.len));
        FUZZ_CHECK(place->name.at + place->name.len < to); /* its NUL is in the record */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *buffer = (const char *)data;
    struct fanotify_record record;
    size_t offset = 0;

    for (;;) {
        size_t before = offset;
        int rc = fanotify_parse(buffer, size, &offset, &record);
        if (rc != 1) {
            FUZZ_CHECK(rc == 0 || rc == ERR_INVALID);
            FUZZ_CHECK(offset == before && (rc != 0 || before == size));
            return 0;
        }
        FUZZ_CHECK(offset >= before + RECORD_HEAD_BYTES && offset <= size);
        const char *from = buffer + before + RECORD_HEAD_BYTES;
        const char *to = buffer + offset;
        check_place(&record.target, from, to);
        uint64_t number;
        (void)fanotify_number(record.target.id, &number); /* any number may come out */
        check_place(&record.dir, from, to);
        check_place(&record.from, from, to);
        check_place(&record.to, from, to);
        FUZZ_CHECK(record.target.name.len == 0);
    }
}
