/* journal_private.h: what journal*.c share. Nobody else includes it. */
#ifndef SPOOR_JOURNAL_PRIVATE_H
#define SPOOR_JOURNAL_PRIVATE_H

#include "journal.h"
#include "query.h"
#include "sql.h"

struct journal {
    struct sql sql;
    sqlite3_stmt *statements[QJ_COUNT];
    struct journal_info info;
    int64_t entries; /* rows of the tree table */
    int dirfd;
    int mark;          /* journal_mark.h */
    bool reserve_gone; /* given up: made again by the first commit that finds room */
    int failed;        /* code of the failure after which nothing may be written, 0 none */
};

/* Opens a write transaction; refuses after a failure that the header calls final. */
int journal_begin(struct journal *journal, struct err *err);
/* Commits when `code` is 0, else rolls back; returns the outcome and remembers a final one. What
 * journal->info says must be set only after it returned 0. */
int journal_end(struct journal *journal, int code, struct err *err);

/* Makes `change` the next row inside the open transaction: seq, epoch, time and sum are set here,
 * from *seq and *sum, which go on. */
int journal_append(struct journal *journal, struct change *change, int64_t wall_ms, int64_t *seq,
                   uint64_t *sum, struct err *err);

/* ERR_NOTFOUND when none is on its way to this consumer. */
int journal_get_snapshot(struct journal *journal, const char *consumer,
                         struct journal_snapshot *out, struct err *err);
/* Inside the open transaction: drops a consumer's snapshot, if there is one. */
int journal_drop_snapshot(struct journal *journal, const char *consumer, struct err *err);
/* Notes the newest row outside the database; after each commit that has made rows. */
void journal_note(const struct journal *journal);
/* See JOURNAL_NEW_EPOCH and JOURNAL_CHECK. */
int journal_new_epoch(struct journal *journal, int64_t above, struct err *err);
int journal_check(struct journal *journal, struct err *err);
/* What the consumer has acknowledged; ERR_NOTFOUND when there is none of this name. */
/* JOURNAL_QUARANTINE, JOURNAL_RETRY, JOURNAL_REFUSED and JOURNAL_DROP. */
int journal_quarantine(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                       struct err *err);
/* `held` not 0: the brake holds at that row; 0: released up to row `released`. */
int journal_hold(struct journal *journal, const char *name, int64_t held, int64_t released,
                 struct err *err);
/* Within a transaction: what journal_ack() does. */
int journal_ack_rows(struct journal *journal, const char *name, int64_t seq, int64_t wall_ms,
                     struct err *err);
int journal_get_acked(struct journal *journal, const char *name, int64_t *out, struct err *err);
/* The orders that are a reader's. */
int journal_reader_do(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                      struct err *err);

#endif
