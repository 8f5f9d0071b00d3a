/* delivery.h: one journal on its way to one server: where it stands and its next step.
 *
 * Nothing here waits but for the answer of a request or of the folder's thread: a delivery
 * says when it is due, and the upload's thread (upload.c) takes turns. Only the status may
 * be read by other threads. */
#ifndef SPOOR_DELIVERY_H
#define SPOOR_DELIVERY_H

#include <pthread.h>

#include "batch.h"
#include "transport.h"
#include "upload.h"

struct delivery;

/* What the deliveries of one upload share; all but `lock` belongs to its thread. */
struct delivery_shared {
    const struct config_upload *config;
    struct transport *transport;
    struct batch_writer *writer;
    struct batch batch;             /* the bytes of the step in hand, nothing between steps */
    struct transport_answer answer; /* likewise */
    uint64_t random;                /* state of a small generator, seeded by the system */
    pthread_mutex_t lock;           /* guards each delivery's status */
};

/* `journal` is copied, its strings are not. Opens nothing: the journal may not exist yet. */
int delivery_new(struct delivery_shared *shared, const struct upload_journal *journal,
                 struct delivery **out, struct err *err);
void delivery_free(struct delivery *delivery);
/* Monotonic time of the next step; INT64_MAX: only when nudged. */
int64_t delivery_due(const struct delivery *delivery);
/* Does one thing: a handshake, a batch, or finding that there is nothing to do. */
void delivery_step(struct delivery *delivery);
/* Rows may have come; with `retry_now` also what waits in back-off, pause or for a fuller batch is
 * due. */
void delivery_nudge(struct delivery *delivery, bool retry_now);
/* Somebody wants it: JOURNAL_RELEASE, JOURNAL_RETRY or JOURNAL_DROP of `value`, or
 * JOURNAL_SNAPSHOT. The next step does it. False: another wish waits still. Any thread. */
bool delivery_wish(struct delivery *delivery, enum journal_resync what, int64_t value);
void delivery_set_stopped(struct delivery *delivery);
/* Any thread. */
void delivery_status(struct delivery *delivery, struct upload_status *out);
const char *delivery_folder(const struct delivery *delivery);

#endif
