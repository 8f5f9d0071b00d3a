/* delivery_private.h: what delivery*.c share. Nobody else includes it. */
#ifndef SPOOR_DELIVERY_PRIVATE_H
#define SPOOR_DELIVERY_PRIVATE_H

#include "delivery.h"
#include "err.h"
#include "log.h"
#include "osfile.h"
#include "rate.h"
#include "retry.h"

struct reader;

/* Turns of one kind that were taken without rows being taken between them: each waits longer. */
struct delivery_turns {
    int64_t count;
    int64_t not_before_ns; /* monotonic: the next */
};

struct delivery {
    struct upload_journal journal;
    struct delivery_shared *shared;
    struct reader *reader;       /* NULL: not open */
    struct osfile_identity file; /* of the journal file behind `reader` */
    struct journal_info info;
    int64_t acked;
    int64_t batch_last;               /* of the stored batch or part, 0 none */
    struct journal_snapshot snapshot; /* on its way; gen 0: none */
    int64_t confirmed;                /* by the server, perhaps not yet by the journal */
    int64_t rows_cap;                 /* after 413: rows a batch at most, 0 none */
    int64_t recut_rows;     /* after 413: what is stored of so many rows is not sent again */
    int64_t server_gen;     /* the newest generation that the server told us of */
    int64_t server_entries; /* as the server said last, -1 not known */
    bool resync_released;   /* the next snapshot passes the brake */
    int64_t held;           /* the brake holds at this row, 0 not */
    int64_t released;       /* rows up to this one pass the brake */
    int64_t retries;        /* rows in quarantine that are to be sent once more */
    int64_t set_aside;      /* rows in a row, without a success between them */
    bool bisecting;         /* rows_cap comes from a refusal: it grows again with each success */
    bool wished;            /* somebody wants `wish` done; guarded by shared->lock, as that is */
    struct journal_order wish;
    bool tree_wanted; /* somebody asked for a snapshot, which has not arrived yet */
    bool restart;     /* a snapshot that is on its way is to begin again */
    struct delivery_turns snapshots, rewinds, renewals;
    bool synced;   /* the server's cursor was compared since the last failure */
    bool gathered; /* a small batch has waited long enough */
    bool idle;     /* new rows make it due */
    int64_t failures;
    int64_t due_mono_ns;
    char reported[512]; /* what the consumer table says */
    struct log_limit log_limit;
    struct upload_status status; /* guarded by shared->lock */
    struct rate rate;            /* likewise; rows, or entries of a snapshot, acknowledged */
};

/* delivery.c */
bool delivery_is_replica(const struct delivery *delivery);
void delivery_set_state(struct delivery *delivery, enum upload_state state, int64_t wait_ms,
                        const char *error_or_null);
/* Due after `wait_ns`; INT64_MAX: when nudged. */
void delivery_wait(struct delivery *delivery, int64_t wait_ns, bool idle);
/* Says so in log, status and journal, and takes the next step after `wait_ms`. */
void delivery_fail(struct delivery *delivery, bool pause, int64_t wait_ms, const char *text);
/* Something of ours failed: the journal, its thread, the memory, or no answer came. */
void delivery_fail_with(struct delivery *delivery, const struct err *err);
/* Into the journal, for who looks while nothing runs; "" clears it. */
void delivery_report(struct delivery *delivery, const char *text);
void delivery_succeed(struct delivery *delivery);
/* Records what the server has confirmed. A failure is dealt with here. */
bool delivery_acknowledge(struct delivery *delivery, int64_t seq);
/* The batch in shared->batch is the server's. */
void delivery_count_sent(struct delivery *delivery);
/* 413: half the rows, and what is stored is not sent again. */
void delivery_halve(struct delivery *delivery);
uint64_t delivery_random(struct delivery *delivery);

/* delivery_form.c */
/* The bytes in shared->batch: those that were stored, if they are the next, or new ones, stored. */
int delivery_take_batch(struct delivery *delivery, struct err *err);
/* Is there anything in it for the server? A replica is told of ranges without rows too. */
bool delivery_has_rows(const struct delivery *delivery);
/* Whether a tree can be sent in place of rows that are gone: it is told in rows of kind create. */
bool delivery_takes_tree(const struct delivery *delivery);

/* delivery_answer.c */
/* Rows up to here are of no use to this consumer: gone, or, for a replica, of an older epoch. */
int64_t delivery_floor(const struct delivery *delivery);
/* What the answer in hand means for a request that was `ask`, whose first fields are the caller's.
 * False: it could not be judged, which is dealt with here. */
bool delivery_judge(struct delivery *delivery, struct retry_ask *ask, struct retry_decision *out);
/* The same, of a request that may only be refused as a whole: false also when it was, which is
 * dealt with. */
bool delivery_heed(struct delivery *delivery, struct retry_ask *ask, struct retry_decision *out);
/* A refusal: again or pause, with the beginning of what the server said about it. */
void delivery_refuse(struct delivery *delivery, const struct retry_decision *decision);

/* delivery_refused.c */
/* The server refuses rows as such, or takes no request so large. */
void delivery_bisect(struct delivery *delivery);
/* A batch was taken. */
void delivery_was_taken(struct delivery *delivery);
/* It refuses the single row in hand, for good. */
void delivery_set_aside(struct delivery *delivery, const struct retry_decision *decision);
/* Sends the first row that is to be tried once more. */
void delivery_retry_row(struct delivery *delivery);
/* ": create of 'a/b'": what the single row in hand is, for people. */
void delivery_add_row(const struct delivery *delivery, struct buf *out);

/* delivery_wish.c */
bool delivery_has_wish(struct delivery *delivery);
void delivery_do_wish(struct delivery *delivery);

/* delivery_hold.c */
struct brake;
int delivery_set_brake(struct delivery *delivery, struct brake *out, struct err *err);
/* The brake stops the batch that comes next: says so, and waits until it is let go. */
void delivery_begin_hold(struct delivery *delivery);
/* The brake stops a snapshot, which would take too much from the server: likewise. */
bool delivery_holds_snapshot(struct delivery *delivery);
/* The same where the journal knows already. */
void delivery_hold(struct delivery *delivery);

/* delivery_resync.c */
/* Does what a decision says that is neither an acknowledgement nor a failure. */
void delivery_resync(struct delivery *delivery, const struct retry_decision *decision);
/* The next step of a snapshot that is on its way. */
void delivery_send_snapshot(struct delivery *delivery);
/* The tree goes in the place of rows. Where that cannot be yet (it is not whole, the brake holds,
 * the last one was just now), it is put off: a replica's next step asks for the cursor again. */
void delivery_begin_snapshot(struct delivery *delivery, const char *why);
/* The server's cursor fits our rows, up to `seq`: on with them, or with a snapshot that is on its
 * way or was asked for. */
void delivery_go_on(struct delivery *delivery, int64_t seq);

#endif
