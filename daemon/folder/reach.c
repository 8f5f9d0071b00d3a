/* reach.c: see reach.h. */
#include "reach.h"

#include <errno.h>

#include "err.h"

enum { MISSES = 256 };

struct handle {
    struct file_id dir;
    struct disk_dir *open; /* NULL: free */
    uint64_t used;
};

/* A directory that was nowhere when so many facts were known. */
struct miss {
    struct file_id dir;
    size_t facts;
    enum reach_answer answer;
    int os;
};

struct reach {
    const struct disk *disk;
    struct tree *tree;
    struct facts *facts;
    struct disk_dir *root;
    struct handle handles[REACH_HANDLES_MAX];
    struct handle *last;
    uint64_t clock;
    struct miss misses[MISSES];
    struct file_id path[TREE_DEPTH_MAX]; /* being looked for: the guard against rings */
};

int reach_new(const struct disk *disk, struct tree *tree, struct facts *facts, struct reach **out)
{
    struct reach *reach = calloc(1, sizeof *reach);
    if (!reach) {
        return ERR_NOMEM;
    }
    reach->disk = disk;
    reach->tree = tree;
    reach->facts = facts;
    *out = reach;
    return 0;
}

static void close_handle(struct reach *reach, struct handle *handle)
{
    if (handle->open) {
        reach->disk->ops->close(reach->disk->ctx, handle->open);
        handle->open = NULL;
    }
}

void reach_reset(struct reach *reach)
{
    for (size_t i = 0; i < REACH_HANDLES_MAX; i++) {
        close_handle(reach, &reach->handles[i]);
    }
    if (reach->root) {
        reach->disk->ops->close(reach->disk->ctx, reach->root);
        reach->root = NULL;
    }
    reach->last = NULL;
    memset(reach->misses, 0, sizeof reach->misses);
}

void reach_free(struct reach *reach)
{
    if (reach) {
        reach_reset(reach);
        free(reach);
    }
}

enum reach_answer reach_root(struct reach *reach, int *os)
{
    struct file_id file;
    enum disk_answer answer =
        reach->disk->ops->open_root(reach->disk->ctx, &reach->root, &file, os);
    if (answer == DISK_UNKNOWN) {
        return REACH_UNKNOWN;
    }
    if (answer == DISK_ABSENT) {
        *os = ENOENT;
        return REACH_NOWHERE;
    }
    if (!file_id_equal(file, tree_root(reach->tree)->file)) {
        *os = 0;
        return REACH_NOWHERE;
    }
    return REACH_OK;
}

static struct disk_dir *find_open(struct reach *reach, struct file_id dir)
{
    if (reach->last && reach->last->open && file_id_equal(reach->last->dir, dir)) {
        return reach->last->open;
    }
    for (size_t i = 0; i < REACH_HANDLES_MAX; i++) {
        struct handle *handle = &reach->handles[i];
        if (handle->open && file_id_equal(handle->dir, dir)) {
            handle->used = ++reach->clock;
            reach->last = handle;
            return handle->open;
        }
    }
    return NULL;
}

static void keep_open(struct reach *reach, struct file_id dir, struct disk_dir *open)
{
    struct handle *oldest = &reach->handles[0];
    for (size_t i = 1; i < REACH_HANDLES_MAX && oldest->open; i++) {
        struct handle *handle = &reach->handles[i];
        if (!handle->open || handle->used < oldest->used) {
            oldest = handle;
        }
    }
    close_handle(reach, oldest);
    *oldest = (struct handle){dir, open, ++reach->clock};
    reach->last = oldest;
}

static struct miss *miss_slot(struct reach *reach, struct file_id dir)
{
    uint64_t hash = (dir.a ^ dir.b) * UINT64_C(0x9e3779b97f4a7c15);
    return &reach->misses[hash >> 56];
}

static enum reach_answer open_dir(struct reach *reach, struct file_id dir, size_t depth,
                                  struct disk_dir **out, int *os);

/* Opens `dir` as `name` in `parent`, and makes sure that it is the one. */
static enum reach_answer open_at(struct reach *reach, struct file_id dir, struct file_id parent,
                                 struct bytes name, size_t depth, struct disk_dir **out, int *os)
{
    struct disk_dir *above, *open;
    enum reach_answer reached = open_dir(reach, parent, depth + 1, &above, os);
    if (reached != REACH_OK) {
        return reached;
    }
    struct file_id file;
    const struct disk *disk = reach->disk;
    enum disk_answer answer = disk->ops->open(disk->ctx, above, name, &open, &file, os);
    if (answer != DISK_PRESENT) {
        return answer == DISK_UNKNOWN ? REACH_UNKNOWN : REACH_NOWHERE;
    }
    if (!file_id_equal(file, dir)) {
        disk->ops->close(disk->ctx, open);
        return REACH_NOWHERE;
    }
    keep_open(reach, dir, open);
    *out = open;
    return REACH_OK;
}

static enum reach_answer search(struct reach *reach, struct file_id dir, size_t depth,
                                struct disk_dir **out, int *os)
{
    enum reach_answer answer = REACH_NOWHERE;
    const struct fact *place = facts_first_file(reach->facts, dir);
    while (place && place->type != ENTRY_DIR) {
        place = facts_next_file(place);
    }
    if (place) {
        answer = open_at(reach, dir, place->dir, place->name, depth, out, os);
    }
    const struct entry *entry = answer == REACH_OK ? NULL : tree_dir(reach->tree, dir);
    if (entry && entry->parent &&
        !(place && file_id_equal(place->dir, entry->parent->file) &&
          bytes_equal(place->name, entry_name(entry)))) {
        answer = open_at(reach, dir, entry->parent->file, entry_name(entry), depth, out, os);
    }
    return answer;
}

static enum reach_answer open_dir(struct reach *reach, struct file_id dir, size_t depth,
                                  struct disk_dir **out, int *os)
{
    if (file_id_equal(dir, tree_root(reach->tree)->file)) {
        *out = reach->root;
        return REACH_OK;
    }
    *out = find_open(reach, dir);
    if (*out) {
        return REACH_OK;
    }
    struct miss *miss = miss_slot(reach, dir);
    size_t facts = facts_count(reach->facts) + 1; /* 0 marks a free slot */
    if (miss->facts == facts && file_id_equal(miss->dir, dir)) {
        *os = miss->os;
        return miss->answer;
    }
    if (depth >= TREE_DEPTH_MAX) {
        return REACH_NOWHERE;
    }
    for (size_t i = 0; i < depth; i++) {
        if (file_id_equal(reach->path[i], dir)) {
            return REACH_NOWHERE; /* torn facts make a ring: reconcile voids one of them */
        }
    }
    reach->path[depth] = dir;
    enum reach_answer answer = search(reach, dir, depth, out, os);
    if (answer != REACH_OK) {
        *miss = (struct miss){dir, facts, answer, *os};
    }
    return answer;
}

enum reach_answer reach_dir(struct reach *reach, struct file_id dir, struct disk_dir **out, int *os)
{
    return open_dir(reach, dir, 0, out, os);
}
