/* test_rowread.c: what the row writer writes comes back as it was; everything else is
 * refused with a word about it. */
#include "rowread.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "reader.h"
#include "row.h"
#include "tree.h"

static void check_same(const struct change *read, const struct change *want)
{
    assert_int_equal(read->seq, want->seq);
    assert_int_equal(read->epoch, want->epoch);
    assert_int_equal(read->time_ms, want->time_ms);
    assert_int_equal(read->entry, want->entry);
    assert_int_equal(read->kind, want->kind);
    assert_int_equal(read->type, want->type);
    assert_int_equal(read->flags, want->flags);
    assert_true(bytes_equal(read->path, want->path));
    assert_true(bytes_equal(read->from, want->from));
    assert_int_equal(read->attrs.size, want->attrs.size);
    assert_int_equal(read->attrs.mtime_ns, want->attrs.mtime_ns);
    assert_int_equal(read->attrs.mode, want->attrs.mode);
    assert_true(bytes_equal(read->attrs.target, want->attrs.target));
    assert_int_equal(read->entries, want->entries);
    assert_int_equal(read->other, want->other);
}

static void round_trip(struct rowread *reader, const char *folder, const struct change *row)
{
    struct buf line;
    struct err err;
    struct change read;
    buf_init(&line, ROWREAD_LINE_MAX * 2);
    row_write(&line, folder, row);
    assert_true(buf_ok(&line));
    if (rowread_parse(reader, line.data, line.len - 1, &read, &err) != 0)
        fail_msg("%s: %s", err.text, line.data);
    check_same(&read, row); /* all but who did it, which a tree has no use for */
    assert_string_equal(rowread_folder(reader), folder);
    buf_deinit(&line);
}

static struct change make_row(enum change_kind kind, enum entry_type type)
{
    struct change row = {
        .seq = 17,
        .epoch = INT64_C(1790000000001),
        .time_ms = INT64_C(1790000000999),
        .entry = 5,
        .kind = kind,
        .type = type,
        .path = bytes_str("a/b"),
        .actor = {4242, "vim"},
    };
    if (type == ENTRY_FILE) {
        row.attrs.size = INT64_MAX;
        row.attrs.mtime_ns = INT64_C(-1234567890123456789);
    }
    if (type == ENTRY_SYMLINK)
        row.attrs.target = bytes_str("../x");
    else
        row.attrs.mode = 04755;
    if (kind == CHANGE_MOVE || kind == CHANGE_EXCHANGE) {
        row.from = bytes_str("c");
        row.other = 9;
    }
    if (type == ENTRY_DIR && (kind == CHANGE_MOVE || kind == CHANGE_DELETE))
        row.entries = 1000000;
    return row;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct rowread *reader = NULL;
    assert_int_equal(rowread_open(&reader, NULL), 0);
    for (enum change_kind kind = CHANGE_CREATE; kind < CHANGE_GAP; kind++)
        for (enum entry_type type = ENTRY_FILE; type <= ENTRY_OTHER; type++) {
            struct change row = make_row(kind, type);
            round_trip(reader, "docs", &row);
            row.flags = CHANGE_PARTIAL | CHANGE_REPLACED | CHANGE_IGNORED;
            round_trip(reader, "\xff", &row);
        }
    struct change gap = {.seq = 1, .epoch = 2, .kind = CHANGE_GAP, .flags = CHANGE_OVERFLOW};
    round_trip(reader, "docs", &gap);
    gap.flags = CHANGE_ROOT_LOST | CHANGE_GAP_OPEN;
    round_trip(reader, "docs", &gap);
    rowread_close(reader);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "\n\r\t\x01\x1f\x7f",
        "\"\\/'\\u0000",
        "\\\\u0000",
        "\xff\xfe\x80",
        "\xed\xa0\x80 half",
        "\xc2\x80\xc2\x9f",
        "\xe2\x80\xae\xef\xbb\xbf",
        "\xf0\x9f\x98\x80",
        "a\\/b/c\\",
        "...",
        "..a",
        " ",
    };
    struct rowread *reader = NULL;
    assert_int_equal(rowread_open(&reader, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct change row = make_row(CHANGE_MOVE, ENTRY_SYMLINK);
        row.path = row.attrs.target = bytes_str(names[i]);
        row.from = bytes_str(names[(i + 1) % ARRAY_LEN(names)]);
        round_trip(reader, "docs", &row);
    }
    /* As long as a tree can make them: two paths of 255-byte names, in base64. */
    size_t len = (size_t)TREE_DEPTH_MAX * 256 - 1;
    char *path = malloc(len);
    assert_non_null(path);
    for (size_t i = 0; i < len; i++)
        path[i] = i % 256 == 255 ? '/' : '\xff';
    struct change row = make_row(CHANGE_MOVE, ENTRY_FILE);
    row.path = row.from = bytes_of(path, len);
    round_trip(reader, "docs", &row);
    free(path);
    rowread_close(reader);
}

#define HEAD "{\"seq\":1,\"epoch\":2,\"kind\":\"create\",\"type\":\"file\","

static void test_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "[]",
        "1",
        "{",
        "{}",
        "{\"seq\":1}x",
        "[{\"seq\":1}]",
        HEAD "\"id\":1}", /* no path */
        HEAD "\"path\":\"\",\"id\":1}",
        HEAD "\"path\":\"/a\"}",
        HEAD "\"path\":\"a/\"}",
        HEAD "\"path\":\"a//b\"}",
        HEAD "\"path\":\".\"}",
        HEAD "\"path\":\"a/../b\"}",
        HEAD "\"path\":\"..\"}",
        HEAD "\"path\":\"a/.\"}",
        HEAD "\"path\":\"a\\u0000b\"}",
        HEAD "\"path\":\"\\ud800\"}", /* half a character */
        HEAD "\"path\":\"\xff\"}",
        HEAD "\"path\":\"a\",\"path\":\"b\"}",
        HEAD "\"path\":\"a\",\"path_b64\":\"YQ==\"}",
        HEAD "\"path_b64\":\"YQ=\"}",
        HEAD "\"path_b64\":\"YQBi\"}", /* holds a NUL */
        HEAD "\"path_b64\":\"\"}",
        HEAD "\"path_b64\":\"Li4vYQ==\"}", /* ../a */
        HEAD "\"path\":7}",
        HEAD "\"path\":null}",
        HEAD "\"path\":\"a\",\"from\":\"b\"}",
        HEAD "\"path\":\"a\",\"target\":\"b\"}",
        HEAD "\"path\":\"a\",\"state\":\"open\"}",
        HEAD "\"path\":\"a\",\"reason\":\"overflow\"}",
        HEAD "\"path\":\"a\",\"size\":-1}",
        HEAD "\"path\":\"a\",\"size\":1.5}",
        HEAD "\"path\":\"a\",\"size\":1e3}",
        HEAD "\"path\":\"a\",\"size\":\"1\"}",
        HEAD "\"path\":\"a\",\"size\":9223372036854775808}",
        HEAD "\"path\":\"a\",\"size\":true}",
        HEAD "\"path\":\"a\",\"id\":0}",
        HEAD "\"path\":\"a\",\"other\":-2}",
        HEAD "\"path\":\"a\",\"entries\":-2}",
        HEAD "\"path\":\"a\",\"mode\":\"0888\"}",
        HEAD "\"path\":\"a\",\"mode\":\"10000\"}",
        HEAD "\"path\":\"a\",\"mode\":\"\"}",
        HEAD "\"path\":\"a\",\"mode\":644}",
        HEAD "\"path\":\"a\",\"mtime\":\"yesterday\"}",
        HEAD "\"path\":\"a\",\"time\":17}",
        HEAD "\"path\":\"a\",\"partial\":1}",
        HEAD "\"path\":\"a\",\"folder\":\"\"}",
        HEAD "\"path\":\"a\",\"seq\":1}",
        "{\"seq\":0,\"kind\":\"gap\",\"state\":\"open\"}",
        "{\"kind\":\"gap\",\"state\":\"open\"}",
        "{\"seq\":1,\"kind\":\"gap\"}",
        "{\"seq\":1,\"kind\":\"gap\",\"state\":\"ajar\"}",
        "{\"seq\":1,\"kind\":\"gap\",\"state\":\"open\",\"reason\":\"boredom\"}",
        "{\"seq\":1,\"kind\":\"gap\",\"state\":\"open\",\"path\":\"a\"}",
        "{\"seq\":1,\"kind\":\"none\",\"type\":\"file\",\"path\":\"a\"}",
        "{\"seq\":1,\"kind\":\"create\",\"type\":\"none\",\"path\":\"a\"}",
        "{\"seq\":1,\"kind\":\"create\",\"type\":\"socketsocketsocket\",\"path\":\"a\"}",
        "{\"seq\":1,\"kind\":\"create\",\"path\":\"a\"}",
        "{\"seq\":1,\"type\":\"file\",\"path\":\"a\"}",
        "{\"seq\":1,\"kind\":\"move\",\"type\":\"file\",\"path\":\"a\"}",
        "{\"seq\":1,\"kind\":\"move\",\"type\":\"file\",\"path\":\"a\",\"from\":\"b/..\"}",
        "{\"seq\":1,\"kind\":\"create\",\"type\":\"directory\",\"path\":\"a\",\"size\":1}",
        "{\"seq\":1,\"kind\":\"create\",\"type\":\"symlink\",\"path\":\"a\",\"mtime\":\"2026-01-"
        "01\"}",
    };
    struct rowread *reader = NULL;
    struct change row;
    assert_int_equal(rowread_open(&reader, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct err err = {0};
        if (rowread_parse(reader, lines[i], strlen(lines[i]), &row, &err) != ERR_INVALID)
            fail_msg("taken: %s", lines[i]);
        assert_true(strncmp(err.text, "row: ", 5) == 0);
    }
    static const char with_nul[] = HEAD "\"path\":\"a\"}\0 ";
    assert_int_equal(rowread_parse(reader, with_nul, sizeof with_nul - 1, &row, NULL), ERR_INVALID);
    assert_int_equal(rowread_parse(reader, with_nul, strlen(with_nul), &row, NULL), 0);
    rowread_close(reader);
}

static void test_unknown_keys_are_let_be(void **state)
{
    (void)state;
    static const char line[] = HEAD "\"later\":{\"path\":\"x\",\"seq\":[1,2]},\"path\":\"a\","
                                    "\"folder_b64\":\"ZG9jcw==\",\"nothing\":null}";
    struct rowread *reader = NULL;
    struct change row;
    assert_int_equal(rowread_open(&reader, NULL), 0);
    assert_int_equal(rowread_parse(reader, line, strlen(line), &row, NULL), 0);
    assert_true(bytes_equal(row.path, bytes_str("a")));
    assert_int_equal(row.seq, 1);
    assert_string_equal(rowread_folder(reader), "docs");
    rowread_close(reader);
}

static void test_length_limit(void **state)
{
    (void)state;
    struct rowread *reader = NULL;
    struct change row;
    size_t len = ROWREAD_LINE_MAX + 1;
    char *line = malloc(len);
    assert_non_null(line);
    memset(line, ' ', len);
    static const char start[] = HEAD "\"path\":\"a\"";
    memcpy(line, start, sizeof start - 1);
    line[len - 2] = '}';
    assert_int_equal(rowread_open(&reader, NULL), 0);
    assert_int_equal(rowread_parse(reader, line, len - 1, &row, NULL), 0);
    assert_int_equal(rowread_parse(reader, line, len, &row, NULL), ERR_INVALID);
    rowread_close(reader);
    free(line);
}

static void test_entries(void **state)
{
    (void)state;
    struct rowread *reader = NULL;
    struct buf line;
    struct reader_entry read, want = {
                                  .id = 12,
                                  .path = bytes_str("a/\xff/c\n"),
                                  .type = ENTRY_FILE,
                                  .attrs = {.size = 3, .mtime_ns = 1, .mode = 0600},
                              };
    assert_int_equal(rowread_open(&reader, NULL), 0);
    buf_init(&line, 4096);
    row_write_entry(&line, &want);
    assert_int_equal(rowread_parse_entry(reader, line.data, line.len - 1, &read, NULL), 0);
    assert_int_equal(read.id, 12);
    assert_true(bytes_equal(read.path, want.path));
    assert_true(bytes_equal(read.name, bytes_str("c\n")));
    assert_int_equal(read.type, ENTRY_FILE);
    assert_int_equal(read.attrs.size, 3);
    assert_int_equal(read.attrs.mtime_ns, 1);
    assert_int_equal(read.attrs.mode, 0600);
    want = (struct reader_entry){
        .id = 1,
        .path = bytes_str("l"),
        .type = ENTRY_SYMLINK,
        .attrs = {.target = bytes_str("\x80")},
    };
    buf_reset(&line);
    row_write_entry(&line, &want);
    assert_int_equal(rowread_parse_entry(reader, line.data, line.len - 1, &read, NULL), 0);
    assert_true(bytes_equal(read.name, bytes_str("l")));
    assert_true(bytes_equal(read.attrs.target, want.attrs.target));
    buf_deinit(&line);
    static const char *const bad[] = {
        "{\"path\":\"a\",\"type\":\"file\"}",
        "{\"id\":1,\"type\":\"file\"}",
        "{\"id\":1,\"path\":\"a\"}",
        "{\"id\":1,\"path\":\"/\",\"type\":\"file\"}",
        "{\"id\":1,\"path\":\"a\",\"type\":\"other\",\"size\":0}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(rowread_parse_entry(reader, bad[i], strlen(bad[i]), &read, NULL),
                         ERR_INVALID);
    rowread_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_unknown_keys_are_let_be),
        cmocka_unit_test(test_length_limit), cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
