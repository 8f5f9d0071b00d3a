/* helper_control_linux.c: see helper_control.h. By unix(7) and poll(2). */
#include "helper_control.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "control_linux.h"

int control_turn(struct control *control, int wait_ms,
                 void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                 void *ctx)
{
    struct pollfd fds[CONTROL_FDS_MAX];
    size_t count = control_poll_fds(control, fds, CONTROL_FDS_MAX);
    int ready = poll(fds, count, wait_ms);

    assert_true(ready >= 0);
    control_serve(control, fds, count, handle, ctx);
    return ready;
}

size_t control_client_count(struct control *control)
{
    struct pollfd fds[CONTROL_FDS_MAX];

    return control_poll_fds(control, fds, CONTROL_FDS_MAX) - 1;
}

struct rawline rawline_open(const char *state_dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/" CONTROL_SOCKET, state_dir);
    assert_true(n > 0 && (size_t)n < sizeof address.sun_path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return (struct rawline){fd};
}

void rawline_send(struct rawline line, const char *text)
{
    assert_int_equal(send((int)line.handle, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

size_t rawline_read(struct rawline line, char *out, size_t size)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = recv((int)line.handle, out + len, size - 1 - len, 0);
        assert_true(n >= 0);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    out[len] = '\0';
    return len;
}

void rawline_read_some(struct rawline line, size_t bytes)
{
    char chunk[4096];

    for (size_t len = 0; len < bytes;) {
        ssize_t n = recv((int)line.handle, chunk, sizeof chunk, 0);
        assert_true(n > 0);
        len += (size_t)n;
    }
}

void rawline_close(struct rawline line)
{
    assert_int_equal(close((int)line.handle), 0);
}
