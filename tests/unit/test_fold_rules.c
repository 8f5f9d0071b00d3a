/* test_fold_rules.c: folding rule by rule, each by rows written by hand. test_fold.c has the
 * enumerations. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "fold.h"

static struct change plain(int64_t seq, enum change_kind kind, int64_t entry, const char *path)
{
    struct change row = {.seq = seq, .kind = kind, .type = ENTRY_FILE, .entry = entry};
    row.path = bytes_str(path);
    row.attrs.size = seq;
    return row;
}

static void test_ten_thousand_writes_are_one_row(void **state)
{
    (void)state;
    struct change *rows = calloc(FOLD_ROWS_MAX, sizeof *rows);
    size_t count = FOLD_ROWS_MAX;
    assert_non_null(rows);
    for (size_t i = 0; i < count; i++)
        rows[i] = plain((int64_t)i + 1, CHANGE_MODIFY, 7, "f");
    rows[3].flags = CHANGE_REPLACED;
    rows[4].flags = CHANGE_PARTIAL;
    assert_int_equal(fold_rows(rows, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].seq, FOLD_ROWS_MAX);
    assert_int_equal(rows[0].attrs.size, FOLD_ROWS_MAX);
    assert_int_equal(rows[0].flags, CHANGE_REPLACED);
    free(rows);
}

static void test_created_and_written_is_one_create(void **state)
{
    (void)state;
    struct change rows[] = {plain(1, CHANGE_CREATE, 1, "f"), plain(2, CHANGE_MODIFY, 1, "f"),
                            plain(3, CHANGE_MOVE, 1, "g"), plain(4, CHANGE_MODIFY, 1, "g")};
    size_t count = ARRAY_LEN(rows);
    rows[0].flags = CHANGE_PARTIAL;
    rows[2].from = bytes_str("f");
    assert_int_equal(fold_rows(rows, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].kind, CHANGE_CREATE);
    assert_int_equal(rows[0].attrs.size, 4);
    assert_int_equal(rows[0].flags, 0);
    assert_int_equal(rows[1].kind, CHANGE_MOVE);
}

static void test_mode_after_content_is_a_modify(void **state)
{
    (void)state;
    struct change rows[] = {plain(1, CHANGE_MODIFY, 9, "f"), plain(2, CHANGE_ATTRIB, 9, "f")};
    size_t count = ARRAY_LEN(rows);
    assert_int_equal(fold_rows(rows, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].seq, 2);
    assert_int_equal(rows[0].kind, CHANGE_MODIFY);
}

static void test_a_directory_that_came_and_went_leaves_nothing(void **state)
{
    (void)state;
    struct change rows[] = {
        plain(1, CHANGE_CREATE, 1, "d"),   plain(2, CHANGE_CREATE, 2, "d/e"),
        plain(3, CHANGE_CREATE, 3, "d/f"), plain(4, CHANGE_GAP, 0, ""),
        plain(5, CHANGE_DELETE, 1, "d"),   plain(6, CHANGE_DELETE, 50, "dd"),
    };
    size_t count = ARRAY_LEN(rows);
    rows[0].type = rows[1].type = rows[4].type = ENTRY_DIR;
    assert_int_equal(fold_rows(rows, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].kind, CHANGE_GAP);
    assert_int_equal(rows[1].seq, 6);
}

static void test_more_rows_than_it_takes(void **state)
{
    (void)state;
    struct change row = {0};
    struct err err = {0};
    size_t count = FOLD_ROWS_MAX + 1;
    assert_int_equal(fold_rows(&row, &count, &err), ERR_LIMIT);
    assert_int_equal(count, FOLD_ROWS_MAX + 1);
    count = 0;
    assert_int_equal(fold_rows(NULL, &count, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_thousand_writes_are_one_row),
        cmocka_unit_test(test_created_and_written_is_one_create),
        cmocka_unit_test(test_mode_after_content_is_a_modify),
        cmocka_unit_test(test_a_directory_that_came_and_went_leaves_nothing),
        cmocka_unit_test(test_more_rows_than_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
