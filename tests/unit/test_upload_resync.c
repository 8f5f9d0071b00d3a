/* test_upload_resync.c: what an upload does when its server turns out to stand elsewhere, or when
 * somebody wants the tree sent whole: against a server on script. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sched.h>

#include "clock.h"
#include "err.h"
#include "helper_net.h"
#include "helper_server.h"
#include "helper_upload.h"
#include "log.h"
#include "reader.h"
#include "upload.h"

/* Request `index` brings a part of the tree. */
static void check_part(struct server *server, size_t index)
{
    assert_true(server_wait(server, index + 1));
    assert_non_null(strstr(server_line(server, index), "/snapshots/"));
    assert_non_null(strstr(server_line(server, index), "/parts/1"));
}

/* The handshake finds a cursor; `acked` is what the consumer has before. */
static void cursor_case(int64_t acked, const char *answer, enum journal_resync order)
{
    const struct server_step steps[] = {{answer, false}, {NULL, true}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    struct upload_journal ops = upload_rig_ops(&stage.journal);
    if (acked)
        assert_int_equal(ops.ack(ops.ctx, "main", acked, &stage.err), 0);
    stage_start(&stage);
    assert_true(upload_rig_wait_order(&stage.journal, order));
    assert_true(server_wait(stage.server, 2)); /* and it goes on at once */
    stage_close(&stage);
}

static void servers_that_know_another_story(void **state)
{
    (void)state;
    cursor_case(10, SERVER_NOTHING_YET, JOURNAL_REWIND);
    cursor_case(0,
                "HTTP/1.1 200 OK\r\nSpoor-Acked: 5\r\nSpoor-Epoch: 3\r\n"
                "Spoor-Sum: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n",
                JOURNAL_SNAPSHOT);
    cursor_case(0,
                "HTTP/1.1 200 OK\r\nSpoor-Acked: 5\r\nSpoor-Epoch: 9000000000000000\r\n"
                "Spoor-Sum: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n",
                JOURNAL_NEW_ID);
}

static const char *cursor_of(char out[256], int status, const struct journal_info *info,
                             uint64_t sum)
{
    (void)snprintf(out, 256,
                   "HTTP/1.1 %d So\r\nSpoor-Acked: %lld\r\nSpoor-Epoch: %lld\r\n"
                   "Spoor-Sum: %016llx\r\nContent-Length: 0\r\n\r\n",
                   status, (long long)info->last_seq, (long long)info->epoch,
                   (unsigned long long)sum);
    return out;
}

static void a_cursor_with_a_wrong_sum_is_a_fork(void **state)
{
    (void)state;
    struct upload_stage stage;
    char answer[256];
    struct server_step steps[] = {{answer, false}};
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&stage.journal);
    (void)cursor_of(answer, 200, &info, info.last_sum ^ 1);
    stage_start(&stage);
    assert_true(upload_rig_wait_order(&stage.journal, JOURNAL_NEW_EPOCH));
    assert_true(upload_rig_wait_order(&stage.journal, JOURNAL_SNAPSHOT));
    struct journal_info now = upload_rig_info(&stage.journal);
    assert_true(now.epoch > info.epoch);
    assert_int_equal(now.epoch_seq, 20);
    assert_string_equal(now.id, info.id);
    stage_close(&stage);
}

static void a_cursor_with_the_right_sum_needs_nothing(void **state)
{
    (void)state;
    struct upload_stage stage;
    char answer[256];
    struct server_step steps[] = {{answer, false}};
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&stage.journal);
    (void)cursor_of(answer, 200, &info, info.last_sum);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_int_equal(server_count(stage.server), 1);
    stage_close(&stage);
}

static void a_conflict_in_the_middle_moves_on(void **state)
{
    (void)state;
    struct upload_stage stage;
    char conflict[256];
    struct server_step steps[] = {
        {SERVER_NOTHING_YET, false}, {conflict, false}, {SERVER_OK, false}};
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&stage.journal);
    upload_rig_commit(&stage.journal, 10, 0);
    (void)cursor_of(conflict, 409, &info, info.last_sum);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 30));
    assert_string_equal(server_header(stage.server, 1, "Spoor-Last"), "30");
    assert_string_equal(server_header(stage.server, 2, "Spoor-First"), "21");
    stage_close(&stage);
}

static void a_journal_begun_anew_is_noticed(void **state)
{
    (void)state;
    struct upload_stage stage;
    char cursor[256];
    struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {SERVER_OK, false}, {cursor, false}};
    stage_open(&stage, steps, ARRAY_LEN(steps), 6);
    stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    struct journal_info info = upload_rig_info(&stage.journal);
    (void)cursor_of(cursor, 200, &info, info.last_sum);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 6));
    /* as the folder's thread does with a corrupt file, while the upload has it open */
    pthread_mutex_lock(&stage.journal.lock);
    journal_close(stage.journal.journal);
    assert_int_equal(journal_move_aside(stage.journal.journal_dir, &stage.err), 0);
    assert_int_equal(
        journal_open(stage.journal.journal_dir, "docs", &stage.journal.journal, &stage.err), 0);
    assert_int_equal(journal_consumer_add(stage.journal.journal, "main", 0, &stage.err), 0);
    pthread_mutex_unlock(&stage.journal.lock);
    upload_rig_commit(&stage.journal, 2, 0);
    upload_notify(stage.upload);
    /* Not before the tree is whole. */
    assert_true(server_wait(stage.server, 3));
    assert_int_equal(stage.journal.resyncs[JOURNAL_SNAPSHOT], 0);
    pthread_mutex_lock(&stage.journal.lock);
    assert_int_equal(journal_set_indexed(stage.journal.journal, &stage.err), 0);
    pthread_mutex_unlock(&stage.journal.lock);
    upload_notify(stage.upload);
    assert_true(upload_rig_wait_order(&stage.journal, JOURNAL_SNAPSHOT));
    stage_close(&stage);
}

/* --- servers that are never content --- */

static void wait_put_off(struct upload_stage *stage)
{
    while (stage_status(stage).state != UPLOAD_BACKOFF) {
        assert_true(server_count(stage->server) < 10);
        (void)sched_yield(); /* it gets there by itself */
    }
}

static void new_ids_keep_a_distance(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 200 OK\r\nSpoor-Acked: 5\r\nSpoor-Epoch: 9000000000000000\r\n"
         "Spoor-Sum: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n",
         false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_min_ns = stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    wait_put_off(&stage);
    assert_int_equal(stage.journal.resyncs[JOURNAL_NEW_ID], 1);
    stage_close(&stage);
}

static void rewinds_keep_a_distance(void **state)
{
    (void)state;
    struct upload_stage stage;
    char five[256], four[256];
    struct server_step steps[] = {{five, false}, {four, false}, {five, false}, {four, false}};
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_min_ns = stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    struct upload_journal ops = upload_rig_ops(&stage.journal);
    assert_int_equal(ops.ack(ops.ctx, "main", 20, &stage.err), 0);
    struct journal_info info = upload_rig_info(&stage.journal);
    struct reader *reader = NULL;
    assert_int_equal(reader_open(stage.journal.journal_dir, &reader, &stage.err), 0);
    info.last_seq = 5;
    assert_int_equal(reader_sum(reader, 5, &info.last_sum, &stage.err), 0);
    (void)cursor_of(five, 200, &info, info.last_sum);
    info.last_seq = 4;
    assert_int_equal(reader_sum(reader, 4, &info.last_sum, &stage.err), 0);
    (void)cursor_of(four, 409, &info, info.last_sum);
    reader_close(reader);
    stage_start(&stage);
    wait_put_off(&stage);
    assert_int_equal(stage.journal.resyncs[JOURNAL_REWIND], 1);
    stage_close(&stage);
}

/* A generation that nothing can go beyond is none. */
static void a_generation_of_all_bits(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 200 OK\r\nSpoor-Acked: 5\r\nSpoor-Epoch: 3\r\nSpoor-Sum: 0123456789abcdef\r\n"
         "Spoor-Generation: 9223372036854775806\r\nContent-Length: 0\r\n\r\n",
         false},
        {NULL, true}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage_start(&stage);
    check_part(stage.server, 1);
    assert_null(strstr(server_line(stage.server, 1), "/9223372036854775807/"));
    stage_close(&stage);
}

/* --- a tree that somebody asked for --- */

static void ask_for_tree(struct upload_stage *stage)
{
    assert_int_equal(upload_wish(stage->upload, "docs", JOURNAL_SNAPSHOT, 0, &stage->err), 0);
}

/* Rows would do just as well, and yet: it is what was asked for. */
static void a_pause_does_not_undo_it(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n", false},
        {SERVER_NOTHING_YET, false},
        {NULL, true},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 1);
    stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    assert_true(upload_rig_wait_report(&stage.journal, "row 1 is refused"));
    ask_for_tree(&stage);
    check_part(stage.server, 3);
    stage_close(&stage);
}

/* Nor does a failure in its midst, or a stop of the daemon. */
static void a_failure_and_a_restart_do_not_undo_it(void **state)
{
    (void)state;
    char cursor[256];
    struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false}, /* the part */
        {cursor, false},
        {NULL, false}, /* again, without a word */
        {cursor, false},
        {NULL, true}, /* stopped here */
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&stage.journal);
    (void)cursor_of(cursor, 200, &info, info.last_sum);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    ask_for_tree(&stage);
    check_part(stage.server, 2);
    check_part(stage.server, 4);
    check_part(stage.server, 6);
    upload_close(stage.upload);
    server_stop(stage.server);
    upload_rig_reopen(&stage.journal);
    stage.server = server_start(steps + 5, 2);
    (void)snprintf(stage.url, sizeof stage.url, "http://127.0.0.1:%d", server_port(stage.server));
    stage_start(&stage);
    check_part(stage.server, 1);
    assert_int_equal(stage.journal.resyncs[JOURNAL_SNAPSHOT], 1); /* one tree all along */
    stage_close(&stage);
}

/* Trees without rows between them keep a distance, of random length; the wish is done when that has
 * passed, whatever the server says of its cursor meanwhile. */
static void put_off(const char *cursor)
{
    const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false}, {SERVER_OK, false}, {SERVER_OK, false}, /* a part */
        {SERVER_OK, false},          {cursor, false}, /* as often as it is asked for */
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_min_ns = stage.config.retry_max_ns = 300 * CLOCK_NS_PER_MS;
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    ask_for_tree(&stage);
    assert_true(upload_rig_wait_order(&stage.journal, JOURNAL_SNAPSHOT));
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    pthread_mutex_lock(&stage.journal.lock);
    stage.journal.resyncs[JOURNAL_SNAPSHOT] = 0;
    pthread_mutex_unlock(&stage.journal.lock);
    ask_for_tree(&stage);
    assert_true(upload_rig_wait_order(&stage.journal, JOURNAL_SNAPSHOT));
    assert_int_equal(stage.journal.resyncs[JOURNAL_REWIND], 0);
    stage_close(&stage);
}

static void a_second_tree_comes_late(void **state)
{
    (void)state;
    put_off(SERVER_OK);
    put_off(SERVER_NOTHING_YET); /* rows again would bring it there, too */
}

/* The server stands at row 20, of an older epoch perhaps, and has far more than the tree. */
static void held_until_released(int64_t older, bool asked)
{
    char cursor[256];
    struct server_step steps[] = {{cursor, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.brake_count = 10;
    stage.config.brake_percent = 25;
    struct upload_journal ops = upload_rig_ops(&stage.journal);
    assert_int_equal(ops.ack(ops.ctx, "main", 20, &stage.err), 0);
    struct journal_info info = upload_rig_info(&stage.journal);
    (void)snprintf(cursor, sizeof cursor,
                   "HTTP/1.1 200 OK\r\nSpoor-Acked: 20\r\nSpoor-Epoch: %lld\r\n"
                   "Spoor-Sum: %016llx\r\nContent-Length: 16\r\n\r\n{\"entries\":1000}",
                   (long long)(info.epoch - older), (unsigned long long)info.last_sum);
    stage_start(&stage);
    if (asked) {
        assert_true(upload_rig_wait_progress(&stage.journal)); /* the cursor is known */
        ask_for_tree(&stage);
    }
    assert_true(upload_rig_wait_report(&stage.journal, "held: the server must be sent the tree"));
    assert_int_equal(stage_status(&stage).state, UPLOAD_HELD);
    assert_int_equal(stage.journal.resyncs[JOURNAL_SNAPSHOT], 0);
    assert_int_equal(upload_wish(stage.upload, "docs", JOURNAL_RELEASE, 0, &stage.err), 0);
    assert_true(upload_rig_wait_order(&stage.journal, JOURNAL_SNAPSHOT));
    stage_close(&stage);
}

static void the_brake_does_not_undo_it(void **state)
{
    (void)state;
    held_until_released(0, true);
    held_until_released(1, false); /* the server needs it, and no row is there to remind us */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_that_know_another_story),
        cmocka_unit_test(a_cursor_with_a_wrong_sum_is_a_fork),
        cmocka_unit_test(a_cursor_with_the_right_sum_needs_nothing),
        cmocka_unit_test(a_conflict_in_the_middle_moves_on),
        cmocka_unit_test(a_journal_begun_anew_is_noticed),
        cmocka_unit_test(new_ids_keep_a_distance),
        cmocka_unit_test(rewinds_keep_a_distance),
        cmocka_unit_test(a_generation_of_all_bits),
        cmocka_unit_test(a_pause_does_not_undo_it),
        cmocka_unit_test(a_failure_and_a_restart_do_not_undo_it),
        cmocka_unit_test(a_second_tree_comes_late),
        cmocka_unit_test(the_brake_does_not_undo_it),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
