/* test_control_linux.c: what the control socket adds to test_control.c: a socket left behind, a
 * client that will say no more, other users. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "buf.h"
#include "control.h"
#include "err.h"
#include "helper_control.h"
#include "helper_temp.h"

#define WAIT_MS    20000 /* reached only when something is broken */
#define OTHER_USER 65534

struct fixture {
    struct temp_dir dir;
    struct control *control;
    int requests;
    uint64_t client; /* the last one */
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
    char path[sizeof fixture->dir.path + sizeof CONTROL_SOCKET];
    struct stat st;

    control_close(fixture->control);
    (void)snprintf(path, sizeof path, "%s/" CONTROL_SOCKET, fixture->dir.path);
    assert_int_not_equal(stat(path, &st), 0); /* the socket is gone */
    temp_dir_close(&fixture->dir);
    free(fixture);
    return 0;
}

static void handle(void *ctx, uint64_t client, const char *request, size_t len)
{
    struct fixture *fixture = ctx;

    (void)request; /* whatever it is */
    (void)len;
    fixture->requests++;
    fixture->client = client;
}

static int serve(struct fixture *fixture, int wait_ms)
{
    return control_turn(fixture->control, wait_ms, handle, fixture);
}

/* A client that will say no more still waits for its answer. */
static void test_half_closed(void **state)
{
    struct fixture *fixture = *state;
    char answer[64];
    struct rawline line = rawline_open(fixture->dir.path);

    rawline_send(line, "{}\n");
    while (fixture->requests == 0)
        assert_true(serve(fixture, WAIT_MS) > 0);
    assert_int_equal(shutdown((int)line.handle, SHUT_WR), 0);
    assert_int_equal(serve(fixture, 0), 0);
    assert_true(control_has_client(fixture->control, fixture->client));
    control_answer(fixture->control, fixture->client, "late", 4);
    (void)rawline_read(line, answer, sizeof answer);
    assert_string_equal(answer, "late\n");
    rawline_close(line);
}

/* What a killed daemon leaves: a name that nobody listens to; the next one replaces it. */
static void test_socket_left_behind(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct temp_dir dir;
    struct control *control = NULL;
    struct buf answer;
    struct err err = {0};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state; /* makes its own */
    assert_true(fd >= 0);
    temp_dir_open(&dir);
    buf_init(&answer, CONTROL_LINE_MAX);
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/" CONTROL_SOCKET, dir.path);
    assert_true(n > 0 && (size_t)n < sizeof address.sun_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(control_call(dir.path, "{}", INT64_MAX, &answer, &err), ERR_NOTFOUND);
    assert_int_equal(control_open(dir.path, &control, &err), 0);
    control_close(control);
    buf_deinit(&answer);
    temp_dir_close(&dir);
}

/* The mode keeps others out, and where it does not the peer's user is asked. */
static void test_other_user(void **state)
{
    struct fixture *fixture = *state;
    char path[sizeof fixture->dir.path + sizeof CONTROL_SOCKET];
    char answer[128] = "";
    struct stat st;
    int status = 0;

    (void)snprintf(path, sizeof path, "%s/" CONTROL_SOCKET, fixture->dir.path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    if (geteuid() != 0) {
        print_message("only root can become another user: not tried\n");
        skip();
    }
    assert_int_equal(chmod(fixture->dir.path, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setuid(OTHER_USER) != 0)
            _exit(2);
        struct rawline line = rawline_open(fixture->dir.path);
        (void)rawline_read(line, answer, sizeof answer);
        _exit(strstr(answer, "another user") ? 0 : 1);
    }
    (void)serve(fixture, WAIT_MS); /* asserted by the child's exit code */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fixture->requests, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_half_closed, set_up, tear_down),
        cmocka_unit_test(test_socket_left_behind),
        cmocka_unit_test_setup_teardown(test_other_user, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
