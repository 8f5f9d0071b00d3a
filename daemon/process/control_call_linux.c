/* control_call_linux.c: the control socket, a client's end (unix(7), SOCK_STREAM). Any thread. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "control_private.h"
#include "control_socket_linux.h"
#include "err.h"
#include "osfile.h"

struct control_line {
    int fd;
};

void control_socket_address(int dirfd, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/" CONTROL_SOCKET, dirfd);
}

static int wait_ready(int fd, short events, int64_t deadline_mono_ns, struct err *err)
{
    for (;;) {
        struct pollfd waited = {.fd = fd, .events = events};
        int ms = control_left_ms(deadline_mono_ns);
        int n = poll(&waited, 1, ms);
        if (n > 0)
            return 0;
        if (n == 0 && ms == 0)
            return control_too_late(err);
        if (n < 0 && errno != EINTR)
            return err_os(err, errno, "cannot wait for the daemon's answer");
    }
}

static int connect_daemon(int fd, int dirfd, const char *state_dir, int64_t deadline_mono_ns,
                          struct err *err)
{
    struct sockaddr_un address;
    int ms = control_left_ms(deadline_mono_ns);
    struct timeval limit = {0}; /* for ever */

    if (ms == 0)
        return control_too_late(err);
    if (ms > 0)
        limit = (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    /* Also limits connect(2) when the daemon's backlog is full (socket(7)). */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return err_os(err, errno, "cannot set the control socket's time limit");
    control_socket_address(dirfd, &address);
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
        if (errno == EAGAIN)
            return control_too_late(err);
        return err_os(err, errno, "cannot reach the daemon by '%s/" CONTROL_SOCKET "'", state_dir);
    }
    return 0;
}

int control_line_open(const char *state_dir, int64_t deadline_mono_ns, struct control_line **out,
                      struct err *err)
{
    struct control_line *line = NULL;
    int rc = 0;
    int dirfd = osfile_open_dir(state_dir, err);

    if (dirfd == ERR_NOTFOUND)
        return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
    if (dirfd < 0)
        return dirfd;
    line = calloc(1, sizeof *line);
    if (!line) {
        rc = err_set(err, ERR_NOMEM, 0, "no memory for a call of the daemon");
        goto out;
    }
    line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0)
        rc = err_os(err, errno, "cannot make a socket");
    else
        rc = connect_daemon(line->fd, dirfd, state_dir, deadline_mono_ns, err);
out:
    (void)close(dirfd); /* opened for reading */
    if (rc != 0)
        control_line_close(line);
    else
        *out = line;
    return rc;
}

void control_line_close(struct control_line *line)
{
    if (!line)
        return;
    if (line->fd >= 0)
        (void)close(line->fd); /* all was said */
    free(line);
}

int control_line_send(struct control_line *line, const char *bytes, size_t len,
                      int64_t deadline_mono_ns, struct err *err)
{
    int rc = 0;

    for (size_t sent = 0; rc == 0 && sent < len;) {
        ssize_t n = send(line->fd, bytes + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            rc = wait_ready(line->fd, POLLOUT, deadline_mono_ns, err);
        else if (errno == EPIPE)
            break; /* refused: the reason can still be read */
        else if (errno != EINTR)
            rc = err_os(err, errno, "cannot ask the daemon");
    }
    return rc;
}

int control_line_read(struct control_line *line, char *chunk, size_t size, int64_t deadline_mono_ns,
                      size_t *count, struct err *err)
{
    for (;;) {
        int rc = wait_ready(line->fd, POLLIN, deadline_mono_ns, err);
        if (rc != 0)
            return rc;
        ssize_t n = recv(line->fd, chunk, size, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0 && errno != ECONNRESET)
            return err_os(err, errno, "cannot read the daemon's answer");
        *count = n > 0 ? (size_t)n : 0;
        return 0;
    }
}
