/* diskwalk.c: see diskwalk.h. A stack of levels, one a directory on the way down, each with
 * its sorted names. Only the deepest DISKWALK_HANDLES_MAX levels keep their directory open, so
 * that a tree of any depth fits into the process's descriptors; a level that is come back to is
 * opened again from the root, name by name, and must still be the same directory. One thread. */
#include "diskwalk.h"

#include <errno.h>

#include "disk.h"
#include "err.h"
#include "ignore.h"
#include "rules.h"

struct name_ref {
    const char *at; /* into the level's listing */
    uint16_t len;
};

struct level {
    struct disk_dir *dir; /* NULL: closed for the sake of descriptors */
    struct file_id file;
    struct buf listing;
    struct name_ref *names; /* sorted */
    size_t name_count, name_next;
    size_t path_len; /* of this directory's path; the root's is 0 */
};

struct diskwalk {
    const struct disk *disk;
    struct rules *rules;
    struct level *levels;
    struct rules_level *rule_levels; /* beside `levels` */
    size_t depth, capacity;
    struct buf path;    /* of the entry last given */
    bool enter;         /* which was a directory: its names come next */
    size_t name_offset; /* where its last component begins */
    struct buf rule_text;
    struct disk_entry entry;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "walking the disk: no memory");
}

static int name_order(const void *x, const void *y)
{
    const struct name_ref *a = x, *b = y;
    return bytes_compare(bytes_of(a->at, a->len), bytes_of(b->at, b->len));
}

/* The listing's names (two bytes of length, then the bytes: disk.h) as a sorted table. */
static int sort_names(struct level *level, struct err *err)
{
    const char *bytes = level->listing.data;
    size_t count = 0;
    uint16_t len;
    for (size_t at = 0; at < level->listing.len; at += sizeof(len) + len, count++)
        memcpy(&len, bytes + at, sizeof(len));
    level->names = calloc(count ? count : 1, sizeof(*level->names));
    if (!level->names)
        return no_memory(err);
    level->name_count = 0;
    for (size_t at = 0; at < level->listing.len; at += sizeof(len) + len) {
        memcpy(&len, bytes + at, sizeof(len));
        level->names[level->name_count++] = (struct name_ref){bytes + at + sizeof(len), len};
    }
    qsort(level->names, level->name_count, sizeof(*level->names), name_order);
    return 0;
}

static bool has_name(const struct level *level, struct bytes name)
{
    struct name_ref key = {name.at, (uint16_t)name.len};
    return level->name_count &&
           bsearch(&key, level->names, level->name_count, sizeof(key), name_order);
}

static int read_rules(struct diskwalk *walk, struct level *level, struct err *err)
{
    struct bytes name = bytes_str(RULES_FILE_NAME);
    if (!has_name(level, name))
        return 0;
    int os;
    bool changed;
    buf_reset(&walk->rule_text);
    if (walk->disk->ops->read_file(walk->disk->ctx, level->dir, name, IGNORE_FILE_MAX,
                                   &walk->rule_text, &os) != DISK_PRESENT)
        return 0; /* as for the daemon: what cannot be read rules nothing */
    return rules_set(walk->rules, level->file, walk->rule_text.len ? walk->rule_text.data : "",
                     walk->rule_text.len, &changed, err);
}

static int grow(struct diskwalk *walk, struct err *err)
{
    if (walk->depth < walk->capacity)
        return 0;
    if (walk->depth >= DISKWALK_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, 0, "walking the disk: directories deeper than %d",
                       DISKWALK_DEPTH_MAX);
    size_t capacity = walk->capacity ? walk->capacity * 2 : 16;
    struct level *levels = realloc(walk->levels, capacity * sizeof(*levels));
    if (levels)
        walk->levels = levels;
    struct rules_level *rules = realloc(walk->rule_levels, capacity * sizeof(*rules));
    if (rules)
        walk->rule_levels = rules;
    if (!levels || !rules)
        return no_memory(err);
    walk->capacity = capacity;
    return 0;
}

static void close_dir(struct diskwalk *walk, struct level *level)
{
    if (level->dir)
        walk->disk->ops->close(walk->disk->ctx, level->dir);
    level->dir = NULL;
}

static void pop(struct diskwalk *walk)
{
    struct level *level = &walk->levels[--walk->depth];
    close_dir(walk, level);
    (void)rules_drop(walk->rules, level->file); /* most have none */
    free(level->names);
    buf_deinit(&level->listing);
}

static void make_unknown(struct diskwalk *walk, size_t path_len, int os, struct compare_item *out)
{
    buf_truncate(&walk->path, path_len);
    *out = (struct compare_item){
        .path = bytes_of(walk->path.data, path_len), .unknown = true, .os = os};
}

/* Puts an open directory, whose path is walk->path, on the stack and lists it. 1: it could not be
 * listed, *out says so. Takes `dir` over in any case. */
static int push(struct diskwalk *walk, struct disk_dir *dir, struct file_id file,
                struct compare_item *out, struct err *err)
{
    int rc = grow(walk, err);
    if (rc) {
        walk->disk->ops->close(walk->disk->ctx, dir);
        return rc;
    }
    size_t path_len = walk->path.len;
    if (walk->depth >= DISKWALK_HANDLES_MAX)
        close_dir(walk, &walk->levels[walk->depth - DISKWALK_HANDLES_MAX]);
    struct level *level = &walk->levels[walk->depth];
    *level = (struct level){.dir = dir, .file = file, .path_len = path_len};
    walk->rule_levels[walk->depth] =
        (struct rules_level){.dir = file, .offset = path_len ? path_len + 1 : 0};
    buf_init(&level->listing, DISKWALK_NAMES_MAX);
    walk->depth++;
    int os = 0;
    enum disk_answer answer =
        walk->disk->ops->list(walk->disk->ctx, level->dir, &level->listing, &os);
    if (answer != DISK_PRESENT || !buf_ok(&level->listing)) {
        pop(walk);
        make_unknown(walk, path_len, os ? os : EOVERFLOW, out);
        return answer == DISK_ABSENT ? 0 : 1;
    }
    rc = sort_names(level, err);
    return rc ? rc : read_rules(walk, level, err);
}

/* Opens the last component of walk->path, which the top level holds. Results as push(). */
static int enter(struct diskwalk *walk, struct compare_item *out, struct err *err)
{
    struct level *top = &walk->levels[walk->depth - 1];
    struct bytes name =
        bytes_of(walk->path.data + walk->name_offset, walk->path.len - walk->name_offset);
    struct disk_dir *dir = NULL;
    struct file_id file;
    int os = 0;
    switch (walk->disk->ops->open(walk->disk->ctx, top->dir, name, &dir, &file, &os)) {
    case DISK_PRESENT:
        return push(walk, dir, file, out, err);
    case DISK_ABSENT:
        return 0; /* gone since it was looked at: its content is missing then, and so reported */
    case DISK_UNKNOWN:
        break;
    }
    make_unknown(walk, walk->path.len, os, out);
    return 1;
}

/* Opens the top level and those above it again, from the root. False: the way is another now. */
static bool reopen(struct diskwalk *walk)
{
    const struct disk_ops *ops = walk->disk->ops;
    void *ctx = walk->disk->ctx;
    struct file_id file;
    int os;
    struct disk_dir *dir = NULL;
    if (ops->open_root(ctx, &dir, &file, &os) != DISK_PRESENT)
        return false;
    for (size_t i = 0;; i++) {
        struct level *level = &walk->levels[i];
        bool last = i + 1 == walk->depth;
        if (!file_id_equal(file, level->file)) {
            ops->close(ctx, dir);
            return false;
        }
        struct disk_dir *child = NULL;
        enum disk_answer answer = DISK_PRESENT;
        if (!last) {
            size_t from = level->path_len ? level->path_len + 1 : 0;
            struct bytes name = bytes_of(walk->path.data + from, level[1].path_len - from);
            answer = ops->open(ctx, dir, name, &child, &file, &os);
        }
        bool wanted = i + DISKWALK_HANDLES_MAX / 2 >= walk->depth && !level->dir;
        if (wanted && answer == DISK_PRESENT)
            level->dir = dir;
        else
            ops->close(ctx, dir);
        if (last || answer != DISK_PRESENT)
            return answer == DISK_PRESENT;
        dir = child;
    }
}

/* The next name of the top level, looked at. 1: *out is filled; 0: it is ignored or gone. */
static int look(struct diskwalk *walk, struct level *top, struct compare_item *out, struct err *err)
{
    struct name_ref name = top->names[top->name_next++];
    buf_truncate(&walk->path, top->path_len);
    if (top->path_len)
        buf_add_char(&walk->path, '/');
    walk->name_offset = walk->path.len;
    buf_add(&walk->path, name.at, name.len);
    if (!buf_ok(&walk->path))
        return err_set(err, ERR_LIMIT, 0, "walking the disk: a path of more than %d bytes",
                       COMPARE_PATH_MAX);
    struct bytes path = bytes_of(walk->path.data, walk->path.len);
    enum disk_answer answer =
        walk->disk->ops->look(walk->disk->ctx, top->dir, bytes_of(name.at, name.len), &walk->entry);
    if (answer == DISK_ABSENT)
        return 0;
    bool is_dir = answer == DISK_PRESENT && walk->entry.type == ENTRY_DIR;
    if (rules_ignored(walk->rules, walk->rule_levels, walk->depth, path, is_dir))
        return 0;
    if (answer == DISK_UNKNOWN) {
        make_unknown(walk, walk->path.len, walk->entry.os, out);
        return 1;
    }
    walk->enter = is_dir;
    *out =
        (struct compare_item){.path = path, .type = walk->entry.type, .attrs = walk->entry.attrs};
    return 1;
}

int diskwalk_next(void *ctx, struct compare_item *out, struct err *err)
{
    struct diskwalk *walk = ctx;
    for (;;) {
        int rc = 0;
        if (walk->enter) {
            walk->enter = false;
            rc = enter(walk, out, err);
        } else if (walk->depth == 0) {
            return 0;
        } else {
            struct level *top = &walk->levels[walk->depth - 1];
            if (top->name_next == top->name_count) {
                pop(walk);
            } else if (!top->dir && !reopen(walk)) {
                size_t path_len = top->path_len;
                pop(walk);
                make_unknown(walk, path_len, ESTALE, out);
                return 1;
            } else {
                rc = look(walk, top, out, err);
            }
        }
        if (rc)
            return rc;
    }
}

int diskwalk_open(const struct disk *disk, struct rules *rules, struct diskwalk **out,
                  struct err *err)
{
    struct diskwalk *walk = calloc(1, sizeof(*walk));
    if (!walk)
        return no_memory(err);
    walk->disk = disk;
    walk->rules = rules;
    buf_init(&walk->path, COMPARE_PATH_MAX);
    buf_init(&walk->rule_text, IGNORE_FILE_MAX);
    buf_add(&walk->path, "", 0);
    struct disk_dir *dir = NULL;
    struct file_id file;
    int os = ENOENT;
    int rc;
    if (disk->ops->open_root(disk->ctx, &dir, &file, &os) != DISK_PRESENT) {
        rc = err_os(err, os ? os : ENOENT, "cannot open the folder");
        goto out;
    }
    struct compare_item unlisted = {0};
    rc = push(walk, dir, file, &unlisted, err);
    if (rc == 1)
        rc = err_os(err, unlisted.os, "cannot list the folder");
    else if (rc == 0 && walk->depth == 0)
        rc = err_os(err, ENOENT, "cannot list the folder");
    if (rc)
        goto out;
    *out = walk;
    walk = NULL;
out:
    diskwalk_close(walk);
    return rc;
}

void diskwalk_close(struct diskwalk *walk)
{
    if (!walk)
        return;
    while (walk->depth)
        pop(walk);
    free(walk->levels);
    free(walk->rule_levels);
    buf_deinit(&walk->path);
    buf_deinit(&walk->rule_text);
    free(walk);
}
