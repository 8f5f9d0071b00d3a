/* brake.h: the mass-delete brake: how many entries may leave a server before somebody is asked.
 *
 * Counted in entries (a directory's delete counts all below it) over the deletes sent within a
 * window and those about to be sent. Once it holds it holds until it is released: a folder that
 * is emptied slowly is not to trickle out (RULES 10). The upload's thread. */
#ifndef SPOOR_BRAKE_H
#define SPOOR_BRAKE_H

#include "change.h"

struct reader;

struct brake {
    int64_t count;         /* so many go without asking; 0: no brake at all */
    int64_t percent;       /* and so much of the folder */
    int64_t sent;          /* within the window */
    int64_t released;      /* rows up to this one may go */
    struct reader *reader; /* asked for the folder's size when it matters */
    int64_t left;          /* which is this; -1: not asked yet */
};

/* The entries that this row takes from a server, as far as they count. */
int64_t brake_entries(const struct brake *brake, const struct change *row);
/* Whether `entries` more are too many: past both the count and the percentage of the folder, as it
 * was before them. NULL: never. */
bool brake_holds(struct brake *brake, int64_t entries);

#endif
