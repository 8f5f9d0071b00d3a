/* test_clock.c: RFC 3339 both ways, against the C library's calendar as the oracle. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"

static void test_clocks_run(void **state)
{
    (void)state;
    int64_t first = clock_mono_ns();
    assert_true(clock_mono_ns() >= first);
    /* Both are of the same moment, give or take what passes between two lines. */
    assert_true(llabs(clock_wall_ns() / CLOCK_NS_PER_MS - clock_wall_ms()) < 60000);
    assert_true(llabs(clock_wall_ms() / 1000 - (long long)time(NULL)) < 60);
}

static void test_formats(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    clock_format_ns(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
    clock_format_ns(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
    clock_format_ms(1795421730123, text);
    assert_string_equal(text, "2026-11-23T08:15:30.123Z");
    clock_format_ns(INT64_MAX, text);
    assert_string_equal(text, "2262-04-11T23:47:16.854775807Z");
    clock_format_ns(INT64_MIN, text);
    assert_string_equal(text, "1677-09-21T00:12:43.145224192Z");
    clock_format_ms(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format_ms(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

/* Every 7 hours 13 minutes over six centuries; and each reads back. */
static void test_against_gmtime(void **state)
{
    (void)state;
    for (int64_t second = -9223372036; second <= 9223372036; second += 25980) {
        time_t at = (time_t)second;
        struct tm tm;
        char want[CLOCK_TEXT_SIZE], text[CLOCK_TEXT_SIZE];
        int64_t back = 0;
        if (!gmtime_r(&at, &tm)) {
            assert_true(second < 0); /* Windows' C library begins in 1970 */
            continue;
        }
        assert_true(strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000000000Z", &tm) > 0);
        clock_format_ns(second * CLOCK_NS_PER_S, text);
        assert_string_equal(text, want);
        assert_int_equal(clock_parse(text, strlen(text), &back), 0);
        assert_true(back == second * CLOCK_NS_PER_S);
    }
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"1970-01-01", 0},
        {"1970-01-01T00:00:01Z", 1000000000},
        {"1970-01-01t00:00:01z", 1000000000},
        {"1970-01-01 00:00:01.5Z", 1500000000},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T23:30:00-00:30", 0},
        {"1970-01-01T00:00:00.123456789Z", 123456789},
        {"1970-01-01T00:00:00.1234567899Z", 123456789},
        {"1970-01-01T00:00:60Z", 60000000000},
        {"2000-02-29", 951782400000000000},
        {"2026-11-23T08:15:30.123Z", 1795421730123000000},
    };
    static const char *const bad[] = {
        "",
        "1970",
        "1970-1-1",
        "1970-13-01",
        "1970-00-01",
        "1970-01-32",
        "1970-02-29",
        "1900-02-29",
        "1970-01-01T",
        "1970-01-01T00:00:00",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01 ",
        "1970/01/01",
        "2263-01-01",
        "1677-01-01",
        "-970-01-01",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ns = 7;
        assert_int_equal(clock_parse(good[i].text, strlen(good[i].text), &ns), 0);
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ns = 7;
        if (clock_parse(bad[i], strlen(bad[i]), &ns) != ERR_INVALID)
            fail_msg("'%s' is taken", bad[i]);
        assert_int_equal(ns, 7);
    }
    /* The length counts, not a NUL. */
    int64_t ns = 7;
    assert_int_equal(clock_parse("1970-01-02 and more", 10, &ns), 0);
    assert_true(ns == INT64_C(86400000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks_run),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_against_gmtime),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
