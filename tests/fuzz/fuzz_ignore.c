/* fuzz_ignore.c: an ignore file and a path, divided by the first NUL. Whatever the patterns, a
 * match ends soon (libFuzzer's -timeout watches), says the same twice, and a directory-only
 * pattern never makes a file ignored that is not ignored as a directory. */
#include "err.h"
#include "fuzz.h"
#include "ignore.h"

#define PATH_LEN_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t text_len = end ? (size_t)(end - data) : size;
    const char *path = end ? (const char *)end + 1 : "a";
    size_t path_len = end ? size - text_len - 1 : 1;
    struct ignore *ignore = NULL;
    struct err err = {0};

    if (ignore_parse((const char *)data, text_len, &ignore, &err) != 0) {
        FUZZ_CHECK(!ignore && err.code < 0 && err.text[0]);
        return 0;
    }
    FUZZ_CHECK(ignore_count(ignore) <= IGNORE_PATTERNS_MAX);
    if (path_len > 0 && path_len <= PATH_LEN_MAX) {
        enum ignore_verdict file = ignore_match(ignore, path, path_len, false);
        enum ignore_verdict dir = ignore_match(ignore, path, path_len, true);
        FUZZ_CHECK(file >= IGNORE_NO && file <= IGNORE_YES);
        FUZZ_CHECK(dir >= IGNORE_NO && dir <= IGNORE_YES);
        /* All patterns that match a file match a directory of that name too. */
        FUZZ_CHECK(file == IGNORE_NONE || dir != IGNORE_NONE);
        FUZZ_CHECK(ignore_count(ignore) > 0 || dir == IGNORE_NONE);
        FUZZ_CHECK(ignore_match(ignore, path, path_len, false) == file);
    }
    ignore_free(ignore);
    return 0;
}
