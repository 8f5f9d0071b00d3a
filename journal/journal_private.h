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

#endif
