/* test_transport.c: what goes over the wire and what comes back, against a server on script. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <pthread.h>

#include "clock.h"
#include "config.h"
#include "err.h"
#include "helper_net.h"
#include "helper_server.h"
#include "helper_temp.h"
#include "transport.h"

struct rig {
    struct server *server;
    struct transport *transport;
    struct config_upload config;
    struct transport_answer answer;
    struct err err;
    char url[128];
};

static void rig_open(struct rig *rig, const struct server_step *steps, size_t count)
{
    *rig = (struct rig){0};
    rig->server = server_start(steps, count);
    (void)snprintf(rig->url, sizeof rig->url, "http://127.0.0.1:%d/in", server_port(rig->server));
    rig->config = (struct config_upload){
        .name = (char *)"main",
        .url = rig->url,
        .connect_timeout_ns = 10 * CLOCK_NS_PER_S,
        .timeout_ns = 20 * CLOCK_NS_PER_S,
        .token_file = (char *)"",
        .ca_file = (char *)"",
        .client_cert = (char *)"",
        .client_key = (char *)"",
    };
    transport_answer_init(&rig->answer);
    assert_int_equal(transport_open(&rig->config, &rig->transport, &rig->err), 0);
}

static void rig_close(struct rig *rig)
{
    transport_close(rig->transport);
    transport_answer_deinit(&rig->answer);
    server_stop(rig->server);
}

static int ask(struct rig *rig, bool post)
{
    static const char *const headers[] = {"Spoor-Journal: j1", "Content-Encoding: gzip", NULL};
    struct transport_request request = {
        .url = rig->url,
        .headers = headers,
        .post = post,
        .body = post ? bytes_str("some bytes") : bytes_of(NULL, 0),
    };
    return transport_perform(rig->transport, &request, &rig->answer, &rig->err);
}

static void a_post_and_its_answer(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{"HTTP/1.1 200 OK\r\nSpoor-Acked: 42\r\n"
                                                "spoor-epoch: 7\r\nSpoor-Sum: 00000000000000ff\r\n"
                                                "Content-Length: 5\r\n\r\nhello",
                                                false}};
    struct rig rig;
    size_t len;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    assert_int_equal(ask(&rig, true), 0);
    assert_int_equal(rig.answer.status, 200);
    assert_true(rig.answer.has_acked && rig.answer.has_epoch && rig.answer.has_sum);
    assert_int_equal(rig.answer.acked, 42);
    assert_int_equal(rig.answer.epoch, 7);
    assert_int_equal(rig.answer.sum, 255);
    assert_string_equal(rig.answer.body.data, "hello");
    assert_string_equal(server_line(rig.server, 0), "POST /in");
    assert_string_equal(server_header(rig.server, 0, "Spoor-Journal"), "j1");
    assert_string_equal(server_header(rig.server, 0, "Content-Encoding"), "gzip");
    assert_null(server_header(rig.server, 0, "Expect"));
    assert_null(server_header(rig.server, 0, "Authorization"));
    assert_memory_equal(server_body(rig.server, 0, &len), "some bytes", 10);
    assert_int_equal(len, 10);
    rig_close(&rig);
}

/* Above 1 MB libcurl would ask before it sends, and wait a second for the answer. */
static void a_large_body_goes_at_once(void **state)
{
    (void)state;
    static char body[2 << 20];
    static const struct server_step steps[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false}};
    struct rig rig;
    size_t len;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    memset(body, 'x', sizeof body);
    struct transport_request request = {
        .url = rig.url, .post = true, .body = bytes_of(body, sizeof body)};
    assert_int_equal(transport_perform(rig.transport, &request, &rig.answer, &rig.err), 0);
    assert_null(server_header(rig.server, 0, "Expect"));
    assert_memory_equal(server_body(rig.server, 0, &len), body, sizeof body);
    assert_int_equal(len, sizeof body);
    rig_close(&rig);
}

static void headers_that_are_not_ours_are_not_believed(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 503 Busy\r\nSpoor-Acked: 4x\r\nSpoor-Epoch: -1\r\nSpoor-Sum: FF\r\n"
         "Retry-After: 120\r\nContent-Length: 0\r\n\r\n",
         false},
        {"HTTP/1.1 429 Slow\r\nRetry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n"
         "Content-Length: 0\r\n\r\n",
         false},
        {"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    assert_int_equal(ask(&rig, true), 0);
    assert_int_equal(rig.answer.status, 503);
    assert_false(rig.answer.has_acked || rig.answer.has_epoch || rig.answer.has_sum);
    assert_int_equal(rig.answer.retry_after_ms, 120000);
    assert_int_equal(ask(&rig, true), 0);
    assert_true(rig.answer.retry_after_ms > INT64_C(1000000000));
    assert_int_equal(ask(&rig, true), 0);
    assert_int_equal(rig.answer.status, 302);
    assert_int_equal(server_count(rig.server), 3); /* the redirect was not followed */
    rig_close(&rig);
}

static void answers_that_break_off(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 200 OK\r\nSpoor-Acked: 42\r\nContent-Length: 100\r\n\r\nhalf", false},
        {"HTTP/1.1 200 OK\r\nSpoor-Ack", false},
        {NULL, false},
        {"\x01\x02garbage", false},
    };
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        assert_int_equal(ask(&rig, true), ERR_NETWORK);
        assert_non_null(strstr(rig.err.text, rig.url));
    }
    rig_close(&rig);
}

static void nobody_listens(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NULL, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    server_stop(rig.server);
    assert_int_equal(ask(&rig, false), ERR_NETWORK);
    char first[sizeof rig.err.text];
    memcpy(first, rig.err.text, sizeof first);
    assert_int_equal(ask(&rig, false), ERR_NETWORK);
    assert_string_equal(first, rig.err.text); /* the same fault has the same words */
    transport_close(rig.transport);
    transport_answer_deinit(&rig.answer);
}

static void an_endless_answer_is_cut(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 4 << 20);
    buf_add_str(&text, "HTTP/1.1 500 Oops\r\n\r\n");
    while (text.len < 60 << 10)
        buf_add_char(&text, 'x');
    struct server_step steps[] = {{text.data, false}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    rig.answer.body.limit = 1000; /* stands for TRANSPORT_ANSWER_MAX */
    assert_int_equal(ask(&rig, false), ERR_LIMIT);
    rig_close(&rig);
    buf_deinit(&text);
}

static void silence_ends_in_a_timeout(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NULL, true}};
    struct rig rig;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    rig.config.timeout_ns = CLOCK_NS_PER_S / 5;
    int64_t start = clock_mono_ns();
    assert_int_equal(ask(&rig, false), ERR_TIMEOUT);
    int64_t took = clock_mono_ns() - start;
    assert_true(took >= CLOCK_NS_PER_S / 5 && took < 3 * CLOCK_NS_PER_S);
    rig_close(&rig);
}

/* Bytes keep coming, and there would be minutes of them. */
static void a_drip_ends_in_a_timeout(void **state)
{
    (void)state;
    static char answer[8192];
    static const struct server_step steps[] = {{answer, false}};
    struct rig rig;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{drip}";
    memset(answer, 'x', sizeof answer - 1);
    memcpy(answer, head, sizeof head - 1);
    rig_open(&rig, steps, ARRAY_LEN(steps));
    rig.config.timeout_ns = CLOCK_NS_PER_S / 2;
    assert_int_equal(ask(&rig, true), ERR_TIMEOUT);
    assert_non_null(strstr(rig.err.text, "no answer in time"));
    rig_close(&rig);
}

static void *cancel_when_asked(void *arg)
{
    struct rig *rig = arg;
    if (server_wait(rig->server, 1))
        transport_cancel(rig->transport);
    return NULL;
}

static void cancel_ends_a_request_in_flight(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NULL, true}};
    struct rig rig;
    pthread_t thread;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, &rig), 0);
    int64_t start = clock_mono_ns();
    assert_int_equal(ask(&rig, true), ERR_CANCELLED);
    assert_true(clock_mono_ns() - start < 5 * CLOCK_NS_PER_S); /* the time limit is 20 s */
    pthread_join(thread, NULL);
    assert_int_equal(ask(&rig, true), ERR_CANCELLED); /* and it stays cancelled */
    rig_close(&rig);
}

static void the_token_is_read_for_each_request(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false}};
    char dir[128], path[192];
    struct rig rig;
    temp_make(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/token", dir);
    rig_open(&rig, steps, ARRAY_LEN(steps));
    rig.config.token_file = path;
    temp_secret(path, "first-hunter2\n", true);
    assert_int_equal(ask(&rig, true), 0);
    assert_string_equal(server_header(rig.server, 0, "Authorization"), "Bearer first-hunter2");
    temp_secret(path, "second-hunter2\n", true);
    assert_int_equal(ask(&rig, true), 0);
    assert_string_equal(server_header(rig.server, 1, "Authorization"), "Bearer second-hunter2");
    /* two lines would forge a header; others could read it; it is gone: nothing is sent */
    temp_secret(path, "hunter2\nX-Forged: 1\n", true);
    assert_int_equal(ask(&rig, true), ERR_INVALID);
    assert_null(strstr(rig.err.text, "hunter2"));
    temp_secret(path, "hunter2\n", false);
    assert_true(ask(&rig, true) < 0);
    assert_null(strstr(rig.err.text, "hunter2"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ask(&rig, true), ERR_NOTFOUND);
    assert_int_equal(server_count(rig.server), 2);
    temp_delete(dir);
    rig_close(&rig);
}

static int take_piece(void *ctx, const char *bytes, size_t len)
{
    buf_add(ctx, bytes, len);
    return 0;
}

static int refuse_piece(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    return 77;
}

static void a_body_in_pieces(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false},
        {"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false},
    };
    struct rig rig;
    struct buf got;
    rig_open(&rig, steps, ARRAY_LEN(steps));
    buf_init(&got, 100);
    struct transport_request request = {.url = rig.url, .piece = take_piece, .ctx = &got};
    assert_int_equal(transport_perform(rig.transport, &request, &rig.answer, &rig.err), 0);
    assert_string_equal(got.data, "hello");
    /* the body of a refusal is not what was asked for */
    assert_int_equal(transport_perform(rig.transport, &request, &rig.answer, &rig.err), 0);
    assert_string_equal(got.data, "hello");
    assert_string_equal(rig.answer.body.data, "gone");
    request.piece = refuse_piece;
    assert_int_equal(transport_perform(rig.transport, &request, &rig.answer, &rig.err), 77);
    buf_deinit(&got);
    rig_close(&rig);
}

static void addresses(void **state)
{
    (void)state;
    static const char *const bases[] = {"http://h", "http://h/", "http://h//"};
    for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
        struct buf url;
        buf_init(&url, 200);
        transport_add_url(&url, bases[i], "j-1", "cursor");
        assert_string_equal(url.data, "http://h/v1/journals/j-1/cursor");
        buf_deinit(&url);
    }
    struct buf url;
    buf_init(&url, 200);
    transport_add_url(&url, "https://h:1/base/", "j", "tree");
    assert_string_equal(url.data, "https://h:1/base/v1/journals/j/tree");
    buf_deinit(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_and_its_answer),
        cmocka_unit_test(a_large_body_goes_at_once),
        cmocka_unit_test(headers_that_are_not_ours_are_not_believed),
        cmocka_unit_test(answers_that_break_off),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(an_endless_answer_is_cut),
        cmocka_unit_test(silence_ends_in_a_timeout),
        cmocka_unit_test(a_drip_ends_in_a_timeout),
        cmocka_unit_test(cancel_ends_a_request_in_flight),
        cmocka_unit_test(the_token_is_read_for_each_request),
        cmocka_unit_test(a_body_in_pieces),
        cmocka_unit_test(addresses),
    };
    net_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
