/* test_mirror.c: batches applied exactly once, all or nothing; what is a duplicate, what a
 * conflict, what is refused; and that the mirrored tree is the journal's. */
#include "mirror.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "helper_mirror.h"

static void test_ids(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "../x",     "a/b", "a.b",
        "a b", "\xc3\xa9", "-\n", "0123456789012345678901234567890123456789"};
    struct mirror *mirror = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(mirror_open("/tmp", bad[i], &mirror, NULL), ERR_INVALID);
    assert_int_equal(mirror_open("/tmp/spoor-no-such-directory", "a", &mirror, NULL), ERR_NOTFOUND);
}

static void test_apply(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    struct mirror *mirror = open_mirror(&box);
    assert_int_equal(mirror_cursor(mirror)->epoch, 0);
    assert_string_equal(mirror_cursor(mirror)->journal, "m-1");
    assert_int_equal(send_rows(&box, mirror, 1, 2), MIRROR_APPLIED);
    assert_int_equal(send_rows(&box, mirror, 3, 6), MIRROR_APPLIED);
    assert_string_equal(mirror_cursor(mirror)->folder, "docs");
    assert_int_equal(mirror_cursor(mirror)->batches, 2);
    check_mirror(&box, mirror);
    mirror_close(mirror);
    mirror = open_mirror(&box); /* and it is kept */
    check_mirror(&box, mirror);
    box_write(&box, "d/f");
    box_replace(&box, "d/f");
    box_chmod(&box, "d", 0700);
    box_move(&box, "d/e/g", "d/f"); /* over a file */
    box_exchange(&box, "d/e", "l");
    box_move(&box, "d", "l/d");
    box_delete(&box, "fifo");
    (void)box_commit(&box);
    assert_int_equal(send_rows(&box, mirror, 7, 13), MIRROR_APPLIED);
    check_mirror(&box, mirror);
    assert_int_equal(journal_gap(box.journal, true, CHANGE_OVERFLOW, 1, NULL), 0);
    box_delete(&box, "l");
    (void)box_commit(&box);
    assert_int_equal(send_rows(&box, mirror, 14, 15), MIRROR_APPLIED);
    check_mirror(&box, mirror);
    assert_int_equal(mirror_cursor(mirror)->entries, 0);
    assert_int_equal(mirror_cursor(mirror)->tree_sum, 0);
    mirror_close(mirror);
    mirror_close(NULL);
    box_close(&box);
}

static void test_duplicates_and_conflicts(void **state)
{
    (void)state;
    static const struct {
        int64_t first, last;
        int64_t epoch; /* added to the true one */
        uint64_t prev, sum;
        enum mirror_outcome outcome;
    } cases[] = {
        {1, 3, 0, 0, 0, MIRROR_DUPLICATE}, /* the very batch */
        {4, 6, 0, 0, 0, MIRROR_DUPLICATE},
        {2, 6, 0, 0, 0, MIRROR_DUPLICATE}, /* cut otherwise, but its end is known */
        {1, 6, 0, 1, 0, MIRROR_DUPLICATE}, /* the sum of its last row says it all */
        {1, 3, 0, 0, 1, MIRROR_CONFLICT},  /* a fork: another row 3 */
        {4, 6, 0, 0, 1, MIRROR_CONFLICT},
        {1, 2, 0, 0, 0, MIRROR_CONFLICT}, /* the sum of row 2 is not remembered */
        {4, 8, 0, 0, 0, MIRROR_CONFLICT}, /* overlaps */
        {8, 9, 0, 0, 0, MIRROR_CONFLICT}, /* row 7 is missing */
        {7, 9, 0, 1, 0, MIRROR_CONFLICT}, /* follows, but on another row 6 */
        {7, 9, 1, 0, 0, MIRROR_CONFLICT}, /* another epoch */
        {1, 3, 1, 0, 0, MIRROR_CONFLICT},
        {7, 9, 0, 0, 0, MIRROR_APPLIED},
    };
    struct box box;
    box_open(&box);
    box_fill(&box);
    box_write(&box, "d/f");
    box_write(&box, "d/f");
    box_write(&box, "d/f");
    (void)box_commit(&box);
    struct mirror *mirror = open_mirror(&box);
    assert_int_equal(send_rows(&box, mirror, 2, 3),
                     MIRROR_CONFLICT); /* an empty mirror wants row 1 */
    assert_int_equal(send_rows(&box, mirror, 1, 3), MIRROR_APPLIED);
    assert_int_equal(send_rows(&box, mirror, 4, 6), MIRROR_APPLIED);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mirror_batch batch;
        struct buf rows;
        buf_init(&rows, 1 << 20);
        box_batch(&box, cases[i].first, cases[i].last, &rows, &batch);
        batch.epoch += cases[i].epoch;
        batch.prev_sum += cases[i].prev;
        batch.last_sum += cases[i].sum;
        if (i % 2) { /* and after a restart */
            mirror_close(mirror);
            mirror = open_mirror(&box);
        }
        if (apply_batch(&box, mirror, &batch) != cases[i].outcome)
            fail_msg("case %zu", i);
        buf_deinit(&rows);
    }
    check_mirror(&box, mirror);
    mirror_close(mirror);
    box_close(&box);
}

/* On a mirror that holds d, d/f, d/e, d/e/g, l, fifo (ids 1 to 6). */
static void test_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        ROW(7, "\"kind\":\"create\",\"id\":7," FILE_AT("d/f")),       /* taken */
        ROW(7, "\"kind\":\"create\",\"id\":7," FILE_AT("nowhere/f")), /* no parent */
        ROW(7, "\"kind\":\"create\",\"id\":7," FILE_AT("d/f/x")),     /* below a file */
        ROW(7, "\"kind\":\"create\"," FILE_AT("new")),                /* no id */
        ROW(7, "\"kind\":\"delete\"," FILE_AT("d/x")),                /* nothing there */
        ROW(7, "\"kind\":\"delete\",\"id\":3," FILE_AT("d/f")),       /* another entry */
        ROW(7, "\"kind\":\"modify\",\"id\":2," DIR_AT("d/f")),        /* another type */
        ROW(7, "\"kind\":\"attrib\"," FILE_AT("x")),
        ROW(7, "\"kind\":\"move\",\"from\":\"x\"," FILE_AT("y")),
        ROW(7, "\"kind\":\"move\",\"from\":\"d\"," DIR_AT("d/e/d")), /* below itself */
        ROW(7, "\"kind\":\"move\",\"from\":\"d\"," DIR_AT("d")),
        ROW(7, "\"kind\":\"move\",\"from\":\"d/f\"," FILE_AT("d/e")), /* over a directory */
        ROW(7, "\"kind\":\"move\",\"from\":\"d/e\"," DIR_AT("fifo")), /* directory over a file */
        ROW(7, "\"kind\":\"move\",\"from\":\"d/f\",\"other\":5," FILE_AT("fifo")),
        ROW(7, "\"kind\":\"move\",\"from\":\"d/f\",\"other\":5," FILE_AT("free")),
        ROW(7, "\"kind\":\"move\",\"from\":\"d/f\",\"id\":4," FILE_AT("free")),
        ROW(7, "\"kind\":\"exchange\",\"from\":\"d\"," DIR_AT("d/e")),
        ROW(7, "\"kind\":\"exchange\",\"from\":\"d/e\"," DIR_AT("d")),
        ROW(7, "\"kind\":\"exchange\",\"from\":\"d\"," DIR_AT("x")),
        ROW(7, "\"kind\":\"exchange\",\"from\":\"d\",\"other\":5," DIR_AT("fifo")),
        ROW(7, "\"kind\":\"frobnicate\"," FILE_AT("x")),
        ROW(6, "\"kind\":\"delete\"," FILE_AT("d/f")),  /* before the range */
        ROW(10, "\"kind\":\"delete\"," FILE_AT("d/f")), /* behind it */
        ROW(8, "\"kind\":\"delete\"," FILE_AT("d/f"))
            ROW(8, "\"kind\":\"delete\"," FILE_AT("d/e/g")), /* twice */
        ROW(8, "\"kind\":\"delete\"," FILE_AT("d/f"))
            ROW(7, "\"kind\":\"delete\"," FILE_AT("d/e/g")),       /* out of order */
        ROW(7, "\"epoch\":5,\"kind\":\"delete\"," FILE_AT("d/f")), /* another epoch */
        ROW(7, "\"kind\":\"delete\"," FILE_AT("d/f")) "\n",
        ROW(7, "\"kind\":\"delete\"," FILE_AT("d/f")) "{\"seq\":8,\"ki", /* torn */
        "{\"seq\":7,\"kind\":\"delete\"," FILE_AT("d/f") "}",            /* torn at a row's end */
        "\x1f\x8b",
    };
    struct box box;
    box_open(&box);
    box_fill(&box);
    struct mirror *mirror = open_mirror(&box);
    assert_int_equal(send_rows(&box, mirror, 1, 6), MIRROR_APPLIED);
    const struct mirror_cursor *cursor = mirror_cursor(mirror);
    struct mirror_batch batch = {.epoch = cursor->epoch, .first = 7, .last = 9, .last_sum = 99};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        batch.prev_sum = cursor->sum;
        batch.rows = bodies[i];
        batch.len = strlen(bodies[i]);
        if (apply_batch(&box, mirror, &batch) != MIRROR_REFUSED)
            fail_msg("taken: %s", bodies[i]);
        if (i % 5 == 0)
            check_mirror(&box, mirror);
    }
    /* Half of it goes, then a row does not: nothing of it stays. */
    batch.rows =
        ROW(7, "\"kind\":\"delete\"," DIR_AT("d")) ROW(8, "\"kind\":\"delete\"," DIR_AT("d"));
    batch.len = strlen(batch.rows);
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_REFUSED);
    assert_non_null(strstr(box.err.text, "row 8"));
    check_mirror(&box, mirror);
    /* A tree that does not come out. */
    batch.rows = ROW(7, "\"kind\":\"delete\"," DIR_AT("d"));
    batch.len = strlen(batch.rows);
    batch.has_tree_sum = true;
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_REFUSED);
    check_mirror(&box, mirror);
    batch.has_tree_sum = false;
    batch.last = 6; /* an empty range */
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_REFUSED);
    /* What was refused has left no trace in what is applied next. */
    box_write(&box, "d/f");
    (void)box_commit(&box);
    assert_int_equal(send_rows(&box, mirror, 7, 7), MIRROR_APPLIED);
    check_mirror(&box, mirror);
    mirror_close(mirror);
    box_close(&box);
}

static void test_first_batch_is_checked_too(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    struct mirror_batch batch = {.epoch = 0, .first = 1, .last = 1};
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_REFUSED);
    batch = (struct mirror_batch){.epoch = 1, .first = 1, .last = 0};
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_REFUSED);
    batch = (struct mirror_batch){.epoch = 1, .first = INT64_MIN, .last = 0};
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_CONFLICT);
    mirror_close(mirror);
    box_close(&box);
}

/* Rows may be folded away: a range need not hold all its rows, or any. */
static void test_folded_ranges(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    struct mirror_batch batch = {.epoch = 5, .first = 1, .last = 10, .prev_sum = 3, .last_sum = 4};
    batch.rows = ROW(2, "\"kind\":\"create\",\"id\":2," FILE_AT("a"))
        ROW(9, "\"kind\":\"move\",\"from\":\"a\"," FILE_AT("b"));
    batch.len = strlen(batch.rows);
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_APPLIED);
    batch =
        (struct mirror_batch){.epoch = 5, .first = 11, .last = 20, .prev_sum = 4, .last_sum = 5};
    batch.rows = "";
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_APPLIED);
    assert_int_equal(mirror_cursor(mirror)->seq, 20);
    assert_int_equal(mirror_cursor(mirror)->entries, 1);
    mirror_close(mirror);
    box_close(&box);
}

/* A range may reach to the end of all numbers: then nothing follows it. */
static void test_last_of_all_rows(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    struct mirror_batch batch = {.epoch = 5, .first = 1, .last = INT64_MAX, .rows = ""};
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_APPLIED);
    batch.last_sum = 1;
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_CONFLICT);
    batch.first = INT64_MIN;
    batch.last_sum = 0;
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_DUPLICATE);
    mirror_close(mirror);
    box_close(&box);
}

/* Only so many sums are remembered; an older duplicate is told the cursor. */
static void test_sums_are_pruned(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    struct mirror_batch batch = {.epoch = 5, .rows = ""};
    for (int i = 1; i <= MIRROR_SUMS_KEPT + 10; i++) {
        batch.first = batch.last = i;
        batch.prev_sum = (uint64_t)i - 1;
        batch.last_sum = (uint64_t)i;
        assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_APPLIED);
    }
    batch.first = batch.last = 11;
    batch.last_sum = 11;
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_DUPLICATE);
    batch.first = batch.last = 10;
    batch.last_sum = 10;
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_CONFLICT);
    mirror_close(mirror);
    box_close(&box);
}

static void test_foreign_store(void **state)
{
    (void)state;
    struct box box;
    struct mirror *mirror = NULL;
    box_open(&box);
    box_put_file(&box, "m-1.db", "not a database, but long enough to look like one", 48);
    assert_int_equal(mirror_open(box.dir, "m-1", &mirror, &box.err), ERR_CORRUPT);
    journal_close(box.journal);
    box.journal = NULL;
    char journal[160];
    (void)snprintf(journal, sizeof journal, "%s", box_file(&box, JOURNAL_FILE)); /* fits */
    assert_int_equal(rename(journal, box_file(&box, "m-2.db")), 0);
    assert_int_equal(mirror_open(box.dir, "m-2", &mirror, &box.err), ERR_CORRUPT);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_duplicates_and_conflicts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_first_batch_is_checked_too),
        cmocka_unit_test(test_folded_ranges),
        cmocka_unit_test(test_last_of_all_rows),
        cmocka_unit_test(test_sums_are_pruned),
        cmocka_unit_test(test_foreign_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
