/* test_control.c: the control channel, both ends, of either system: whole and torn requests,
 * answers at once and later, long ones, clients that leave or are slow, too many clients, many at
 * once. What a system adds is in test_control_linux.c and test_control_windows.c.
 *
 * The server is driven by the test's own thread, one turn at a time, so that each step is seen;
 * a client that must wait meanwhile is a thread of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "control.h"
#include "err.h"
#include "helper_control.h"
#include "helper_temp.h"

#define DEADLINE_NS  (20 * CLOCK_NS_PER_S) /* reached only when something is broken */
#define LONG_ANSWER  (4 << 20)
#define SHORT_ANSWER 60000 /* bytes that both systems take before anybody reads */
#define CALLERS      8
#define CALLS        100 /* of each */

struct fixture {
    struct temp_dir dir;
    struct control *control;
    /* what the handler saw */
    int requests;
    uint64_t client; /* the last one */
    char request[CONTROL_REQUEST_MAX + 1];
    const char *answer; /* given at once; NULL: later */
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};

    assert_non_null(fixture);
    temp_dir_open(&fixture->dir);
    assert_int_equal(control_open(fixture->dir.path, &fixture->control, &err), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    control_close(fixture->control);
    temp_dir_close(&fixture->dir);
    free(fixture);
    return 0;
}

static void handle(void *ctx, uint64_t client, const char *request, size_t len)
{
    struct fixture *fixture = ctx;

    assert_true(len <= CONTROL_REQUEST_MAX);
    fixture->requests++;
    fixture->client = client;
    memcpy(fixture->request, request, len);
    fixture->request[len] = '\0';
    if (fixture->answer)
        control_answer(fixture->control, client, fixture->answer, strlen(fixture->answer));
}

/* One turn of the main loop; with `wait` until something is ready. */
static int serve(struct fixture *fixture, bool wait)
{
    int wait_ms = wait ? (int)(DEADLINE_NS / CLOCK_NS_PER_MS) : 0;

    return control_turn(fixture->control, wait_ms, handle, fixture);
}

static void serve_all(struct fixture *fixture)
{
    while (serve(fixture, false) > 0) {
    }
}

/* A client that waits for its answer in a thread. */
struct call {
    const char *dir;
    const char *request;
    struct buf answer;
    struct err err;
    int rc;
    pthread_t thread;
};

static void *run_call(void *arg)
{
    struct call *call = arg;

    call->rc = control_call(call->dir, call->request, clock_mono_ns() + DEADLINE_NS, &call->answer,
                            &call->err);
    return NULL;
}

static void start_call(struct call *call, const char *dir, const char *request)
{
    *call = (struct call){.dir = dir, .request = request};
    buf_init(&call->answer, CONTROL_LINE_MAX);
    assert_int_equal(pthread_create(&call->thread, NULL, run_call, call), 0);
}

static char *make_answer(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

static void test_call_and_answer(void **state)
{
    struct fixture *fixture = *state;
    struct call call;

    fixture->answer = "{\"ok\":true}";
    start_call(&call, fixture->dir.path, "{\"do\":\"status\"}");
    while (fixture->requests == 0)
        (void)serve(fixture, true); /* asserted by the loop */
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    assert_int_equal(call.rc, 0);
    assert_string_equal(call.answer.data, "{\"ok\":true}");
    assert_string_equal(fixture->request, "{\"do\":\"status\"}");
    buf_deinit(&call.answer);
}

static void test_long_answer_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    char *text = make_answer(LONG_ANSWER);
    int turns = 0;

    fixture->answer = text;
    start_call(&call, fixture->dir.path, "{}");
    while (fixture->requests == 0)
        (void)serve(fixture, true); /* asserted by the loop */
    /* More than the system takes at once: the rest goes as the client reads. */
    for (; control_client_count(fixture->control) > 0; turns++)
        assert_true(serve(fixture, true) > 0);
    assert_true(turns > 0);
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    assert_int_equal(call.rc, 0);
    assert_int_equal(call.answer.len, LONG_ANSWER);
    assert_memory_equal(call.answer.data, text, LONG_ANSWER);
    buf_deinit(&call.answer);
    free(text);
}

static void test_torn_request(void **state)
{
    struct fixture *fixture = *state;
    const char *request = "{\"do\":\"sync\"}";
    char one[2] = "";
    char answer[64];
    struct rawline line = rawline_open(fixture->dir.path);

    fixture->answer = "yes";
    for (const char *at = request; *at; at++) {
        one[0] = *at;
        rawline_send(line, one);
        serve_all(fixture);
        assert_int_equal(fixture->requests, 0);
    }
    rawline_send(line, "\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    assert_string_equal(fixture->request, request);
    (void)rawline_read(line, answer, sizeof answer);
    assert_string_equal(answer, "yes\n");
    rawline_close(line);
}

static void test_request_too_long(void **state)
{
    struct fixture *fixture = *state;
    char text[CONTROL_REQUEST_MAX + 2];
    char answer[128];
    struct rawline line = rawline_open(fixture->dir.path);

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    /* In two parts: a pipe may take no more than a request unread. */
    rawline_send(line, text + CONTROL_REQUEST_MAX / 2);
    serve_all(fixture);
    text[CONTROL_REQUEST_MAX / 2] = '\0';
    rawline_send(line, text);
    serve_all(fixture);
    assert_int_equal(fixture->requests, 0);
    (void)rawline_read(line, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"ok\":false"));
    assert_non_null(strstr(answer, "too long"));
    rawline_close(line);
}

static void test_answer_later(void **state)
{
    struct fixture *fixture = *state;
    char answer[64];
    struct rawline line = rawline_open(fixture->dir.path);

    rawline_send(line, "{}\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    assert_true(control_has_client(fixture->control, fixture->client));
    assert_false(control_has_client(fixture->control, fixture->client + 1));
    control_answer(fixture->control, fixture->client + 1, "no", 2);
    control_answer(fixture->control, fixture->client, "late", 4);
    assert_false(control_has_client(fixture->control, fixture->client));
    serve_all(fixture); /* a pipe's end is closed when the write is told to be through */
    (void)rawline_read(line, answer, sizeof answer);
    assert_string_equal(answer, "late\n");
    rawline_close(line);
}

static void test_client_that_leaves(void **state)
{
    struct fixture *fixture = *state;
    struct rawline line = rawline_open(fixture->dir.path);

    rawline_send(line, "{}\n");
    serve_all(fixture);
    assert_true(control_has_client(fixture->control, fixture->client));
    rawline_close(line);
    assert_int_equal(serve(fixture, true), 1); /* the hang-up wakes the loop */
    assert_false(control_has_client(fixture->control, fixture->client));
    control_answer(fixture->control, fixture->client, "unheard", 7);
    line = rawline_open(fixture->dir.path); /* and one that says nothing at all */
    serve_all(fixture);
    rawline_close(line);
    serve_all(fixture);
    assert_int_equal(control_client_count(fixture->control), 0);
}

static void test_too_many_clients(void **state)
{
    struct fixture *fixture = *state;
    struct rawline lines[CONTROL_CLIENTS_MAX];
    char answer[128];

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        lines[i] = rawline_open(fixture->dir.path);
        serve_all(fixture);
    }
    /* All places are taken by clients that asked nothing: the oldest has to go. */
    struct rawline late = rawline_open(fixture->dir.path);
    serve_all(fixture);
    assert_int_equal(rawline_read(lines[0], answer, sizeof answer), 0);
    rawline_close(lines[0]);
    lines[0] = late;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        rawline_send(lines[i], "{}\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, CONTROL_CLIENTS_MAX);
    /* All wait for answers now: none of them is given up for a new one. */
    late = rawline_open(fixture->dir.path);
    serve_all(fixture);
    (void)rawline_read(late, answer, sizeof answer);
    assert_non_null(strstr(answer, "too many clients"));
    rawline_close(late);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        rawline_close(lines[i]);
}

/* The server has said all and closed before the client reads anything. */
static void test_slow_client(void **state)
{
    struct fixture *fixture = *state;
    char *text = make_answer(SHORT_ANSWER), *read = make_answer(SHORT_ANSWER + 2);
    struct rawline line = rawline_open(fixture->dir.path);

    fixture->answer = text;
    rawline_send(line, "{}\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    assert_int_equal(control_client_count(fixture->control), 0);
    assert_int_equal(rawline_read(line, read, SHORT_ANSWER + 3), SHORT_ANSWER + 1);
    assert_memory_equal(read, text, SHORT_ANSWER);
    rawline_close(line);
    free(read);
    free(text);
}

static void test_client_leaves_within_its_answer(void **state)
{
    struct fixture *fixture = *state;
    char *text = make_answer(LONG_ANSWER);
    struct rawline line = rawline_open(fixture->dir.path);

    fixture->answer = text;
    rawline_send(line, "{}\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    rawline_read_some(line, 100000);
    serve_all(fixture);
    assert_int_equal(control_client_count(fixture->control), 1);
    rawline_close(line);
    while (control_client_count(fixture->control) > 0)
        assert_true(serve(fixture, true) > 0);
    free(text);
}

/* One that asks and does not wait is heard all the same. */
static void test_client_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct rawline line = rawline_open(fixture->dir.path);

    rawline_send(line, "{}\n");
    rawline_close(line);
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    assert_int_equal(control_client_count(fixture->control), 0);
}

struct caller {
    const char *dir;
    pthread_t thread;
    int bad; /* calls without a whole answer */
};

static void *call_often(void *arg)
{
    struct caller *caller = arg;
    struct buf answer;
    struct err err = {0};

    buf_init(&answer, CONTROL_LINE_MAX);
    for (int i = 0; i < CALLS; i++) {
        buf_reset(&answer);
        int rc = control_call(caller->dir, "{}", clock_mono_ns() + DEADLINE_NS, &answer, &err);
        if (rc != 0 && caller->bad == 0)
            print_message("call %d: %s\n", i, err.text);
        caller->bad += rc != 0 || answer.len != SHORT_ANSWER;
    }
    buf_deinit(&answer);
    return NULL;
}

static void test_many_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct caller callers[CALLERS];
    char *text = make_answer(SHORT_ANSWER);

    fixture->answer = text;
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.dir = fixture->dir.path};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    while (fixture->requests < CALLERS * CALLS && serve(fixture, true) > 0) {
    }
    serve_all(fixture);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].bad, 0);
    }
    assert_int_equal(fixture->requests, CALLERS * CALLS);
    free(text);
}

static void test_no_daemon(void **state)
{
    struct temp_dir dir;
    struct control *control = NULL;
    struct buf answer;
    struct err err = {0};

    (void)state; /* needs no fixture */
    buf_init(&answer, CONTROL_LINE_MAX);
    temp_dir_open(&dir);
    assert_int_equal(control_call(dir.path, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
    assert_int_equal(control_open(dir.path, &control, &err), 0);
    control_close(control);
    assert_int_equal(control_call(dir.path, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
    temp_dir_close(&dir);
    assert_int_equal(control_call(dir.path, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
    assert_int_equal(answer.len, 0);
    buf_deinit(&answer);
}

static void test_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct buf answer;
    struct err err = {0};

    /* Nobody serves: the connection waits in the backlog. */
    buf_init(&answer, CONTROL_LINE_MAX);
    int64_t deadline = clock_mono_ns() + 20 * CLOCK_NS_PER_MS;
    assert_int_equal(control_call(fixture->dir.path, "{}", deadline, &answer, &err), ERR_TIMEOUT);
    assert_true(clock_mono_ns() >= deadline);
    assert_int_equal(control_call(fixture->dir.path, "{}", 1, &answer, &err), ERR_TIMEOUT);
    buf_deinit(&answer);
}

static void test_daemon_goes_away(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    struct err err = {0};

    start_call(&call, fixture->dir.path, "{}");
    while (fixture->requests == 0)
        (void)serve(fixture, true); /* asserted by the loop */
    control_close(fixture->control);
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    assert_int_equal(call.rc, ERR_NETWORK);
    buf_deinit(&call.answer);
    assert_int_equal(control_open(fixture->dir.path, &fixture->control, &err), 0);
}

static void test_long_state_directory(void **state)
{
    char name[101], path[512] = "", whole[1024];
    struct temp_dir top;
    struct fixture fixture = {.answer = "far"};
    struct call call;
    struct err err = {0};

    (void)state; /* makes its own */
    temp_dir_open(&top);
    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int depth = 0; depth < 3; depth++) {
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof path - len, "%s%s", depth > 0 ? "/" : "", name);
        temp_mkdir(&top, path);
    }
    (void)snprintf(whole, sizeof whole, "%s/%s", top.path, path);
    assert_int_equal(control_open(whole, &fixture.control, &err), 0);
    start_call(&call, whole, "{}");
    while (fixture.requests == 0)
        (void)serve(&fixture, true); /* asserted by the loop */
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    assert_int_equal(call.rc, 0);
    assert_string_equal(call.answer.data, "far");
    buf_deinit(&call.answer);
    control_close(fixture.control);
    temp_dir_close(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_call_and_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_answer_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_request_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_that_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_clients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_leaves_within_its_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
        cmocka_unit_test(test_no_daemon),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_daemon_goes_away, set_up, tear_down),
        cmocka_unit_test(test_long_state_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
