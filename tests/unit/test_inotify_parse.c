/* test_inotify_parse.c: records as the kernel writes them, cut at every byte, and noise. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/inotify.h>

#include "err.h"
#include "inotify_parse.h"

/* Appends a record as the kernel does: the name field padded with NULs to `field` bytes. */
static size_t put(char *at, int32_t watch, uint32_t mask, uint32_t cookie, const char *name,
                  uint32_t field)
{
    struct inotify_event head = {.wd = watch, .mask = mask, .cookie = cookie, .len = field};
    memset(at, 0, sizeof head + field);
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, name, strlen(name));
    return sizeof head + field;
}

static void test_records_in_order(void **state)
{
    (void)state;
    char buffer[256];
    size_t len = put(buffer, 3, IN_CREATE, 0, "file", 16);
    len += put(buffer + len, 4, IN_MOVED_FROM | IN_ISDIR, 77, "exactly15bytes_", 16);
    len += put(buffer + len, 5, IN_IGNORED, 0, "", 0);
    len += put(buffer + len, -1, IN_Q_OVERFLOW, 0, "", 0);
    struct inotify_record record;
    size_t offset = 0;
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.watch, 3);
    assert_int_equal(record.mask, IN_CREATE);
    assert_true(bytes_equal(record.name, bytes_str("file")));
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.cookie, 77);
    assert_true(bytes_equal(record.name, bytes_str("exactly15bytes_")));
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.watch, 5);
    assert_int_equal(record.name.len, 0);
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.watch, -1);
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), 0);
    assert_int_equal(offset, len);
}

/* Unaligned, and whatever its length: the parser copies. */
static void test_unaligned(void **state)
{
    (void)state;
    char buffer[64];
    for (size_t shift = 0; shift < 8; shift++) {
        struct inotify_record record;
        size_t offset = shift;
        size_t len = shift + put(buffer + shift, 9, IN_MODIFY, 1, "abc", 16);
        assert_int_equal(inotify_parse(buffer, len, &offset, &record), 1);
        assert_int_equal(record.watch, 9);
        assert_true(bytes_equal(record.name, bytes_str("abc")));
    }
}

static void test_cut_short(void **state)
{
    (void)state;
    char buffer[64];
    struct inotify_record record;
    size_t whole = put(buffer, 1, IN_CREATE, 0, "name", 16);
    for (size_t len = 1; len < whole; len++) {
        size_t offset = 0;
        assert_int_equal(inotify_parse(buffer, len, &offset, &record), ERR_INVALID);
        assert_int_equal(offset, 0);
    }
    size_t beyond = whole + 1;
    assert_int_equal(inotify_parse(buffer, whole, &beyond, &record), ERR_INVALID);
}

static void test_impossible_fields(void **state)
{
    (void)state;
    char buffer[64];
    struct inotify_record record;
    size_t offset = 0;
    size_t len = put(buffer, 1, IN_CREATE, 0, "name", 16);
    uint32_t huge = UINT32_MAX;
    memcpy(buffer + 12, &huge, sizeof huge);
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), ERR_INVALID);
    len = put(buffer, 1, IN_CREATE, 0, "sixteen_bytes_ok", 16);
    assert_int_equal(inotify_parse(buffer, len, &offset, &record), ERR_INVALID);
}

/* Noise is refused or read, but never read past: under the sanitizer that is a test. */
static void test_noise(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int run = 0; run < 20000; run++) {
        size_t len = (size_t)(run % 97);
        char *exact = malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            exact[i] = (char)(seed >> 59 ? 0 : seed >> 33);
        }
        char *tight = len ? realloc(exact, len) : exact;
        assert_non_null(tight);
        struct inotify_record record;
        size_t offset = 0, records = 0;
        while (inotify_parse(tight, len, &offset, &record) == 1) {
            records++;
            for (size_t i = 0; i < record.name.len; i++)
                assert_int_not_equal(record.name.at[i], 0);
        }
        assert_true(offset <= len && records <= len / 16);
        free(tight);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_in_order),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_impossible_fields),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
