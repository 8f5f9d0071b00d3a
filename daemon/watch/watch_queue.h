/* watch_queue.h: the overlapped read of watch.h on Linux, shared by inotify and fanotify: a
 * nonblocking descriptor, epoll that says when a read would complete, an eventfd that ends the
 * wait; and the hand-over of one name's records as one hint. Private to this room. */
#ifndef SPOOR_WATCH_QUEUE_H
#define SPOOR_WATCH_QUEUE_H

#include <pthread.h>

#include "wake.h"
#include "watch_private.h"

/* Records of one name that follow each other, not yet handed over. */
struct watch_gathered {
    bool any;
    uint8_t hints;
    struct file_id dir;
    struct bytes name; /* in the buffer */
    struct actor actor;
};

struct watch_queue {
    const char *what; /* "inotify", for messages */
    int fd;           /* the kernel's queue; -1: not open */
    int side_fd;      /* wakes the thread too; drained by `parse`; -1: none */
    int epoll;
    struct wake stop;
    bool stopping;        /* atomic; stop has been asked for */
    bool eager;           /* the first records of a burst are read at once */
    size_t filling_bytes; /* so much in the queue, as FIONREAD counts: no time to linger */

    pthread_mutex_t lock; /* guards the back-end's tables, and the way from read() to the sink */
    struct watch_gathered gathered;
    /* Hands over `len` bytes of records in the buffer (0: only the side descriptor is to be
     * looked at) and returns for how many bytes they stood in FIONREAD's count; the lock is held.
     */
    size_t (*parse)(void *ctx, size_t len);
    void *ctx;
    _Alignas(8) char buffer[WATCH_BUFFER_BYTES];
};

/* Nothing is open; takes hold of the lock. */
void watch_queue_init(struct watch_queue *queue, const char *what);
/* With fd (and side_fd) set: makes the wait. */
int watch_queue_open(struct watch_queue *queue, struct err *err);
/* Closes the descriptors, too. */
void watch_queue_deinit(struct watch_queue *queue);

/* A quarter of what the queue may hold, by the system's limit at that path (a count of records), in
 * FIONREAD's count of so many bytes a record. */
size_t watch_queue_filling(const char *limit_path, size_t record_bytes);

/* watch.h's run, stop and drain. */
int watch_queue_run(struct watch_queue *queue, struct err *err);
void watch_queue_stop(struct watch_queue *queue);
int watch_queue_drain(struct watch_queue *queue, struct err *err);

/* Hands over what is gathered, and gathers; the lock is held. */
void watch_flush_locked(struct watch_queue *queue, const struct watch_sink *sink);
void watch_gather_locked(struct watch_queue *queue, const struct watch_sink *sink,
                         struct file_id dir, struct bytes name, uint8_t hints,
                         const struct actor *actor);

#endif
