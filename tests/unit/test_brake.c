/* test_brake.c: when the mass-delete brake holds, and where a batch is cut by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "batch.h"
#include "brake.h"
#include "err.h"
#include "helper_upload.h"
#include "reader.h"

struct rig {
    struct upload_rig journal;
    struct reader *reader;
    struct brake brake;
    struct err err;
};

/* A journal of 100 files, each of them a commit, and brake of 10 entries and 25 percent. */
static void rig_open(struct rig *rig)
{
    *rig = (struct rig){.brake = {.count = 10, .percent = 25, .left = -1}};
    upload_rig_open(&rig->journal, "docs", "main");
    for (int i = 0; i < 100; i++)
        upload_rig_commit(&rig->journal, 1, 0);
    assert_int_equal(reader_open(rig->journal.journal_dir, &rig->reader, &rig->err), 0);
    rig->brake.reader = rig->reader;
}

static void rig_close(struct rig *rig)
{
    reader_close(rig->reader);
    upload_rig_close(&rig->journal);
}

static void what_counts(void **state)
{
    (void)state;
    struct brake brake = {.count = 10, .released = 5};
    struct change row = {.seq = 6, .kind = CHANGE_DELETE, .type = ENTRY_DIR, .entries = 41};
    assert_int_equal(brake_entries(&brake, &row), 42);
    assert_int_equal(brake_entries(NULL, &row), 0);
    row.seq = 5;
    assert_int_equal(brake_entries(&brake, &row), 0);
    row.seq = 6;
    row.kind = CHANGE_MOVE;
    assert_int_equal(brake_entries(&brake, &row), 0);
}

static void both_thresholds(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    assert_false(brake_holds(NULL, 1000));
    assert_false(brake_holds(&rig.brake, 10));
    assert_false(brake_holds(&rig.brake, 33)); /* of 133 that were there */
    assert_true(brake_holds(&rig.brake, 34));
    rig.brake.sent = 30;
    assert_false(brake_holds(&rig.brake, 0)); /* nothing more is about to go */
    assert_true(brake_holds(&rig.brake, 4));
    rig.brake.sent = 0;
    assert_true(brake_holds(&rig.brake, INT64_MAX - 100)); /* as a server may say */
    rig.brake.percent = 100;
    assert_false(brake_holds(&rig.brake, INT64_MAX - 100));
    rig.brake.count = 0;
    assert_false(brake_holds(&rig.brake, 1000000));
    rig_close(&rig);
}

static void cut_before_the_row(bool fold)
{
    struct rig rig;
    struct batch batch;
    struct batch_writer *writer = NULL;
    rig_open(&rig);
    for (int i = 0; i < 60; i++)
        upload_rig_delete(&rig.journal, i + 1, i);
    batch_init(&batch);
    assert_int_equal(batch_writer_new(1, &writer, &rig.err), 0);
    struct batch_limits limits = {
        .rows = 1000, .bytes = 1 << 20, .brake = &rig.brake, .fold = fold};
    assert_int_equal(batch_build(writer, rig.reader, 100, &limits, &batch, &rig.err), 0);
    /* 40 are left: of n deleted at most a fourth of 40 + n, which is 13. */
    assert_int_equal(batch.head.last, 113);
    assert_int_equal(batch.head.deletes, 13);
    rig.brake.sent = 13;
    assert_int_equal(batch_build(writer, rig.reader, 113, &limits, &batch, &rig.err), ERR_HELD);
    rig.brake.released = 160;
    assert_int_equal(batch_build(writer, rig.reader, 113, &limits, &batch, &rig.err), 0);
    assert_int_equal(batch.head.last, 160);
    assert_int_equal(batch.head.deletes, 0);
    batch_deinit(&batch);
    batch_writer_free(writer);
    rig_close(&rig);
}

static void batches_are_cut(void **state)
{
    (void)state;
    cut_before_the_row(false);
    cut_before_the_row(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_counts),
        cmocka_unit_test(both_thresholds),
        cmocka_unit_test(batches_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
