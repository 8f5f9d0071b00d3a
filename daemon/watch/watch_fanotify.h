/* watch_fanotify.h: what the two halves of the fanotify back-end share: watch_fanotify.c asks and
 * reads, fanotify_records.c turns what was read into calls of the sink. Private to them. */
#ifndef SPOOR_WATCH_FANOTIFY_H
#define SPOOR_WATCH_FANOTIFY_H

#include "handle_index.h"
#include "hash.h"
#include "inode_filter.h"
#include "watch_actor.h"
#include "watch_barrier.h"
#include "watch_queue.h"
#include "watch_table.h"

#define FANOTIFY_FSID_BYTES 8
#define FANOTIFY_EARLY_BITS 65536 /* 8 KiB */
#define FANOTIFY_RECORD_UNIT                                                                       \
    24 /* FIONREAD counts so much a record, sizeof(struct fanotify_event_metadata), without what   \
          follows it */

struct watch_fanotify {
    struct watch watch;
    struct watch_sink sink;
    struct watch_queue queue; /* its side descriptor is an inotify that watches the root alone */
    struct hash_key key;
    uint64_t barrier_handle;
    char fsid[FANOTIFY_FSID_BYTES]; /* of the marked file system */

    struct inode_filter files; /* of the folder, for records that name another place */

    /* Guarded by the queue's lock. */
    bool marked;   /* the file system of the root carries our mark */
    bool numbered; /* its handles tell inode numbers */
    struct watch_table table;
    struct handle_index index;
    int32_t last_number;
    /* A bit by the handle of each directory whose own attributes were told before it was added:
     * they may have been looked at before that, so they are told again when it is. Never cleared:
     * a bit too many costs a look. */
    uint64_t early[FANOTIFY_EARLY_BITS / 64];
    struct watch_barriers barriers;
    struct watch_actors actors;
};

/* Hands over what the side descriptor has and, with len > 0, the records in the queue's buffer;
 * the lock is held. Returns for how much they stood in FIONREAD's count. */
size_t watch_fanotify_parse(void *ctx, size_t len);

#endif
