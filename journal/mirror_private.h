/* mirror_private.h: what mirror*.c share. Nobody else includes it. */
#ifndef SPOOR_MIRROR_PRIVATE_H
#define SPOOR_MIRROR_PRIVATE_H

#include "mirror.h"
#include "query.h"
#include "replay.h"
#include "sql.h"

struct rowread;

/* The snapshot being received, beside the tree that is shown. */
struct mirror_building {
    int64_t gen; /* 0: none */
    int64_t parts;
    uint64_t tree_sum;
    int64_t entries;
};

struct mirror {
    struct sql sql;
    sqlite3_stmt *statements[QM_COUNT];
    struct replay replay; /* of the tree that is shown */
    struct replay next;   /* of the one that is built */
    struct rowread *rowread;
    struct mirror_cursor cursor;
    struct mirror_building building;
};

/* Writes the cursor inside the open transaction, and what batches are known by their sums. */
int mirror_store_cursor(struct mirror *mirror, const struct mirror_cursor *next, struct err *err);
int mirror_store_sum(struct mirror *mirror, int64_t seq, uint64_t sum, struct err *err);
/* Reads what is being built, at open. */
int mirror_load_building(struct mirror *mirror, struct err *err);

#endif
