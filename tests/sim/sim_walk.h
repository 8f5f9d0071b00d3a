/* sim_walk.h: the folder on the simulated disk as a daemon without privilege can see it now, by the
 * ignore rules that lie there now, told apart without any code of the engine. */
#ifndef SIM_WALK_H
#define SIM_WALK_H

#include "sim_disk.h"

enum { SIM_PATH = 96 /* bytes of a path */ };

/* Calls `seen` for each name that is not ignored, parents first; false ends the walk and is
 * returned. What is covered by another file system is told, and nothing below it. `frozen`: the
 * directory of that path ("" the root), whose own name was told, cannot be read, or its rules. */
bool sim_walk(const struct sim_disk *disk, bool (*seen)(void *ctx, const char *path, int node),
              void (*frozen)(void *ctx, const char *path), void *ctx);

#endif
