/* fuzz_gzip.c: the body of a request to the collector. Unpacking keeps its limit whatever the
 * bytes are; and what we pack ourselves comes back. */
#include "buf.h"
#include "err.h"
#include "fuzz.h"
#include "gzip.h"

#define UNPACKED_MAX ((size_t)1 << 20)
#define PACKED_MAX   ((size_t)2 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gzip *gzip;
    struct err err = {0};
    struct buf out, packed;

    if (!gzip)
        FUZZ_CHECK(gzip_new(1, &gzip, &err) == 0);
    buf_init(&out, UNPACKED_MAX);
    buf_init(&packed, PACKED_MAX);
    int rc = gzip_unpack(data, size, &out, &err);
    FUZZ_CHECK(out.len <= UNPACKED_MAX);
    FUZZ_CHECK(rc == 0 || (rc == err.code && err.text[0]));
    if (size <= UNPACKED_MAX) {
        gzip_begin(gzip);
        gzip_add(gzip, data, size, &packed);
        gzip_finish(gzip, &packed);
        FUZZ_CHECK(buf_ok(&packed));
        buf_reset(&out);
        FUZZ_CHECK(gzip_unpack(packed.data, packed.len, &out, &err) == 0);
        FUZZ_CHECK(out.len == size && (size == 0 || memcmp(out.data, data, size) == 0));
    }
    buf_deinit(&out);
    buf_deinit(&packed);
    return 0;
}
