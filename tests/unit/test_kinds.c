/* test_kinds.c: a log that gets some kinds of rows only: what is in its batches, what they cover,
 * and that what covers none of its rows is acknowledged without a request. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "batch.h"
#include "buf.h"
#include "change.h"
#include "err.h"
#include "helper_net.h"
#include "helper_server.h"
#include "helper_upload.h"
#include "reader.h"
#include "upload.h"

#define FINE "HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n"

struct rig {
    struct upload_rig journal;
    struct reader *reader;
    struct batch_writer *writer;
    struct batch batch;
    struct batch_limits limits;
    struct err err;
};

static void rig_open(struct rig *rig, unsigned kinds)
{
    *rig = (struct rig){
        .limits = {.rows = 100, .bytes = 1 << 20, .format = CONFIG_FORMAT_NDJSON, .kinds = kinds}};
    upload_rig_open(&rig->journal, "docs", "main");
    assert_int_equal(reader_open(rig->journal.journal_dir, &rig->reader, &rig->err), 0);
    assert_int_equal(batch_writer_new(0, &rig->writer, &rig->err), 0);
    batch_init(&rig->batch);
}

static void rig_close(struct rig *rig)
{
    batch_deinit(&rig->batch);
    batch_writer_free(rig->writer);
    reader_close(rig->reader);
    upload_rig_close(&rig->journal);
}

/* The batch behind `acked` covers all up to `last` and has so many rows, each of `kind`. */
static void check(struct rig *rig, int64_t acked, int64_t last, int64_t rows, const char *kind)
{
    char wanted[32];
    int64_t lines = 0;
    assert_int_equal(
        batch_build(rig->writer, rig->reader, acked, &rig->limits, &rig->batch, &rig->err), 0);
    assert_int_equal(rig->batch.head.first, acked + 1);
    assert_int_equal(rig->batch.head.last, last);
    assert_int_equal(rig->batch.head.rows, rows);
    uint64_t sum;
    assert_int_equal(reader_sum(rig->reader, last, &sum, &rig->err), 0);
    assert_true(sum == rig->batch.head.last_sum);
    buf_add(&rig->batch.body, "", 1);
    (void)snprintf(wanted, sizeof wanted, "\"kind\":\"%s\"", kind);
    for (const char *at = rig->batch.body.data; (at = strstr(at, "\"kind\":")) != NULL; at++) {
        assert_memory_equal(at, wanted, strlen(wanted));
        lines++;
    }
    assert_int_equal(lines, rows);
}

static void names_become_a_set(void **state)
{
    (void)state;
    char *names[] = {(char *)"delete", (char *)"create"};
    struct config_list list = {names, 2};
    assert_int_equal(batch_kinds(&list), 1U << CHANGE_DELETE | 1U << CHANGE_CREATE);
    list.count = 0;
    assert_int_equal(batch_kinds(&list), 0);
}

static void the_range_is_whole_the_rows_are_not(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1U << CHANGE_MODIFY);
    upload_rig_commit(&rig.journal, 40, 0);    /* 1..40 */
    upload_rig_modify(&rig.journal, 3, 2, 70); /* 41..110 */
    upload_rig_delete(&rig.journal, 3, 2);     /* 111 */
    check(&rig, 0, 111, 70, "modify");         /* within the limit, which is of rows sent */
    upload_rig_modify(&rig.journal, 5, 4, 50); /* 112..161 */
    check(&rig, 0, 111, 70, "modify");         /* the next commit would pass it */
    check(&rig, 111, 161, 50, "modify");
    rig.limits.kinds = 1U << CHANGE_DELETE;
    check(&rig, 0, 161, 1, "delete");
    check(&rig, 111, 161, 0, "none");
    assert_int_equal(rig.batch.body.len, 1); /* the end we put there */
    rig_close(&rig);
}

/* One row at a time still comes past what is not sent. */
static void halved_to_single_rows(void **state)
{
    (void)state;
    struct rig rig;
    int64_t acked = 0, rows = 0;
    rig_open(&rig, 1U << CHANGE_DELETE);
    upload_rig_commit(&rig.journal, 30, 0);
    for (int i = 0; i < 10; i++) {
        upload_rig_delete(&rig.journal, i + 1, i);
        upload_rig_modify(&rig.journal, 30, 29, 2);
    }
    rig.limits.rows = 1;
    while (acked < 60) {
        assert_int_equal(
            batch_build(rig.writer, rig.reader, acked, &rig.limits, &rig.batch, &rig.err), 0);
        assert_true(rig.batch.head.rows <= 1 && rig.batch.head.last > acked);
        rows += rig.batch.head.rows;
        if (rig.batch.head.rows == 1) { /* what is said of the batch is said of its row */
            char seq[32];
            buf_add(&rig.batch.body, "", 1);
            (void)snprintf(seq, sizeof seq, "\"seq\":%lld,", (long long)rig.batch.head.last);
            assert_non_null(strstr(rig.batch.body.data, seq));
        }
        acked = rig.batch.head.last;
    }
    assert_int_equal(rows, 10);
    rig_close(&rig);
}

static void what_it_comes_to_is_looked_at_when_folded(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1U << CHANGE_MODIFY);
    rig.limits.fold = true;
    upload_rig_commit(&rig.journal, 2, 0);
    check(&rig, 0, 2, 0, "none");
    upload_rig_modify(&rig.journal, 1, 0, 60);
    check(&rig, 2, 62, 1, "modify");
    check(&rig, 0, 62, 0, "none"); /* it is created as it was written last */
    rig_close(&rig);
}

static void a_walk_over_nothing_has_an_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1U << CHANGE_DELETE);
    upload_rig_commit(&rig.journal, BATCH_COVERED_MAX - 10, 0);
    upload_rig_commit(&rig.journal, 20, 0);
    check(&rig, 0, BATCH_COVERED_MAX - 10, 0, "none");
    check(&rig, BATCH_COVERED_MAX - 10, BATCH_COVERED_MAX + 10, 0, "none");
    rig_close(&rig);
}

static void an_empty_batch_makes_no_request(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{FINE, false}};
    char *names[] = {(char *)"delete"};
    char url[64];
    struct err err = {0};
    struct upload_rig journal;
    struct upload *upload = NULL;
    upload_rig_open(&journal, "docs", "main");
    upload_rig_commit(&journal, 20, 0);
    struct server *server = server_start(steps, 1);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", server_port(server));
    struct config_upload config = upload_rig_config(url);
    config.format = CONFIG_FORMAT_CLOUDEVENTS;
    config.ack = CONFIG_ACK_STATUS;
    config.kinds = (struct config_list){names, 1};
    struct upload_journal ops = upload_rig_ops(&journal);
    assert_int_equal(upload_open(&config, &ops, 1, &upload, &err), 0);
    assert_int_equal(upload_start(upload, &err), 0);
    assert_true(upload_rig_wait_acked(&journal, 20));
    assert_int_equal(server_count(server), 0);
    upload_rig_modify(&journal, 1, 0, 7);
    upload_notify(upload);
    assert_true(upload_rig_wait_acked(&journal, 27));
    assert_int_equal(server_count(server), 0);
    upload_rig_delete(&journal, 1, 0);
    upload_notify(upload);
    assert_true(upload_rig_wait_acked(&journal, 28));
    assert_int_equal(server_count(server), 1);
    assert_string_equal(server_header(server, 0, "Spoor-First"), "28");
    assert_int_equal(journal.stored_batches, 1); /* nor is anything stored for it */
    upload_close(upload);
    server_stop(server);
    upload_rig_close(&journal);
}

int main(void)
{
    net_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_a_set),
        cmocka_unit_test(the_range_is_whole_the_rows_are_not),
        cmocka_unit_test(halved_to_single_rows),
        cmocka_unit_test(what_it_comes_to_is_looked_at_when_folded),
        cmocka_unit_test(a_walk_over_nothing_has_an_end),
        cmocka_unit_test(an_empty_batch_makes_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
