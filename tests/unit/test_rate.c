/* test_rate.c: counts of the last minute. */
#include "rate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"

#define S CLOCK_NS_PER_S

static void expect(const struct rate *rate, int64_t now_ns, int64_t count, int64_t window_ms)
{
    int64_t window = -1;
    assert_int_equal(rate_get(rate, now_ns, &window), count);
    assert_int_equal(window, window_ms);
}

static void test_young(void **state)
{
    (void)state;
    struct rate rate;
    rate_init(&rate, 1003 * S);
    expect(&rate, 1003 * S, 0, 1); /* never by zero */
    rate_add(&rate, 1004 * S, 10);
    rate_add(&rate, 1007 * S, 5);
    expect(&rate, 1013 * S, 15, 10000); /* since it began */
    rate_init(&rate, 0);                /* a machine that was just started */
    rate_add(&rate, 0, 7);
    expect(&rate, S, 7, 1000);
}

static void test_old(void **state)
{
    (void)state;
    struct rate rate;
    rate_init(&rate, 0);
    for (int64_t s = 0; s < 300; s++)
        rate_add(&rate, s * S, 2);
    expect(&rate, 299 * S, 2 * 60, 59000);
    expect(&rate, 300 * S, 2 * 55, 55000); /* a slot was left behind */
    expect(&rate, 325 * S, 2 * 30, 55000);
    expect(&rate, 354 * S, 2 * 5, 59000);
    expect(&rate, 355 * S, 0, 55000); /* a minute of silence */
    expect(&rate, 100000 * S, 0, 55000);
    rate_add(&rate, 321 * S, 1); /* the slots in between are empty */
    expect(&rate, 321 * S, 2 * 35 + 1, 56000);
    rate_add(&rate, 500 * S, 3);
    expect(&rate, 500 * S, 3, 55000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_young),
        cmocka_unit_test(test_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
