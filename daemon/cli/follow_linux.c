/* follow_linux.c: see follow.h. An inotify watch on the journal's directory tells of writes
 * to journal.db-wal.
 *
 * SQLite publishes a commit after it has written and synced the log: the wal-index in the -shm
 * file is changed through a memory map, of which inotify says nothing (sqlite.org/walformat.html).
 * So a row may become visible some time after the last record about it, as long as the disk
 * takes to sync. Therefore each record is followed by further looks at growing distances, up to
 * FOLLOW_LOOK_LAST_MS; after that the wait is without limit again. An idle journal costs nothing.
 */
#include "follow.h"

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>

#include "clock.h"
#include "err.h"
#include "journal.h"

#define FOLLOW_LINGER_MS     5 /* records of one commit gather */
#define FOLLOW_LOOK_FIRST_MS 10
#define FOLLOW_LOOK_LAST_MS  10240

struct follow {
    int fd;
    int look_ms; /* distance of the next look, 0: none is due */
};

int follow_open(const char *dir, struct follow **out, struct err *err)
{
    struct follow *follow = calloc(1, sizeof(*follow));
    if (!follow)
        return err_set(err, ERR_NOMEM, 0, "following '%s': no memory", dir);
    int rc = 0;
    follow->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (follow->fd < 0)
        rc = err_os(err, errno, "cannot follow '%s'", dir);
    else if (inotify_add_watch(follow->fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) <
             0)
        rc = err_os(err, errno, "cannot follow '%s'", dir);
    if (rc) {
        follow_close(follow);
        return rc;
    }
    follow->look_ms = FOLLOW_LOOK_FIRST_MS; /* a commit may be on its way just now */
    *out = follow;
    return 0;
}

/* Empties the kernel's queue. True when journal.db itself appeared. */
static bool drain(struct follow *follow)
{
    _Alignas(struct inotify_event) char bytes[16 << 10];
    bool replaced = false;
    ssize_t len;
    while ((len = read(follow->fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
            if (event->len && (event->mask & (IN_CREATE | IN_MOVED_TO)) &&
                strcmp(event->name, JOURNAL_FILE) == 0)
                replaced = true;
            at += (ssize_t)sizeof(*event) + event->len;
        }
    }
    return replaced;
}

int follow_wait(struct follow *follow, enum follow_event *out, struct err *err)
{
    /* No events asked of standard output: POLLERR always comes when a pipe's reader has gone. */
    struct pollfd fds[2] = {{.fd = STDOUT_FILENO}, {.fd = follow->fd, .events = POLLIN}};
    int n;
    do
        n = poll(fds, 2, follow->look_ms ? follow->look_ms : -1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(err, errno, "cannot wait for the journal");
    if (fds[0].revents & (POLLERR | POLLNVAL | POLLHUP)) {
        *out = FOLLOW_CLOSED;
        return 0;
    }
    if (n == 0) {
        follow->look_ms = follow->look_ms < FOLLOW_LOOK_LAST_MS ? follow->look_ms * 2 : 0;
        *out = FOLLOW_CHANGED;
        return 0;
    }
    (void)poll(fds, 1, FOLLOW_LINGER_MS); /* only its deadline counts; an error shows next time */
    follow->look_ms = FOLLOW_LOOK_FIRST_MS;
    *out = drain(follow) ? FOLLOW_REPLACED : FOLLOW_CHANGED;
    return 0;
}

void follow_close(struct follow *follow)
{
    if (!follow)
        return;
    if (follow->fd >= 0)
        (void)close(follow->fd); /* nothing was written to it */
    free(follow);
}
