/* test_num.c: numbers, durations and sizes, both ways, and their edges. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "num.h"

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"0042", 0, 42},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", ERR_LIMIT, 0},
        {"-9223372036854775809", ERR_LIMIT, 0},
        {"99999999999999999999999", ERR_LIMIT, 0},
        {"", ERR_INVALID, 0},
        {"-", ERR_INVALID, 0},
        {"+1", ERR_INVALID, 0},
        {" 1", ERR_INVALID, 0},
        {"1 ", ERR_INVALID, 0},
        {"1x", ERR_INVALID, 0},
        {"99999999999999999999999x", ERR_INVALID, 0},
        {"0x10", ERR_INVALID, 0},
        {"--1", ERR_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 77;
        assert_int_equal(num_parse_i64(cases[i].text, INT64_MIN, INT64_MAX, &value), cases[i].rc);
        assert_true(value == (cases[i].rc == 0 ? cases[i].value : 77));
    }
    int64_t value = 77;
    assert_int_equal(num_parse_i64("5", 6, 9, &value), ERR_LIMIT);
    assert_int_equal(num_parse_i64("10", 6, 9, &value), ERR_LIMIT);
    assert_int_equal(value, 77);
    assert_int_equal(num_parse_i64("6", 6, 9, &value), 0);
    assert_int_equal(num_parse_i64("9", 6, 9, &value), 0);
    assert_int_equal(value, 9);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ns;
    } cases[] = {
        {"0", 0, 0},
        {"0s", 0, 0},
        {"7ns", 0, 7},
        {"250us", 0, 250000},
        {"300ms", 0, 300000000},
        {"5s", 0, INT64_C(5000000000)},
        {"10min", 0, INT64_C(600000000000)},
        {"2h", 0, INT64_C(7200000000000)},
        {"7d", 0, INT64_C(604800000000000)},
        {"106751d", 0, INT64_C(9223286400000000000)},
        {"106752d", ERR_LIMIT, 0},
        {"99999999999999999999s", ERR_LIMIT, 0},
        {"5", ERR_INVALID, 0},
        {"s", ERR_INVALID, 0},
        {"-5s", ERR_INVALID, 0},
        {"5 s", ERR_INVALID, 0},
        {"5S", ERR_INVALID, 0},
        {"5m", ERR_INVALID, 0},
        {"1.5s", ERR_INVALID, 0},
        {"5s5", ERR_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns = 77;
        assert_int_equal(num_parse_duration(cases[i].text, &ns), cases[i].rc);
        assert_true(ns == (cases[i].rc == 0 ? cases[i].ns : 77));
    }
}

static void test_bytes(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t bytes;
    } cases[] = {
        {"4096", 0, 4096},
        {"4096B", 0, 4096},
        {"0", 0, 0},
        {"10kB", 0, 10000},
        {"64MiB", 0, 64 << 20},
        {"1GiB", 0, 1 << 30},
        {"2TB", 0, 2000000000000},
        {"8388607TiB", 0, INT64_C(8388607) << 40},
        {"8388608TiB", ERR_LIMIT, 0},
        {"KiB", ERR_INVALID, 0},
        {"1KB", ERR_INVALID, 0},
        {"1 MiB", ERR_INVALID, 0},
        {"-1", ERR_INVALID, 0},
        {"1mib", ERR_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t bytes = 77;
        assert_int_equal(num_parse_bytes(cases[i].text, &bytes), cases[i].rc);
        assert_true(bytes == (cases[i].rc == 0 ? cases[i].bytes : 77));
    }
}

static void test_formats_read_back(void **state)
{
    static const int64_t values[] = {0,
                                     1,
                                     999,
                                     1000,
                                     1024,
                                     4096,
                                     10000,
                                     1500000000,
                                     60000000000,
                                     90 * INT64_C(60000000000),
                                     INT64_C(86400000000000),
                                     64 << 20,
                                     INT64_MAX};
    char text[32];
    int64_t back;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        num_format_duration(values[i], text);
        assert_int_equal(num_parse_duration(text, &back), 0);
        assert_true(back == values[i]);
        num_format_bytes(values[i], text);
        assert_int_equal(num_parse_bytes(text, &back), 0);
        assert_true(back == values[i]);
    }
    num_format_duration(1500000000, text);
    assert_string_equal(text, "1500ms");
    num_format_duration(INT64_C(86400000000000), text);
    assert_string_equal(text, "1d");
    num_format_bytes(64 << 20, text);
    assert_string_equal(text, "64MiB");
    num_format_bytes(10000, text);
    assert_string_equal(text, "10kB");
    num_format_bytes(1234, text);
    assert_string_equal(text, "1234");
}

static void test_for_people(void **state)
{
    static const struct {
        int64_t value;
        const char *duration, *bytes;
    } cases[] = {
        {0, "0 s", "0 B"},
        {1500000000, "1.5 s", "1.4 GiB"},
        {999, "999 ns", "999 B"},
        {1023, "1 us", "1023 B"},
        {1024, "1 us", "1 KiB"},
        {12897485, "12.9 ms", "12.3 MiB"},
        {1048575, "1 ms", "1 MiB"}, /* rounds up into the next unit */
        {150000000000, "2.5 min", "139.7 GiB"},
        {INT64_MAX, "106752 d", "8388608 TiB"},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        num_human_duration(cases[i].value, text);
        assert_string_equal(text, cases[i].duration);
        num_human_bytes(cases[i].value, text);
        assert_string_equal(text, cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),   cmocka_unit_test(test_durations),
        cmocka_unit_test(test_bytes),      cmocka_unit_test(test_formats_read_back),
        cmocka_unit_test(test_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
