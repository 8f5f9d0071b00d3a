/* reach.h: open handles of directories by identity, for the length of a round.
 *
 * A directory is looked for where a fact of this round placed it, else where the tree has
 * it; one component at a time from the root, and what is opened must be that very directory
 * (RULES 4). A handle follows its directory through renames, so it may be kept. A few dozen are.
 * The folder's thread. */
#ifndef SPOOR_REACH_H
#define SPOOR_REACH_H

#include "disk.h"
#include "facts.h"
#include "tree.h"

#define REACH_HANDLES_MAX 64

struct reach;

enum reach_answer {
    REACH_OK,
    REACH_NOWHERE, /* not where facts and tree have it: its own name must be looked at */
    REACH_UNKNOWN, /* it or a directory above could not be opened: *os says why */
};

int reach_new(const struct disk *disk, struct tree *tree, struct facts *facts, struct reach **out);
void reach_free(struct reach *reach);
/* Closes all handles: the end of a round. */
void reach_reset(struct reach *reach);

/* Opens the root and compares it with the tree's; the first call of a round. */
enum reach_answer reach_root(struct reach *reach, int *os);
/* *out is valid until the next call. */
enum reach_answer reach_dir(struct reach *reach, struct file_id dir, struct disk_dir **out,
                            int *os);

#endif
