/* watch_inotify.h: what the two halves of the inotify back-end share: watch_inotify.c asks
 * and reads, watch_records.c turns what was read into calls of the sink. Private to them. */
#ifndef SPOOR_WATCH_INOTIFY_H
#define SPOOR_WATCH_INOTIFY_H

#include <pthread.h>

#include "wake.h"
#include "watch.h"
#include "watch_table.h"

#define WATCH_COOKIES      64   /* renames whose second half may still come: FACTS 2.3 */
#define WATCH_BARRIERS_MAX 1024 /* marks on their way through the kernel's queue */
#define BARRIER_NAME_SIZE  17   /* 16 hexadecimal digits */

struct barrier {
    uint64_t token;
    char name[BARRIER_NAME_SIZE];
};

/* Records of one name that follow each other, not yet handed over. */
struct pending {
    int32_t watch; /* -1: none */
    uint8_t hints;
    struct file_id dir;
    struct bytes name; /* in the buffer */
};

struct watch {
    struct watch_sink sink;
    int fd;          /* inotify */
    int epoll;       /* waits for fd and stop */
    int barrier_dir; /* handle */
    struct wake stop;
    bool stopping;        /* atomic; stop has been asked for */
    size_t filling_bytes; /* so much in the queue: no time to linger */

    pthread_mutex_t lock; /* guards all below, and the way from read() to the sink */
    struct watch_table table;
    int32_t barrier_watch;
    uint64_t barrier_number;
    struct barrier barriers[WATCH_BARRIERS_MAX];
    size_t barrier_count;
    uint32_t cookies[WATCH_COOKIES]; /* of the last MOVED_FROM records, a ring */
    size_t cookie_next;
    struct pending pending;
    char buffer[WATCH_BUFFER_BYTES];
};

/* Hands over the `len` bytes of records in the buffer; the lock is held. */
void watch_records_locked(struct watch *watch, size_t len);

#endif
