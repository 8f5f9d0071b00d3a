/* test_ini.c: the line syntax, and the line numbers of its faults. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "ini.h"

static int note(void *ctx, const struct ini_item *item, struct err *err)
{
    struct buf *out = ctx;

    (void)err;
    if (item->key)
        buf_addf(out, "%d:%s/%s.%s=<%s> ", item->line, item->section, item->name, item->key,
                 item->value);
    else
        buf_addf(out, "%d:[%s/%s] ", item->line, item->section, item->name);
    return 0;
}

static void check(const char *text, const char *want)
{
    struct buf out;
    struct err err = {0};

    buf_init(&out, 10000);
    if (ini_parse("f", text, strlen(text), note, &out, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    assert_string_equal(out.data ? out.data : "", want);
    buf_deinit(&out);
}

static void test_syntax(void **state)
{
    (void)state;
    check("", "");
    check("\n\n# c\n  ; c\n", "");
    check("[a]\nk = v", "1:[a/] 2:a/.k=<v> ");
    check("\xef\xbb\xbf[a]\r\nk=v\r\n", "1:[a/] 2:a/.k=<v> ");
    check("  [ a  \"n m\" ]  \n\tk-1_x\t=  v w \t\n", "1:[a/n m] 2:a/n m.k-1_x=<v w> ");
    check("[a \"q\\\"\\\\\"]\n", "1:[a/q\"\\] ");
    check("[a]\nk =\n", "1:[a/] 2:a/.k=<> ");
    check("[a]\nk = x # no comment\n", "1:[a/] 2:a/.k=<x # no comment> ");
    check("[a]\nk = a=b \"c\"\n", "1:[a/] 2:a/.k=<a=b \"c\"> ");
    check("[a]\nk = \" # \\\\ \\\" \\t\\n\"  \n", "1:[a/] 2:a/.k=< # \\ \" \t\n> ");
    check("[a]\nk = \"\"\n", "1:[a/] 2:a/.k=<> ");
    check("[a]\nk = *.tmp\\x\n", "1:[a/] 2:a/.k=<*.tmp\\x> ");
}

static void test_joined_lines(void **state)
{
    (void)state;
    check("[a]\nk = x \\\n  y\\\r\nz\nl = 2\n", "1:[a/] 2:a/.k=<x   yz> 5:a/.l=<2> ");
    check("[a]\n# c \\\nk = v\n", "1:[a/] 3:a/.k=<v> "); /* comments do not continue */
    check("[a]\nk = a \\\n# b\n", "1:[a/] 2:a/.k=<a # b> ");
    check("[a]\nk = \"a\\\\\"\nl = b\n", "1:[a/] 2:a/.k=<a\\> 3:a/.l=<b> ");
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"k = v\n", "f:1: key 'k': stands before the first [section]"},
        {"\n[a]\nx y\n", "f:3: 'x y': expected [section]"},
        {"[a]\n= v\n", "f:2: '= v': expected"},
        {"[a]\nk\n", "f:2: 'k': expected"},
        {"[a]\nk\xc3\xa9 = v\n", "f:2: 'k\xc3\xa9 = v': expected"},
        {"[]\n", "f:1: a section is written [word]"},
        {"[a\n", "f:1: section 'a': a section is written"},
        {"[a b]\n", "f:1: section 'a': a section is written"},
        {"[a \"b]\n", "f:1: a double quote is not closed"},
        {"[a] # c\n", "f:1: section 'a': nothing may follow the bracket"},
        {"[a]\nk = \"x\n", "f:2: a double quote is not closed"},
        {"[a]\nk = \"x\" y\n", "f:2: key 'k': nothing may follow the closing quote"},
        {"[a]\nk = \"\\x\"\n", "f:2: only \\\" \\\\ \\n and \\t"},
        {"[a]\nk = # c\n", "f:2: key 'k': the value begins with '#'"},
        {"[a]\nk = ;\n", "f:2: key 'k': the value begins with ';'"},
        {"[a]\nk = a\\\nb\\", "f:2: a backslash at the end of the file"},
        {"[a]\nk = a\\\nb\x1b\n", "f:3: control character 0x1b in column 2"},
        {"[a]\nk = a\rb\n", "f:2: control character 0x0d"},
        {"[a]\nk = \x7f\n", "f:2: control character 0x7f"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        if (ini_parse("f", cases[i].text, strlen(cases[i].text), note, &out, &err) != ERR_INVALID ||
            strncmp(err.text, cases[i].fault, strlen(cases[i].fault)) != 0)
            fail_msg("case %zu: '%s', not '%s'", i, err.text, cases[i].fault);
    }
    struct err err;
    assert_int_equal(ini_parse("f", "[a]\n\0", 5, note, &out, &err), ERR_INVALID);
    buf_deinit(&out);
}

static void test_a_line_has_a_limit(void **state)
{
    struct buf text, out;
    struct err err;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_add_str(&text, "[a]\nk=");
    while (text.len < 4 + INI_LINE_MAX)
        buf_add_char(&text, 'x');
    assert_int_equal(ini_parse("f", text.data, text.len, note, &out, &err), 0);
    buf_add_char(&text, 'x');
    assert_int_equal(ini_parse("f", text.data, text.len, note, &out, &err), ERR_INVALID);
    assert_string_equal(err.text, "f:2: longer than 65536 bytes");
    /* Joined lines count as one. */
    text.data[1000] = '\\';
    text.data[1001] = '\n';
    buf_add_str(&text, "xx");
    assert_int_equal(ini_parse("f", text.data, text.len, note, &out, &err), ERR_INVALID);
    buf_deinit(&text);
    buf_deinit(&out);
}

static int stop_at_key(void *ctx, const struct ini_item *item, struct err *err)
{
    (void)ctx;
    return item->key ? err_set(err, ERR_BUSY, 0, "stopped in line %d", item->line) : 0;
}

static void test_the_visitor_stops_the_walk(void **state)
{
    const char *text = "[a]\nk = v\nbroken\n";
    struct err err;

    (void)state;
    assert_int_equal(ini_parse("f", text, strlen(text), stop_at_key, NULL, &err), ERR_BUSY);
    assert_string_equal(err.text, "stopped in line 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_joined_lines),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_line_has_a_limit),
        cmocka_unit_test(test_the_visitor_stops_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
