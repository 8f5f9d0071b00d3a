/* fold.h: fewer rows that say the same: what happened to an entry between two deliveries,
 * without the steps that no longer matter. A pure function:
 * replay(fold(rows)) = replay(rows), for every tree the rows apply to.
 *
 * For replicas only: a log wants its history. Any thread. */
#ifndef SPOOR_FOLD_H
#define SPOOR_FOLD_H

#include "change.h"

struct err;

/* Folds at most so many rows at once: bounds the memory and the time of a batch. */
#define FOLD_ROWS_MAX ((size_t)10000)

/* Folds `rows`, whole commits in the order of the journal, none standing at a temporary name
 * after the last. Rows that are left keep their order and their seq and stand at the front;
 * *count becomes their number. Their attributes, kind and flags may have become a later row's, and
 * a move's `from` an earlier one's; `entries` and `time_ms` stay as journaled. Bytes are not
 * copied. ERR_NOMEM: nothing was changed. ERR_LIMIT: more than FOLD_ROWS_MAX rows. */
int fold_rows(struct change *rows, size_t *count, struct err *err);

#endif
