/* test_journal_consumer.c: consumers, the batch in flight, purging. Acknowledging on a full disk is
 * in test_journal_full_linux.c. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "helper_journal.h"
#include "osfile.h"

/* --- consumers, batches, purging --- */

static int take_consumer(void *ctx, const struct reader_consumer *consumer)
{
    *(struct reader_consumer *)ctx = *consumer;
    return 0;
}

static struct reader_consumer only_consumer(struct box *box)
{
    struct reader_consumer consumer = {0};
    struct reader *reader = box_reader(box);
    assert_int_equal(reader_consumers(reader, take_consumer, &consumer, NULL), 0);
    reader_close(reader);
    return consumer;
}

static struct journal_batch make_batch(const struct box *box, int64_t first, int64_t last)
{
    struct journal_batch batch = {
        .epoch = journal_info(box->journal)->epoch,
        .first = first,
        .last = last,
        .prev_sum = 1,
        .last_sum = UINT64_MAX,
        .rows = last - first + 1,
        .gzip = true,
        .newest = true,
        .tree_sum = UINT64_MAX - 1,
        .body = bytes_of("bo\0dy", 5),
    };
    memset(batch.digest, 0xab, sizeof batch.digest);
    return batch;
}

static void test_consumers(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    struct journal *journal = box.journal;
    assert_int_equal(journal_consumer_add(journal, "up", 0, NULL), 0);
    assert_int_equal(journal_consumer_add(journal, "up", 5, NULL), 0); /* is there: stays at 0 */
    assert_int_equal(journal_consumer_add(journal, "", 0, NULL), ERR_INVALID);
    assert_int_equal(journal_consumer_add(journal, "x", 7, NULL), ERR_INVALID);
    struct reader_consumer consumer = only_consumer(&box);
    assert_string_equal(consumer.name, "up");
    assert_int_equal(consumer.acked, 0);
    assert_int_equal(consumer.acked_ms, 0);
    assert_int_equal(consumer.oldest_pending_ms, box.wall_ms - 1000);

    struct journal_batch batch = make_batch(&box, 1, 4);
    assert_int_equal(journal_batch_store(journal, "nobody", &batch, NULL), ERR_NOTFOUND);
    assert_int_equal(journal_batch_store(journal, "up", &batch, NULL), 0);
    assert_int_equal(journal_ack(journal, "up", 3, 50, NULL), 0);
    consumer = only_consumer(&box);
    assert_int_equal(consumer.acked, 3);
    assert_int_equal(consumer.acked_ms, 50);
    assert_int_equal(consumer.batch_last, 4); /* not covered yet */
    assert_int_equal(journal_ack(journal, "up", 4, 60, NULL), 0);
    assert_int_equal(only_consumer(&box).batch_last, 0);
    assert_int_equal(journal_ack(journal, "up", 3, 70, NULL), ERR_INVALID);
    assert_int_equal(journal_ack(journal, "up", 7, 70, NULL), ERR_INVALID);
    assert_int_equal(journal_ack(journal, "nobody", 1, 70, NULL), ERR_NOTFOUND);
    assert_int_equal(only_consumer(&box).acked, 4);
    assert_int_equal(journal_batch_store(journal, "up", &batch, NULL), ERR_INVALID); /* is acked */

    assert_int_equal(journal_consumer_error(journal, "up", "no 'route'", 80, NULL), 0);
    consumer = only_consumer(&box);
    assert_string_equal(consumer.error, "no 'route'");
    assert_int_equal(consumer.error_ms, 80);
    assert_string_equal(box_select(&box, "SELECT pending||error||acked_time FROM v_consumers"),
                        "2no 'route'1970-01-01T00:00:00.060Z");
    assert_string_equal(box_select(&box, "SELECT group_concat(seq) FROM v_pending"), "5,6");
    assert_int_equal(journal_consumer_error(journal, "up", "", 90, NULL), 0);
    assert_int_equal(only_consumer(&box).error_ms, 0);
    assert_int_equal(journal_consumer_error(journal, "nobody", "x", 1, NULL), ERR_NOTFOUND);
    assert_int_equal(journal_consumer_remove(journal, "up", NULL), 0);
    assert_int_equal(journal_consumer_remove(journal, "up", NULL), ERR_NOTFOUND);
    assert_string_equal(box_select(&box, "SELECT count(*) FROM v_pending"), "0");

    char name[16];
    for (int i = 0; i < JOURNAL_CONSUMERS_MAX; i++) {
        (void)snprintf(name, sizeof name, "c%d", i); /* fits */
        assert_int_equal(journal_consumer_add(journal, name, 0, NULL), 0);
    }
    assert_int_equal(journal_consumer_add(journal, "many", 0, NULL), ERR_LIMIT);
    box_close(&box);
}

static void test_batch_survives(void **state)
{
    (void)state;
    struct box box;
    struct buf body;
    struct journal_batch read;
    box_open(&box);
    box_fill(&box);
    assert_int_equal(journal_consumer_add(box.journal, "up", 1, NULL), 0);
    struct journal_batch batch = make_batch(&box, 2, 6);
    assert_int_equal(journal_batch_store(box.journal, "up", &batch, NULL), 0);
    batch = make_batch(&box, 2, 3); /* cut again: replaces */
    assert_int_equal(journal_batch_store(box.journal, "up", &batch, NULL), 0);
    box_reopen(&box);
    struct reader *reader = box_reader(&box);
    buf_init(&body, 1 << 20);
    buf_add_str(&body, "before");
    assert_int_equal(reader_batch(reader, "nobody", &read, &body, NULL), ERR_NOTFOUND);
    assert_int_equal(reader_batch(reader, "up", &read, &body, NULL), 0);
    assert_int_equal(body.len, 6 + 5);
    assert_true(bytes_equal(read.body, batch.body));
    assert_memory_equal(read.digest, batch.digest, sizeof batch.digest);
    assert_int_equal(read.epoch, batch.epoch);
    assert_int_equal(read.first, 2);
    assert_int_equal(read.last, 3);
    assert_true(read.prev_sum == batch.prev_sum && read.last_sum == batch.last_sum);
    assert_true(read.tree_sum == batch.tree_sum && read.gzip && read.newest);
    assert_int_equal(read.rows, 2);
    /* Rows that come to nothing leave no bytes, and are to be acknowledged all the same. */
    batch.rows = 0;
    batch.body = bytes_of(NULL, 0);
    assert_int_equal(journal_batch_store(box.journal, "up", &batch, NULL), 0);
    buf_reset(&body);
    assert_int_equal(reader_batch(reader, "up", &read, &body, NULL), 0);
    assert_int_equal(read.last, 3);
    assert_int_equal(read.body.len, 0);
    buf_deinit(&body);
    reader_close(reader);
    box_close(&box);
}

static int64_t purge_by(struct box *box, const struct journal_keep *keep, int64_t max_rows)
{
    int64_t purged = -1;
    if (journal_purge(box->journal, keep, max_rows, &purged, &box->err) != 0)
        fail_msg("%s", box->err.text);
    return purged;
}

static int64_t purge(struct box *box, int64_t keep_after_ms, int64_t max_rows)
{
    const struct journal_keep keep = {keep_after_ms, INT64_MIN, 0};
    return purge_by(box, &keep, max_rows);
}

static int order(struct box *box, enum journal_resync what, const char *name, int64_t value,
                 int64_t wall_ms)
{
    const struct journal_order order = {.what = what, .consumer = name, .value = value};
    return journal_resync(box->journal, &order, wall_ms, &box->err);
}

static void test_readers(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box); /* six rows */
    assert_int_equal(journal_consumer_add(box.journal, "up", 0, NULL), 0);
    assert_int_equal(order(&box, JOURNAL_READER_ADD, "up", 0, 10), ERR_EXISTS);
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "up", 1, 10), ERR_NOTFOUND);
    assert_int_equal(order(&box, JOURNAL_READER_REMOVE, "up", 0, 10), ERR_NOTFOUND);
    assert_int_equal(only_consumer(&box).acked, 0); /* the upload is as it was */
    assert_int_equal(only_consumer(&box).kind, JOURNAL_UPLOAD);
    assert_int_equal(journal_consumer_remove(box.journal, "up", NULL), 0);

    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 1, 10), ERR_NOTFOUND);
    assert_int_equal(order(&box, JOURNAL_READER_ADD, "me", 0, 10), 0);
    assert_int_equal(order(&box, JOURNAL_READER_ADD, "me", 0, 11), ERR_EXISTS);
    assert_int_equal(order(&box, JOURNAL_READER_ADD, "", 0, 11), ERR_INVALID);
    assert_int_equal(journal_consumer_add(box.journal, "me", 0, &box.err), ERR_EXISTS);
    struct reader_consumer me = only_consumer(&box);
    assert_int_equal(me.kind, JOURNAL_READER);
    assert_true(me.acked == 0 && me.acked_ms == 0 && me.heard_ms == 10);
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 4, 20), 0);
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 4, 30), 0); /* as a sign of life */
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 3, 40), ERR_INVALID);
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 7, 40), ERR_INVALID);
    box_reopen(&box);
    me = only_consumer(&box);
    assert_true(me.kind == JOURNAL_READER && me.acked == 4 && me.heard_ms == 30);
    assert_string_equal(box_select(&box, "SELECT kind||pending FROM v_consumers"), "reader2");
    assert_string_equal(box_select(&box, "SELECT count(*) FROM v_pending"), "0"); /* no upload */
    assert_int_equal(order(&box, JOURNAL_READER_REMOVE, "me", 0, 50), 0);
    assert_int_equal(order(&box, JOURNAL_READER_REMOVE, "me", 0, 50), ERR_NOTFOUND);
    assert_int_equal(purge(&box, INT64_MAX, 2), 2);
    assert_int_equal(order(&box, JOURNAL_READER_ADD, "me", 0, 60), 0);
    assert_int_equal(only_consumer(&box).acked, 2); /* all that is kept, and no gap */
    box_close(&box);
}

static int64_t purge_heard(struct box *box, int64_t heard_after_ms)
{
    const struct journal_keep keep = {INT64_MAX, heard_after_ms, 0};
    return purge_by(box, &keep, 100);
}

/* Young and wanted by an upload that does not come, and yet the oldest go. */
static void test_rows_have_a_limit(void **state)
{
    (void)state;
    struct journal_keep keep = {INT64_MIN, INT64_MIN, 0};
    struct box box;
    box_open(&box);
    assert_int_equal(journal_consumer_add(box.journal, "up", 0, NULL), 0);
    box_fill(&box); /* six rows */
    assert_int_equal(purge_by(&box, &keep, 100), 0);
    keep.rows_max = 6;
    assert_int_equal(purge_by(&box, &keep, 100), 0);
    keep.rows_max = 2;
    assert_int_equal(purge_by(&box, &keep, 3), 3);
    assert_int_equal(purge_by(&box, &keep, 3), 1);
    assert_int_equal(purge_by(&box, &keep, 3), 0);
    assert_int_equal(journal_info(box.journal)->floor_seq, 4);
    assert_string_equal(box_select(&box, "SELECT min(seq)||'-'||max(seq) FROM v_changes"), "5-6");
    /* Age lets more go than the limit, and is heeded as before. */
    assert_int_equal(journal_ack(box.journal, "up", 6, 1, NULL), 0);
    keep.after_wall_ms = INT64_MAX;
    assert_int_equal(purge_by(&box, &keep, 100), 2);
    box_check(&box);
    box_close(&box);
}

static void test_readers_expire(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i); /* fits */
        box_create(&box, name, ENTRY_FILE);
        (void)box_commit(&box); /* five rows, a second apart */
    }
    int64_t first_ms = box.wall_ms - 5000;
    assert_int_equal(order(&box, JOURNAL_READER_ADD, "me", 0, first_ms + 1500), 0);
    assert_int_equal(purge_heard(&box, INT64_MIN), 0);       /* for ever */
    assert_int_equal(purge_heard(&box, first_ms + 1500), 0); /* it was heard of */
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 2, first_ms + 2500), 0);
    assert_int_equal(purge_heard(&box, INT64_MIN), 2);
    /* Long silent, but nothing has waited for it since before then: row 3 is as young. */
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 2, first_ms + 100), 0);
    assert_int_equal(purge_heard(&box, first_ms + 2000), 0);
    /* It is given up, and what comes later is not kept for it either, young as it is. */
    const struct journal_keep given_up = {INT64_MAX, first_ms + 2001, 0};
    assert_int_equal(purge_by(&box, &given_up, 1), 1);
    assert_int_equal(purge_heard(&box, first_ms + 2001), 2);
    /* When it comes back it is waited for again. */
    assert_int_equal(order(&box, JOURNAL_READER_ACK, "me", 5, first_ms + 9000), 0);
    box_create(&box, "more", ENTRY_FILE);
    assert_int_equal(box_commit(&box), 6);
    assert_int_equal(purge_heard(&box, first_ms + 9000), 0);
    box_close(&box);
}

static void test_purge(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i); /* fits */
        box_create(&box, name, ENTRY_FILE);
        (void)box_commit(&box); /* five rows, a second apart */
    }
    struct journal *journal = box.journal;
    int64_t first_ms = box.wall_ms - 5000;
    assert_int_equal(journal_consumer_add(journal, "a", 0, NULL), 0);
    assert_int_equal(purge(&box, INT64_MAX, 100), 0); /* "a" wants all */
    assert_int_equal(journal_ack(journal, "a", 4, 1, NULL), 0);
    assert_int_equal(journal_consumer_add(journal, "b", 3, NULL), 0);
    assert_int_equal(purge(&box, first_ms, 100), 0);        /* all are too young */
    assert_int_equal(purge(&box, first_ms + 1000, 100), 1); /* row 1 alone is older */
    assert_int_equal(journal_info(journal)->floor_seq, 1);
    assert_int_equal(purge(&box, INT64_MAX, 1), 1);   /* a slice */
    assert_int_equal(purge(&box, INT64_MAX, 100), 1); /* "b" stands at 3 */
    struct reader *reader = box_reader(&box);
    uint64_t sum = 0, nonce = 0;
    assert_int_equal(reader_sum(reader, 3, &sum, NULL), 0);
    assert_true(sum == journal_info(journal)->floor_sum);
    assert_int_equal(reader_sum(reader, 2, &sum, NULL), ERR_NOTFOUND);
    assert_int_equal(reader_sum(reader, 0, &nonce, NULL), 0);
    reader_close(reader);
    box_reopen(&box);
    assert_int_equal(journal_info(box.journal)->floor_seq, 3);
    assert_int_equal(journal_consumer_remove(box.journal, "a", NULL), 0);
    assert_int_equal(journal_consumer_remove(box.journal, "b", NULL), 0);
    uint64_t last_sum = journal_info(box.journal)->last_sum;
    assert_int_equal(purge(&box, INT64_MAX, 100), 2); /* nobody reads: by age alone */
    box_reopen(&box);
    assert_int_equal(journal_info(box.journal)->last_seq, 5); /* the number goes on */
    assert_true(journal_info(box.journal)->last_sum == last_sum);
    box_create(&box, "more", ENTRY_FILE);
    assert_int_equal(box_commit(&box), 6);
    box_reopen(&box);
    box_check(&box);
    box_close(&box);
}

/* The wall clock went back: a young row before an old one keeps both. */
static void test_purge_stops_at_a_young_row(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i); /* fits */
        box_create(&box, name, ENTRY_FILE);
        box.wall_ms = i == 1 ? 900000 : 1000;
        (void)box_commit(&box);
    }
    assert_int_equal(purge(&box, 500000, 100), 1);
    assert_int_equal(purge(&box, 500000, 100), 0);
    box_close(&box);
}

static void test_purge_gives_pages_back(void **state)
{
    (void)state;
    struct box box;
    int64_t before = 0, after = 0;
    box_open(&box);
    box_create(&box, "f", ENTRY_FILE);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3000; i++)
            box_write(&box, "f");
        (void)box_commit(&box);
    }
    assert_int_equal(journal_checkpoint(box.journal, NULL), 0);
    assert_true(journal_wal_bytes(box.journal) > 0);
    assert_int_equal(osfile_size(OSFILE_CWD, box_file(&box, JOURNAL_FILE), &before, NULL), 0);
    while (purge(&box, INT64_MAX, 10000) > 0)
        ;
    while (purge(&box, INT64_MAX, 10000) > 0)
        ;
    box_reopen(&box);
    assert_int_equal(osfile_size(OSFILE_CWD, box_file(&box, JOURNAL_FILE), &after, NULL), 0);
    assert_true(after < before / 2);
    box_check(&box);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consumers),
        cmocka_unit_test(test_batch_survives),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_rows_have_a_limit),
        cmocka_unit_test(test_readers_expire),
        cmocka_unit_test(test_purge),
        cmocka_unit_test(test_purge_stops_at_a_young_row),
        cmocka_unit_test(test_purge_gives_pages_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
