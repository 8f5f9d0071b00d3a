/* test_cli_render.c: the lines people read, what they may type for a moment or a path, and the
 * merge behind `spoor verify`, fed from tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "cli_render.h"
#include "compare.h"
#include "config.h"
#include "err.h"
#include "reader.h"

#define S(text) ((struct bytes){(text), sizeof(text) - 1})

static char text_of[4096];

static const char *take(struct buf *buf)
{
    assert_true(buf_ok(buf));
    (void)snprintf(text_of, sizeof(text_of), "%s", buf->data ? buf->data : "");
    buf_reset(buf);
    return text_of;
}

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {{0, "0"},
                 {999, "999"},
                 {1000, "1,000"},
                 {104512, "104,512"},
                 {-1234567, "-1,234,567"},
                 {INT64_MAX, "9,223,372,036,854,775,807"},
                 {INT64_MIN, "-9,223,372,036,854,775,808"}};
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        render_count(&out, cases[i].value);
        assert_string_equal(take(&out), cases[i].text);
    }
    buf_deinit(&out);
}

static void test_modes(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    render_mode(&out, ENTRY_FILE, 0644);
    assert_string_equal(take(&out), "-rw-r--r--");
    render_mode(&out, ENTRY_DIR, 01777);
    assert_string_equal(take(&out), "drwxrwxrwt");
    render_mode(&out, ENTRY_FILE, 06644);
    assert_string_equal(take(&out), "-rwSr-Sr--");
    render_mode(&out, ENTRY_OTHER, 02750);
    assert_string_equal(take(&out), "orwxr-s---");
    buf_deinit(&out);
}

static void test_rows(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    struct change row = {.seq = 7,
                         .time_ms = 1000,
                         .kind = CHANGE_CREATE,
                         .type = ENTRY_FILE,
                         .flags = CHANGE_PARTIAL | CHANGE_END,
                         .path = S("a\n\x1b[2Jb"),
                         .attrs = {.size = 12}};
    render_row(&out, &row, false);
    const char *text = take(&out);
    assert_ptr_equal(strstr(text, "1970-01-01T00:00:01.000Z        7 create   f "), text);
    /* A name can neither end the line nor reach the terminal. */
    assert_null(strchr(text, '\n'));
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "a\\n\\x1b[2Jb"));
    assert_non_null(strstr(text, "  partial"));
    assert_null(strstr(text, "end-of-commit"));

    row = (struct change){.seq = 8,
                          .kind = CHANGE_MOVE,
                          .type = ENTRY_DIR,
                          .path = S("b"),
                          .from = S("a"),
                          .entries = 10000};
    render_row(&out, &row, false);
    assert_non_null(strstr(take(&out), " move     d a -> b/  with 10,000 entries"));
    row.kind = CHANGE_EXCHANGE;
    row.entries = 0;
    render_row(&out, &row, true);
    text = take(&out);
    assert_non_null(strstr(text, "a <-> b/"));
    assert_non_null(strstr(text, "\033[36m"));

    row.actor = (struct actor){4242, "mv\x1b"};
    render_row(&out, &row, false);
    assert_non_null(strstr(take(&out), "a <-> b/  by mv\\x1b (4242)"));
    row.actor.program[0] = '\0';
    render_row(&out, &row, false);
    assert_non_null(strstr(take(&out), "a <-> b/  by process 4242"));

    row = (struct change){.seq = 9, .kind = CHANGE_GAP, .flags = CHANGE_GAP_OPEN | CHANGE_OVERFLOW};
    render_row(&out, &row, false);
    assert_non_null(strstr(take(&out), "(overflow)"));
    buf_deinit(&out);
}

static void test_moments(void **state)
{
    (void)state;
    struct moment moment;
    struct err err;
    assert_int_equal(moment_parse("1204", 0, &moment, &err), 0);
    assert_true(moment.is_seq && moment.seq == 1204);
    assert_int_equal(moment_parse("10min", 1000000, &moment, &err), 0);
    assert_true(!moment.is_seq && moment.wall_ms == 400000);
    assert_int_equal(moment_parse("1970-01-02", 0, &moment, &err), 0);
    assert_true(!moment.is_seq && moment.wall_ms == INT64_C(86400000));
    assert_int_equal(moment_parse("1970-01-01T00:00:01.5Z", 0, &moment, &err), 0);
    assert_int_equal(moment.wall_ms, 1500);
    static const char *const wrong[] = {"", "yesterday", "-5", "12x", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(moment_parse(wrong[i], 0, &moment, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, wrong[i]));
    }
}

static void test_path_args(void **state)
{
    (void)state;
    static char name[] = "docs", path[] = "/home/ann/docs";
    struct config_folder folder = {.name = name, .path = path};
    static const struct {
        const char *arg, *text; /* text NULL: refused */
    } cases[] = {{"a/b", "a/b"},
                 {"./a//b/", "a/b"},
                 {".", ""},
                 {"/home/ann/docs", ""},
                 {"/home/ann/docs/", ""},
                 {"/home/ann/docs/a", "a"},
                 {"/home/ann/docsa", NULL},
                 {"/etc", NULL},
                 {"a/../b", NULL},
                 {"a/..b", "a/..b"}};
    struct buf out;
    struct err err;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int rc = render_path_arg(&folder, cases[i].arg, &out, &err);
        assert_int_equal(rc, cases[i].text ? 0 : ERR_INVALID);
        const char *text = take(&out);
        if (cases[i].text)
            assert_string_equal(text, cases[i].text);
    }
    buf_deinit(&out);
}

/* ---- the merge ---- */

struct table {
    const struct compare_item *items;
    size_t count, next;
};

static int next_item(void *ctx, struct compare_item *out, struct err *err)
{
    (void)err;
    struct table *table = ctx;
    if (table->next == table->count)
        return 0;
    *out = table->items[table->next++];
    return 1;
}

/* Compares the journal's entries with the items and returns the lines. */
static const char *merge(const struct reader_entry *entries, size_t entry_count,
                         const struct compare_item *items, size_t item_count, int64_t differences,
                         int64_t unknown)
{
    struct table table = {items, item_count, 0};
    struct compare_side side = {"disk", &table, next_item};
    struct compare compare;
    struct buf out;
    struct err err;
    buf_init(&out, 4096);
    compare_init(&compare, &side, "docs", false, &out);
    for (size_t i = 0; i < entry_count; i++)
        assert_int_equal(compare_entry(&compare, &entries[i], &err), 0);
    assert_int_equal(compare_finish(&compare, &err), 0);
    assert_int_equal(compare.differences, differences);
    assert_int_equal(compare.unknown, unknown);
    assert_int_equal(compare.entries, entry_count);
    const char *text = take(&out);
    compare_deinit(&compare);
    buf_deinit(&out);
    return text;
}

#define ENTRY(p, t, ...)                                                                           \
    {                                                                                              \
        .path = S(p), .type = (t), .attrs = { __VA_ARGS__ }                                        \
    }
#define ITEM(p, t, ...)                                                                            \
    {                                                                                              \
        .path = S(p), .type = (t), .attrs = { __VA_ARGS__ }                                        \
    }

static void test_order(void **state)
{
    (void)state;
    /* Depth first in byte order: what is in 'a' comes before 'a-', though '-' < '/'. */
    assert_true(compare_path_order(S("a/b"), S("a-")) < 0);
    assert_true(compare_path_order(S("a"), S("a/b")) < 0);
    assert_true(compare_path_order(S("a\x01"), S("a/b")) > 0);
    assert_true(compare_path_order(S("a\xff"), S("ab")) > 0);
    assert_int_equal(compare_path_order(S("a/b"), S("a/b")), 0);
}

static void test_same(void **state)
{
    (void)state;
    static const struct reader_entry entries[] = {
        ENTRY("a", ENTRY_DIR, .mode = 0755), ENTRY("a/f", ENTRY_FILE, .size = 3, .mtime_ns = 5),
        ENTRY("a-", ENTRY_FILE, .size = 1), ENTRY("l", ENTRY_SYMLINK, .target = S("x"))};
    static const struct compare_item items[] = {
        ITEM("a", ENTRY_DIR, .mode = 0755),
        ITEM("a/f", ENTRY_FILE, .size = 3, .mtime_ns = 5, .ctime_ns = 9), /* ctime never counts */
        ITEM("a-", ENTRY_FILE, .size = 1), ITEM("l", ENTRY_SYMLINK, .target = S("x"))};
    assert_string_equal(merge(entries, 4, items, 4, 0, 0), "");
    assert_string_equal(merge(NULL, 0, NULL, 0, 0, 0), "");
}

static void test_differences(void **state)
{
    (void)state;
    static const struct reader_entry entries[] = {
        ENTRY("d", ENTRY_DIR, .mode = 0755),
        ENTRY("f", ENTRY_FILE, .size = 3, .mtime_ns = 1, .mode = 0644),
        ENTRY("l", ENTRY_SYMLINK, .target = S("x"))};
    static const struct compare_item items[] = {
        ITEM("d", ENTRY_DIR, .mode = 0700),
        ITEM("f", ENTRY_FILE, .size = 4, .mtime_ns = 2, .mode = 0600),
        ITEM("l", ENTRY_SYMLINK, .target = S("y\n"))};
    assert_string_equal(merge(entries, 3, items, 3, 5, 0),
                        "d: mode: journal 0755, disk 0700\n"
                        "f: size: journal 3, disk 4\n"
                        "f: mtime: journal 1970-01-01T00:00:00.000000001Z, "
                        "disk 1970-01-01T00:00:00.000000002Z\n"
                        "f: mode: journal 0644, disk 0600\n"
                        "l: target: journal x, disk y\\n\n");
}

static void test_missing(void **state)
{
    (void)state;
    static const struct reader_entry entries[] = {
        ENTRY("b", ENTRY_DIR, 0), ENTRY("b/x", ENTRY_FILE, 0), ENTRY("c", ENTRY_DIR, 0),
        ENTRY("c/x", ENTRY_FILE, 0), ENTRY("d", ENTRY_FILE, 0)};
    static const struct compare_item items[] = {ITEM("a", ENTRY_DIR, 0), ITEM("a/x", ENTRY_FILE, 0),
                                                ITEM("c", ENTRY_FILE, 0), ITEM("e", ENTRY_FILE, 0)};
    /* One line each, whatever lies below. */
    assert_string_equal(merge(entries, 5, items, 4, 5, 0),
                        "a: only on the disk (directory, with all below it)\n"
                        "b: only in the journal (directory, with all below it)\n"
                        "c: type: journal directory, disk file\n"
                        "d: only in the journal (file)\n"
                        "e: only on the disk (file)\n");
}

static void test_unknown(void **state)
{
    (void)state;
    static const struct reader_entry entries[] = {
        ENTRY("a", ENTRY_DIR, 0), ENTRY("a/x", ENTRY_FILE, 0), ENTRY("b", ENTRY_FILE, 0),
        ENTRY("c", ENTRY_FILE, 0)};
    static const struct compare_item items[] = {
        ITEM("a", ENTRY_DIR, 0),
        {.path = S("a"), .unknown = true, .os = EACCES}, /* its listing */
        {.path = S("b"), .unknown = true, .os = EIO},
        ITEM("c", ENTRY_FILE, 0),
        {.path = S("m"), .unknown = true, .os = EXDEV}};
    const char *text = merge(entries, 4, items, 5, 0, 2);
    assert_ptr_equal(strstr(text, "a: cannot look: Permission denied\nb: cannot look: "), text);
    assert_non_null(strstr(text, "m: cannot look: another file system is mounted there\n"));
    assert_null(strstr(text, "a/x"));
}

static void test_disorder(void **state)
{
    (void)state;
    static const struct compare_item items[] = {ITEM("b", ENTRY_FILE, 0), ITEM("a", ENTRY_FILE, 0)};
    struct table table = {items, 2, 0};
    struct compare_side side = {"server", &table, next_item};
    struct compare compare;
    struct buf out;
    struct err err;
    buf_init(&out, 4096);
    compare_init(&compare, &side, "docs", true, &out);
    assert_int_equal(compare_finish(&compare, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "order"));
    compare_deinit(&compare);
    buf_deinit(&out);
}

static void test_json(void **state)
{
    (void)state;
    static const struct reader_entry entry = ENTRY("\xff", ENTRY_FILE, .size = 1);
    struct table table = {NULL, 0, 0};
    struct compare_side side = {"disk", &table, next_item};
    struct compare compare;
    struct buf out;
    struct err err;
    buf_init(&out, 4096);
    compare_init(&compare, &side, "docs", true, &out);
    assert_int_equal(compare_entry(&compare, &entry, &err), 0);
    assert_string_equal(take(&out),
                        "{\"folder\":\"docs\",\"against\":\"disk\",\"path_b64\":\"/w==\","
                        "\"difference\":\"only-in-journal\",\"type\":\"file\"}\n");
    compare_deinit(&compare);
    buf_deinit(&out);
}

static void test_progress(void **state)
{
    static const struct {
        int64_t done, all;
        const char *text;
    } cases[] = {
        {0, 1, "[..............................]   0 %  0 of 1 rows"},
        {50, 100, "[###############...............]  50 %  50 of 100 rows"},
        {99999, 100000, "[#############################.]  99 %  99,999 of 100,000 rows"},
        {7, 7, "[##############################] 100 %  7 of 7 rows"},
        {8, 7, "[##############################] 100 %  8 of 7 rows"}, /* more came meanwhile */
        {INT64_MAX / 4, INT64_MAX, "[#######.......................]  25 %  "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 1000);
        render_progress(&out, cases[i].done, cases[i].all);
        assert_int_equal(strncmp(out.data, cases[i].text, strlen(cases[i].text)), 0);
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),    cmocka_unit_test(test_modes),
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_moments),
        cmocka_unit_test(test_path_args), cmocka_unit_test(test_order),
        cmocka_unit_test(test_same),      cmocka_unit_test(test_differences),
        cmocka_unit_test(test_progress),  cmocka_unit_test(test_missing),
        cmocka_unit_test(test_unknown),   cmocka_unit_test(test_disorder),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
