/* test_control.c: the control socket, both ends: whole and torn requests, answers at once and
 * later, long ones, clients that leave, too many clients, other users.
 *
 * The server is driven by the test's own thread, one poll at a time, so that each step is seen;
 * a client that must wait meanwhile is a thread of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "control_linux.h"
#include "err.h"

#define DEADLINE_NS (20 * CLOCK_NS_PER_S) /* reached only when something is broken */
#define LONG_ANSWER (4 << 20)
#define OTHER_USER  65534

struct fixture {
    char dir[64];
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
    (void)snprintf(fixture->dir, sizeof fixture->dir, "/tmp/test_control.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    assert_int_equal(control_open(fixture->dir, &fixture->control, &err), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    control_close(fixture->control);
    assert_int_equal(rmdir(fixture->dir), 0); /* also: the socket is gone */
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

/* One turn of the main loop; with `wait` blocks until something is ready. */
static int serve(struct fixture *fixture, bool wait)
{
    struct pollfd fds[CONTROL_FDS_MAX];
    size_t count = control_poll_fds(fixture->control, fds, CONTROL_FDS_MAX);
    int ready = poll(fds, count, wait ? (int)(DEADLINE_NS / CLOCK_NS_PER_MS) : 0);

    assert_true(ready >= 0);
    control_serve(fixture->control, fds, count, handle, fixture);
    return ready;
}

static void serve_all(struct fixture *fixture)
{
    while (serve(fixture, false) > 0) {
    }
}

static int connect_raw(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/" CONTROL_SOCKET, fixture->dir);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_raw(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Everything up to the end of the stream; the server must have answered and closed. */
static void read_to_end(int fd, char *out, size_t size)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(fd, out + len, size - 1 - len, 0);
        assert_true(n >= 0);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    out[len] = '\0';
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

static void test_call_and_answer(void **state)
{
    struct fixture *fixture = *state;
    struct call call;

    fixture->answer = "{\"ok\":true}";
    start_call(&call, fixture->dir, "{\"do\":\"status\"}");
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
    char *text = malloc(LONG_ANSWER + 1);
    int turns = 0;

    assert_non_null(text);
    memset(text, 'x', LONG_ANSWER);
    text[LONG_ANSWER] = '\0';
    fixture->answer = text;
    start_call(&call, fixture->dir, "{}");
    while (fixture->requests == 0)
        (void)serve(fixture, true); /* asserted by the loop */
    /* More than a socket takes at once: the rest goes as the client reads. */
    for (struct pollfd fds[CONTROL_FDS_MAX]; control_poll_fds(fixture->control, fds, 2) > 1;
         turns++)
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
    int fd = connect_raw(fixture);

    fixture->answer = "yes";
    for (const char *at = request; *at; at++) {
        one[0] = *at;
        send_raw(fd, one);
        serve_all(fixture);
        assert_int_equal(fixture->requests, 0);
    }
    send_raw(fd, "\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    assert_string_equal(fixture->request, request);
    read_to_end(fd, answer, sizeof answer);
    assert_string_equal(answer, "yes\n");
    (void)close(fd); /* read to its end */
}

static void test_request_too_long(void **state)
{
    struct fixture *fixture = *state;
    char text[CONTROL_REQUEST_MAX + 2];
    char answer[128];
    int fd = connect_raw(fixture);

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    send_raw(fd, text);
    serve_all(fixture);
    assert_int_equal(fixture->requests, 0);
    read_to_end(fd, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"ok\":false"));
    assert_non_null(strstr(answer, "too long"));
    (void)close(fd); /* read to its end */
}

static void test_answer_later(void **state)
{
    struct fixture *fixture = *state;
    char answer[64];
    int fd = connect_raw(fixture);

    send_raw(fd, "{}\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, 1);
    assert_true(control_has_client(fixture->control, fixture->client));
    assert_false(control_has_client(fixture->control, fixture->client + 1));
    /* A client that will say no more still waits for its answer. */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(serve(fixture, false), 0);
    assert_true(control_has_client(fixture->control, fixture->client));
    control_answer(fixture->control, fixture->client + 1, "no", 2);
    control_answer(fixture->control, fixture->client, "late", 4);
    assert_false(control_has_client(fixture->control, fixture->client));
    read_to_end(fd, answer, sizeof answer);
    assert_string_equal(answer, "late\n");
    (void)close(fd); /* read to its end */
}

static void test_client_that_leaves(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_raw(fixture);

    send_raw(fd, "{}\n");
    serve_all(fixture);
    assert_true(control_has_client(fixture->control, fixture->client));
    assert_int_equal(close(fd), 0);
    assert_int_equal(serve(fixture, true), 1); /* the hang-up wakes the loop */
    assert_false(control_has_client(fixture->control, fixture->client));
    control_answer(fixture->control, fixture->client, "unheard", 7);
    fd = connect_raw(fixture); /* and one that says nothing at all */
    serve_all(fixture);
    assert_int_equal(close(fd), 0);
    serve_all(fixture);
    struct pollfd fds[CONTROL_FDS_MAX];
    assert_int_equal(control_poll_fds(fixture->control, fds, CONTROL_FDS_MAX), 1);
}

static void test_too_many_clients(void **state)
{
    struct fixture *fixture = *state;
    int fds[CONTROL_CLIENTS_MAX];
    char answer[128];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_raw(fixture);
        serve_all(fixture);
    }
    /* All places are taken by clients that asked nothing: the oldest has to go. */
    int late = connect_raw(fixture);
    serve_all(fixture);
    read_to_end(fds[0], answer, sizeof answer);
    assert_string_equal(answer, "");
    (void)close(fds[0]); /* read to its end */
    fds[0] = late;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        send_raw(fds[i], "{}\n");
    serve_all(fixture);
    assert_int_equal(fixture->requests, CONTROL_CLIENTS_MAX);
    /* All wait for answers now: none of them is given up for a new one. */
    late = connect_raw(fixture);
    serve_all(fixture);
    read_to_end(late, answer, sizeof answer);
    assert_non_null(strstr(answer, "too many clients"));
    (void)close(late); /* read to its end */
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        (void)close(fds[i]); /* the test is over */
}

static void test_no_daemon(void **state)
{
    char dir[] = "/tmp/test_control_none.XXXXXX";
    struct control *control = NULL;
    struct buf answer;
    struct err err = {0};

    (void)state; /* needs no fixture */
    buf_init(&answer, CONTROL_LINE_MAX);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(control_call(dir, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
    /* What a killed daemon leaves: a name that nobody listens to; the next one replaces it. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/" CONTROL_SOCKET, dir);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(control_call(dir, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
    assert_int_equal(control_open(dir, &control, &err), 0);
    control_close(control);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(control_call(dir, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
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
    assert_int_equal(control_call(fixture->dir, "{}", deadline, &answer, &err), ERR_TIMEOUT);
    assert_true(clock_mono_ns() >= deadline);
    assert_int_equal(control_call(fixture->dir, "{}", 1, &answer, &err), ERR_TIMEOUT);
    buf_deinit(&answer);
}

static void test_daemon_goes_away(void **state)
{
    struct fixture *fixture = *state;
    struct call call;
    struct err err = {0};

    start_call(&call, fixture->dir, "{}");
    while (fixture->requests == 0)
        (void)serve(fixture, true); /* asserted by the loop */
    control_close(fixture->control);
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    assert_int_equal(call.rc, ERR_NETWORK);
    buf_deinit(&call.answer);
    assert_int_equal(control_open(fixture->dir, &fixture->control, &err), 0);
}

static void test_long_state_directory(void **state)
{
    char path[512] = "/tmp/test_control_long.XXXXXX";
    char name[101];
    struct fixture fixture = {.answer = "far"};
    struct call call;
    struct err err = {0};

    (void)state; /* makes its own */
    assert_non_null(mkdtemp(path));
    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    size_t top = strlen(path);
    for (int depth = 0; depth < 3; depth++) {
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof path - len, "/%s", name);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_int_equal(control_open(path, &fixture.control, &err), 0);
    start_call(&call, path, "{}");
    while (fixture.requests == 0)
        (void)serve(&fixture, true); /* asserted by the loop */
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    assert_int_equal(call.rc, 0);
    assert_string_equal(call.answer.data, "far");
    buf_deinit(&call.answer);
    control_close(fixture.control);
    for (size_t len = strlen(path); len > top; len -= sizeof name) {
        path[len] = '\0';
        assert_int_equal(rmdir(path), 0);
    }
    path[top] = '\0';
    assert_int_equal(rmdir(path), 0);
}

/* The mode keeps others out, and where it does not the peer's user is asked. */
static void test_other_user(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    char answer[128] = "";
    struct stat st;
    int status = 0;

    (void)snprintf(path, sizeof path, "%s/" CONTROL_SOCKET, fixture->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    if (geteuid() != 0) {
        print_message("only root can become another user: not tried\n");
        skip();
    }
    assert_int_equal(chmod(fixture->dir, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setuid(OTHER_USER) != 0)
            _exit(2);
        int fd = connect_raw(fixture);
        read_to_end(fd, answer, sizeof answer);
        _exit(strstr(answer, "another user") ? 0 : 1);
    }
    (void)serve(fixture, true); /* asserted by the child's exit code */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fixture->requests, 0);
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
        cmocka_unit_test(test_no_daemon),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_daemon_goes_away, set_up, tear_down),
        cmocka_unit_test(test_long_state_directory),
        cmocka_unit_test_setup_teardown(test_other_user, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
