/* test_cli_options.c: the command line's parser: every spelling of an option, what each command
 * takes, what is said of the misspelt, and the usage texts. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "cli_options.h"
#include "clock.h"
#include "err.h"

#define ARGS_MAX 16

static int ran;

static int run_nothing(const struct cli *cli)
{
    (void)cli; /* the parser calls no command */
    ran++;
    return 0;
}

static const struct cli_command table[] = {
    {"log", "[PATH]", "Fj0NfrSUn", "the changes", "Prints rows.", run_nothing},
    {"show", "SEQ", "Fj", "one change", "Prints a row.", run_nothing},
    {"sync", "", "Fjut", "wait", "Waits.", run_nothing},
    {"collect", "", "ldT", "serve", "Serves.", run_nothing},
};
static const struct cli_commands commands = {table, ARRAY_LEN(table)};

/* Parses the words, the program's name put before them. Free with cli_parse_free(). */
static int parse(struct cli_parsed *out, struct err *err, const char *const *words)
{
    char *argv[ARGS_MAX + 1] = {(char *)(uintptr_t) "spoor"};
    int argc = 1;

    for (; words[argc - 1]; argc++) {
        assert_true(argc < ARGS_MAX);
        argv[argc] = (char *)(uintptr_t)words[argc - 1]; /* the parser does not write to them */
    }
    *err = (struct err){0};
    return cli_parse(&commands, argc, argv, out, err);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void refused(const char *const *words, const char *text)
{
    struct cli_parsed parsed;
    struct err err;

    assert_int_equal(parse(&parsed, &err, words), ERR_INVALID);
    if (!strstr(err.text, text))
        fail_msg("expected '%s' in '%s'", text, err.text);
    cli_parse_free(&parsed);
}

static void test_defaults(void **state)
{
    struct cli_parsed parsed;
    struct err err;

    (void)state; /* none */
    assert_int_equal(parse(&parsed, &err, WORDS("log")), 0);
    assert_ptr_equal(parsed.command, &table[0]);
    assert_null(parsed.cli.config_file);
    assert_null(parsed.cli.folder);
    assert_false(parsed.cli.json);
    assert_int_equal(parsed.cli.count, -1);
    assert_int_equal(parsed.cli.timeout_ns, -1);
    assert_int_equal(parsed.cli.arg_count, 0);
    assert_false(parsed.help);
    cli_parse_free(&parsed);
    assert_int_equal(ran, 0);
}

static void test_spellings(void **state)
{
    struct cli_parsed parsed;
    struct err err;
    const char *const *const same[] = {
        WORDS("log", "--count", "5", "--folder", "docs", "--json", "--reverse", "a"),
        WORDS("log", "--count=5", "--folder=docs", "--json", "--reverse", "a"),
        WORDS("log", "-n", "5", "-F", "docs", "-j", "-r", "a"),
        WORDS("log", "-n5", "-Fdocs", "-jr", "a"),
        WORDS("log", "-jrn5", "-F", "docs", "--", "a"),
        WORDS("-j", "--count=5", "log", "-rFdocs", "a"),
        WORDS("log", "a", "-n", "9", "-n5", "-jrF", "docs"),
    };

    (void)state; /* none */
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_int_equal(parse(&parsed, &err, same[i]), 0);
        assert_ptr_equal(parsed.command, &table[0]);
        assert_int_equal(parsed.cli.count, 5);
        assert_string_equal(parsed.cli.folder, "docs");
        assert_true(parsed.cli.json);
        assert_true(parsed.cli.reverse);
        assert_false(parsed.cli.follow);
        assert_int_equal(parsed.cli.arg_count, 1);
        assert_string_equal(parsed.cli.args[0], "a");
        cli_parse_free(&parsed);
    }
}

static void test_every_field(void **state)
{
    struct cli_parsed parsed;
    struct err err;

    (void)state; /* none */
    assert_int_equal(parse(&parsed, &err,
                           WORDS("log", "-c", "/f", "-0", "--names", "--follow", "--since", "7",
                                 "--until=2026-11-23")),
                     0);
    assert_string_equal(parsed.cli.config_file, "/f");
    assert_true(parsed.cli.null_ends);
    assert_true(parsed.cli.names);
    assert_true(parsed.cli.follow);
    assert_string_equal(parsed.cli.since, "7");
    assert_string_equal(parsed.cli.until, "2026-11-23");
    cli_parse_free(&parsed);
    assert_int_equal(parse(&parsed, &err, WORDS("sync", "--uploaded", "--timeout", "1500ms")), 0);
    assert_true(parsed.cli.uploaded);
    assert_int_equal(parsed.cli.timeout_ns, 1500 * CLOCK_NS_PER_MS);
    cli_parse_free(&parsed);
    assert_int_equal(
        parse(&parsed, &err,
              WORDS("collect", "--listen", "127.0.0.1:0", "--store=/s", "--token-file", "/t")),
        0);
    assert_string_equal(parsed.cli.listen, "127.0.0.1:0");
    assert_string_equal(parsed.cli.store, "/s");
    assert_string_equal(parsed.cli.token_file, "/t");
    cli_parse_free(&parsed);
}

static void test_words_that_look_like_options(void **state)
{
    struct cli_parsed parsed;
    struct err err;

    (void)state; /* none */
    assert_int_equal(parse(&parsed, &err, WORDS("log", "--", "--json")), 0);
    assert_false(parsed.cli.json);
    assert_string_equal(parsed.cli.args[0], "--json");
    cli_parse_free(&parsed);
    assert_int_equal(parse(&parsed, &err, WORDS("log", "-")), 0);
    assert_string_equal(parsed.cli.args[0], "-");
    cli_parse_free(&parsed);
    /* The value of an option may begin with a dash. */
    assert_int_equal(parse(&parsed, &err, WORDS("log", "--folder", "-x")), 0);
    assert_string_equal(parsed.cli.folder, "-x");
    cli_parse_free(&parsed);
}

static void test_help_and_version(void **state)
{
    struct cli_parsed parsed;
    struct err err;
    const char *none[] = {NULL};

    (void)state; /* none */
    assert_int_equal(parse(&parsed, &err, none), 0);
    assert_null(parsed.command);
    cli_parse_free(&parsed);
    assert_int_equal(parse(&parsed, &err, WORDS("--version")), 0);
    assert_true(parsed.version);
    cli_parse_free(&parsed);
    /* Help is given however wrong the rest: here an argument is missing. */
    assert_int_equal(parse(&parsed, &err, WORDS("show", "-h")), 0);
    assert_true(parsed.help);
    assert_ptr_equal(parsed.command, &table[1]);
    cli_parse_free(&parsed);
}

static void test_refused(void **state)
{
    (void)state; /* none */
    refused(WORDS("lgo"), "did you mean 'log'?");
    refused(WORDS("frobnicate"), "'spoor help' lists them");
    refused(WORDS("log", "--flolow"), "did you mean --follow?");
    refused(WORDS("log", "--flolow=3"), "--flolow; did you mean --follow?");
    refused(WORDS("log", "--zzzzzzzz"), "'spoor help log' lists them");
    refused(WORDS("--zzzzzzzz"), "'spoor help' lists them");
    refused(WORDS("log", "-x"), "-x");
    refused(WORDS("log", "-jx"), "-x");
    refused(WORDS("log", "--uploaded"), "log does not know the option --uploaded");
    refused(WORDS("--uploaded", "log"), "log does not know the option --uploaded");
    refused(WORDS("log", "--version"), "--version");
    refused(WORDS("log", "--json=yes"), "takes no value");
    refused(WORDS("log", "--count"), "--count N");
    refused(WORDS("log", "-n"), "--count N");
    refused(WORDS("log", "--count", "five"), "'five'");
    refused(WORDS("log", "--count=-1"), "'-1'");
    refused(WORDS("log", "--count=99999999999999999999"), "not a number");
    refused(WORDS("log", "--folder="), "empty");
    refused(WORDS("sync", "--timeout", "30"), "'30'");
    refused(WORDS("sync", "now"), "'now' is one argument too many");
    refused(WORDS("log", "a", "b"), "'b' is one argument too many");
    refused(WORDS("show"), "usage: spoor show SEQ");
}

static void test_usage(void **state)
{
    struct buf text;

    (void)state; /* none */
    buf_init(&text, 1 << 16);
    cli_usage(&commands, &text);
    assert_true(buf_ok(&text));
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_non_null(strstr(text.data, table[i].name));
    assert_non_null(strstr(text.data, "--config FILE"));
    assert_null(strstr(text.data, "--uploaded"));
    buf_reset(&text);
    cli_command_usage(&table[2], &text);
    assert_true(buf_ok(&text));
    assert_non_null(strstr(text.data, "usage: spoor sync [OPTIONS]\n"));
    assert_non_null(strstr(text.data, "-t, --timeout TIME"));
    assert_non_null(strstr(text.data, "--uploaded"));
    assert_non_null(strstr(text.data, "--help"));
    assert_null(strstr(text.data, "--follow"));
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_words_that_look_like_options),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
