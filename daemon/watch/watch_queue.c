/* watch_queue.c: waiting for the kernel's queue, lingering, reading, handing over.
 *
 * The watch thread runs watch_queue_run(); everything else may be called from any thread. One lock
 * covers reading, parsing and handing over, so that records reach the sink in the kernel's order
 * whoever reads them. Idle, the thread sleeps without a timeout. */
#include "watch_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "err.h"
#include "num.h"

#define QUEUE_DEFAULT 16384 /* records: the kernel's own default of both */

static size_t queued_bytes(const struct watch_queue *queue)
{
    int bytes = 0;
    /* FIONREAD on these descriptors cannot fail; were it to, 0 means one read less. */
    (void)ioctl(queue->fd, FIONREAD, &bytes);
    return bytes > 0 ? (size_t)bytes : 0;
}

/* One read, completed at once or not at all. *stood_for 0: the queue is empty. */
static int read_locked(struct watch_queue *queue, size_t *stood_for, struct err *err)
{
    ssize_t n = read(queue->fd, queue->buffer, sizeof queue->buffer);
    *stood_for = n > 0 ? queue->parse(queue->ctx, (size_t)n) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return err_os(err, errno, "cannot read from %s", queue->what);
    return 0;
}

/* Hands over what is queued now, and no more than that: a writer who never pauses must not keep
 * the caller here. The lock is let go between reads so that watch_add() gets in. */
static int drain(struct watch_queue *queue, bool until_stop, struct err *err)
{
    size_t wanted = 0, done = 0, got;
    int code = 0;
    do {
        pthread_mutex_lock(&queue->lock);
        if (done == 0) {
            if (queue->side_fd >= 0)
                (void)queue->parse(queue->ctx, 0); /* it has no share in the count */
            wanted = queued_bytes(queue);
        }
        got = 0;
        if (wanted > 0)
            code = read_locked(queue, &got, err);
        pthread_mutex_unlock(&queue->lock);
        done += got;
        if (until_stop && __atomic_load_n(&queue->stopping, __ATOMIC_ACQUIRE))
            break;
    } while (code == 0 && got > 0 && done < wanted);
    return code;
}

void watch_queue_init(struct watch_queue *queue, const char *what)
{
    queue->what = what;
    queue->fd = queue->side_fd = queue->epoll = queue->stop.fd = -1;
    pthread_mutex_init(&queue->lock, NULL);
}

size_t watch_queue_filling(const char *limit_path, size_t record_bytes)
{
    int64_t records = QUEUE_DEFAULT;
    char text[32] = "";
    int fd = open(limit_path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
        /* Unreadable or odd: the kernel's default stays. */
        (void)num_parse_i64(text, 1, INT32_MAX, &records);
        close(fd);
    }
    return (size_t)records * record_bytes / 4;
}

static int wait_for(const struct watch_queue *queue, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(queue->epoll, EPOLL_CTL_ADD, fd, &event);
}

int watch_queue_open(struct watch_queue *queue, struct err *err)
{
    int code = wake_open(&queue->stop, err);
    if (code)
        return code;
    queue->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (queue->epoll < 0 || wait_for(queue, queue->fd) || wait_for(queue, queue->stop.fd) ||
        (queue->side_fd >= 0 && wait_for(queue, queue->side_fd)))
        return err_os(err, errno, "cannot wait for %s", queue->what);
    return 0;
}

void watch_queue_deinit(struct watch_queue *queue)
{
    if (queue->epoll >= 0)
        close(queue->epoll);
    if (queue->fd >= 0)
        close(queue->fd);
    if (queue->side_fd >= 0)
        close(queue->side_fd);
    wake_close(&queue->stop);
    pthread_mutex_destroy(&queue->lock);
}

int watch_queue_run(struct watch_queue *queue, struct err *err)
{
    for (;;) {
        struct epoll_event event;
        int ready = epoll_wait(queue->epoll, &event, 1, -1);
        if (ready < 0 && errno != EINTR)
            return err_os(err, errno, "cannot wait for %s", queue->what);
        if (__atomic_load_n(&queue->stopping, __ATOMIC_ACQUIRE))
            return 0;
        if (ready <= 0)
            continue;
        int code = queue->eager ? drain(queue, true, err) : 0;
        if (code)
            return code;
        /* Lingering: records gather while only a stop can wake us. */
        if (queued_bytes(queue) < queue->filling_bytes &&
            wake_wait(&queue->stop, clock_mono_ns() + WATCH_LINGER_MS * CLOCK_NS_PER_MS))
            return 0;
        code = drain(queue, true, err);
        if (code)
            return code;
    }
}

void watch_queue_stop(struct watch_queue *queue)
{
    __atomic_store_n(&queue->stopping, true, __ATOMIC_RELEASE);
    wake_set(&queue->stop);
}

int watch_queue_drain(struct watch_queue *queue, struct err *err)
{
    return drain(queue, false, err);
}

void watch_flush_locked(struct watch_queue *queue, const struct watch_sink *sink)
{
    struct watch_gathered *gathered = &queue->gathered;
    if (gathered->any)
        sink->hint(sink->ctx, gathered->dir, gathered->name, gathered->hints, &gathered->actor);
    gathered->any = false;
}

void watch_gather_locked(struct watch_queue *queue, const struct watch_sink *sink,
                         struct file_id dir, struct bytes name, uint8_t hints,
                         const struct actor *actor)
{
    struct watch_gathered *gathered = &queue->gathered;
    bool same =
        gathered->any && file_id_equal(gathered->dir, dir) && bytes_equal(gathered->name, name);
    /* "Closed, then written again" must not read as "written, then closed". */
    bool reopened = (gathered->hints & HINT_CLOSED) && (hints & HINT_CONTENT);
    if (same && !reopened) {
        gathered->hints |= hints;
        if (actor && actor->pid)
            gathered->actor = *actor;
        return;
    }
    watch_flush_locked(queue, sink);
    *gathered = (struct watch_gathered){.any = true, .hints = hints, .dir = dir, .name = name};
    if (actor)
        gathered->actor = *actor;
}
