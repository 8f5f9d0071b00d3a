/* test_resync.c: what brings a server back: a snapshot's way from journal to mirror, rewinding,
 * another epoch or id; and the check of everything. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "batch.h"
#include "buf.h"
#include "helper_mirror.h"

#define RANDOM_STEPS 150

struct rig {
    struct box box;
    struct reader *reader;
    struct batch_writer *writer;
    struct batch batch;
    struct batch_limits limits;
    struct err err;
};

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){.limits = {.rows = 7, .bytes = 1 << 20}};
    box_open(&rig->box);
    assert_int_equal(journal_set_indexed(rig->box.journal, NULL), 0);
    assert_int_equal(journal_consumer_add(rig->box.journal, "up", 0, NULL), 0);
    assert_int_equal(batch_writer_new(0, &rig->writer, NULL), 0);
    batch_init(&rig->batch);
    rig->reader = box_reader(&rig->box);
}

static void rig_close(struct rig *rig)
{
    reader_close(rig->reader);
    batch_writer_free(rig->writer);
    batch_deinit(&rig->batch);
    box_close(&rig->box);
}

static int order(struct rig *rig, enum journal_resync what, int64_t value)
{
    const struct journal_order wanted = {.what = what, .consumer = "up", .value = value};
    rig->err = (struct err){0};
    return journal_resync(rig->box.journal, &wanted, 1000, &rig->err);
}

static void work(struct rig *rig, unsigned *seed)
{
    for (int i = 0; i < RANDOM_STEPS; i++)
        box_random(&rig->box, seed);
    box_create(&rig->box, box_keep(&rig->box, "made last"), ENTRY_FILE);
    (void)box_commit(&rig->box);
    box_delete(&rig->box, "made last");
    (void)box_commit(&rig->box);
}

static struct journal_snapshot snapshot_of(struct rig *rig)
{
    struct journal_snapshot snapshot = {0};
    assert_int_equal(reader_snapshot(rig->reader, "up", &snapshot, NULL), 0);
    return snapshot;
}

/* Forms the next part and stores it; false when there is none. */
static bool next_part(struct rig *rig)
{
    struct journal_snapshot snapshot = snapshot_of(rig);
    int code =
        batch_build_part(rig->writer, rig->reader, &snapshot, &rig->limits, &rig->batch, &rig->err);
    if (code == ERR_NOTFOUND)
        return false;
    assert_int_equal(code, 0);
    assert_int_equal(rig->batch.head.first, snapshot.sent + 1);
    assert_int_equal(rig->batch.head.part, snapshot.parts + 1);
    assert_int_equal(journal_batch_store(rig->box.journal, "up", &rig->batch.head, &rig->err), 0);
    return true;
}

static enum mirror_outcome take(struct mirror *mirror, int64_t gen, int64_t part,
                                const struct batch *batch)
{
    struct mirror_part sent = {gen, part, batch->body.data, batch->body.len};
    enum mirror_outcome outcome = MIRROR_REFUSED;
    struct err err = {0};
    assert_int_equal(mirror_take_part(mirror, &sent, &outcome, &err), 0);
    return outcome;
}

static struct mirror_commit commit_of(const struct journal_snapshot *snapshot)
{
    return (struct mirror_commit){.gen = snapshot->gen,
                                  .parts = snapshot->parts,
                                  .epoch = snapshot->epoch,
                                  .seq = snapshot->seq,
                                  .sum = snapshot->sum,
                                  .entries = snapshot->entries,
                                  .tree_sum = snapshot->tree_sum,
                                  .folder = "docs"};
}

static enum mirror_outcome commit(struct mirror *mirror, const struct mirror_commit *commit)
{
    enum mirror_outcome outcome = MIRROR_REFUSED;
    struct err err = {0};
    assert_int_equal(mirror_take_snapshot(mirror, commit, &outcome, &err), 0);
    return outcome;
}

static int64_t count_left(struct rig *rig)
{
    return strtoll(box_select(&rig->box, "SELECT (SELECT count(*) FROM snapshot_entry)"
                                         "+(SELECT count(*) FROM snapshot)"
                                         "+(SELECT count(*) FROM batch)"),
                   NULL, 10);
}

/* All parts, each twice, with the mirror opened anew between them: what was received is kept. */
static void send_parts(struct rig *rig, struct mirror **mirror, const struct mirror_cursor *shown)
{
    while (next_part(rig)) {
        int64_t gen = rig->batch.head.gen, part = rig->batch.head.part;
        assert_int_equal(take(*mirror, gen, part, &rig->batch), MIRROR_APPLIED);
        assert_int_equal(take(*mirror, gen, part, &rig->batch), MIRROR_DUPLICATE);
        assert_memory_equal(mirror_cursor(*mirror), shown, sizeof *shown);
        assert_int_equal(order(rig, JOURNAL_PART, part), 0);
        assert_int_equal(order(rig, JOURNAL_PART, part), ERR_INVALID);
        if (part % 3 == 0) {
            mirror_close(*mirror);
            *mirror = open_mirror(&rig->box);
        }
    }
}

static void a_snapshot_takes_the_trees_place(void **state)
{
    (void)state;
    struct rig rig;
    unsigned seed = 11;
    rig_open(&rig);
    struct mirror *mirror = open_mirror(&rig.box);
    for (int64_t round = 1; round < 6; round++) {
        work(&rig, &seed);
        if (round == 3) {
            assert_int_equal(order(&rig, JOURNAL_NEW_EPOCH, 0), 0);
            work(&rig, &seed);
        }
        assert_int_equal(order(&rig, JOURNAL_SNAPSHOT, 100 * round), 0);
        const struct mirror_cursor shown = *mirror_cursor(mirror);
        int64_t end = journal_info(rig.box.journal)->last_seq;
        send_parts(&rig, &mirror, &shown);
        struct journal_snapshot snapshot = snapshot_of(&rig);
        assert_int_equal(snapshot.sent, rig.box.entry_count);
        assert_int_equal(snapshot.seq, end);
        struct mirror_commit whole = commit_of(&snapshot);
        assert_int_equal(commit(mirror, &whole), MIRROR_APPLIED);
        assert_int_equal(commit(mirror, &whole), MIRROR_DUPLICATE);
        assert_int_equal(take(mirror, whole.gen, 1, &rig.batch), MIRROR_DUPLICATE);
        check_mirror(&rig.box, mirror);
        assert_int_equal(journal_ack(rig.box.journal, "up", end, 1, NULL), 0);
        assert_int_equal(count_left(&rig), 0);
        /* rows follow as usual */
        work(&rig, &seed);
        assert_int_equal(
            send_rows(&rig.box, mirror, end + 1, journal_info(rig.box.journal)->last_seq),
            MIRROR_APPLIED);
        check_mirror(&rig.box, mirror);
    }
    mirror_close(mirror);
    rig_close(&rig);
}

/* The tree as it was when the copy was made, whatever is committed while it is sent. */
static void what_comes_meanwhile_follows(void **state)
{
    (void)state;
    struct rig rig;
    unsigned seed = 12;
    rig_open(&rig);
    struct mirror *mirror = open_mirror(&rig.box);
    work(&rig, &seed);
    assert_int_equal(order(&rig, JOURNAL_SNAPSHOT, 1), 0);
    int64_t end = journal_info(rig.box.journal)->last_seq;
    work(&rig, &seed);
    const struct mirror_cursor shown = *mirror_cursor(mirror);
    send_parts(&rig, &mirror, &shown);
    struct journal_snapshot snapshot = snapshot_of(&rig);
    struct mirror_commit whole = commit_of(&snapshot);
    assert_int_equal(commit(mirror, &whole), MIRROR_APPLIED);
    assert_int_equal(mirror_cursor(mirror)->seq, end);
    assert_int_equal(send_rows(&rig.box, mirror, end + 1, journal_info(rig.box.journal)->last_seq),
                     MIRROR_APPLIED);
    check_mirror(&rig.box, mirror);
    mirror_close(mirror);
    rig_close(&rig);
}

static void what_does_not_follow_is_a_conflict(void **state)
{
    (void)state;
    struct rig rig;
    unsigned seed = 13;
    rig_open(&rig);
    struct mirror *mirror = open_mirror(&rig.box);
    work(&rig, &seed);
    assert_int_equal(order(&rig, JOURNAL_SNAPSHOT, 10), 0);
    assert_true(next_part(&rig));
    const struct batch *part = &rig.batch;
    struct journal_snapshot snapshot = snapshot_of(&rig);
    struct mirror_commit whole = commit_of(&snapshot);
    assert_int_equal(take(mirror, 10, 2, part), MIRROR_CONFLICT); /* begins with part 1 */
    assert_int_equal(mirror_generation(mirror), 0);
    assert_int_equal(take(mirror, 10, 1, part), MIRROR_APPLIED);
    assert_int_equal(take(mirror, 10, 3, part), MIRROR_CONFLICT); /* a hole */
    assert_int_equal(take(mirror, 9, 1, part), MIRROR_CONFLICT);  /* outdated */
    assert_int_equal(mirror_generation(mirror), 10);
    whole.parts = 1;
    assert_int_equal(commit(mirror, &whole), MIRROR_REFUSED); /* count and sum are another's */
    whole.parts = 2;
    assert_int_equal(commit(mirror, &whole), MIRROR_CONFLICT);
    assert_int_equal(take(mirror, 10, 2, part), MIRROR_REFUSED); /* its names are taken */
    assert_int_equal(take(mirror, 10, 1, part), MIRROR_DUPLICATE);
    assert_int_equal(take(mirror, 12, 1, part), MIRROR_APPLIED); /* a newer one drops it */
    assert_int_equal(take(mirror, 10, 2, part), MIRROR_CONFLICT);
    assert_int_equal(mirror_generation(mirror), 12);
    whole = (struct mirror_commit){.gen = 20, .epoch = 5, .seq = 3, .folder = "docs"};
    assert_int_equal(commit(mirror, &whole), MIRROR_APPLIED); /* an empty tree has no part */
    assert_int_equal(mirror_cursor(mirror)->entries, 0);
    whole.gen = 21;
    whole.epoch = 4;
    assert_int_equal(commit(mirror, &whole), MIRROR_CONFLICT); /* an older history */
    assert_int_equal(take(mirror, 20, 1, part), MIRROR_DUPLICATE);
    mirror_close(mirror);
    rig_close(&rig);
}

static void only_creates_make_a_snapshot(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        ROW(1, "\"kind\":\"delete\"," FILE_AT("a")),
        ROW(1, "\"kind\":\"create\"," FILE_AT("no/parent")),
        "{\"seq\":1,\"kind\":\"create\",\"type\":\"file\",\"path\":\"a\",\"id\":1}",
        "nothing\n",
    };
    struct box box;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        const struct mirror_part part = {7, 1, bodies[i], strlen(bodies[i])};
        enum mirror_outcome outcome;
        struct err err = {0};
        assert_int_equal(mirror_take_part(mirror, &part, &outcome, &err), 0);
        assert_int_equal(outcome, MIRROR_REFUSED);
        assert_int_equal(mirror_generation(mirror), 0);
    }
    mirror_close(mirror);
    box_close(&box);
}

static void a_consumer_keeps_what_follows_its_snapshot(void **state)
{
    (void)state;
    struct rig rig;
    unsigned seed = 14;
    const struct journal_keep keep = {INT64_MAX, INT64_MIN, 0};
    int64_t purged;
    rig_open(&rig);
    struct journal *journal = rig.box.journal;
    work(&rig, &seed);
    int64_t end = journal_info(journal)->last_seq;
    assert_int_equal(journal_ack(journal, "up", end, 1, NULL), 0);
    assert_int_equal(order(&rig, JOURNAL_SNAPSHOT, 5), 0);
    assert_int_equal(order(&rig, JOURNAL_SNAPSHOT, 6), 0); /* takes the place of the first */
    assert_int_equal(snapshot_of(&rig).gen, 6);
    work(&rig, &seed);
    assert_int_equal(journal_purge(journal, &keep, 1000000, &purged, NULL), 0);
    assert_int_equal(journal_info(journal)->floor_seq, end);
    assert_int_equal(order(&rig, JOURNAL_REWIND, end - 1), ERR_INVALID);
    assert_int_equal(order(&rig, JOURNAL_REWIND, end), 0); /* rows will do after all */
    assert_int_equal(count_left(&rig), 0);
    assert_int_equal(order(&rig, JOURNAL_SNAPSHOT, 7), 0);
    assert_true(next_part(&rig));
    assert_int_equal(journal_consumer_remove(journal, "up", NULL), 0);
    assert_int_equal(count_left(&rig), 0);
    rig_close(&rig);
}

static void no_snapshot_of_half_a_tree(void **state)
{
    (void)state;
    struct box box;
    struct err err = {0};
    const struct journal_order wanted = {.what = JOURNAL_SNAPSHOT, .consumer = "up", .value = 5};
    box_open(&box);
    assert_int_equal(journal_consumer_add(box.journal, "up", 0, NULL), 0);
    assert_int_equal(journal_resync(box.journal, &wanted, 1, &err), ERR_INVALID);
    box_close(&box);
}

/* --- another epoch, another id --- */

static void a_new_epoch_begins_with_the_next_row(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    box_fill(&rig.box);
    const struct journal_info *info = journal_info(rig.box.journal);
    int64_t old = info->epoch;
    int64_t server = old + 1000000000000;
    assert_int_equal(order(&rig, JOURNAL_NEW_EPOCH, server), 0);
    assert_true(info->epoch > server);
    assert_int_equal(info->epoch_seq, 6);
    int64_t epoch = info->epoch;
    box_write(&rig.box, "d/f");
    (void)box_commit(&rig.box);
    box_reopen(&rig.box);
    info = journal_info(rig.box.journal);
    assert_int_equal(info->epoch, epoch);
    assert_int_equal(info->epoch_seq, 6);
    assert_false(info->rolled_back);
    box_check(&rig.box);
    /* A log is told of each in its own batch. */
    rig.limits.rows = 1000;
    assert_int_equal(batch_build(rig.writer, rig.reader, 0, &rig.limits, &rig.batch, &rig.err), 0);
    assert_int_equal(rig.batch.head.last, 6);
    assert_int_equal(rig.batch.head.epoch, old);
    assert_int_equal(batch_build(rig.writer, rig.reader, 6, &rig.limits, &rig.batch, &rig.err), 0);
    assert_int_equal(rig.batch.head.last, 7);
    assert_int_equal(rig.batch.head.epoch, epoch);
    assert_int_equal(
        journal_resync(rig.box.journal, &(struct journal_order){.what = JOURNAL_CHECK}, 1, NULL),
        0);
    rig_close(&rig);
}

static void a_new_id_is_kept(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    char old[JOURNAL_ID_SIZE];
    memcpy(old, journal_info(rig.box.journal)->id, sizeof old);
    assert_int_equal(order(&rig, JOURNAL_NEW_ID, 0), 0);
    assert_string_not_equal(journal_info(rig.box.journal)->id, old);
    memcpy(old, journal_info(rig.box.journal)->id, sizeof old);
    box_reopen(&rig.box);
    assert_string_equal(journal_info(rig.box.journal)->id, old);
    rig_close(&rig);
}

static void the_check_finds_what_nobody_reads(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE change SET time=time+1 WHERE seq=2", "DELETE FROM change WHERE seq=1",
        "UPDATE entry SET size=size+1 WHERE type=1", "DELETE FROM entry WHERE type=3",
        "UPDATE meta SET tree_sum=tree_sum+1",
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct rig rig;
        rig_open(&rig);
        box_fill(&rig.box);
        assert_int_equal(order(&rig, JOURNAL_CHECK, 0), 0);
        box_reopen(&rig.box);
        box_sql(&rig.box, damages[i]);
        box_expect_open(&rig.box, 0);
        if (order(&rig, JOURNAL_CHECK, 0) != ERR_CORRUPT)
            fail_msg("not found: %s", damages[i]);
        assert_true(rig.err.text[0] != '\0');
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_takes_the_trees_place),
        cmocka_unit_test(what_comes_meanwhile_follows),
        cmocka_unit_test(what_does_not_follow_is_a_conflict),
        cmocka_unit_test(only_creates_make_a_snapshot),
        cmocka_unit_test(a_consumer_keeps_what_follows_its_snapshot),
        cmocka_unit_test(no_snapshot_of_half_a_tree),
        cmocka_unit_test(a_new_epoch_begins_with_the_next_row),
        cmocka_unit_test(a_new_id_is_kept),
        cmocka_unit_test(the_check_finds_what_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
