/* test_log.c: who gets which of the log's messages beside its own sink. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "log.h"

static struct {
    int count;
    enum log_level level;
    char text[128];
} also;

static void take(enum log_level level, const char *message)
{
    also.count++;
    also.level = level;
    (void)snprintf(also.text, sizeof also.text, "%s", message); /* cut where it is too long */
}

static void test_also(void **state)
{
    (void)state;
    log_also(take);
    log_info("nothing of this");
    assert_int_equal(also.count, 0);
    log_warn("a name 'x\ny' and %d", 7);
    assert_int_equal(also.count, 1);
    assert_int_equal(also.level, LOG_WARN);
    assert_string_equal(also.text, "a name 'x\\ny' and 7");
    log_error("bad");
    assert_int_equal(also.count, 2);
    assert_int_equal(also.level, LOG_ERROR);
    assert_string_equal(also.text, "bad");
    log_setup(2, LOG_ERROR);
    log_warn("dropped");
    assert_int_equal(also.count, 2);
    log_setup(2, LOG_INFO);
    log_also(NULL);
    log_error("for stderr alone");
    assert_int_equal(also.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_also),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
