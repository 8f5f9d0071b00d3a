/* test_upload.c: a real upload thread over a real journal, against the real collector and
 * against a server that misbehaves on script. Nothing sleeps: each wait ends by a call the
 * upload makes (an acknowledgement, a report) or by a request the server has read. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sched.h>

#include "buf.h"
#include "clock.h"
#include "collect.h"
#include "err.h"
#include "helper_net.h"
#include "helper_server.h"
#include "helper_temp.h"
#include "helper_upload.h"
#include "log.h"
#include "upload.h"

#define OK_ANSWER                                                                                  \
    "HTTP/1.1 200 OK\r\nSpoor-Acked: {last}\r\nSpoor-Epoch: {epoch}\r\nSpoor-Sum: {sum}\r\n"       \
    "Content-Length: 0\r\n\r\n"
#define NOTHING_YET "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

struct rig {
    struct upload_rig journal;
    struct server *server;
    struct config_upload config;
    struct upload *upload;
    struct err err;
    char url[128];
};

static void start_upload(struct rig *rig)
{
    struct upload_journal ops = upload_rig_ops(&rig->journal);
    assert_int_equal(upload_open(&rig->config, &ops, 1, &rig->upload, &rig->err), 0);
    assert_int_equal(upload_start(rig->upload, &rig->err), 0);
}

/* A journal with one commit of `rows` files, and a server. The upload is not started. */
static void rig_open(struct rig *rig, const struct server_step *steps, size_t count, size_t rows)
{
    *rig = (struct rig){0};
    upload_rig_open(&rig->journal, "docs", "main");
    if (rows)
        upload_rig_commit(&rig->journal, rows, 0);
    rig->server = server_start(steps, count);
    (void)snprintf(rig->url, sizeof rig->url, "http://127.0.0.1:%d/", server_port(rig->server));
    rig->config = upload_rig_config(rig->url);
}

static void rig_close(struct rig *rig)
{
    upload_close(rig->upload);
    server_stop(rig->server);
    upload_rig_close(&rig->journal);
}

static struct upload_status status_of(struct rig *rig)
{
    struct upload_status status;
    assert_int_equal(upload_status(rig->upload, &status, 1), 1);
    return status;
}

static void same_request(struct server *server, size_t x, size_t y)
{
    static const char *const names[] = {"Idempotency-Key", "Content-Digest", "Spoor-First",
                                        "Spoor-Last",      "Spoor-Prev",     "Spoor-Sum"};
    size_t len_x, len_y;
    const char *body_x = server_body(server, x, &len_x);
    const char *body_y = server_body(server, y, &len_y);
    assert_true(len_x > 0);
    assert_int_equal(len_x, len_y);
    assert_memory_equal(body_x, body_y, len_x);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char value[512];
        const char *found = server_header(server, x, names[i]);
        assert_non_null(found);
        (void)snprintf(value, sizeof value, "%s", found);
        assert_string_equal(server_header(server, y, names[i]), value);
    }
}

static void what_a_request_says(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NOTHING_YET, false}, {OK_ANSWER, false}};
    struct rig rig;
    char expected[256];
    rig_open(&rig, steps, ARRAY_LEN(steps), 5);
    struct journal_info info = upload_rig_info(&rig.journal);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 5));
    (void)snprintf(expected, sizeof expected, "GET /v1/journals/%s/cursor", info.id);
    assert_string_equal(server_line(rig.server, 0), expected);
    (void)snprintf(expected, sizeof expected, "POST /v1/journals/%s/changes", info.id);
    assert_string_equal(server_line(rig.server, 1), expected);
    (void)snprintf(expected, sizeof expected, "\"%s-%lld-1-5\"", info.id, (long long)info.epoch);
    assert_string_equal(server_header(rig.server, 1, "Idempotency-Key"), expected);
    assert_string_equal(server_header(rig.server, 1, "Content-Type"), "application/x-ndjson");
    assert_string_equal(server_header(rig.server, 1, "Content-Encoding"), "gzip");
    assert_string_equal(server_header(rig.server, 1, "Spoor-Journal"), info.id);
    assert_string_equal(server_header(rig.server, 1, "Spoor-Folder"), "docs");
    assert_string_equal(server_header(rig.server, 1, "Spoor-First"), "1");
    assert_string_equal(server_header(rig.server, 1, "Spoor-Last"), "5");
    (void)snprintf(expected, sizeof expected, "%016llx", (unsigned long long)info.last_sum);
    assert_string_equal(server_header(rig.server, 1, "Spoor-Sum"), expected);
    (void)snprintf(expected, sizeof expected, "%016llx", (unsigned long long)info.tree_sum);
    assert_string_equal(server_header(rig.server, 1, "Spoor-Tree"), expected);
    rig_close(&rig);
}

/* The steps of a handshake and a first answer to the batch; then all goes well. */
static void fails_once(const char *answer, const char *reported)
{
    const struct server_step steps[] = {
        {NOTHING_YET, false}, {answer, false}, {NOTHING_YET, false}, {OK_ANSWER, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    rig.config.retry_min_ns = rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    start_upload(&rig);
    assert_true(upload_rig_wait_report(&rig.journal, reported));
    assert_int_equal(server_count(rig.server), 2);
    assert_int_equal(rig.journal.acked, 0);
    upload_retry_now(rig.upload);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_int_equal(server_count(rig.server), 4);
    same_request(rig.server, 1, 3);
    assert_int_equal(rig.journal.stored_batches, 1); /* formed once */
    assert_true(upload_rig_wait_report(&rig.journal, ""));
    rig_close(&rig);
}

static void what_fails_is_sent_again_unchanged(void **state)
{
    (void)state;
    fails_once("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nwhy?", "answered 500: why?");
    fails_once("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "answered 503");
    fails_once("HTTP/1.1 200 OK\r\nSpoor-Acked: 20\r\nContent-Length: 100\r\n\r\nhalf",
               "broke off");
    fails_once("HTTP/1.1 200 OK\r\nSpoor-Ack", "broke off");
    fails_once(NULL, "Empty reply");
    fails_once("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsign in", "no Spoor-Acked");
    fails_once("HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n", "names no cursor");
    fails_once("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
               "answered 302");
    fails_once("HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n\x1b[31mno", "\\x1b[31mno");
}

static void a_refused_row_stops_a_replica(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {"HTTP/1.1 422 No\r\nContent-Length: 3\r\n\r\nbad", false}, /* 1..2 */
        {"HTTP/1.1 422 No\r\nContent-Length: 3\r\n\r\nbad", false}, /* 1 */
        {NOTHING_YET, false},
        {OK_ANSWER, false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 2);
    rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    start_upload(&rig);
    assert_true(upload_rig_wait_report(&rig.journal, "row 1 is refused by the server (422): bad"));
    struct upload_status status = status_of(&rig);
    assert_int_equal(status.state, UPLOAD_PAUSED);
    assert_non_null(strstr(status.error, "it is the create of 'file-00000000'"));
    upload_retry_now(rig.upload);
    assert_true(upload_rig_wait_acked(&rig.journal, 2));
    rig_close(&rig);
}

static void retries_go_on_by_themselves(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false}, /* the handshake too */
        {NOTHING_YET, false},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false},
        {NOTHING_YET, false},
        {NULL, false},
        {NOTHING_YET, false},
        {OK_ANSWER, false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_int_equal(server_count(rig.server), 7);
    same_request(rig.server, 2, 6);
    rig_close(&rig);
}

static void retry_after_is_waited_for(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {"HTTP/1.1 429 Slow\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n", false},
        {NOTHING_YET, false},
        {OK_ANSWER, false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    int64_t start_ms = clock_wall_ms();
    start_upload(&rig);
    assert_true(upload_rig_wait_report(&rig.journal, "answered 429"));
    struct upload_status status = status_of(&rig);
    assert_int_equal(status.state, UPLOAD_BACKOFF);
    assert_int_equal(status.http_status, 429);
    assert_int_equal(status.failures, 1);
    assert_true(status.next_try_wall_ms >= start_ms + 100000);
    assert_true(status.next_try_wall_ms <= clock_wall_ms() + 100000);
    upload_retry_now(rig.upload);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    rig_close(&rig);
}

static void a_lost_answer_is_found_by_the_handshake(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {NULL, false},      /* the server has it, we do not know */
        {OK_ANSWER, false}, /* GET cursor: it stands at the batch's last row */
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_int_equal(server_count(rig.server), 3); /* nothing was sent again */
    rig_close(&rig);
}

static void a_refusal_pauses_and_keeps_everything(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", false},
        {NOTHING_YET, false},
        {OK_ANSWER, false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    start_upload(&rig);
    assert_true(upload_rig_wait_report(&rig.journal, "answered 403"));
    struct upload_status status = status_of(&rig);
    assert_int_equal(status.state, UPLOAD_PAUSED);
    assert_true(status.next_try_wall_ms > clock_wall_ms() + 3500000);
    assert_non_null(strstr(status.error, "answered 403"));
    upload_rig_commit(&rig.journal, 5, 0);
    upload_notify(rig.upload); /* new rows do not end a pause */
    upload_retry_now(rig.upload);
    assert_true(upload_rig_wait_acked(&rig.journal, 25));
    assert_string_equal(server_header(rig.server, 3, "Spoor-Last"), "20");
    rig_close(&rig);
}

static void too_large_is_halved(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", false}, /* 1..40 */
        {"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", false}, /* 1..20 */
        {OK_ANSWER, false},                                         /* 1..10, 11..20, ... */
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 40);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 40));
    assert_int_equal(server_count(rig.server), 7);
    static const char *const lasts[] = {"40", "20", "10", "20", "30", "40"};
    for (size_t i = 0; i < ARRAY_LEN(lasts); i++)
        assert_string_equal(server_header(rig.server, i + 1, "Spoor-Last"), lasts[i]);
    assert_int_equal(rig.journal.stored_batches, 6); /* each range before it was sent */
    rig_close(&rig);
}

static void what_cannot_be_halved_pauses(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", false},
        {NOTHING_YET, false},
        {OK_ANSWER, false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 0);
    rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    upload_rig_commit(&rig.journal, 40, CHANGE_PARKED);
    start_upload(&rig);
    assert_true(upload_rig_wait_report(&rig.journal, "cannot be cut"));
    assert_int_equal(status_of(&rig).state, UPLOAD_PAUSED);
    upload_retry_now(rig.upload); /* the server's limit was raised meanwhile */
    assert_true(upload_rig_wait_acked(&rig.journal, 40));
    rig_close(&rig);
}

static void stop_is_quick(struct rig *rig)
{
    int64_t start = clock_mono_ns();
    upload_stop(rig->upload);
    upload_close(rig->upload);
    rig->upload = NULL;
    assert_true(clock_mono_ns() - start < CLOCK_NS_PER_S);
}

static void stop_while_a_request_hangs(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NOTHING_YET, false}, {NULL, true}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    start_upload(&rig);
    assert_true(server_wait(rig.server, 2));
    assert_int_equal(status_of(&rig).state, UPLOAD_SENDING);
    stop_is_quick(&rig);
    rig_close(&rig);
}

/* A listener whose queue is full: Linux drops further SYNs, so that a connect goes on and on. */
static void stop_while_connecting(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NOTHING_YET, false}};
    struct rig rig;
    int fillers[4], port;
    int listener = net_listen(0, &port);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        fillers[i] = net_dial(port, false);
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    (void)snprintf(rig.url, sizeof rig.url, "http://127.0.0.1:%d", port);
    start_upload(&rig);
    while (status_of(&rig).state != UPLOAD_SENDING)
        (void)sched_yield(); /* it gets there: the handshake is the first thing it does */
    stop_is_quick(&rig);
    assert_int_equal(rig.journal.reports, 0); /* it did not fail meanwhile */
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        assert_int_equal(net_close(fillers[i]), 0);
    assert_int_equal(net_close(listener), 0);
    rig_close(&rig);
}

static void stop_in_backoff_and_idle(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NULL, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    rig.config.retry_min_ns = rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    start_upload(&rig);
    assert_true(upload_rig_wait_report(&rig.journal, "Empty reply"));
    stop_is_quick(&rig);
    /* never started */
    struct upload_journal ops = upload_rig_ops(&rig.journal);
    assert_int_equal(upload_open(&rig.config, &ops, 1, &rig.upload, &rig.err), 0);
    stop_is_quick(&rig);
    rig_close(&rig);
}

static void the_stored_bytes_survive_a_restart(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {NOTHING_YET, false},
        {NULL, true}, /* killed here */
        {NOTHING_YET, false},
        {OK_ANSWER, false},
    };
    struct rig rig;
    rig_open(&rig, steps, 2, 20);
    start_upload(&rig);
    assert_true(server_wait(rig.server, 2));
    upload_close(rig.upload);
    rig.upload = NULL;
    size_t len;
    struct buf body;
    buf_init(&body, 1 << 20);
    const char *first = server_body(rig.server, 1, &len);
    buf_add(&body, first, len);
    server_stop(rig.server);

    /* another program: other level, other limits, more rows */
    upload_rig_reopen(&rig.journal);
    upload_rig_commit(&rig.journal, 7, 0);
    rig.server = server_start(steps + 2, 2);
    (void)snprintf(rig.url, sizeof rig.url, "http://127.0.0.1:%d", server_port(rig.server));
    rig.config.compression = 0;
    rig.config.batch_rows = 3;
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 27));
    const char *second = server_body(rig.server, 1, &len);
    assert_int_equal(len, body.len);
    assert_memory_equal(second, body.data, len);
    assert_string_equal(server_header(rig.server, 1, "Content-Encoding"), "gzip");
    assert_string_equal(server_header(rig.server, 2, "Spoor-First"), "21");
    assert_string_equal(server_header(rig.server, 2, "Spoor-Last"), "23");
    assert_null(server_header(rig.server, 2, "Content-Encoding"));
    buf_deinit(&body);
    rig_close(&rig);
}

/* The handshake finds a cursor; `acked` is what the consumer has before. */
static void cursor_case(int64_t acked, const char *answer, enum journal_resync order)
{
    const struct server_step steps[] = {{answer, false}, {NULL, true}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    struct upload_journal ops = upload_rig_ops(&rig.journal);
    if (acked)
        assert_int_equal(ops.ack(ops.ctx, "main", acked, &rig.err), 0);
    start_upload(&rig);
    assert_true(upload_rig_wait_order(&rig.journal, order));
    assert_true(server_wait(rig.server, 2)); /* and it goes on at once */
    rig_close(&rig);
}

static void servers_that_know_another_story(void **state)
{
    (void)state;
    cursor_case(10, NOTHING_YET, JOURNAL_REWIND);
    cursor_case(0,
                "HTTP/1.1 200 OK\r\nSpoor-Acked: 5\r\nSpoor-Epoch: 3\r\n"
                "Spoor-Sum: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n",
                JOURNAL_SNAPSHOT);
    cursor_case(0,
                "HTTP/1.1 200 OK\r\nSpoor-Acked: 5\r\nSpoor-Epoch: 9000000000000000\r\n"
                "Spoor-Sum: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n",
                JOURNAL_NEW_ID);
}

static const char *cursor_of(char out[256], const struct journal_info *info, uint64_t sum)
{
    (void)snprintf(out, 256,
                   "HTTP/1.1 200 OK\r\nSpoor-Acked: %lld\r\nSpoor-Epoch: %lld\r\n"
                   "Spoor-Sum: %016llx\r\nContent-Length: 0\r\n\r\n",
                   (long long)info->last_seq, (long long)info->epoch, (unsigned long long)sum);
    return out;
}

static void a_cursor_with_a_wrong_sum_is_a_fork(void **state)
{
    (void)state;
    struct rig rig;
    char answer[256];
    struct server_step steps[] = {{answer, false}};
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&rig.journal);
    (void)cursor_of(answer, &info, info.last_sum ^ 1);
    start_upload(&rig);
    assert_true(upload_rig_wait_order(&rig.journal, JOURNAL_NEW_EPOCH));
    assert_true(upload_rig_wait_order(&rig.journal, JOURNAL_SNAPSHOT));
    struct journal_info now = upload_rig_info(&rig.journal);
    assert_true(now.epoch > info.epoch);
    assert_int_equal(now.epoch_seq, 20);
    assert_string_equal(now.id, info.id);
    rig_close(&rig);
}

static void a_cursor_with_the_right_sum_needs_nothing(void **state)
{
    (void)state;
    struct rig rig;
    char answer[256];
    struct server_step steps[] = {{answer, false}};
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&rig.journal);
    (void)cursor_of(answer, &info, info.last_sum);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_int_equal(server_count(rig.server), 1);
    rig_close(&rig);
}

static void a_conflict_in_the_middle_moves_on(void **state)
{
    (void)state;
    struct rig rig;
    char conflict[256];
    struct server_step steps[] = {{NOTHING_YET, false}, {conflict, false}, {OK_ANSWER, false}};
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    struct journal_info info = upload_rig_info(&rig.journal);
    upload_rig_commit(&rig.journal, 10, 0);
    (void)snprintf(conflict, sizeof conflict,
                   "HTTP/1.1 409 Conflict\r\nSpoor-Acked: 20\r\nSpoor-Epoch: %lld\r\n"
                   "Spoor-Sum: %016llx\r\nContent-Length: 0\r\n\r\n",
                   (long long)info.epoch, (unsigned long long)info.last_sum);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 30));
    assert_string_equal(server_header(rig.server, 1, "Spoor-Last"), "30");
    assert_string_equal(server_header(rig.server, 2, "Spoor-First"), "21");
    rig_close(&rig);
}

static void a_failed_acknowledgement_is_made_up_for(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{OK_ANSWER, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    rig.config.format = CONFIG_FORMAT_NDJSON;
    rig.config.ack = CONFIG_ACK_STATUS;
    rig.journal.fail_acks = 3;
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_int_equal(server_count(rig.server), 1); /* what is confirmed is not sent again */
    rig_close(&rig);
}

/* Nothing is to be acknowledged, and yet somebody may wait to hear that nothing is. */
static void a_start_with_nothing_to_send_is_told(void **state)
{
    (void)state;
    for (int format = CONFIG_FORMAT_SPOOR; format <= CONFIG_FORMAT_NDJSON; format++) {
        static const struct server_step steps[] = {{NOTHING_YET, false}, {OK_ANSWER, false}};
        bool log = format != CONFIG_FORMAT_SPOOR;
        struct rig rig;
        rig_open(&rig, steps + log, ARRAY_LEN(steps) - log, 20);
        rig.config.format = format;
        rig.config.ack = log ? CONFIG_ACK_STATUS : CONFIG_ACK_SEQUENCE;
        start_upload(&rig);
        assert_true(upload_rig_wait_acked(&rig.journal, 20));
        upload_close(rig.upload);
        rig.journal.progress = 0;
        start_upload(&rig);
        assert_true(upload_rig_wait_progress(&rig.journal));
        assert_int_equal(upload_acked(rig.upload, "docs"), 20);
        rig_close(&rig);
    }
}

static void ndjson_goes_to_the_url_as_it_stands(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n", false}};
    struct rig rig;
    size_t len;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    (void)snprintf(rig.url, sizeof rig.url, "http://127.0.0.1:%d/in?x=1", server_port(rig.server));
    rig.config.format = CONFIG_FORMAT_NDJSON;
    rig.config.ack = CONFIG_ACK_STATUS;
    rig.config.compression = 0;
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_string_equal(server_line(rig.server, 0), "POST /in?x=1");
    const char *body = server_body(rig.server, 0, &len);
    assert_memory_equal(body, "{\"journal\":\"", 12);
    assert_int_equal(body[len - 1], '\n');
    rig_close(&rig);
}

static void cloudevents_are_an_array(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n", false}};
    struct rig rig;
    size_t len;
    rig_open(&rig, steps, ARRAY_LEN(steps), 20);
    (void)snprintf(rig.url, sizeof rig.url, "http://127.0.0.1:%d/in?rows={first}-{last}",
                   server_port(rig.server));
    rig.config.format = CONFIG_FORMAT_CLOUDEVENTS;
    rig.config.ack = CONFIG_ACK_STATUS;
    rig.config.compression = 0;
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 20));
    assert_string_equal(server_line(rig.server, 0), "POST /in?rows=1-20");
    assert_string_equal(server_header(rig.server, 0, "Content-Type"),
                        "application/cloudevents-batch+json");
    const char *body = server_body(rig.server, 0, &len);
    assert_memory_equal(body, "[\n{\"specversion\"", 16);
    assert_memory_equal(body + len - 4, "}\n]\n", 4);
    rig_close(&rig);
}

static void small_batches_are_gathered(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NOTHING_YET, false}, {OK_ANSWER, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 3);
    rig.config.batch_delay_ns = 3600 * CLOCK_NS_PER_S;
    start_upload(&rig);
    assert_true(server_wait(rig.server, 1));
    upload_rig_commit(&rig.journal, 4, 0);
    upload_notify(rig.upload);
    upload_retry_now(rig.upload); /* `spoor sync --uploaded` does not wait for more */
    assert_true(upload_rig_wait_acked(&rig.journal, 7));
    upload_rig_commit(&rig.journal, (size_t)rig.config.batch_rows, 0);
    upload_notify(rig.upload); /* a full batch does not wait */
    assert_true(upload_rig_wait_acked(&rig.journal, 7 + rig.config.batch_rows));
    rig_close(&rig);
}

static void journals_that_come_later(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NOTHING_YET, false}, {OK_ANSWER, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 0);
    char late[sizeof rig.journal.journal_dir + 8];
    (void)snprintf(late, sizeof late, "%s/late", rig.journal.dir);
    struct upload_journal ops = upload_rig_ops(&rig.journal);
    ops.dir = late;
    assert_int_equal(upload_open(&rig.config, &ops, 1, &rig.upload, &rig.err), 0);
    assert_int_equal(upload_start(rig.upload, &rig.err), 0);
    assert_int_equal(upload_acked(rig.upload, "docs"), -1);
    assert_int_equal(upload_acked(rig.upload, "other"), -1);
    upload_notify(rig.upload);
    upload_rig_commit(&rig.journal, 4, 0);
    if (!temp_alias(late, ".")) { /* all of it appears at once */
        rig_close(&rig);
        print_message("no second path to a directory can be made here\n");
        skip();
    }
    upload_notify(rig.upload);
    assert_true(upload_rig_wait_acked(&rig.journal, 4));
    rig_close(&rig);
}

static void a_consumer_registered_later(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NOTHING_YET, false}, {OK_ANSWER, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps), 4);
    assert_int_equal(journal_consumer_remove(rig.journal.journal, "main", &rig.err), 0);
    start_upload(&rig);
    upload_notify(rig.upload);
    pthread_mutex_lock(&rig.journal.lock);
    assert_int_equal(journal_consumer_add(rig.journal.journal, "main", 0, &rig.err), 0);
    pthread_mutex_unlock(&rig.journal.lock);
    upload_notify(rig.upload);
    assert_true(upload_rig_wait_acked(&rig.journal, 4));
    rig_close(&rig);
}

static void a_journal_begun_anew_is_noticed(void **state)
{
    (void)state;
    struct rig rig;
    char cursor[256];
    struct server_step steps[] = {{NOTHING_YET, false}, {OK_ANSWER, false}, {cursor, false}};
    rig_open(&rig, steps, ARRAY_LEN(steps), 6);
    rig.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    struct journal_info info = upload_rig_info(&rig.journal);
    (void)snprintf(cursor, sizeof cursor,
                   "HTTP/1.1 200 OK\r\nSpoor-Acked: 6\r\nSpoor-Epoch: %lld\r\n"
                   "Spoor-Sum: %016llx\r\nContent-Length: 0\r\n\r\n",
                   (long long)info.epoch, (unsigned long long)info.last_sum);
    start_upload(&rig);
    assert_true(upload_rig_wait_acked(&rig.journal, 6));
    /* as the folder's thread does with a corrupt file, while the upload has it open */
    pthread_mutex_lock(&rig.journal.lock);
    journal_close(rig.journal.journal);
    assert_int_equal(journal_move_aside(rig.journal.journal_dir, &rig.err), 0);
    assert_int_equal(journal_open(rig.journal.journal_dir, "docs", &rig.journal.journal, &rig.err),
                     0);
    assert_int_equal(journal_consumer_add(rig.journal.journal, "main", 0, &rig.err), 0);
    pthread_mutex_unlock(&rig.journal.lock);
    upload_rig_commit(&rig.journal, 2, 0);
    upload_notify(rig.upload);
    /* Not before the tree is whole. */
    assert_true(server_wait(rig.server, 3));
    assert_int_equal(rig.journal.resyncs[JOURNAL_SNAPSHOT], 0);
    pthread_mutex_lock(&rig.journal.lock);
    assert_int_equal(journal_set_indexed(rig.journal.journal, &rig.err), 0);
    pthread_mutex_unlock(&rig.journal.lock);
    upload_notify(rig.upload);
    assert_true(upload_rig_wait_order(&rig.journal, JOURNAL_SNAPSHOT));
    rig_close(&rig);
}

struct gathered {
    struct buf text;
};

static int gather(void *ctx, const char *bytes, size_t len)
{
    struct gathered *gathered = ctx;
    buf_add(&gathered->text, bytes, len);
    return 0;
}

static void check_server_has(const struct config_upload *config, struct upload_rig *journal)
{
    struct gathered got;
    struct err err = {0};
    char expected[64];
    struct journal_info info = upload_rig_info(journal);
    buf_init(&got.text, 64 << 20);
    assert_int_equal(upload_fetch(config, info.id, "cursor", gather, &got, &err), 0);
    (void)snprintf(expected, sizeof expected, "\"seq\":%lld,", (long long)info.last_seq);
    assert_non_null(strstr(got.text.data, expected));
    (void)snprintf(expected, sizeof expected, "\"tree_sum\":\"%016llx\"",
                   (unsigned long long)info.tree_sum);
    assert_non_null(strstr(got.text.data, expected));
    (void)snprintf(expected, sizeof expected, "\"entries\":%lld", (long long)journal->files);
    assert_non_null(strstr(got.text.data, expected));
    buf_reset(&got.text);
    assert_int_equal(upload_fetch(config, info.id, "tree", gather, &got, &err), 0);
    int64_t lines = 0;
    for (size_t i = 0; i < got.text.len; i++)
        lines += got.text.data[i] == '\n';
    assert_int_equal(lines, journal->files);
    assert_int_equal(upload_fetch(config, "no-such-journal", "tree", gather, &got, &err),
                     ERR_NOTFOUND);
    buf_deinit(&got.text);
}

static void two_journals_reach_the_collector(void **state)
{
    (void)state;
    struct upload_rig one, two;
    struct collect *collect;
    struct upload *upload;
    struct err err = {0};
    char url[64], store[300];
    upload_rig_open(&one, "docs", "main");
    upload_rig_open(&two, "photos", "main");
    upload_rig_commit(&one, 2500, 0);
    upload_rig_commit(&two, 10, 0);
    (void)snprintf(store, sizeof store, "%s/store", one.dir);
    struct collect_options options = {.listen = "127.0.0.1:0", .store = store};
    assert_int_equal(collect_open(&options, &collect, &err), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", collect_port(collect));
    struct config_upload config = upload_rig_config(url);
    struct upload_journal ops[] = {upload_rig_ops(&one), upload_rig_ops(&two)};
    assert_int_equal(upload_open(&config, ops, 2, &upload, &err), 0);
    assert_int_equal(upload_start(upload, &err), 0);
    assert_true(upload_rig_wait_acked(&one, 2500));
    assert_true(upload_rig_wait_acked(&two, 10));
    for (int i = 0; i < 20; i++) {
        upload_rig_commit(&one, 30, 0);
        upload_rig_commit(&two, 1, 0);
        upload_notify(upload);
    }
    assert_true(upload_rig_wait_acked(&one, 3100));
    assert_true(upload_rig_wait_acked(&two, 30));
    check_server_has(&config, &one);
    check_server_has(&config, &two);

    /* the server goes away and comes back elsewhere, with what it had */
    collect_close(collect);
    upload_rig_commit(&one, 5, 0);
    upload_notify(upload);
    assert_true(upload_rig_wait_report(&one, "cannot reach"));
    upload_close(upload);
    assert_int_equal(collect_open(&options, &collect, &err), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", collect_port(collect));
    assert_int_equal(upload_open(&config, ops, 2, &upload, &err), 0);
    assert_int_equal(upload_start(upload, &err), 0);
    assert_true(upload_rig_wait_acked(&one, 3105));
    check_server_has(&config, &one);
    assert_true(upload_rig_wait_report(&one, "")); /* comes after the counting */
    struct upload_status status[2];
    assert_int_equal(upload_status(upload, status, 2), 2);
    assert_string_equal(status[0].folder, "docs");
    assert_int_equal(status[0].acked, 3105);
    assert_int_equal(status[0].sent_rows, 5);
    assert_int_equal(status[0].sent_batches, 1);
    upload_close(upload);
    collect_close(collect);
    upload_rig_close(&one);
    upload_rig_close(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_request_says),
        cmocka_unit_test(what_fails_is_sent_again_unchanged),
        cmocka_unit_test(a_refused_row_stops_a_replica),
        cmocka_unit_test(retries_go_on_by_themselves),
        cmocka_unit_test(retry_after_is_waited_for),
        cmocka_unit_test(a_lost_answer_is_found_by_the_handshake),
        cmocka_unit_test(a_refusal_pauses_and_keeps_everything),
        cmocka_unit_test(too_large_is_halved),
        cmocka_unit_test(what_cannot_be_halved_pauses),
        cmocka_unit_test(stop_while_a_request_hangs),
        cmocka_unit_test(stop_while_connecting),
        cmocka_unit_test(stop_in_backoff_and_idle),
        cmocka_unit_test(the_stored_bytes_survive_a_restart),
        cmocka_unit_test(servers_that_know_another_story),
        cmocka_unit_test(a_cursor_with_a_wrong_sum_is_a_fork),
        cmocka_unit_test(a_cursor_with_the_right_sum_needs_nothing),
        cmocka_unit_test(a_conflict_in_the_middle_moves_on),
        cmocka_unit_test(a_failed_acknowledgement_is_made_up_for),
        cmocka_unit_test(a_start_with_nothing_to_send_is_told),
        cmocka_unit_test(ndjson_goes_to_the_url_as_it_stands),
        cmocka_unit_test(cloudevents_are_an_array),
        cmocka_unit_test(small_batches_are_gathered),
        cmocka_unit_test(journals_that_come_later),
        cmocka_unit_test(a_consumer_registered_later),
        cmocka_unit_test(a_journal_begun_anew_is_noticed),
        cmocka_unit_test(two_journals_reach_the_collector),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
