/* helper_mirror.h: a mirror of a box's journal, in the box's directory; batches of its rows or
 * written by hand. */
#ifndef SPOOR_HELPER_MIRROR_H
#define SPOOR_HELPER_MIRROR_H

#include "helper_journal.h"
#include "mirror.h"

/* A row by hand. */
#define ROW(seq, rest) "{\"seq\":" #seq "," rest "}\n"
#define FILE_AT(path)  "\"type\":\"file\",\"path\":\"" path "\""
#define DIR_AT(path)   "\"type\":\"directory\",\"path\":\"" path "\""

/* Mirror "m-1" in the box's directory. */
struct mirror *open_mirror(struct box *box);
/* The outcome; asserts that the cursor moved when it was applied and else stayed, and that there
 * is a message when it was refused. */
enum mirror_outcome apply_batch(struct box *box, struct mirror *mirror,
                                const struct mirror_batch *batch);
/* The same for rows first..last of the box's journal. */
enum mirror_outcome send_rows(struct box *box, struct mirror *mirror, int64_t first, int64_t last);
/* The mirror is at the journal's end, and its tree, sum and count are the model's. */
void check_mirror(struct box *box, struct mirror *mirror);

#endif
