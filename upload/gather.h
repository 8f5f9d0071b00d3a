/* gather.h: which rows go into the next batch of a replica, folded.
 *
 * As many commits as fit once they are folded, read piece by piece: what the rows of a long
 * outage fold to is held in memory, not the rows. One thread. */
#ifndef SPOOR_GATHER_H
#define SPOOR_GATHER_H

#include "arena.h"
#include "change.h"

struct batch_limits;
struct err;
struct reader;

struct gather {
    struct change *rows; /* folded; their bytes lie in `bytes` */
    size_t count;
    int64_t deletes; /* entries, as brake.h counts them */
    int64_t last;    /* the rows stand for all up to this one, the last of its commit */
    uint64_t last_sum;
    struct arena bytes;
};

/* Rows first..last of the journal at most, the chain checked. ERR_NOTFOUND: no whole commit fits
 * into the limits; such rows go out unfolded. ERR_CORRUPT: the rows fail their checks. Bytes
 * are counted by the length of names, before escapes. gather_free() is due whatever the outcome. */
int gather_rows(struct gather *gather, struct reader *reader, int64_t first, int64_t last,
                const struct batch_limits *limits, struct err *err);
void gather_free(struct gather *gather);

#endif
