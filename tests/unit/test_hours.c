/* test_hours.c: spans of hours, over midnight and not. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "helper_temp.h"
#include "hours.h"

#define DAY_MS INT64_C(86400000)

static int64_t wait_at(const char *span, int hour, int minute)
{
    struct hours hours;
    assert_true(hours_parse(span, &hours));
    return hours_wait_ms(&hours, 20000 * DAY_MS + (hour * 60 + minute) * INT64_C(60000));
}

static void what_is_a_span(void **state)
{
    (void)state;
    static const char *const bad[] = {"22:00",        "22:00-",      "22:00-24:00", "22:60-06:00",
                                      "22-06",        "1:00-02:00",  "22:00-06:0",  "22:00-22:00",
                                      "22:00-06:00 ", "ab:cd-ef:gh", "-1:00-02:00", "22:00 06:00"};
    struct hours hours;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(hours_parse(bad[i], &hours));
    assert_true(hours_parse("00:00-23:59", &hours));
    assert_int_equal(hours.to_min, 1439);
}

static void within_and_without(void **state)
{
    (void)state;
    assert_int_equal(wait_at("", 12, 0), 0);
    assert_int_equal(wait_at("09:00-17:30", 9, 0), 0);
    assert_int_equal(wait_at("09:00-17:30", 17, 29), 0);
    assert_int_equal(wait_at("09:00-17:30", 8, 59), 60000);
    assert_int_equal(wait_at("09:00-17:30", 17, 30), 3600000); /* asked again each hour */
    assert_int_equal(wait_at("22:00-06:00", 23, 0), 0);
    assert_int_equal(wait_at("22:00-06:00", 5, 59), 0);
    assert_int_equal(wait_at("22:00-06:00", 6, 0), 3600000);
    assert_int_equal(wait_at("22:00-06:00", 21, 30), 1800000);
}

static int in_utc(void **state)
{
    (void)state;
    temp_set_env("TZ", "UTC0");
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_span),
        cmocka_unit_test(within_and_without),
    };
    return cmocka_run_group_tests(tests, in_utc, NULL);
}
