/* test_bytes.c: the order of names, and being below a directory. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "bytes.h"

static bool is_within(const char *path, const char *top)
{
    return bytes_path_is_within(bytes_str(path), bytes_str(top));
}

static void below_is_a_matter_of_whole_names(void **state)
{
    (void)state;
    assert_true(is_within("a/b", "a"));
    assert_true(is_within("a", "a"));
    assert_true(is_within("a", ""));
    assert_true(is_within("", ""));
    assert_false(is_within("ab", "a"));
    assert_false(is_within("a", "a/b"));
    assert_false(is_within("b/a", "a"));
    assert_false(is_within("", "a"));
}

static void order_is_that_of_bytes(void **state)
{
    (void)state;
    static const char *const sorted[] = {"", "A", "a", "a/b", "aa", "b", "\xc3\xa4", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
            int order = bytes_compare(bytes_str(sorted[i]), bytes_str(sorted[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(below_is_a_matter_of_whole_names),
        cmocka_unit_test(order_is_that_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
