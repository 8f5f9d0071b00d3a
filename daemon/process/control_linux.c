/* control_linux.c: the control socket, both ends (unix(7), SOCK_STREAM).
 *
 * The server is a handful of nonblocking descriptors on the main thread's poll: a client
 * sends one line, gets one line, is closed. Memory is bounded by CONTROL_CLIENTS_MAX requests
 * and answers. Only our own user and root are heard, by SO_PEERCRED, whatever the mode of the
 * socket. Leaves the meaning of requests to daemon.c. The client end is for the command line,
 * any thread. */
#include "control_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "osfile.h"

#define CONTROL_BACKLOG CONTROL_CLIENTS_MAX
#define CONTROL_CHUNK   16384 /* bytes read at once */

enum client_state {
    CLIENT_FREE,
    CLIENT_ASKING,  /* its line is not complete */
    CLIENT_WAITING, /* handed over, no answer yet */
    CLIENT_READING, /* the answer is on its way */
};

struct client {
    enum client_state state;
    int fd;
    uint64_t number; /* never used again: an answer to a client that left finds nobody */
    struct buf in;
    struct buf out;
    size_t sent;
};

struct control {
    int dirfd;
    int listener;
    int spare; /* a descriptor kept to be given up, see turn_away() */
    uint64_t last_number;
    struct client clients[CONTROL_CLIENTS_MAX];
};

/* The socket's name by way of the directory's descriptor (proc(5), /proc/PID/fd), so that the
 * length of the state directory's own path does not matter. */
static void socket_address(int dirfd, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/" CONTROL_SOCKET, dirfd);
}

/* ---- server ---- */

static void drop_client(struct client *client)
{
    if (client->state == CLIENT_FREE)
        return;
    (void)close(client->fd); /* nothing of ours is buffered in it that could be lost */
    buf_deinit(&client->in);
    buf_deinit(&client->out);
    *client = (struct client){.state = CLIENT_FREE, .fd = -1};
}

int control_open(const char *state_dir, struct control **out, struct err *err)
{
    struct sockaddr_un address;
    struct control *control = calloc(1, sizeof *control);
    int rc = 0;

    if (!control)
        return err_set(err, ERR_NOMEM, 0, "no memory for the control socket");
    control->listener = control->spare = -1;
    control->dirfd = osfile_open_dir(state_dir, err);
    if (control->dirfd < 0) {
        rc = control->dirfd;
        goto out;
    }
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->listener < 0) {
        rc = err_os(err, errno, "cannot make the control socket");
        goto out;
    }
    /* A socket left by a daemon that was killed; the caller holds the lock, so it is nobody's. */
    if (unlinkat(control->dirfd, CONTROL_SOCKET, 0) != 0 && errno != ENOENT) {
        rc = err_os(err, errno, "cannot remove the old '%s/" CONTROL_SOCKET "'", state_dir);
        goto out;
    }
    socket_address(control->dirfd, &address);
    /* Nobody can connect before listen(2), so the mode is right before the first client. */
    if (bind(control->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        fchmodat(control->dirfd, CONTROL_SOCKET, 0600, 0) != 0 ||
        listen(control->listener, CONTROL_BACKLOG) != 0 ||
        (control->spare = fcntl(control->listener, F_DUPFD_CLOEXEC, 0)) < 0)
        rc = err_os(err, errno, "cannot make '%s/" CONTROL_SOCKET "'", state_dir);
out:
    if (rc != 0) {
        control_close(control);
        return rc;
    }
    *out = control;
    return 0;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        drop_client(&control->clients[i]);
    if (control->spare >= 0)
        (void)close(control->spare); /* as below */
    if (control->listener >= 0) {
        (void)close(control->listener); /* no data in it */
        /* Left behind it is harmless: the next daemon removes it, a client finds nobody. */
        (void)unlinkat(control->dirfd, CONTROL_SOCKET, 0);
    }
    if (control->dirfd >= 0)
        (void)close(control->dirfd); /* opened for reading */
    free(control);
}

size_t control_poll_fds(struct control *control, struct pollfd *fds, size_t max)
{
    size_t count = 0;

    if (max > 0)
        fds[count++] = (struct pollfd){.fd = control->listener, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX && count < max; i++) {
        const struct client *client = &control->clients[i];
        short events = 0;
        if (client->state == CLIENT_FREE)
            continue;
        /* Waiting: no event but the unasked POLLHUP and POLLERR, when the client is gone. */
        if (client->state == CLIENT_ASKING)
            events = POLLIN;
        else if (client->state == CLIENT_READING)
            events = POLLOUT;
        fds[count++] = (struct pollfd){.fd = client->fd, .events = events};
    }
    return count;
}

/* Sends what the socket takes; the rest waits for POLLOUT. */
static void send_answer(struct client *client)
{
    while (client->sent < client->out.len) {
        ssize_t n = send(client->fd, client->out.data + client->sent,
                         client->out.len - client->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break; /* it left without waiting: its own business */
        client->sent += (size_t)n;
    }
    drop_client(client);
}

static void answer_client(struct client *client, const char *line, size_t len)
{
    client->state = CLIENT_READING;
    buf_add(&client->out, line, len);
    buf_add_char(&client->out, '\n');
    if (!buf_ok(&client->out)) {
        static const char failed[] =
            "{\"ok\":false,\"error\":\"the answer is too long or memory ran out\"}\n";
        buf_reset(&client->out);
        buf_add(&client->out, failed, sizeof failed - 1);
    }
    send_answer(client);
}

void control_answer(struct control *control, uint64_t client, const char *line, size_t len)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *at = &control->clients[i];
        if (at->state == CLIENT_WAITING && at->number == client) {
            answer_client(at, line, len);
            return;
        }
    }
}

bool control_has_client(const struct control *control, uint64_t client)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].state == CLIENT_WAITING && control->clients[i].number == client)
            return true;
    return false;
}

/* Reads what is there. True when the request's line is complete, its length in *line_len. */
static bool read_request(struct client *client, size_t *line_len)
{
    char chunk[CONTROL_REQUEST_MAX];

    for (;;) {
        ssize_t n = recv(client->fd, chunk, sizeof chunk, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0) {
            drop_client(client); /* gone before it asked anything */
            return false;
        }
        buf_add(&client->in, chunk, (size_t)n);
        if (!buf_ok(&client->in)) {
            static const char failed[] = "{\"ok\":false,\"error\":\"the request is too long\"}";
            answer_client(client, failed, sizeof failed - 1);
            return false;
        }
        const char *end = memchr(client->in.data, '\n', client->in.len);
        if (end) {
            *line_len = (size_t)(end - client->in.data);
            return true;
        }
    }
}

static bool peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* A free place; when all are taken, that of the oldest client that has not even asked yet. */
static struct client *find_place(struct control *control)
{
    struct client *oldest = NULL;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (client->state == CLIENT_FREE)
            return client;
        if (client->state == CLIENT_ASKING && (!oldest || client->number < oldest->number))
            oldest = client;
    }
    if (oldest)
        drop_client(oldest);
    return oldest;
}

/* Out of descriptors, and poll would say for ever that somebody waits: the one kept for this moment
 * lets the client in to be closed at once. */
static void turn_away(struct control *control)
{
    (void)close(control->spare); /* nothing was written to it */
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd); /* nothing was said */
    control->spare = fcntl(control->listener, F_DUPFD_CLOEXEC, 0);
}

static void accept_clients(struct control *control)
{
    for (;;) {
        int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && control->spare >= 0) {
            turn_away(control);
            continue;
        }
        if (fd < 0)
            return; /* EAGAIN: none left */
        struct client *client = peer_allowed(fd) ? find_place(control) : NULL;
        if (!client) {
            static const char refused[] =
                "{\"ok\":false,\"error\":\"refused: another user, or too many clients\"}\n";
            /* A courtesy; a new socket has room for it. */
            (void)send(fd, refused, sizeof refused - 1, MSG_NOSIGNAL);
            (void)close(fd); /* nothing else was sent */
            continue;
        }
        *client =
            (struct client){.state = CLIENT_ASKING, .fd = fd, .number = ++control->last_number};
        buf_init(&client->in, CONTROL_REQUEST_MAX);
        buf_init(&client->out, CONTROL_LINE_MAX + 1);
    }
}

static short events_of(const struct pollfd *fds, size_t count, int fd)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i].fd == fd)
            return fds[i].revents;
    return 0;
}

void control_serve(struct control *control, const struct pollfd *fds, size_t count,
                   void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                   void *ctx)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        size_t len = 0;
        short events = client->state == CLIENT_FREE ? 0 : events_of(fds, count, client->fd);
        if (events == 0)
            continue;
        switch (client->state) {
        case CLIENT_ASKING:
            if (read_request(client, &len)) {
                client->state = CLIENT_WAITING;
                /* May answer, and so free the place, before it returns. */
                handle(ctx, client->number, client->in.data, len);
            }
            break;
        case CLIENT_WAITING:
            if (events & (POLLHUP | POLLERR))
                drop_client(client);
            break;
        case CLIENT_READING:
            send_answer(client);
            break;
        case CLIENT_FREE:
            break;
        }
    }
    /* Last: a descriptor closed above may come back here under the same number. */
    if (events_of(fds, count, control->listener) != 0)
        accept_clients(control);
}

/* ---- client ---- */

static int64_t left_ms(int64_t deadline_mono_ns)
{
    int64_t left = deadline_mono_ns - clock_mono_ns();

    if (left <= 0)
        return 0;
    left = (left - 1) / CLOCK_NS_PER_MS + 1; /* rounded up: not awake before the deadline */
    return left < INT32_MAX ? left : INT32_MAX;
}

static int wait_ready(int fd, short events, int64_t deadline_mono_ns, struct err *err)
{
    for (;;) {
        struct pollfd waited = {.fd = fd, .events = events};
        bool forever = deadline_mono_ns == INT64_MAX;
        int64_t ms = forever ? -1 : left_ms(deadline_mono_ns);
        int n = poll(&waited, 1, (int)ms);
        if (n > 0)
            return 0;
        if (n == 0 && ms == 0)
            return err_set(err, ERR_TIMEOUT, 0, "the daemon did not answer in time");
        if (n < 0 && errno != EINTR)
            return err_os(err, errno, "cannot wait for the daemon's answer");
    }
}

static int connect_daemon(int fd, int dirfd, const char *state_dir, int64_t deadline_mono_ns,
                          struct err *err)
{
    struct sockaddr_un address;
    int64_t ms = deadline_mono_ns == INT64_MAX ? 0 : left_ms(deadline_mono_ns);
    struct timeval limit = {.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    if (deadline_mono_ns != INT64_MAX && ms == 0)
        return err_set(err, ERR_TIMEOUT, 0, "the daemon did not answer in time");
    /* Also limits connect(2) when the daemon's backlog is full (socket(7)); 0 waits for ever. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return err_os(err, errno, "cannot set the control socket's time limit");
    socket_address(dirfd, &address);
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
        if (errno == EAGAIN)
            return err_set(err, ERR_TIMEOUT, 0, "the daemon did not answer in time");
        return err_os(err, errno, "cannot reach the daemon by '%s/" CONTROL_SOCKET "'", state_dir);
    }
    return 0;
}

static int send_request(int fd, const char *request, int64_t deadline_mono_ns, struct err *err)
{
    struct buf line;
    int rc = 0;

    buf_init(&line, CONTROL_REQUEST_MAX);
    buf_add_str(&line, request);
    buf_add_char(&line, '\n');
    if (!buf_ok(&line))
        rc = err_set(err, ERR_LIMIT, 0, "the request to the daemon is too long");
    for (size_t sent = 0; rc == 0 && sent < line.len;) {
        ssize_t n = send(fd, line.data + sent, line.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            rc = wait_ready(fd, POLLOUT, deadline_mono_ns, err);
        else if (errno == EPIPE)
            break; /* refused: the reason can still be read */
        else if (errno != EINTR)
            rc = err_os(err, errno, "cannot ask the daemon");
    }
    buf_deinit(&line);
    return rc;
}

/* `line` gets everything up to the newline, without it. */
static int read_answer(int fd, int64_t deadline_mono_ns, struct buf *line, struct err *err)
{
    char chunk[CONTROL_CHUNK];

    for (;;) {
        int rc = wait_ready(fd, POLLIN, deadline_mono_ns, err);
        if (rc != 0)
            return rc;
        ssize_t n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0 && errno != ECONNRESET)
            return err_os(err, errno, "cannot read the daemon's answer");
        if (n <= 0)
            return err_set(err, ERR_NETWORK, 0,
                           "the daemon went away before it answered; see its log");
        const char *end = memchr(chunk, '\n', (size_t)n);
        buf_add(line, chunk, end ? (size_t)(end - chunk) : (size_t)n);
        if (!buf_ok(line))
            return err_set(err, ERR_LIMIT, 0, "the daemon's answer is too long");
        if (end)
            return 0;
    }
}

int control_call(const char *state_dir, const char *request, int64_t deadline_mono_ns,
                 struct buf *answer, struct err *err)
{
    struct buf line;
    int fd = -1;
    int rc;
    int dirfd = osfile_open_dir(state_dir, err);

    buf_init(&line, CONTROL_LINE_MAX);
    if (dirfd == ERR_NOTFOUND)
        return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
    if (dirfd < 0)
        return dirfd;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rc = err_os(err, errno, "cannot make a socket");
        goto out;
    }
    rc = connect_daemon(fd, dirfd, state_dir, deadline_mono_ns, err);
    if (rc == 0)
        rc = send_request(fd, request, deadline_mono_ns, err);
    if (rc == 0)
        rc = read_answer(fd, deadline_mono_ns, &line, err);
    if (rc != 0)
        goto out;
    buf_add(answer, line.data, line.len);
    if (!buf_ok(answer))
        rc = err_set(err, ERR_NOMEM, 0, "no room for the daemon's answer");
out:
    if (fd >= 0)
        (void)close(fd); /* all was said */
    (void)close(dirfd);  /* opened for reading */
    buf_deinit(&line);
    return rc;
}
