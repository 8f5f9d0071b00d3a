/* sim_look.c: the engine's looks at the simulated disk, and its clocks: what takes the place of
 * disk_linux.c and clock_linux.c. Each call is a seam: the user may do something just before it,
 * and the engine may die in it. A directory's mode is honoured as for a daemon without privilege:
 * no listing without r, no look at its names without x. */
#include <errno.h>

#include "clock.h"
#include "disk.h"
#include "sim.h"
#include "sim_handle.h"
#include "watch.h"

struct sim *sim_world;

/* ---- clocks ---- */

int64_t clock_mono_ns(void)
{
    sim_world->mono_ns += 1000; /* every question takes a moment */
    return sim_world->mono_ns;
}

int64_t clock_wall_ns(void)
{
    return clock_mono_ns() + sim_world->wall_offset_ns;
}

int64_t clock_wall_ms(void)
{
    return clock_wall_ns() / CLOCK_NS_PER_MS;
}

/* ---- the seam ---- */

void sim_seam(void)
{
    struct sim *sim = sim_world;
    if (sim->crashed) {
        return;
    }
    sim->looks++;
    if (sim->torn_count && --sim->torn[0].torn <= 0) {
        struct sim_op op = sim->torn[0];
        sim->torn_count--;
        memmove(sim->torn, sim->torn + 1, (size_t)sim->torn_count * sizeof sim->torn[0]);
        sim_do(sim, &op, true);
    }
    if (sim->crash_in && --sim->crash_in == 0) {
        sim_engine_snapshot(sim);
        sim->crashed = true;
        sim->crashes++;
    }
}

/* ---- the table of looks ---- */

static struct disk_dir *handle_of(int node)
{
    return (struct disk_dir *)(uintptr_t)(SIM_HANDLE + node);
}

static struct sim_node *node_of(const struct disk_dir *dir)
{
    return &sim_world->disk.nodes[(uintptr_t)dir - SIM_HANDLE];
}

static enum disk_answer answer_of(int os)
{
    return os == ENOENT || os == ENOTDIR ? DISK_ABSENT : DISK_UNKNOWN;
}

/* The inode under a name: 0 with *os. */
static int lookup(const struct disk_dir *dir, struct bytes name, int *os)
{
    const struct sim_node *parent = node_of(dir);
    int index = sim_stored_name(&sim_world->disk, (int)((uintptr_t)dir - SIM_HANDLE), name);
    *os = parent->links == 0                                   ? ENOENT
          : !(parent->mode & 0100)                             ? EACCES
          : index < 0                                          ? ENOENT
          : parent->kids[index] == 0                           ? ENOENT
          : sim_world->disk.nodes[parent->kids[index]].covered ? EXDEV
                                                               : 0;
    return *os ? 0 : parent->kids[index];
}

static enum disk_answer open_root(void *ctx, struct disk_dir **out, struct file_id *file, int *os)
{
    struct sim *sim = ctx;
    sim_seam();
    *out = NULL;
    if (!sim->disk.at_path) {
        *os = ENOENT;
        return DISK_ABSENT;
    }
    *out = handle_of(sim->disk.at_path);
    *file = sim_file(node_of(*out));
    return DISK_PRESENT;
}

static enum disk_answer open_dir(void *ctx, struct disk_dir *parent, struct bytes name,
                                 struct disk_dir **out, struct file_id *file, int *os)
{
    struct sim *sim = ctx;
    sim_seam();
    *out = NULL;
    int node = lookup(parent, name, os);
    if (!node) {
        return answer_of(*os);
    }
    if (sim->disk.nodes[node].type != ENTRY_DIR) {
        *os = ENOTDIR;
        return DISK_ABSENT;
    }
    *out = handle_of(node);
    *file = sim_file(&sim->disk.nodes[node]);
    sim->opened[node] = (struct sim_place){(int)((uintptr_t)parent - SIM_HANDLE),
                                           sim_place_of(&sim->disk, node).name, node};
    return DISK_PRESENT;
}

static void close_dir(void *ctx, struct disk_dir *dir)
{
    (void)ctx;
    (void)dir;
}

static enum disk_answer look(void *ctx, struct disk_dir *dir, struct bytes name,
                             struct disk_entry *out)
{
    const struct sim *sim = ctx;
    sim_seam();
    int index = lookup(dir, name, &out->os);
    if (!index) {
        return answer_of(out->os);
    }
    const struct sim_node *node = &sim->disk.nodes[index];
    out->type = (enum entry_type)node->type;
    out->file = sim_file(node);
    out->link_count = node->links;
    out->attrs = (struct entry_attrs){0};
    if (node->type != ENTRY_DIR) {
        out->attrs.ctime_ns = node->ctime_ns;
        watch_know(sim->watch, node->inode); /* as disk_linux.c does */
    }
    if (node->type == ENTRY_FILE) {
        out->attrs.size = node->size;
        out->attrs.mtime_ns = node->mtime_ns;
    }
    if (node->type == ENTRY_SYMLINK) {
        size_t len = strlen(sim_target(node->target));
        memcpy(out->target, sim_target(node->target), len);
        out->attrs.target = bytes_of(out->target, len);
    } else {
        out->attrs.mode = node->mode;
    }
    return DISK_PRESENT;
}

static bool folds(void *ctx, struct disk_dir *dir)
{
    const struct sim *sim = ctx;
    (void)dir;
    return sim_is_windows(&sim->config);
}

static enum disk_answer list(void *ctx, struct disk_dir *dir, struct buf *names, int *os)
{
    (void)ctx;
    sim_seam();
    const struct sim_node *node = node_of(dir);
    if (node->links && !(node->mode & 0400)) {
        *os = EACCES;
        return DISK_UNKNOWN;
    }
    for (int n = SIM_NAMES; n-- > 0;) {
        if (node->kids[n]) {
            struct bytes name = sim_name(&sim_world->disk, n);
            uint16_t len = (uint16_t)name.len;
            buf_add(names, &len, sizeof len);
            buf_add(names, name.at, name.len);
        }
    }
    return DISK_PRESENT;
}

static int add_watch(void *ctx, struct disk_dir *dir, struct file_id file, bool root, int32_t *out,
                     struct err *err)
{
    const struct sim *sim = ctx;
    sim_seam();
    *out = -1;
    struct watch_dir place = {.fd = (int)(uintptr_t)dir, .file = file, .root = root};
    if (!root) {
        const struct sim_place *opened = &sim->opened[(uintptr_t)dir - SIM_HANDLE];
        place.parent = sim_file(&sim->disk.nodes[opened->dir]);
        place.name = sim_name(&sim->disk, opened->name);
    }
    return watch_add(sim->watch, &place, out, err);
}

static void remove_watch(void *ctx, int32_t number)
{
    const struct sim *sim = ctx;
    watch_remove(sim->watch, number);
}

static int has_writer(void *ctx, struct disk_dir *dir, struct bytes name)
{
    const struct sim *sim = ctx;
    int os;
    sim_seam();
    int node = lookup(dir, name, &os);
    return node ? sim->disk.nodes[node].writers > 0 : -1;
}

static enum disk_answer read_file(void *ctx, struct disk_dir *dir, struct bytes name, size_t limit,
                                  struct buf *out, int *os)
{
    const struct sim *sim = ctx;
    (void)limit;
    sim_seam();
    int index = lookup(dir, name, os);
    const struct sim_node *node = &sim->disk.nodes[index];
    if (index && node->type != ENTRY_FILE) {
        *os = ENOENT;
    } else if (index && !(node->mode & 0400)) {
        *os = EACCES;
    }
    if (*os) {
        return answer_of(*os);
    }
    buf_add_str(out, sim_rules(node->rules));
    return DISK_PRESENT;
}

static const struct disk_ops ops = {.open_root = open_root,
                                    .open = open_dir,
                                    .close = close_dir,
                                    .look = look,
                                    .folds = folds,
                                    .list = list,
                                    .watch = add_watch,
                                    .unwatch = remove_watch,
                                    .has_writer = has_writer,
                                    .read_file = read_file};

int disk_real_open(const char *path, struct watch *watch, struct disk *out, struct err *err)
{
    (void)path;
    (void)err;
    sim_world->watch = watch;
    *out = (struct disk){&ops, sim_world};
    return 0;
}

void disk_real_close(struct disk *disk)
{
    *disk = (struct disk){0};
}

void disk_real_beat(struct disk *disk, int64_t *beat_ns)
{
    (void)disk; /* nothing hangs here */
    (void)beat_ns;
}

int disk_real_fs_type(struct disk *disk, int64_t *out, struct err *err)
{
    (void)disk;
    (void)err;
    *out = 0xef53;
    return 0;
}
