/* helper_share.c: see helper_share.h. */
#include "helper_share.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "num.h"

int test_share(void)
{
    const char *text = getenv("SPOOR_TEST_SHARE");
    int64_t value = 1;
    if (text && num_parse_i64(text, 1, 1000000, &value) != 0) {
        fail_msg("SPOOR_TEST_SHARE='%s' is no number", text);
    }
    return (int)value;
}
