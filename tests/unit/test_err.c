/* test_err.c: messages: their shape, and what is cut when they are too long. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"

static void test_messages(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(err_set(&err, ERR_LIMIT, 0, "queue '%s': full", "q"), ERR_LIMIT);
    assert_string_equal(err.text, "queue 'q': full");
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(err_os(&err, ENOENT, "cannot open '%s'", "x"), ERR_NOTFOUND);
    assert_string_equal(err.text, "cannot open 'x': No such file or directory");
    assert_int_equal(err.os, ENOENT);
    assert_int_equal(err_prefix(&err, "folder '%s'", "f"), ERR_NOTFOUND);
    assert_string_equal(err.text, "folder 'f': cannot open 'x': No such file or directory");
    assert_int_equal(err_set(NULL, ERR_BUSY, 0, "x"), ERR_BUSY);
    assert_true(err_prefix(NULL, "x") < 0);
    /* The message may be made from the one that is there. */
    (void)err_set(&err, ERR_IO, 0, "one");
    (void)err_set(&err, ERR_IO, 0, "two: %s", err.text);
    assert_string_equal(err.text, "two: one");
}

static void test_codes_of_errno(void **state)
{
    static const struct {
        int os, code;
    } cases[] = {{EACCES, ERR_DENIED}, {EPERM, ERR_DENIED},   {ENOSPC, ERR_FULL},
                 {EDQUOT, ERR_FULL},   {ENOMEM, ERR_NOMEM},   {EIO, ERR_IO},
                 {EINVAL, ERR_IO},     {ENOENT, ERR_NOTFOUND}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(err_os(NULL, cases[i].os, "x"), cases[i].code);
    assert_string_equal(err_code_name(ERR_NOTFOUND), "not found");
    assert_string_equal(err_code_name(ERR_CONFLICT), "conflict");
    assert_string_equal(err_code_name(ERR_HELD), "held");
    assert_string_equal(err_code_name(ERR_HELD - 1), "unknown error");
    assert_string_equal(err_code_name(1), "unknown error");
}

static void test_a_long_path_does_not_hide_the_reason(void **state)
{
    struct err err;
    char path[4096];
    const char *reason = "...: Permission denied";

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    (void)err_os(&err, EACCES, "cannot open '%s'", path);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_string_equal(err.text + strlen(err.text) - strlen(reason), reason);
    (void)err_set(&err, ERR_IO, 0, "%s", path);
    assert_string_equal(err.text + strlen(err.text) - 4, "p...");
    (void)err_prefix(&err, "%s", "front");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "front: ppp", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_codes_of_errno),
        cmocka_unit_test(test_a_long_path_does_not_hide_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
