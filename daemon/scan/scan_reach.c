/* scan_reach.c: see scan_reach.h.
 *
 * Directories come in the order they were found, so one and the next mostly have their parent in
 * common, or else their parent's parent. The last few handles of the way are kept, one a depth:
 * a step to the next directory costs one open, a step to the next parent two. A kept handle
 * stays right when its directory is renamed: it was opened by identity and the tree asks by
 * identity. One thread each. */
#include "scan_reach.h"

#include <errno.h>

#include "tree.h"

void scan_reach_init(struct scan_reach *reach, const struct disk *disk)
{
    *reach = (struct scan_reach){.disk = disk};
}

static void close_dir(const struct scan_reach *reach, struct disk_dir *dir)
{
    if (dir)
        reach->disk->ops->close(reach->disk->ctx, dir);
}

void scan_reach_deinit(struct scan_reach *reach)
{
    for (size_t i = 0; i < REACH_HELD; i++)
        close_dir(reach, reach->held[i].dir);
    close_dir(reach, reach->root);
    free(reach->way);
    *reach = (struct scan_reach){0};
}

/* Fills way[0..depth]: `dir` first, the root last. False: no memory, or deeper than any tree. */
static bool find_way(struct scan_reach *reach, const struct entry *dir, size_t *depth)
{
    size_t count = 0;
    for (const struct entry *at = dir; at; at = at->parent) {
        if (count == reach->way_cap) {
            size_t cap = reach->way_cap ? reach->way_cap * 2 : 64;
            const struct entry **grown =
                count > TREE_DEPTH_MAX ? NULL : realloc(reach->way, cap * sizeof(*grown));
            if (!grown)
                return false;
            reach->way = grown;
            reach->way_cap = cap;
        }
        reach->way[count++] = at;
    }
    *depth = count - 1;
    return true;
}

static enum disk_answer verify(const struct scan_reach *reach, enum disk_answer answer,
                               struct file_id file, const struct entry *wanted,
                               struct disk_dir **dir, int *os)
{
    if (answer != DISK_PRESENT || file_id_equal(file, wanted->file))
        return answer;
    close_dir(reach, *dir);
    *dir = NULL;
    *os = ESTALE;
    return DISK_ABSENT;
}

static enum disk_answer open_root(struct scan_reach *reach, const struct entry *root,
                                  struct disk_dir **out, int *os)
{
    struct file_id file;
    enum disk_answer answer = reach->disk->ops->open_root(reach->disk->ctx, out, &file, os);
    answer = verify(reach, answer, file, root, out, os);
    reach->root_lost = answer != DISK_PRESENT;
    return answer;
}

static enum disk_answer open_child(struct scan_reach *reach, struct disk_dir *parent,
                                   const struct entry *child, struct disk_dir **out, int *os)
{
    struct file_id file;
    enum disk_answer answer =
        reach->disk->ops->open(reach->disk->ctx, parent, entry_name(child), out, &file, os);
    return verify(reach, answer, file, child, out, os);
}

/* The handle of way[1], the parent of way[0] at `depth`. */
static enum disk_answer open_parent(struct scan_reach *reach, size_t depth, struct disk_dir **out,
                                    int *os)
{
    size_t up = 1;
    struct disk_dir *at = NULL;
    for (; up < depth && !at; up++) {
        size_t slot = (depth - up) % REACH_HELD;
        if (reach->held[slot].entry == reach->way[up])
            at = reach->held[slot].dir;
    }
    if (at) {
        up--;
    } else {
        enum disk_answer answer = DISK_PRESENT;
        if (!reach->root)
            answer = open_root(reach, reach->way[depth], &reach->root, os);
        if (answer != DISK_PRESENT)
            return answer;
        at = reach->root;
        up = depth;
    }
    while (--up > 0) {
        struct disk_dir *next = NULL;
        enum disk_answer answer = open_child(reach, at, reach->way[up], &next, os);
        if (answer != DISK_PRESENT)
            return answer;
        size_t slot = (depth - up) % REACH_HELD;
        close_dir(reach, reach->held[slot].dir);
        reach->held[slot].entry = reach->way[up];
        reach->held[slot].dir = next;
        at = next;
    }
    *out = at;
    return DISK_PRESENT;
}

enum disk_answer scan_reach_open(struct scan_reach *reach, const struct entry *dir,
                                 struct disk_dir **out, int *os, bool *here)
{
    size_t depth;
    *out = NULL;
    *os = 0;
    *here = true;
    if (!find_way(reach, dir, &depth)) {
        *os = ENOMEM;
        return DISK_UNKNOWN;
    }
    if (depth == 0)
        return open_root(reach, dir, out, os);
    struct disk_dir *parent;
    enum disk_answer answer = open_parent(reach, depth, &parent, os);
    if (answer != DISK_PRESENT) {
        *here = false;
        return answer;
    }
    return open_child(reach, parent, dir, out, os);
}
