/* mirror.h: the collector's store: what a sync server keeps of one journal. Rows and
 * the mirrored tree in one SQLite file; batches applied exactly once.
 *
 * The cursor is (epoch, seq, sum). A batch is applied only if its epoch and the sum of the
 * row before it are the cursor's own; a batch that is already covered, with the sum
 * remembered for its last row, is a duplicate and changes nothing; anything else is a
 * conflict and is told the cursor. All of a batch or nothing. One thread. */
#ifndef SPOOR_MIRROR_H
#define SPOOR_MIRROR_H

#include "change.h"
#include "journal.h"

struct err;
struct mirror;

#define MIRROR_BATCH_ROWS_MAX  1000000
#define MIRROR_BATCH_BYTES_MAX (256 << 20) /* decoded */
#define MIRROR_SUMS_KEPT       1000        /* (seq, sum) pairs by which duplicates are known */

struct mirror_cursor {
    char journal[JOURNAL_ID_SIZE];
    char folder[65];
    int64_t epoch; /* 0: nothing received yet; then the first batch sets it */
    int64_t seq;
    uint64_t sum;
    uint64_t tree_sum;
    int64_t entries;
    int64_t batches; /* applied */
    int64_t gen;     /* generation of the snapshot taken last, 0 none */
};

struct mirror_batch {
    int64_t epoch, first, last;
    uint64_t prev_sum, last_sum;
    bool has_tree_sum;
    uint64_t tree_sum;
    const char *rows; /* decoded NDJSON */
    size_t len;
};

enum mirror_outcome { MIRROR_APPLIED, MIRROR_DUPLICATE, MIRROR_CONFLICT, MIRROR_REFUSED };

/* `dir`/<journal>.db; the id may hold letters, digits and '-' only (ERR_INVALID). */
int mirror_open(const char *dir, const char *journal, struct mirror **out, struct err *err);
void mirror_close(struct mirror *mirror);
const struct mirror_cursor *mirror_cursor(const struct mirror *mirror);

/* 0 with the outcome: REFUSED (the text in err says which row and why; nothing was changed) for
 * rows that do not parse or are not applicable to the tree (parent absent, name taken, nothing to
 * delete), for seqs outside first..last or out of order, and for a tree sum that does not come
 * out. Negative: the store itself failed. */
int mirror_apply(struct mirror *mirror, const struct mirror_batch *batch,
                 enum mirror_outcome *outcome, struct err *err);

/* A snapshot: the tree as it stood after a row, sent when rows cannot bring us there (RULES 18).
 * Its parts are rows that create the entries, parents first; they are gathered beside the tree that
 * is shown, until the commit puts them in its place, in one transaction. */
struct mirror_part {
    int64_t gen;  /* generation; a newer one drops an unfinished older one */
    int64_t part; /* 1, 2, ... */
    const char *rows;
    size_t len;
};
struct mirror_commit {
    int64_t gen;
    int64_t parts; /* how many there are */
    int64_t epoch, seq;
    uint64_t sum; /* of row `seq` */
    int64_t entries;
    uint64_t tree_sum;
    const char *folder;
};
/* DUPLICATE: we have it already. CONFLICT: not the next part, an older generation than the newest
 * (see mirror_generation()), or an older epoch than the cursor's. REFUSED as with batches. */
int mirror_take_part(struct mirror *mirror, const struct mirror_part *part,
                     enum mirror_outcome *outcome, struct err *err);
int mirror_take_snapshot(struct mirror *mirror, const struct mirror_commit *commit,
                         enum mirror_outcome *outcome, struct err *err);
/* The newest generation heard of, 0 none: a new snapshot's must be higher. */
int64_t mirror_generation(const struct mirror *mirror);

struct reader_entry;
/* The mirrored tree in one snapshot, depth first, names in byte order: the order of reader_tree().
 */
int mirror_tree(struct mirror *mirror, int (*visit)(void *ctx, const struct reader_entry *entry),
                void *ctx, struct err *err);

#endif
