/* replay.h: rows into a tree, one by one, by their paths: what a sync server does with
 * them (upload/PROTOCOL.md, "Replay"). The tree lies in table `node` of a connection that
 * the caller owns, with the transaction the caller began: the mirror's file, or a
 * temporary one for the past of a journal. The connection's thread. */
#ifndef SPOOR_REPLAY_H
#define SPOOR_REPLAY_H

#include "buf.h"
#include "change.h"
#include "query.h"

struct err;
struct sql;

struct replay {
    const struct sql *sql;
    sqlite3_stmt *statements[QP_COUNT];
    uint64_t tree_sum; /* kept up to date by each row */
    int64_t entries;
    struct buf dir_path; /* the directory looked up last: rows come in its neighbourhood */
    int64_t dir_id;
    bool dir_known;
};

/* Prepares the statements, query_replay or query_replay_next, on a connection that has the table;
 * sum and count are 0 and the caller's to set when the table is not empty. replay_deinit() is due
 * whatever the outcome. */
int replay_init(struct replay *replay, const struct sql *sql, const char *const texts[QP_COUNT],
                struct err *err);
void replay_deinit(struct replay *replay);
/* After a rollback: forgets what it learned, and takes over the sums that stand. */
void replay_restart(struct replay *replay, uint64_t tree_sum, int64_t entries);

/* Applies one row. ERR_INVALID with the reason when it is not applicable (parent absent, name
 * taken, nothing there, another entry or type there); then the table may be half changed and the
 * transaction must be rolled back. Other codes: the store failed. */
int replay_apply(struct replay *replay, const struct change *change, struct err *err);

#endif
