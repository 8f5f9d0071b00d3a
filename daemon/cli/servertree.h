/* servertree.h: the tree that a server holds of a journal, fetched whole into an unlinked
 * temporary file and then pulled line by line: the server's side of `spoor verify --server`.
 * Memory stays small however large the tree. One thread. */
#ifndef SPOOR_SERVERTREE_H
#define SPOOR_SERVERTREE_H

#include "compare.h"

struct config_upload;
struct err;
struct servertree;

#define SERVERTREE_TRIES_MAX  8                   /* for a tree and a cursor that agree */
#define SERVERTREE_BYTES_MAX  (INT64_C(64) << 30) /* of a tree's text */
#define SERVERTREE_CURSOR_MAX 4096                /* bytes of the cursor's answer */

/* Where the server stands, as GET .../cursor tells. */
struct servertree_cursor {
    bool known; /* false: the server has never heard of the journal; seq is 0 */
    int64_t epoch;
    int64_t seq;
    uint64_t sum;
};

/* Fetches tree and cursor of `journal` so that both belong together: the tree is as it was after
 * row cursor->seq. `spool_dir` takes the temporary file. ERR_NETWORK, ERR_DENIED, ...;
 * ERR_BUSY when the server kept changing meanwhile. */
int servertree_fetch(const struct config_upload *upload, const char *journal, const char *spool_dir,
                     struct servertree **out, struct servertree_cursor *cursor, struct err *err);
/* From the first line again. */
int servertree_rewind(struct servertree *tree, struct err *err);
/* For struct compare_side: `tree` is the struct servertree. ERR_INVALID for a line that is none. */
int servertree_next(void *tree, struct compare_item *out, struct err *err);
/* NULL allowed. */
void servertree_close(struct servertree *tree);

#endif
