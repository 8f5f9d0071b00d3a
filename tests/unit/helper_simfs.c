/* helper_simfs.c: see helper_simfs.h. */
#include "helper_simfs.h"

#include <assert.h>
#include <errno.h>

#include "buf.h"
#include "err.h"

static const char names[SIM_NAMES][2] = {"a", "b", "d"};

struct bytes sim_name(int index)
{
    return bytes_of(names[index], 1);
}

int sim_name_index(struct bytes name)
{
    for (int i = 0; i < SIM_NAMES; i++) {
        if (bytes_equal(name, sim_name(i))) {
            return i;
        }
    }
    return -1;
}

struct file_id sim_file(const struct simfs *fs, int node)
{
    return (struct file_id){fs->nodes[node].number, 7};
}

void sim_renumber(struct simfs *fs, int node)
{
    fs->nodes[node].number = fs->next_number++;
    fs->nodes[node].watched = false;
}

void sim_init(struct simfs *fs)
{
    memset(fs, 0, sizeof *fs);
    fs->next_number = SIM_NODES;
    fs->nodes[SIM_ROOT].number = SIM_ROOT;
    fs->nodes[SIM_OUTSIDE].number = SIM_OUTSIDE;
    fs->nodes[SIM_ROOT].type = ENTRY_DIR;
    fs->nodes[SIM_OUTSIDE].type = ENTRY_DIR;
    fs->next = 3;
}

static int other_case(const struct simfs *fs, int name)
{
    return fs->folds && name < 2 ? 1 - name : name;
}

/* The kid that is found under this name. */
static int found(const struct simfs *fs, int dir, int name)
{
    const uint16_t *kids = fs->nodes[dir].kids;
    return name < 0 ? 0 : kids[name] ? kids[name] : kids[other_case(fs, name)];
}

void sim_tell(struct simfs *fs, int dir, int name, uint8_t hints)
{
    if (!fs->nodes[dir].watched) {
        return;
    }
    if (!(hints & HINT_NAME) && (fs->event_count & 1)) {
        name = other_case(fs, name); /* as whoever wrote it spelt it */
    }
    assert(fs->event_count < SIM_EVENTS);
    fs->events[fs->event_count++] = (struct sim_event){fs->nodes[dir].number, (uint8_t)name, hints};
}

/* Directories at or below `top`, in order of discovery. */
static int dirs_below(const struct simfs *fs, int top, int *out)
{
    int count = 0;
    out[count++] = top;
    for (int i = 0; i < count; i++) {
        for (int n = 0; n < SIM_NAMES; n++) {
            int kid = fs->nodes[out[i]].kids[n];
            if (kid && fs->nodes[kid].type == ENTRY_DIR) {
                out[count++] = kid;
            }
        }
    }
    return count;
}

static bool lies_below(const struct simfs *fs, int dir, int top)
{
    int dirs[SIM_NODES];
    int count = dirs_below(fs, top, dirs);
    for (int i = 0; i < count; i++) {
        if (dirs[i] == dir) {
            return true;
        }
    }
    return false;
}

static bool is_empty(const struct simfs *fs, int dir)
{
    for (int n = 0; n < SIM_NAMES; n++) {
        if (fs->nodes[dir].kids[n]) {
            return false;
        }
    }
    return true;
}

static bool can_rename(const struct simfs *fs, const struct sim_op *op)
{
    if (op->dir == op->dir2 && op->name == op->name2) {
        return false;
    }
    int from = fs->nodes[op->dir].kids[op->name], to = fs->nodes[op->dir2].kids[op->name2];
    bool dir = fs->nodes[from].type == ENTRY_DIR;
    if (dir && lies_below(fs, op->dir2, from)) {
        return false;
    }
    if (!to) {
        return true;
    }
    bool to_dir = fs->nodes[to].type == ENTRY_DIR;
    return dir ? to_dir && is_empty(fs, to) : !to_dir;
}

static bool can_exchange(const struct simfs *fs, const struct sim_op *op)
{
    if (op->dir * SIM_NAMES + op->name >= op->dir2 * SIM_NAMES + op->name2) {
        return false;
    }
    int x = fs->nodes[op->dir].kids[op->name], y = fs->nodes[op->dir2].kids[op->name2];
    return x != y && !(fs->nodes[x].type == ENTRY_DIR && lies_below(fs, op->dir2, x)) &&
           !(fs->nodes[y].type == ENTRY_DIR && lies_below(fs, op->dir, y));
}

/* Would this make a name that the directory has already in another case? */
static bool clashes(const struct simfs *fs, enum sim_kind kind, int dir, int name, int dir2,
                    int name2)
{
    bool makes = kind == SIM_CREATE || kind == SIM_MKDIR;
    bool puts = kind == SIM_RENAME || kind == SIM_LINK;
    int at = makes ? dir : dir2, as = makes ? name : name2, other = other_case(fs, as);
    if (!(makes || puts) || other == as || !fs->nodes[at].kids[other]) {
        return false;
    }
    return !(kind == SIM_RENAME && dir == dir2 && name == other);
}

struct op_list {
    const struct simfs *fs;
    struct sim_op *at;
    int count, max;
};

static void offer(struct op_list *list, enum sim_kind kind, int dir, int name, int dir2, int name2)
{
    if (list->count < list->max && !clashes(list->fs, kind, dir, name, dir2, name2)) {
        list->at[list->count++] = (struct sim_op){kind, dir, name, dir2, name2};
    }
}

static void offer_pairs(const struct simfs *fs, struct op_list *list, int dir, int name, int dir2,
                        bool links)
{
    const struct sim_node *node = &fs->nodes[fs->nodes[dir].kids[name]];
    for (int n = 0; n < SIM_NAMES; n++) {
        struct sim_op op = {SIM_RENAME, dir, name, dir2, n};
        if (can_rename(fs, &op)) {
            offer(list, SIM_RENAME, dir, name, dir2, n);
        }
        if (!fs->nodes[dir2].kids[n]) {
            if (links && node->type == ENTRY_FILE) {
                offer(list, SIM_LINK, dir, name, dir2, n);
            }
        } else if (can_exchange(fs, &op)) {
            offer(list, SIM_EXCHANGE, dir, name, dir2, n);
        }
    }
}

int sim_ops(const struct simfs *fs, int max_dirs, bool outside, bool links, struct sim_op *out,
            int max)
{
    struct op_list list = {fs, out, 0, max};
    int dirs[SIM_NODES * 2];
    int count = dirs_below(fs, SIM_ROOT, dirs);
    count = count < max_dirs ? count : max_dirs;
    if (outside) {
        int more = dirs_below(fs, SIM_OUTSIDE, dirs + count);
        count += more < 2 ? more : 2;
    }
    bool room = fs->next < SIM_NODES;
    for (int i = 0; i < count; i++) {
        for (int n = 0; n < SIM_NAMES; n++) {
            int kid = fs->nodes[dirs[i]].kids[n];
            if (!kid) {
                if (room) {
                    offer(&list, SIM_CREATE, dirs[i], n, 0, 0);
                    offer(&list, SIM_MKDIR, dirs[i], n, 0, 0);
                }
                continue;
            }
            offer(&list, SIM_REMOVE, dirs[i], n, 0, 0);
            if (fs->nodes[kid].type == ENTRY_FILE) {
                offer(&list, SIM_WRITE, dirs[i], n, 0, 0);
            }
            for (int k = 0; k < count; k++) {
                offer_pairs(fs, &list, dirs[i], n, dirs[k], links);
            }
        }
    }
    return list.count;
}

static void remove_tree(struct simfs *fs, int dir, int name)
{
    int kid = fs->nodes[dir].kids[name];
    if (fs->nodes[kid].type == ENTRY_DIR) {
        for (int n = 0; n < SIM_NAMES; n++) {
            if (fs->nodes[kid].kids[n]) {
                remove_tree(fs, kid, n);
            }
        }
        fs->nodes[kid].watched = false;
    }
    fs->nodes[kid].changes++;
    fs->nodes[dir].kids[name] = 0;
    sim_tell(fs, dir, name, HINT_NAME);
}

static void do_write(struct simfs *fs, int dir, int name)
{
    int kid = fs->nodes[dir].kids[name];
    uint8_t hints = fs->writer ? HINT_CONTENT : HINT_CONTENT | HINT_CLOSED;
    fs->nodes[kid].version++;
    fs->nodes[kid].changes++;
    sim_tell(fs, dir, name, hints);
    for (int d = 1; fs->all_links && d < fs->next; d++) {
        for (int n = 0; fs->nodes[d].type == ENTRY_DIR && n < SIM_NAMES; n++) {
            if (fs->nodes[d].kids[n] == kid && (d != dir || n != name)) {
                sim_tell(fs, d, n, hints);
            }
        }
    }
}

static void do_rename(struct simfs *fs, const struct sim_op *op)
{
    uint16_t *from = &fs->nodes[op->dir].kids[op->name];
    uint16_t *to = &fs->nodes[op->dir2].kids[op->name2];
    if (*from == *to) {
        return; /* two links of one inode: POSIX does nothing */
    }
    int kid = *from, victim = *to;
    bool entered = fs->nodes[kid].type == ENTRY_DIR && !fs->nodes[op->dir].watched;
    if (victim) {
        fs->nodes[victim].changes++;
        fs->nodes[victim].watched = false;
    }
    *to = (uint16_t)kid;
    *from = 0;
    fs->nodes[kid].changes++;
    sim_tell(fs, op->dir, op->name, HINT_NAME);
    sim_tell(fs, op->dir2, op->name2, (uint8_t)(HINT_NAME | (entered ? HINT_ENTERED : 0)));
}

static void do_exchange(struct simfs *fs, const struct sim_op *op)
{
    uint16_t *x = &fs->nodes[op->dir].kids[op->name];
    uint16_t *y = &fs->nodes[op->dir2].kids[op->name2];
    uint16_t swap = *x;
    *x = *y;
    *y = swap;
    fs->nodes[*x].changes++;
    fs->nodes[*y].changes++;
    bool seen = fs->nodes[op->dir].watched && fs->nodes[op->dir2].watched;
    uint8_t hints = seen ? HINT_NAME : HINT_NAME | HINT_ENTERED;
    sim_tell(fs, op->dir, op->name, hints);
    sim_tell(fs, op->dir2, op->name2, hints);
}

void sim_do(struct simfs *fs, const struct sim_op *op)
{
    switch (op->kind) {
    case SIM_CREATE:
    case SIM_MKDIR:
        assert(fs->next < SIM_NODES);
        fs->nodes[fs->next] =
            (struct sim_node){.type = op->kind == SIM_MKDIR ? ENTRY_DIR : ENTRY_FILE,
                              .number = (uint16_t)fs->next,
                              .version = 1,
                              .changes = 1};
        fs->nodes[op->dir].kids[op->name] = (uint16_t)fs->next++;
        sim_tell(fs, op->dir, op->name, HINT_NAME);
        break;
    case SIM_WRITE:
        do_write(fs, op->dir, op->name);
        break;
    case SIM_REMOVE:
        remove_tree(fs, op->dir, op->name);
        break;
    case SIM_RENAME:
        do_rename(fs, op);
        break;
    case SIM_EXCHANGE:
        do_exchange(fs, op);
        break;
    case SIM_LINK:
        fs->nodes[op->dir2].kids[op->name2] = fs->nodes[op->dir].kids[op->name];
        fs->nodes[fs->nodes[op->dir].kids[op->name]].changes++;
        sim_tell(fs, op->dir2, op->name2, HINT_NAME);
        break;
    }
}

void sim_print(const struct sim_op *op, char *out, size_t size)
{
    static const char *const words[] = {"create", "mkdir",    "write", "remove",
                                        "rename", "exchange", "link"};
    if (op->dir2) {
        (void)snprintf(out, size, "%s %d/%s %d/%s", words[op->kind], op->dir, names[op->name],
                       op->dir2, names[op->name2]);
    } else {
        (void)snprintf(out, size, "%s %d/%s", words[op->kind], op->dir, names[op->name]);
    }
}

/* --- the table of functions: a handle is the node's number + 1 as a pointer --- */

static struct disk_dir *handle_of(int node)
{
    return (struct disk_dir *)(uintptr_t)(node + 1);
}

static int node_of(const struct disk_dir *dir)
{
    return (int)((uintptr_t)dir - 1);
}

static void world(struct simfs *fs)
{
    if (fs->before_look) {
        fs->before_look(fs->ctx);
    }
}

static enum disk_answer open_root(void *ctx, struct disk_dir **out, struct file_id *file, int *os)
{
    (void)os;
    *out = handle_of(SIM_ROOT);
    *file = sim_file(ctx, SIM_ROOT);
    return DISK_PRESENT;
}

static enum disk_answer open_dir(void *ctx, struct disk_dir *parent, struct bytes name,
                                 struct disk_dir **out, struct file_id *file, int *os)
{
    struct simfs *fs = ctx;
    (void)os;
    int index = sim_name_index(name);
    int kid = found(fs, node_of(parent), index);
    if (!kid || fs->nodes[kid].type != ENTRY_DIR) {
        return DISK_ABSENT;
    }
    *out = handle_of(kid);
    *file = sim_file(fs, kid);
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
    struct simfs *fs = ctx;
    world(fs);
    int index = sim_name_index(name);
    int kid = found(fs, node_of(dir), index);
    if (!kid) {
        return DISK_ABSENT;
    }
    const struct sim_node *node = &fs->nodes[kid];
    out->type = (enum entry_type)node->type;
    out->file = sim_file(fs, kid);
    out->attrs = (struct entry_attrs){.mode = 0755};
    out->link_count = 0;
    for (int d = 1; d < fs->next; d++) {
        for (int n = 0; fs->nodes[d].type == ENTRY_DIR && n < SIM_NAMES; n++) {
            out->link_count += fs->nodes[d].kids[n] == kid;
        }
    }
    if (node->type != ENTRY_DIR) {
        out->attrs.size = out->attrs.mtime_ns = node->version;
        out->attrs.ctime_ns = node->changes;
    }
    return DISK_PRESENT;
}

static bool folds(void *ctx, struct disk_dir *dir)
{
    const struct simfs *fs = ctx;
    (void)dir;
    return fs->folds;
}

static enum disk_answer list(void *ctx, struct disk_dir *dir, struct buf *out, int *os)
{
    struct simfs *fs = ctx;
    (void)os;
    world(fs);
    for (int n = SIM_NAMES; n-- > 0;) {
        if (fs->nodes[node_of(dir)].kids[n]) {
            uint16_t len = 1;
            buf_add(out, &len, sizeof len);
            buf_add(out, names[n], 1);
        }
    }
    return DISK_PRESENT;
}

static int watch(void *ctx, struct disk_dir *dir, struct file_id file, bool root, int32_t *out,
                 struct err *err)
{
    struct simfs *fs = ctx;
    (void)file;
    (void)root;
    (void)err;
    fs->nodes[node_of(dir)].watched = true;
    *out = fs->nodes[node_of(dir)].number;
    return 0;
}

static void unwatch(void *ctx, int32_t number)
{
    struct simfs *fs = ctx;
    for (int node = 0; node < fs->next; node++) {
        if (fs->nodes[node].number == number) {
            fs->nodes[node].watched = false;
        }
    }
}

static int has_writer(void *ctx, struct disk_dir *dir, struct bytes name)
{
    const struct simfs *fs = ctx;
    (void)dir;
    (void)name;
    return fs->writer;
}

static enum disk_answer read_file(void *ctx, struct disk_dir *dir, struct bytes name, size_t limit,
                                  struct buf *out, int *os)
{
    (void)ctx;
    (void)dir;
    (void)name;
    (void)limit;
    (void)out;
    *os = ENOENT;
    return DISK_ABSENT;
}

const struct disk_ops sim_disk_ops = {.open_root = open_root,
                                      .open = open_dir,
                                      .close = close_dir,
                                      .look = look,
                                      .folds = folds,
                                      .list = list,
                                      .watch = watch,
                                      .unwatch = unwatch,
                                      .has_writer = has_writer,
                                      .read_file = read_file};
