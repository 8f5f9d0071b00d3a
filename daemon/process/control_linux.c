/* control_linux.c: the control socket, the server's end (unix(7), SOCK_STREAM): a handful of
 * nonblocking descriptors on the main thread's poll. Only our own user and root are heard, by
 * SO_PEERCRED, whatever the mode of the socket. Requests and answers are control.c's. */
#include "control_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "control_private.h"
#include "control_socket_linux.h"
#include "err.h"
#include "osfile.h"

#define CONTROL_BACKLOG CONTROL_CLIENTS_MAX

struct control_door {
    int dirfd;
    int listener;
    int spare; /* a descriptor kept to be given up, see turn_away() */
    int fds[CONTROL_CLIENTS_MAX];
};

void control_door_end(struct control_door *door, size_t place)
{
    (void)close(door->fds[place]); /* nothing of ours is buffered in it that could be lost */
    door->fds[place] = -1;
}

int control_door_open(const char *state_dir, struct control_door **out, struct err *err)
{
    struct sockaddr_un address;
    struct control_door *door = calloc(1, sizeof *door);
    int rc = 0;

    if (!door)
        return err_set(err, ERR_NOMEM, 0, "no memory for the control socket");
    door->listener = door->spare = -1;
    door->dirfd = osfile_open_dir(state_dir, err);
    if (door->dirfd < 0) {
        rc = door->dirfd;
        goto out;
    }
    door->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door->listener < 0) {
        rc = err_os(err, errno, "cannot make the control socket");
        goto out;
    }
    /* A socket left by a daemon that was killed; the caller holds the lock, so it is nobody's. */
    if (unlinkat(door->dirfd, CONTROL_SOCKET, 0) != 0 && errno != ENOENT) {
        rc = err_os(err, errno, "cannot remove the old '%s/" CONTROL_SOCKET "'", state_dir);
        goto out;
    }
    control_socket_address(door->dirfd, &address);
    /* Nobody can connect before listen(2), so the mode is right before the first client. */
    if (bind(door->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        fchmodat(door->dirfd, CONTROL_SOCKET, 0600, 0) != 0 ||
        listen(door->listener, CONTROL_BACKLOG) != 0 ||
        (door->spare = fcntl(door->listener, F_DUPFD_CLOEXEC, 0)) < 0)
        rc = err_os(err, errno, "cannot make '%s/" CONTROL_SOCKET "'", state_dir);
out:
    if (rc != 0) {
        control_door_close(door);
        return rc;
    }
    *out = door;
    return 0;
}

void control_door_close(struct control_door *door)
{
    if (!door)
        return;
    if (door->spare >= 0)
        (void)close(door->spare); /* as above */
    if (door->listener >= 0) {
        (void)close(door->listener); /* no data in it */
        /* Left behind it is harmless: the next daemon removes it, a client finds nobody. */
        (void)unlinkat(door->dirfd, CONTROL_SOCKET, 0);
    }
    if (door->dirfd >= 0)
        (void)close(door->dirfd); /* opened for reading */
    free(door);
}

size_t control_poll_fds(struct control *control, struct pollfd *fds, size_t max)
{
    size_t count = 0;

    if (max > 0)
        fds[count++] = (struct pollfd){.fd = control->door->listener, .events = POLLIN};
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
        fds[count++] = (struct pollfd){.fd = control->door->fds[i], .events = events};
    }
    return count;
}

/* Sends what the socket takes; the rest waits for POLLOUT. */
void control_door_send(struct control *control, struct client *client)
{
    int fd = control->door->fds[client->place];

    while (client->sent < client->out.len) {
        ssize_t n =
            send(fd, client->out.data + client->sent, client->out.len - client->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break; /* it left without waiting: its own business */
        client->sent += (size_t)n;
    }
    control_drop(control, client);
}

/* Reads what is there. True when the request's line is complete, its length in *line_len. */
static bool read_request(struct control *control, struct client *client, size_t *line_len)
{
    char chunk[CONTROL_REQUEST_MAX];

    while (client->state == CLIENT_ASKING) {
        ssize_t n = recv(control->door->fds[client->place], chunk, sizeof chunk, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            control_drop(control, client); /* gone before it asked anything */
        else if (control_take(control, client, chunk, (size_t)n, line_len))
            return true;
    }
    return false;
}

static bool peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* Out of descriptors, and poll would say for ever that somebody waits: the one kept for this moment
 * lets the client in to be closed at once. */
static void turn_away(struct control_door *door)
{
    (void)close(door->spare); /* nothing was written to it */
    int fd = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd); /* nothing was said */
    door->spare = fcntl(door->listener, F_DUPFD_CLOEXEC, 0);
}

static void accept_clients(struct control *control)
{
    struct control_door *door = control->door;

    for (;;) {
        int fd = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && door->spare >= 0) {
            turn_away(door);
            continue;
        }
        if (fd < 0)
            return; /* EAGAIN: none left */
        struct client *client = peer_allowed(fd) ? control_admit(control) : NULL;
        if (client) {
            door->fds[client->place] = fd;
            continue;
        }
        /* A courtesy; a new socket has room for it. */
        (void)send(fd, CONTROL_REFUSED, sizeof CONTROL_REFUSED - 1, MSG_NOSIGNAL);
        (void)close(fd); /* nothing else was sent */
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
        short events =
            client->state == CLIENT_FREE ? 0 : events_of(fds, count, control->door->fds[i]);
        if (events == 0)
            continue;
        switch (client->state) {
        case CLIENT_ASKING:
            /* May answer, and so free the place, before it returns. */
            if (read_request(control, client, &len))
                handle(ctx, client->number, client->in.data, len);
            break;
        case CLIENT_WAITING:
            if (events & (POLLHUP | POLLERR))
                control_drop(control, client);
            break;
        case CLIENT_READING:
            control_door_send(control, client);
            break;
        case CLIENT_FREE:
            break;
        }
    }
    /* Last: a descriptor closed above may come back here under the same number. */
    if (events_of(fds, count, control->door->listener) != 0)
        accept_clients(control);
}
