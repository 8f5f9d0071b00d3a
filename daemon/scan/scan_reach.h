/* scan_reach.h: opening a directory of the tree by handles, one component at a time, so that
 * no path is joined and none is too long. Each worker has its own. Private to scan_*.c. */
#ifndef SPOOR_SCAN_REACH_H
#define SPOOR_SCAN_REACH_H

#include "disk.h"

struct entry;

#define REACH_HELD 4 /* ancestors kept open, besides the root */

struct scan_reach {
    const struct disk *disk;
    struct disk_dir *root;
    bool root_lost; /* the folder's root is not there, or is another directory */
    struct {
        const struct entry *entry;
        struct disk_dir *dir;
    } held[REACH_HELD];       /* by depth modulo REACH_HELD */
    const struct entry **way; /* scratch: from a directory up to the root */
    size_t way_cap;
};

void scan_reach_init(struct scan_reach *reach, const struct disk *disk);
void scan_reach_deinit(struct scan_reach *reach);

/* Opens `dir`; the caller closes it. PRESENT: it has the identity that the tree gives it, and so
 * had each directory opened on the way. ABSENT: the way ends, or leads to somebody else. UNKNOWN:
 * *os says why, *here whether that concerns `dir` itself and not one above it. With root_lost set
 * no answer means anything. Reads only file, parent and name of entries. */
enum disk_answer scan_reach_open(struct scan_reach *reach, const struct entry *dir,
                                 struct disk_dir **out, int *os, bool *here);

#endif
