/* test_reader_tree.c: the tree now and in the past, slices for scans, and values out of JSON. */
#include "reader.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "helper_journal.h"
#include "sums.h"

/* --- trees --- */

static int count_entry(void *ctx, const struct reader_entry *entry)
{
    (void)entry;
    return ++*(int *)ctx == 2 ? 42 : 0;
}

static void test_tree(void **state)
{
    (void)state;
    struct box box;
    struct journal_info at;
    struct tree_check check = {.box = &box, .files = true};
    box_open(&box);
    box_fill(&box);
    box_create(&box, "d-x", ENTRY_FILE); /* '-' comes before '/', but "d/..." comes first */
    box_create(&box, "d!", ENTRY_DIR);
    box_create(&box, "d!/\xff\n", ENTRY_FILE);
    (void)box_commit(&box);
    struct reader *reader = box_reader(&box);
    assert_int_equal(reader_tree(reader, &at, tree_check_entry, &check, NULL), 0);
    assert_int_equal(check.seen, 9);
    assert_int_equal(at.last_seq, 9);
    assert_true(at.tree_sum == journal_info(box.journal)->tree_sum);
    int count = 0;
    assert_int_equal(reader_tree(reader, NULL, count_entry, &count, NULL), 42);
    assert_int_equal(count, 2);
    reader_close(reader);
    box_close(&box);
}

static void test_tree_in_a_ring(void **state)
{
    (void)state;
    struct box box;
    struct tree_check check = {.box = &box};
    (void)check;
    box_open(&box);
    box_fill(&box);
    box_sql(&box, "UPDATE entry SET id=0 WHERE id=3"); /* d/e holds the root */
    struct reader *reader = box_reader(&box);
    int count = 10; /* counts on without a stop */
    assert_int_equal(reader_tree(reader, NULL, count_entry, &count, &box.err), ERR_CORRUPT);
    reader_close(reader);
    box_close(&box);
}

/* The tree after every commit of a random history, rebuilt from the rows. */
static void test_tree_at(void **state)
{
    (void)state;
    enum { STEPS = 12 };
    struct box box;
    unsigned seed = 20261123;
    struct model_entry *past[STEPS];
    size_t counts[STEPS];
    int64_t seqs[STEPS];
    box_open(&box);
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < 40; i++)
            box_random(&box, &seed);
        seqs[step] = box_commit(&box);
        counts[step] = box.entry_count;
        past[step] = malloc((box.entry_count + 1) * sizeof *past[step]);
        assert_non_null(past[step]);
        if (box.entry_count)
            memcpy(past[step], box.entries, box.entry_count * sizeof *past[step]);
    }
    struct reader *reader = box_reader(&box);
    for (int step = 0; step < STEPS; step++) {
        struct box then = {.entries = past[step], .entry_count = counts[step]};
        struct tree_check check = {.box = &then};
        if (reader_tree_at(reader, seqs[step], tree_check_entry, &check, &box.err) != 0)
            fail_msg("seed 20261123, step %d: %s", step, box.err.text);
        assert_int_equal(check.seen, counts[step]);
        free(past[step]);
    }
    struct tree_check none = {.box = &box};
    assert_int_equal(reader_tree_at(reader, 0, tree_check_entry, &none, NULL), 0);
    assert_int_equal(none.seen, 0);
    assert_int_equal(reader_tree_at(reader, seqs[STEPS - 1] + 1, tree_check_entry, &none, NULL),
                     ERR_NOTFOUND);
    const struct journal_keep keep = {INT64_MAX, INT64_MIN, 0};
    int64_t purged;
    assert_int_equal(journal_purge(box.journal, &keep, 3, &purged, NULL), 0);
    assert_int_equal(reader_tree_at(reader, seqs[0], tree_check_entry, &none, &box.err),
                     ERR_NOTFOUND);
    assert_non_null(strstr(box.err.text, "up to 3 "));
    reader_close(reader);
    box_close(&box);
}

static void test_tree_at_of_rows_that_do_not_apply(void **state)
{
    (void)state;
    struct box box;
    struct tree_check check = {.box = &box};
    box_open(&box);
    box_fill(&box);
    /* A row whose sum is right and whose content is impossible. */
    struct change row = {.kind = CHANGE_DELETE, .type = ENTRY_FILE, .path = bytes_str("x")};
    row.seq = 7;
    row.epoch = journal_info(box.journal)->epoch;
    row.sum = sums_row(journal_info(box.journal)->last_sum, &row);
    char text[256];
    (void)snprintf(text, sizeof text,
                   "INSERT INTO change(seq,epoch,time,entry,kind,type,flags,path,sum) "
                   "VALUES(7,%lld,0,0,6,1,0,X'78',%lld)",
                   (long long)row.epoch, (long long)row.sum); /* fits */
    box_sql(&box, text);
    struct reader *reader = box_reader(&box);
    assert_int_equal(reader_tree_at(reader, 7, tree_check_entry, &check, &box.err), ERR_CORRUPT);
    assert_int_equal(box.err.code, ERR_CORRUPT);
    assert_int_equal(check.seen, 0);
    reader_close(reader);
    box_close(&box);
}

static void test_cursor(void **state)
{
    (void)state;
    struct box box;
    struct reader_cursor *one = NULL, *two = NULL;
    struct reader_entry entry;
    box_open(&box);
    box_fill(&box);
    struct reader *reader = box_reader(&box);
    assert_int_equal(reader_cursor_open(reader, &one, NULL), 0);
    assert_int_equal(reader_cursor_open(reader, &two, NULL), 0);
    assert_int_equal(reader_cursor_next(one, &entry, NULL), 0); /* no range yet */
    assert_int_equal(reader_cursor_range(one, 0, 0, NULL), 0);
    assert_int_equal(reader_cursor_range(two, 1, 3, NULL), 0);
    static const char *const root_names[] = {"d", "fifo", "l"};
    static const char *const below[] = {"e", "f", "g"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reader_cursor_next(one, &entry, NULL), 1);
        assert_true(bytes_equal(entry.name, bytes_str(root_names[i])));
        assert_int_equal(entry.parent, 0);
        assert_int_equal(reader_cursor_next(two, &entry, NULL), 1);
        assert_true(bytes_equal(entry.name, bytes_str(below[i])));
        assert_int_equal(entry.parent, i < 2 ? 1 : 3);
        assert_int_equal(entry.attrs.ctime_ns, entry.id * 7);
    }
    assert_int_equal(reader_cursor_next(one, &entry, NULL), 0);
    assert_int_equal(reader_cursor_next(one, &entry, NULL), 0); /* and stays at the end */
    assert_int_equal(reader_cursor_range(one, 3, 3, NULL), 0);
    assert_int_equal(reader_cursor_next(one, &entry, NULL), 1);
    assert_int_equal(entry.id, 4);
    reader_cursor_close(one);
    reader_cursor_close(two);
    reader_cursor_close(NULL);
    reader_close(reader);
    reader_close(NULL);
    box_close(&box);
}

static void test_json(void **state)
{
    (void)state;
    static const char json[] = "{\"acked\":12,\"text\":\"a\\n\\u00e9\",\"yes\":true,\"no\":false,"
                               "\"none\":null,\"in\":{\"x\":[1,-9223372036854775808]},\"r\":1.5,"
                               "\"big\":9223372036854775808}";
    struct buf out;
    int64_t number = 0;
    buf_init(&out, 64);
    size_t len = strlen(json);
    assert_int_equal(reader_json_get(json, len, "$.text", &out, NULL), 0);
    assert_string_equal(out.data, "a\n\xc3\xa9");
    assert_int_equal(reader_json_get(json, len, "$.yes", &out, NULL), 0);
    assert_int_equal(reader_json_get(json, len, "$.no", &out, NULL), 0);
    assert_int_equal(reader_json_get(json, len, "$.acked", &out, NULL), 0);
    assert_string_equal(out.data, "a\n\xc3\xa9truefalse12"); /* appended */
    assert_int_equal(reader_json_get(json, len, "$.none", &out, NULL), ERR_NOTFOUND);
    assert_int_equal(reader_json_get(json, len, "$.absent", &out, NULL), ERR_NOTFOUND);
    assert_int_equal(reader_json_get(json, len - 1, "$.acked", &out, NULL), ERR_INVALID);
    assert_int_equal(reader_json_get("", 0, "$.acked", &out, NULL), ERR_INVALID);
    assert_int_equal(reader_json_get("{\"a\":1}\0x", 9, "$.a", &out, NULL), ERR_INVALID);
    assert_int_equal(reader_json_get_i64(json, len, "$.acked", &number, NULL), 0);
    assert_int_equal(number, 12);
    assert_int_equal(reader_json_get_i64(json, len, "$.in.x[1]", &number, NULL), 0);
    assert_true(number == INT64_MIN);
    assert_int_equal(reader_json_get_i64(json, len, "$.text", &number, NULL), ERR_INVALID);
    assert_int_equal(reader_json_get_i64(json, len, "$.r", &number, NULL), ERR_INVALID);
    assert_int_equal(reader_json_get_i64(json, len, "$.big", &number, NULL), ERR_INVALID);
    assert_int_equal(reader_json_get_i64(json, len, "$.absent", &number, NULL), ERR_NOTFOUND);
    assert_true(number == INT64_MIN);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),    cmocka_unit_test(test_tree_in_a_ring),
        cmocka_unit_test(test_tree_at), cmocka_unit_test(test_tree_at_of_rows_that_do_not_apply),
        cmocka_unit_test(test_cursor),  cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
