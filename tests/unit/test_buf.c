/* test_buf.c: the growing buffer: its bound, its sticky error, its numbers. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"

static void test_grows_and_stays_terminated(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1 << 20);
    assert_true(buf_ok(&buf));
    assert_null(buf.data);
    for (int i = 0; i < 10000; i++) {
        buf_add(&buf, "abc", 3);
        assert_int_equal(buf.data[buf.len], '\0');
    }
    assert_int_equal(buf.len, 30000);
    assert_memory_equal(buf.data + 29997, "abc", 4);
    buf_truncate(&buf, 4);
    assert_string_equal(buf.data, "abca");
    buf_truncate(&buf, 100); /* longer than it is: nothing */
    assert_int_equal(buf.len, 4);
    buf_reset(&buf);
    assert_string_equal(buf.data, "");
    buf_deinit(&buf);
    buf_deinit(&buf);
    buf_deinit(NULL);
}

static void test_limit_is_exact_and_sticky(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 300);
    for (int i = 0; i < 300; i++)
        buf_add_char(&buf, 'x');
    assert_true(buf_ok(&buf));
    assert_int_equal(buf.len, 300);
    buf_add(&buf, "", 0);
    assert_true(buf_ok(&buf));
    buf_add_char(&buf, 'y');
    assert_false(buf_ok(&buf));
    assert_int_equal(buf.len, 300);
    buf_truncate(&buf, 0);
    buf_add_str(&buf, "z"); /* there is room again, but the error stays */
    assert_int_equal(buf.len, 0);
    assert_null(buf_extend(&buf, 1));
    buf_reset(&buf);
    buf_add_str(&buf, "z");
    assert_true(buf_ok(&buf));
    assert_string_equal(buf.data, "z");
    buf_deinit(&buf);
}

static void test_huge_lengths_fail(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, SIZE_MAX);
    buf_add_str(&buf, "abc");
    assert_true(buf_ok(&buf));
    assert_null(buf_extend(&buf, SIZE_MAX - 1));
    assert_false(buf_ok(&buf));
    assert_string_equal(buf.data, "abc");
    buf_deinit(&buf);
}

static void test_formats(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_addf(&buf, "%s-%d", "ab", 7);
    assert_string_equal(buf.data, "ab-7");
    buf_addf(&buf, "%500s", "x"); /* more than the room there is */
    assert_int_equal(buf.len, 504);
    assert_int_equal(buf.data[503], 'x');
    buf_addf(&buf, "%497s", "x");
    assert_false(buf_ok(&buf));
    assert_int_equal(buf.len, 504);
    assert_int_equal(strlen(buf.data), 504);
    buf_deinit(&buf);
}

static void test_numbers(void **state)
{
    static const int64_t values[] = {0,  1,   -1,        9,         10,
                                     99, 100, INT64_MAX, INT64_MIN, -1234567890123};
    struct buf buf;
    char want[32];

    (void)state;
    buf_init(&buf, 100);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        buf_reset(&buf);
        buf_add_i64(&buf, values[i]);
        (void)snprintf(want, sizeof want, "%lld", (long long)values[i]);
        assert_string_equal(buf.data, want);
    }
    buf_reset(&buf);
    buf_add_u64(&buf, UINT64_MAX);
    assert_string_equal(buf.data, "18446744073709551615");
    buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_stays_terminated),
        cmocka_unit_test(test_limit_is_exact_and_sticky),
        cmocka_unit_test(test_huge_lengths_fail),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
