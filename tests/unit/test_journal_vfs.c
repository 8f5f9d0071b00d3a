/* test_journal_vfs.c: one life of a journal (begun, committed to, acknowledged, checkpointed,
 * purged, closed, opened) in which the n-th read, write, sync, ... of SQLite fails, for n = 1, 2,
 * 3, ... until a life meets no failure. Each is survived as the folder's thread does it: close,
 * open, load, go on. Nothing that was committed may be missing then, no row may be another one,
 * the tree is what the rows replay to, and no failure of the disk is taken for corruption, which
 * would throw the journal away. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "helper_journal.h"
#include "helper_temp.h"
#include "helper_vfs.h"

#define BODY_BYTES (16 << 10) /* of the stored batch: some pages */
#define N_MAX      5000       /* a life has far fewer calls of any kind */
#define SUMS_MAX   16
#define SEED       77

struct life {
    struct box box;
    unsigned seed;
    int64_t acked;
    int64_t before;         /* last_seq before the commit under way */
    struct journal_info at; /* after the last step that returned 0 */
    struct journal_info held[SUMS_MAX];
    size_t held_count;
    char body[BODY_BYTES];
    bool gone_wrong; /* a step failed */
};

/* --- steps: 0, or the code of what failed; done again when they are not done --- */

static int step_open(struct life *life)
{
    return journal_open(life->box.dir, "docs", &life->box.journal, &life->box.err);
}

/* Edits once, so that a commit done again is the same one. Each set has rows. */
static int commit(struct life *life, int steps)
{
    struct box *box = &life->box;
    char name[16];
    life->before = journal_info(box->journal)->last_seq;
    if (box->edit_count == 0) {
        (void)snprintf(name, sizeof name, "n%lld", (long long)life->before); /* fits */
        box_create(box, name, ENTRY_FILE);
        for (int i = 0; i < steps; i++)
            box_random(box, &life->seed);
    }
    int code = journal_commit(box->journal, box->edits, box->edit_count, box->wall_ms, &box->err);
    if (code == 0)
        box_drop_edits(box);
    return code;
}

static int step_few(struct life *life)
{
    return commit(life, 5);
}

static int step_many(struct life *life)
{
    return commit(life, 40);
}

static int step_consumer(struct life *life)
{
    return journal_consumer_add(life->box.journal, "up", 0, &life->box.err);
}

static int step_batch(struct life *life)
{
    const struct journal_info *info = journal_info(life->box.journal);
    struct journal_batch batch = {.epoch = info->epoch,
                                  .first = life->acked + 1,
                                  .last = info->last_seq,
                                  .last_sum = info->last_sum,
                                  .rows = info->last_seq - life->acked,
                                  .body = {life->body, sizeof life->body}};
    return journal_batch_store(life->box.journal, "up", &batch, &life->box.err);
}

static int step_ack(struct life *life)
{
    int64_t last = journal_info(life->box.journal)->last_seq;
    int code = journal_ack(life->box.journal, "up", last, 50, &life->box.err);
    if (code == 0)
        life->acked = last;
    return code;
}

static int step_index(struct life *life)
{
    return journal_set_indexed(life->box.journal, &life->box.err);
}

static int step_gap(struct life *life)
{
    return journal_gap(life->box.journal, true, CHANGE_OVERFLOW, 60, &life->box.err);
}

static int step_gap_end(struct life *life)
{
    return journal_gap(life->box.journal, false, 0, 70, &life->box.err);
}

static int step_checkpoint(struct life *life)
{
    return journal_checkpoint(life->box.journal, &life->box.err);
}

static int step_load(struct life *life)
{
    return box_load(&life->box);
}

static int visit_row(void *ctx, const struct change *change)
{
    (void)ctx;
    (void)change;
    return 0;
}

static int step_read(struct life *life)
{
    struct reader *reader = NULL;
    struct reader_range range = {
        .first = 1, .last = INT64_MAX, .verify = true, .until_ms = INT64_MAX};
    int code = reader_open(life->box.dir, &reader, &life->box.err);
    if (code == 0)
        code = reader_rows(reader, &range, visit_row, NULL, &life->box.err);
    reader_close(reader);
    return code;
}

static int step_close(struct life *life)
{
    journal_close(life->box.journal);
    life->box.journal = NULL;
    return 0;
}

static int step_purge(struct life *life)
{
    const struct journal_keep keep = {INT64_MAX, INT64_MIN, 0};
    int64_t purged;
    return journal_purge(life->box.journal, &keep, 1000, &purged, &life->box.err);
}

static int (*const steps[])(struct life *life) = {
    step_open,       step_few,   step_consumer, step_index, step_many, step_batch, step_few,
    step_checkpoint, step_gap,   step_ack,      step_read,  step_many, step_close, step_open,
    step_load,       step_few,   step_gap_end,  step_batch, step_few,  step_ack,   step_read,
    step_purge,      step_close, step_open,     step_few,   step_load, step_close,
};

/* --- what must hold --- */

static void hold(struct life *life)
{
    life->at = *journal_info(life->box.journal);
    assert_true(life->held_count < SUMS_MAX);
    if (life->held_count == 0 || life->held[life->held_count - 1].last_seq != life->at.last_seq)
        life->held[life->held_count++] = life->at;
}

/* No failures are armed; the journal is open. */
static void check(struct life *life)
{
    struct box *box = &life->box;
    struct journal_info info;
    struct tree_check replayed = {.box = box};
    struct reader_range range = {.verify = true, .until_ms = INT64_MAX};
    uint64_t sum;
    struct reader *reader = box_reader(box);
    assert_int_equal(reader_info(reader, &info, NULL), 0);
    assert_int_equal(info.last_seq, journal_info(box->journal)->last_seq);
    range.first = info.floor_seq + 1;
    range.last = info.last_seq;
    if (reader_rows(reader, &range, visit_row, NULL, &box->err) != 0)
        fail_msg("%s", box->err.text);
    for (size_t i = 0; i < life->held_count; i++) {
        assert_int_equal(info.epoch, life->held[i].epoch);
        assert_string_equal(info.id, life->held[i].id);
        if (life->held[i].last_seq < info.floor_seq)
            continue;
        assert_int_equal(reader_sum(reader, life->held[i].last_seq, &sum, NULL), 0);
        assert_int_equal(sum, life->held[i].last_sum);
    }
    if (info.floor_seq == 0) {
        if (reader_tree_at(reader, info.last_seq, tree_check_entry, &replayed, &box->err) != 0)
            fail_msg("%s", box->err.text);
        assert_int_equal(replayed.seen, box->entry_count);
    }
    reader_close(reader);
    assert_string_equal(box_select(box, "PRAGMA integrity_check"), "ok");
    assert_string_equal(box_select(box, "PRAGMA journal_mode"), "wal");
    box_check(box);
}

/* --- one life --- */

/* A failed commit may be there all the same: its last write had arrived, only the sync failed. */
static bool is_done(struct life *life, int (*step)(struct life *life))
{
    int64_t last = journal_info(life->box.journal)->last_seq;
    if (life->box.edit_count == 0) {
        assert_int_equal(last, life->at.last_seq + (last != life->at.last_seq));
        return false; /* the others may be done twice */
    }
    (void)step;
    assert_true(last == life->before || last == life->before + life->box.rows);
    if (last == life->before)
        return false;
    box_drop_edits(&life->box);
    return true;
}

/* Returns whether the step was done. */
static bool recover(struct life *life, int (*step)(struct life *life), int code)
{
    struct box *box = &life->box;
    life->gone_wrong = true;
    if (code != ERR_IO && code != ERR_FULL)
        fail_msg("taken for %d: %s", code, box->err.text);
    assert_true(strlen(box->err.text) > 0);
    (void)step_close(life);
    code = step_open(life); /* with the failure standing, if it persists */
    if (code != 0 && code != ERR_IO && code != ERR_FULL)
        fail_msg("taken for %d when opened again: %s", code, box->err.text);
    if (code == 0) {
        code = box_load(box);
        if (code != 0 && code != ERR_IO && code != ERR_FULL)
            fail_msg("taken for %d when loaded again: %s", code, box->err.text);
    }
    (void)vfs_disarm();
    (void)step_close(life);
    if (step_open(life) != 0)
        fail_msg("%s", box->err.text);
    if (step == step_close || step == step_open)
        return true;
    return is_done(life, step);
}

static void live(struct life *life)
{
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        int code = steps[i](life);
        while (code != 0) {
            bool had_edits = life->box.edit_count > 0;
            bool done = recover(life, steps[i], code);
            if (!had_edits || done)
                check(life);
            code = done ? 0 : steps[i](life);
            if (code == 0 && life->box.journal)
                check(life);
        }
        if (life->box.journal)
            hold(life);
    }
}

/* An empty directory; in memory where that can be had, since no sync here need reach a disk. */
static void begin(struct life *life)
{
    struct box *box = &life->box;
    box_open(box);
    (void)step_close(life);
    temp_delete(box->dir);
    temp_make_in_memory(box->dir, sizeof box->dir);
    life->seed = SEED;
    life->acked = 0;
    life->held_count = 0;
    life->gone_wrong = false;
}

static void every_n(enum vfs_call call, enum vfs_failure failure, bool persistent)
{
    static struct life life;
    const char *share_text = getenv("SPOOR_TEST_SHARE");
    long share = share_text ? strtol(share_text, NULL, 10) : 1;
    long fired = 1, failed = 0, n = 0, runs = 0;
    while (fired > 0) {
        n += n < 10 || share < 1 ? 1 : share;
        assert_true(n < N_MAX);
        begin(&life);
        vfs_arm(call, n, failure, persistent);
        live(&life);
        fired = vfs_disarm();
        if (step_open(&life) != 0)
            fail_msg("%s", life.box.err.text);
        check(&life);
        failed += life.gone_wrong;
        runs++;
        box_close(&life.box);
    }
    print_message("%s, %s, %s: %ld runs to call %ld, %ld with an error seen\n", vfs_call_name(call),
                  failure == VFS_FULL ? "full" : "EIO", persistent ? "for good" : "once", runs,
                  n - 1, failed);
    /* Deleting the log fails at a close only, which nobody hears of. */
    assert_true(runs > 1 && (failed > 0 || call == VFS_DELETE));
}

static void every_way(enum vfs_call call)
{
    every_n(call, VFS_EIO, false);
    every_n(call, VFS_EIO, true);
}

static void test_open(void **state)
{
    (void)state;
    every_way(VFS_OPEN);
}

static void test_read(void **state)
{
    (void)state;
    every_way(VFS_READ);
}

static void test_write(void **state)
{
    (void)state;
    every_way(VFS_WRITE);
    every_n(VFS_WRITE, VFS_FULL, false);
    every_n(VFS_WRITE, VFS_FULL, true);
}

static void test_sync(void **state)
{
    (void)state;
    every_way(VFS_SYNC);
    every_n(VFS_SYNC, VFS_FULL, false);
    every_n(VFS_SYNC, VFS_FULL, true);
}

static void test_truncate(void **state)
{
    (void)state;
    every_way(VFS_TRUNCATE);
}

static void test_delete(void **state)
{
    (void)state;
    every_way(VFS_DELETE);
}

static void test_shm(void **state)
{
    (void)state;
    every_way(VFS_SHM);
    every_n(VFS_SHM, VFS_FULL, false);
}

static int setup(void **state)
{
    (void)state;
    vfs_install();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vfs_uninstall();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open), cmocka_unit_test(test_read),     cmocka_unit_test(test_write),
        cmocka_unit_test(test_sync), cmocka_unit_test(test_truncate), cmocka_unit_test(test_delete),
        cmocka_unit_test(test_shm),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
