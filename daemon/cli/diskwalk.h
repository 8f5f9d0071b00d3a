/* diskwalk.h: a folder as it lies on the disk, pulled entry by entry, depth first, names
 * in byte order, without what the ignore rules leave out: the disk's side of `spoor verify`.
 * Watches nothing and writes nothing. One thread. */
#ifndef SPOOR_DISKWALK_H
#define SPOOR_DISKWALK_H

#include "compare.h"

struct disk;
struct diskwalk;
struct err;
struct rules;

#define DISKWALK_HANDLES_MAX 64          /* open directories at a time */
#define DISKWALK_DEPTH_MAX   4096        /* directories above one another */
#define DISKWALK_NAMES_MAX   (256 << 20) /* bytes of one directory's listing */

/* Opens the root: ERR_NOTFOUND or ERR_DENIED when it cannot be. `rules` holds the configured
 * patterns; .spoorignore files are added as directories are entered and dropped as they are
 * left. Both must live until close. */
int diskwalk_open(const struct disk *disk, struct rules *rules, struct diskwalk **out,
                  struct err *err);
/* For struct compare_side: `walk` is the struct diskwalk. A directory that cannot be listed comes
 * as itself, then as an unknown item of the same path. */
int diskwalk_next(void *walk, struct compare_item *out, struct err *err);
/* NULL allowed. */
void diskwalk_close(struct diskwalk *walk);

#endif
