/* test_batch.c: where batches are cut, what is in them, and that stored ones are checked. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "batch.h"
#include "bytes.h"
#include "err.h"
#include "gzip.h"
#include "helper_upload.h"
#include "reader.h"
#include "row.h"
#include "sha256.h"

struct rig {
    struct upload_rig journal;
    struct reader *reader;
    struct batch_writer *writer;
    struct batch batch;
    struct batch_limits limits;
    struct err err;
};

static void rig_open(struct rig *rig, int level)
{
    *rig = (struct rig){.limits = {.rows = 100, .bytes = 1 << 20}};
    upload_rig_open(&rig->journal, "docs", "main");
    assert_int_equal(reader_open(rig->journal.journal_dir, &rig->reader, &rig->err), 0);
    assert_int_equal(batch_writer_new(level, &rig->writer, &rig->err), 0);
    batch_init(&rig->batch);
}

static void rig_close(struct rig *rig)
{
    batch_deinit(&rig->batch);
    batch_writer_free(rig->writer);
    reader_close(rig->reader);
    upload_rig_close(&rig->journal);
}

static int build(struct rig *rig, int64_t acked)
{
    return batch_build(rig->writer, rig->reader, acked, &rig->limits, &rig->batch, &rig->err);
}

static int add_row(void *ctx, const struct change *change)
{
    row_write(ctx, "docs", change);
    return 0;
}

/* The batch holds exactly the rows of its range, and its head tells the truth about them. */
static void check_batch(struct rig *rig, int64_t first, int64_t last)
{
    const struct journal_batch *head = &rig->batch.head;
    struct reader_range range = {.first = first, .last = last, .until_ms = INT64_MAX};
    struct buf expected, got;
    uint8_t digest[SHA256_SIZE];
    uint64_t sum;
    buf_init(&expected, 64 << 20);
    buf_init(&got, 64 << 20);
    assert_int_equal(head->first, first);
    assert_int_equal(head->last, last);
    assert_int_equal(head->rows, last - first + 1);
    assert_int_equal(reader_rows(rig->reader, &range, add_row, &expected, &rig->err), 0);
    if (head->gzip)
        assert_int_equal(gzip_unpack(head->body.at, head->body.len, &got, &rig->err), 0);
    else
        buf_add(&got, head->body.at, head->body.len);
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.data, expected.data, got.len);
    assert_int_equal(reader_sum(rig->reader, first - 1, &sum, &rig->err), 0);
    assert_true(sum == head->prev_sum);
    assert_int_equal(reader_sum(rig->reader, last, &sum, &rig->err), 0);
    assert_true(sum == head->last_sum);
    sha256(head->body.at, head->body.len, digest);
    assert_memory_equal(digest, head->digest, sizeof digest);
    struct journal_info info = upload_rig_info(&rig->journal);
    assert_int_equal(head->epoch, info.epoch);
    assert_int_equal(head->newest, last == info.last_seq);
    if (head->newest)
        assert_true(head->tree_sum == info.tree_sum);
    buf_deinit(&expected);
    buf_deinit(&got);
}

static void whole_commits_within_the_limits(void **state)
{
    (void)state;
    for (int level = 0; level <= 9; level += 3) {
        struct rig rig;
        rig_open(&rig, level);
        for (int i = 0; i < 7; i++)
            upload_rig_commit(&rig.journal, 30, 0);
        assert_int_equal(build(&rig, 0), 0);
        check_batch(&rig, 1, 90); /* the fourth commit would pass 100 */
        assert_int_equal(build(&rig, 90), 0);
        check_batch(&rig, 91, 180);
        assert_int_equal(build(&rig, 180), 0);
        check_batch(&rig, 181, 210);
        assert_true(rig.batch.head.newest);
        assert_int_equal(build(&rig, 210), ERR_NOTFOUND);
        assert_null(rig.batch.body.data);
        rig_close(&rig);
    }
}

static void exactly_the_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    upload_rig_commit(&rig.journal, 100, 0);
    upload_rig_commit(&rig.journal, 1, 0);
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 100);
    rig_close(&rig);
}

static void a_larger_commit_is_cut_inside(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    upload_rig_commit(&rig.journal, 250, 0);
    upload_rig_commit(&rig.journal, 10, 0);
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 100);
    assert_int_equal(build(&rig, 100), 0);
    check_batch(&rig, 101, 200);
    assert_int_equal(build(&rig, 200), 0);
    check_batch(&rig, 201, 260); /* from there on whole commits again */
    rig_close(&rig);
}

static void never_while_an_entry_is_parked(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    /* 150 rows with something parked after each but the last: passed over as a whole */
    upload_rig_commit(&rig.journal, 150, CHANGE_PARKED);
    upload_rig_commit(&rig.journal, 1, 0);
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 150);
    assert_int_equal(build(&rig, 150), 0);
    check_batch(&rig, 151, 151);
    rig_close(&rig);
}

static void there_is_an_end_to_going_past_the_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    /* Far past a small limit: no setting may stop a replica for ever. */
    upload_rig_commit(&rig.journal, 2000, CHANGE_PARKED);
    rig.limits.rows = 1;
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 2000);
    upload_rig_commit(&rig.journal, BATCH_ROWS_FLOOR + 2, CHANGE_PARKED);
    assert_int_equal(build(&rig, 2000), ERR_LIMIT);
    assert_non_null(strstr(rig.err.text, "from row 2001"));
    assert_null(rig.batch.body.data);
    rig_close(&rig);
}

static void bytes_are_a_limit_too(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    for (int i = 0; i < 50; i++)
        upload_rig_commit(&rig.journal, 2, 0);
    rig.limits = (struct batch_limits){.rows = 1000, .bytes = 5000};
    int64_t acked = 0;
    while (acked < 100) {
        struct buf plain;
        buf_init(&plain, 1 << 20);
        assert_int_equal(build(&rig, acked), 0);
        check_batch(&rig, acked + 1, rig.batch.head.last);
        assert_int_equal(rig.batch.head.last % 2, 0);
        assert_int_equal(gzip_unpack(rig.batch.body.data, rig.batch.body.len, &plain, NULL), 0);
        assert_true(plain.len <= 5000);
        assert_true(plain.len > 4000 || rig.batch.head.last == 100);
        acked = rig.batch.head.last;
        buf_deinit(&plain);
    }
    /* one row is larger than the limit: it goes alone */
    rig.limits = (struct batch_limits){.rows = 1000, .bytes = 100};
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 1);
    rig_close(&rig);
}

static void large_batches_go_through_in_pieces(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    for (int i = 0; i < 10; i++)
        upload_rig_commit(&rig.journal, 1000, 0);
    rig.limits = (struct batch_limits){.rows = 7500, .bytes = 64 << 20};
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 7000);
    rig_close(&rig);
}

static void a_stored_batch_comes_back_as_it_was(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 6);
    struct upload_journal ops = upload_rig_ops(&rig.journal);
    struct batch loaded;
    batch_init(&loaded);
    assert_int_equal(batch_load(rig.reader, "main", &loaded, &rig.err), ERR_NOTFOUND);
    upload_rig_commit(&rig.journal, 60, 0);
    assert_int_equal(build(&rig, 0), 0);
    assert_int_equal(ops.store_batch(ops.ctx, "main", &rig.batch.head, &rig.err), 0);
    upload_rig_commit(&rig.journal, 5, 0); /* later rows do not change it */
    assert_int_equal(batch_load(rig.reader, "main", &loaded, &rig.err), 0);
    assert_int_equal(loaded.head.first, 1);
    assert_int_equal(loaded.head.last, 60);
    assert_true(loaded.head.newest);
    assert_true(loaded.head.prev_sum == rig.batch.head.prev_sum);
    assert_true(loaded.head.last_sum == rig.batch.head.last_sum);
    assert_true(loaded.head.tree_sum == rig.batch.head.tree_sum);
    assert_int_equal(loaded.body.len, rig.batch.body.len);
    assert_memory_equal(loaded.body.data, rig.batch.body.data, loaded.body.len);

    /* bytes that are not those of the digest */
    struct journal_batch wrong = rig.batch.head;
    wrong.digest[7] ^= 1;
    assert_int_equal(ops.store_batch(ops.ctx, "main", &wrong, &rig.err), 0);
    assert_int_equal(batch_load(rig.reader, "main", &loaded, &rig.err), ERR_CORRUPT);
    assert_null(loaded.body.data);
    batch_deinit(&loaded);
    rig_close(&rig);
}

static void gzip_refuses_what_is_not_whole(void **state)
{
    (void)state;
    struct gzip *gzip;
    struct buf packed, plain;
    int passed = 0;
    struct err err = {0};
    buf_init(&packed, 1 << 20);
    buf_init(&plain, 100000);
    assert_int_equal(gzip_new(6, &gzip, &err), 0);
    for (int round = 0; round < 2; round++) { /* a stream is used again */
        buf_reset(&packed);
        gzip_begin(gzip);
        for (int i = 0; i < 1000; i++)
            gzip_add(gzip, "hello world, hello gzip\n", 24, &packed);
        gzip_finish(gzip, &packed);
        buf_reset(&plain);
        assert_int_equal(gzip_unpack(packed.data, packed.len, &plain, &err), 0);
        assert_int_equal(plain.len, 24000);
    }
    for (size_t cut = 0; cut < packed.len; cut++) {
        buf_reset(&plain);
        assert_int_equal(gzip_unpack(packed.data, cut, &plain, &err), ERR_INVALID);
    }
    for (size_t at = 10; at < packed.len; at++) {
        packed.data[at] = (char)(packed.data[at] ^ 0x10);
        buf_reset(&plain);
        /* the last byte's unused bits mean nothing; any other flip is noticed */
        if (gzip_unpack(packed.data, packed.len, &plain, &err) == 0)
            passed++;
        packed.data[at] = (char)(packed.data[at] ^ 0x10);
    }
    assert_true(passed <= 1);
    plain.limit = 23999;
    buf_reset(&plain);
    assert_int_equal(gzip_unpack(packed.data, packed.len, &plain, &err), ERR_LIMIT);
    plain.limit = 24000;
    buf_reset(&plain);
    assert_int_equal(gzip_unpack(packed.data, packed.len, &plain, &err), 0);
    buf_add_char(&packed, 'x');
    buf_reset(&plain);
    assert_int_equal(gzip_unpack(packed.data, packed.len, &plain, &err), ERR_INVALID);
    gzip_free(gzip);
    buf_deinit(&packed);
    buf_deinit(&plain);
}

/* The decoded body. */
static void unpack(struct rig *rig, struct buf *out)
{
    buf_init(out, 64 << 20);
    assert_int_equal(gzip_unpack(rig->batch.body.data, rig->batch.body.len, out, &rig->err), 0);
    buf_add(out, "", 1);
    assert_true(buf_ok(out));
}

static void check_folded(struct rig *rig, int64_t last, int64_t rows)
{
    const struct journal_batch *head = &rig->batch.head;
    uint64_t sum;
    assert_int_equal(head->last, last);
    assert_int_equal(head->rows, rows);
    assert_int_equal(reader_sum(rig->reader, last, &sum, &rig->err), 0);
    assert_true(sum == head->last_sum);
}

/* Far more rows than fit a batch or memory's share of it: read in pieces. */
static void test_an_outage_of_writes_is_sent_once(void **state)
{
    (void)state;
    struct rig rig;
    struct buf text;
    rig_open(&rig, 1);
    rig.limits = (struct batch_limits){.rows = 1000, .bytes = 1 << 20, .fold = true};
    upload_rig_commit(&rig.journal, 3, 0);
    upload_rig_modify(&rig.journal, 2, 1, 25000);
    assert_int_equal(build(&rig, 0), 0);
    check_folded(&rig, 25003, 3);
    unpack(&rig, &text);
    assert_non_null(strstr(text.data, "\"size\":125000"));
    assert_null(strstr(text.data, "modify"));
    buf_deinit(&text);
    assert_int_equal(build(&rig, 3), 0);
    check_folded(&rig, 25003, 1);
    rig.limits.fold = false;
    assert_int_equal(build(&rig, 3), 0);
    check_folded(&rig, 1003, 1000);
    rig_close(&rig);
}

static void test_what_came_and_went_is_an_empty_batch(void **state)
{
    (void)state;
    struct rig rig;
    struct buf text;
    rig_open(&rig, 1);
    rig.limits.fold = true;
    upload_rig_commit(&rig.journal, 2, 0);
    upload_rig_modify(&rig.journal, 1, 0, 5);
    upload_rig_delete(&rig.journal, 1, 0);
    upload_rig_delete(&rig.journal, 2, 1);
    assert_int_equal(build(&rig, 0), 0);
    check_folded(&rig, 9, 0);
    unpack(&rig, &text);
    assert_int_equal(text.len, 1);
    buf_deinit(&text);
    rig_close(&rig);
}

/* What does not fold is cut at the limits, at the end of a commit; a commit beyond them is not
 * folded. */
static void test_folding_keeps_to_the_limits(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    rig.limits = (struct batch_limits){.rows = 100, .bytes = 1 << 20, .fold = true};
    for (int i = 0; i < 30; i++)
        upload_rig_commit(&rig.journal, 7, 0);
    upload_rig_commit(&rig.journal, 150, 0);
    assert_int_equal(build(&rig, 0), 0);
    check_batch(&rig, 1, 98);
    rig.limits.bytes = 5000;
    assert_int_equal(build(&rig, 98), 0);
    assert_true(rig.batch.head.last >= 98 + 14);
    assert_true(rig.batch.head.last <= 98 + 28);
    check_batch(&rig, 99, rig.batch.head.last);
    rig.limits.bytes = 1 << 20;
    assert_int_equal(build(&rig, 210), 0);
    check_batch(&rig, 211, 310);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_commits_within_the_limits),
        cmocka_unit_test(exactly_the_limit),
        cmocka_unit_test(a_larger_commit_is_cut_inside),
        cmocka_unit_test(never_while_an_entry_is_parked),
        cmocka_unit_test(there_is_an_end_to_going_past_the_limit),
        cmocka_unit_test(bytes_are_a_limit_too),
        cmocka_unit_test(large_batches_go_through_in_pieces),
        cmocka_unit_test(a_stored_batch_comes_back_as_it_was),
        cmocka_unit_test(gzip_refuses_what_is_not_whole),
        cmocka_unit_test(test_an_outage_of_writes_is_sent_once),
        cmocka_unit_test(test_what_came_and_went_is_an_empty_batch),
        cmocka_unit_test(test_folding_keeps_to_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
