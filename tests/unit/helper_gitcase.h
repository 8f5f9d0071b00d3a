/* helper_gitcase.h: random ignore files, each with a small tree of paths to try them on.
 *
 * Names and patterns are chosen to hit the corners of gitignore; the same seed gives the same
 * cases. One thread. */
#ifndef SPOOR_HELPER_GITCASE_H
#define SPOOR_HELPER_GITCASE_H

#include "buf.h"

#define PATHS_A_SET 40

struct gitcase_path {
    char text[256];
    size_t len;
    bool is_dir;
};

struct gitcase {
    struct buf patterns;
    struct gitcase_path paths[PATHS_A_SET];
    size_t count;
};

/* Starts the sequence of cases anew. */
void gitcase_seed(uint64_t seed);
/* The next case; the caller frees its patterns. A path comes after the directories above it. */
void gitcase_make(struct gitcase *set);

#endif
