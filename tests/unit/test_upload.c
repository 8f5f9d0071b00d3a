/* test_upload.c: a real upload thread over a real journal, against a server that misbehaves on
 * script: what it sends, and what it makes of answers. Nothing sleeps: each wait ends by a call the
 * upload makes (an acknowledgement, a report) or by a request the server has read. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "helper_net.h"
#include "helper_server.h"
#include "helper_temp.h"
#include "helper_upload.h"
#include "log.h"
#include "upload.h"

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
    static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {SERVER_OK, false}};
    struct upload_stage stage;
    char expected[256];
    stage_open(&stage, steps, ARRAY_LEN(steps), 5);
    struct journal_info info = upload_rig_info(&stage.journal);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 5));
    (void)snprintf(expected, sizeof expected, "GET /v1/journals/%s/cursor", info.id);
    assert_string_equal(server_line(stage.server, 0), expected);
    (void)snprintf(expected, sizeof expected, "POST /v1/journals/%s/changes", info.id);
    assert_string_equal(server_line(stage.server, 1), expected);
    (void)snprintf(expected, sizeof expected, "\"%s-%lld-1-5\"", info.id, (long long)info.epoch);
    assert_string_equal(server_header(stage.server, 1, "Idempotency-Key"), expected);
    assert_string_equal(server_header(stage.server, 1, "Content-Type"), "application/x-ndjson");
    assert_string_equal(server_header(stage.server, 1, "Content-Encoding"), "gzip");
    assert_string_equal(server_header(stage.server, 1, "Spoor-Journal"), info.id);
    assert_string_equal(server_header(stage.server, 1, "Spoor-Folder"), "docs");
    assert_string_equal(server_header(stage.server, 1, "Spoor-First"), "1");
    assert_string_equal(server_header(stage.server, 1, "Spoor-Last"), "5");
    (void)snprintf(expected, sizeof expected, "%016llx", (unsigned long long)info.last_sum);
    assert_string_equal(server_header(stage.server, 1, "Spoor-Sum"), expected);
    (void)snprintf(expected, sizeof expected, "%016llx", (unsigned long long)info.tree_sum);
    assert_string_equal(server_header(stage.server, 1, "Spoor-Tree"), expected);
    stage_close(&stage);
}

/* The steps of a handshake and a first answer to the batch; then all goes well. */
static void fails_once(const char *answer, const char *reported)
{
    const struct server_step steps[] = {{SERVER_NOTHING_YET, false},
                                        {answer, false},
                                        {SERVER_NOTHING_YET, false},
                                        {SERVER_OK, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_min_ns = stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    assert_true(upload_rig_wait_report(&stage.journal, reported));
    assert_int_equal(server_count(stage.server), 2);
    assert_int_equal(stage.journal.acked, 0);
    upload_retry_now(stage.upload);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_int_equal(server_count(stage.server), 4);
    same_request(stage.server, 1, 3);
    assert_int_equal(stage.journal.stored_batches, 1); /* formed once */
    assert_true(upload_rig_wait_report(&stage.journal, ""));
    stage_close(&stage);
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
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 422 No\r\nContent-Length: 3\r\n\r\nbad", false}, /* 1..2 */
        {"HTTP/1.1 422 No\r\nContent-Length: 3\r\n\r\nbad", false}, /* 1 */
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 2);
    stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    assert_true(
        upload_rig_wait_report(&stage.journal, "row 1 is refused by the server (422): bad"));
    struct upload_status status = stage_status(&stage);
    assert_int_equal(status.state, UPLOAD_PAUSED);
    assert_non_null(strstr(status.error, "it is the create of 'file-00000000'"));
    upload_retry_now(stage.upload);
    assert_true(upload_rig_wait_acked(&stage.journal, 2));
    stage_close(&stage);
}

static void retries_go_on_by_themselves(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false}, /* the handshake too */
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false},
        {SERVER_NOTHING_YET, false},
        {NULL, false},
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_int_equal(server_count(stage.server), 7);
    same_request(stage.server, 2, 6);
    stage_close(&stage);
}

static void retry_after_is_waited_for(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 429 Slow\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n", false},
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    int64_t start_ms = clock_wall_ms();
    stage_start(&stage);
    assert_true(upload_rig_wait_report(&stage.journal, "answered 429"));
    struct upload_status status = stage_status(&stage);
    assert_int_equal(status.state, UPLOAD_BACKOFF);
    assert_int_equal(status.http_status, 429);
    assert_int_equal(status.failures, 1);
    assert_true(status.next_try_wall_ms >= start_ms + 100000);
    assert_true(status.next_try_wall_ms <= clock_wall_ms() + 100000);
    upload_retry_now(stage.upload);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    stage_close(&stage);
}

static void a_lost_answer_is_found_by_the_handshake(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {NULL, false},      /* the server has it, we do not know */
        {SERVER_OK, false}, /* GET cursor: it stands at the batch's last row */
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_int_equal(server_count(stage.server), 3); /* nothing was sent again */
    stage_close(&stage);
}

static void a_refusal_pauses_and_keeps_everything(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", false},
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    assert_true(upload_rig_wait_report(&stage.journal, "answered 403"));
    struct upload_status status = stage_status(&stage);
    assert_int_equal(status.state, UPLOAD_PAUSED);
    assert_true(status.next_try_wall_ms > clock_wall_ms() + 3500000);
    assert_non_null(strstr(status.error, "answered 403"));
    upload_rig_commit(&stage.journal, 5, 0);
    upload_notify(stage.upload); /* new rows do not end a pause */
    upload_retry_now(stage.upload);
    assert_true(upload_rig_wait_acked(&stage.journal, 25));
    assert_string_equal(server_header(stage.server, 3, "Spoor-Last"), "20");
    stage_close(&stage);
}

static void too_large_is_halved(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", false}, /* 1..40 */
        {"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", false}, /* 1..20 */
        {SERVER_OK, false},                                         /* 1..10, 11..20, ... */
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 40);
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 40));
    assert_int_equal(server_count(stage.server), 7);
    static const char *const lasts[] = {"40", "20", "10", "20", "30", "40"};
    for (size_t i = 0; i < ARRAY_LEN(lasts); i++)
        assert_string_equal(server_header(stage.server, i + 1, "Spoor-Last"), lasts[i]);
    assert_int_equal(stage.journal.stored_batches, 6); /* each range before it was sent */
    stage_close(&stage);
}

static void what_cannot_be_halved_pauses(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", false},
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 0);
    stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    upload_rig_commit(&stage.journal, 40, CHANGE_PARKED);
    stage_start(&stage);
    assert_true(upload_rig_wait_report(&stage.journal, "cannot be cut"));
    assert_int_equal(stage_status(&stage).state, UPLOAD_PAUSED);
    upload_retry_now(stage.upload); /* the server's limit was raised meanwhile */
    assert_true(upload_rig_wait_acked(&stage.journal, 40));
    stage_close(&stage);
}

static void a_failed_acknowledgement_is_made_up_for(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{SERVER_OK, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.format = CONFIG_FORMAT_NDJSON;
    stage.config.ack = CONFIG_ACK_STATUS;
    stage.journal.fail_acks = 3;
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_int_equal(server_count(stage.server), 1); /* what is confirmed is not sent again */
    stage_close(&stage);
}

/* Nothing is to be acknowledged, and yet somebody may wait to hear that nothing is. */
static void a_start_with_nothing_to_send_is_told(void **state)
{
    (void)state;
    for (int format = CONFIG_FORMAT_SPOOR; format <= CONFIG_FORMAT_NDJSON; format++) {
        static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {SERVER_OK, false}};
        bool log = format != CONFIG_FORMAT_SPOOR;
        struct upload_stage stage;
        stage_open(&stage, steps + log, ARRAY_LEN(steps) - log, 20);
        stage.config.format = format;
        stage.config.ack = log ? CONFIG_ACK_STATUS : CONFIG_ACK_SEQUENCE;
        stage_start(&stage);
        assert_true(upload_rig_wait_acked(&stage.journal, 20));
        upload_close(stage.upload);
        stage.journal.progress = 0;
        stage_start(&stage);
        assert_true(upload_rig_wait_progress(&stage.journal));
        assert_int_equal(upload_acked(stage.upload, "docs"), 20);
        stage_close(&stage);
    }
}

static void ndjson_goes_to_the_url_as_it_stands(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n", false}};
    struct upload_stage stage;
    size_t len;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    (void)snprintf(stage.url, sizeof stage.url, "http://127.0.0.1:%d/in?x=1",
                   server_port(stage.server));
    stage.config.format = CONFIG_FORMAT_NDJSON;
    stage.config.ack = CONFIG_ACK_STATUS;
    stage.config.compression = 0;
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_string_equal(server_line(stage.server, 0), "POST /in?x=1");
    const char *body = server_body(stage.server, 0, &len);
    assert_memory_equal(body, "{\"journal\":\"", 12);
    assert_int_equal(body[len - 1], '\n');
    stage_close(&stage);
}

static void cloudevents_are_an_array(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n", false}};
    struct upload_stage stage;
    size_t len;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    (void)snprintf(stage.url, sizeof stage.url, "http://127.0.0.1:%d/in?rows={first}-{last}",
                   server_port(stage.server));
    stage.config.format = CONFIG_FORMAT_CLOUDEVENTS;
    stage.config.ack = CONFIG_ACK_STATUS;
    stage.config.compression = 0;
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 20));
    assert_string_equal(server_line(stage.server, 0), "POST /in?rows=1-20");
    assert_string_equal(server_header(stage.server, 0, "Content-Type"),
                        "application/cloudevents-batch+json");
    const char *body = server_body(stage.server, 0, &len);
    assert_memory_equal(body, "[\n{\"specversion\"", 16);
    assert_memory_equal(body + len - 4, "}\n]\n", 4);
    stage_close(&stage);
}

static void small_batches_are_gathered(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {SERVER_OK, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 3);
    stage.config.batch_delay_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    assert_true(server_wait(stage.server, 1));
    upload_rig_commit(&stage.journal, 4, 0);
    upload_notify(stage.upload);
    upload_retry_now(stage.upload); /* `spoor sync --uploaded` does not wait for more */
    assert_true(upload_rig_wait_acked(&stage.journal, 7));
    upload_rig_commit(&stage.journal, (size_t)stage.config.batch_rows, 0);
    upload_notify(stage.upload); /* a full batch does not wait */
    assert_true(upload_rig_wait_acked(&stage.journal, 7 + stage.config.batch_rows));
    stage_close(&stage);
}

static void journals_that_come_later(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {SERVER_OK, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 0);
    char late[sizeof stage.journal.journal_dir + 8];
    (void)snprintf(late, sizeof late, "%s/late", stage.journal.dir);
    struct upload_journal ops = upload_rig_ops(&stage.journal);
    ops.dir = late;
    assert_int_equal(upload_open(&stage.config, &ops, 1, &stage.upload, &stage.err), 0);
    assert_int_equal(upload_start(stage.upload, &stage.err), 0);
    assert_int_equal(upload_acked(stage.upload, "docs"), -1);
    assert_int_equal(upload_acked(stage.upload, "other"), -1);
    upload_notify(stage.upload);
    upload_rig_commit(&stage.journal, 4, 0);
    if (!temp_alias(late, ".")) { /* all of it appears at once */
        stage_close(&stage);
        print_message("no second path to a directory can be made here\n");
        skip();
    }
    upload_notify(stage.upload);
    assert_true(upload_rig_wait_acked(&stage.journal, 4));
    stage_close(&stage);
}

static void a_consumer_registered_later(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {SERVER_OK, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 4);
    assert_int_equal(journal_consumer_remove(stage.journal.journal, "main", &stage.err), 0);
    stage_start(&stage);
    upload_notify(stage.upload);
    pthread_mutex_lock(&stage.journal.lock);
    assert_int_equal(journal_consumer_add(stage.journal.journal, "main", 0, &stage.err), 0);
    pthread_mutex_unlock(&stage.journal.lock);
    upload_notify(stage.upload);
    assert_true(upload_rig_wait_acked(&stage.journal, 4));
    stage_close(&stage);
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
        cmocka_unit_test(a_failed_acknowledgement_is_made_up_for),
        cmocka_unit_test(a_start_with_nothing_to_send_is_told),
        cmocka_unit_test(ndjson_goes_to_the_url_as_it_stands),
        cmocka_unit_test(cloudevents_are_an_array),
        cmocka_unit_test(small_batches_are_gathered),
        cmocka_unit_test(journals_that_come_later),
        cmocka_unit_test(a_consumer_registered_later),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
