/* watch_inotify.h: what the two halves of the inotify back-end share: watch_inotify.c asks
 * and reads, inotify_records.c turns what was read into calls of the sink. Private to them. */
#ifndef SPOOR_WATCH_INOTIFY_H
#define SPOOR_WATCH_INOTIFY_H

#include "watch_barrier.h"
#include "watch_queue.h"
#include "watch_table.h"

#define WATCH_COOKIES                                                                              \
    64 /* renames whose second half may still come: inotify(7) promises no adjacency */

struct watch_inotify {
    struct watch watch;
    struct watch_sink sink;
    struct watch_queue queue; /* its lock guards all below */
    struct watch_table table;
    int32_t barrier_watch;
    struct watch_barriers barriers;
    uint32_t cookies[WATCH_COOKIES]; /* of the last MOVED_FROM records, a ring */
    size_t cookie_next;
};

/* Hands over the `len` bytes of records in the queue's buffer; the lock is held. Returns len. */
size_t watch_inotify_parse(void *ctx, size_t len);

#endif
