/* sim_disk.c: see sim_disk.h. Each operation changes the inodes as the system does and says what
 * happened where; what of that is told to the engine, in which order and by which record is the
 * simulated kernel's affair. */
#include "sim_disk.h"

#include "sim.h"

static const char *const names[SIM_NAMES] = {"a", "b", "c", "d", "e\xff", ".spoorignore"};
static const char *const windows_names[SIM_NAMES] = {"a", "b",           "c",
                                                     "A", "longer name", ".spoorignore"};
static const char *const short_names[SIM_NAMES] = {"a", "b", "c", "A", "LONGER~1", "SPOORI~1"};
static const char *const targets[SIM_TARGETS] = {"a", "../nowhere", "\xfe"};
static const char *const rules[SIM_RULES] = {"", "b\n", "c/\n", "!b\n", "*\n"};

struct bytes sim_name(const struct sim_disk *disk, int index)
{
    return bytes_str((disk->windows ? windows_names : names)[index]);
}

struct bytes sim_short_name(int index)
{
    return bytes_str(short_names[index]);
}

int sim_name_index(const struct sim_disk *disk, struct bytes name)
{
    for (int i = 0; i < SIM_NAMES; i++) {
        if (bytes_equal(name, sim_name(disk, i))) {
            return i;
        }
    }
    return -1;
}

const char *sim_target(int index)
{
    return targets[index];
}

const char *sim_rules(int index)
{
    return rules[index];
}

/* What an operation works with. */
struct doing {
    struct sim_disk *disk;
    struct sim *sim;
    int64_t now_ns;
};

void sim_disk_init(struct sim_disk *disk, bool windows, bool weak)
{
    memset(disk, 0, sizeof *disk);
    disk->windows = windows;
    disk->weak = weak;
    disk->next_inode = 100;
    for (int i = SIM_ROOT; i < SIM_FIRST; i++) {
        disk->nodes[i] = (struct sim_node){.type = ENTRY_DIR,
                                           .inode = disk->next_inode++,
                                           .birth_ns = windows || weak ? 0 : 7,
                                           .mode = 0755,
                                           .links = 1};
    }
    disk->next = SIM_FIRST;
    disk->at_path = SIM_ROOT;
}

void sim_disk_mount(struct sim_disk *disk)
{
    for (int i = SIM_FIRST; disk->weak && i < disk->next; i++) {
        disk->nodes[i].inode = disk->next_inode++;
    }
}

void sim_disk_revert(struct sim_disk *disk, const struct sim_disk *flushed)
{
    *disk = *flushed;
    for (int i = 0; i < disk->next; i++) {
        disk->nodes[i].watch = 0;
        disk->nodes[i].writers = 0;
    }
}

int sim_dirs_below(const struct sim_disk *disk, int top, int out[SIM_NODES])
{
    int count = 0;
    out[count++] = top;
    for (int i = 0; i < count; i++) {
        for (int n = 0; n < SIM_NAMES; n++) {
            int kid = disk->nodes[out[i]].kids[n];
            if (kid && disk->nodes[kid].type == ENTRY_DIR) {
                out[count++] = kid;
            }
        }
    }
    return count;
}

struct sim_place sim_place_of(const struct sim_disk *disk, int dir)
{
    for (int i = SIM_ROOT; i < disk->next; i++) {
        const struct sim_node *parent = &disk->nodes[i];
        for (int n = 0; parent->type == ENTRY_DIR && n < SIM_NAMES; n++) {
            if (parent->kids[n] == dir) {
                return (struct sim_place){i, n, dir};
            }
        }
    }
    return (struct sim_place){0};
}

static bool is_below(const struct sim_disk *disk, int dir, int top)
{
    int dirs[SIM_NODES];
    int count = sim_dirs_below(disk, top, dirs);
    for (int i = 0; i < count; i++) {
        if (dirs[i] == dir) {
            return true;
        }
    }
    return false;
}

static bool is_empty(const struct sim_node *node)
{
    for (int n = 0; n < SIM_NAMES; n++) {
        if (node->kids[n]) {
            return false;
        }
    }
    return true;
}

/* The name under which a directory holds what is asked for. */
static int stored_name(const struct sim_disk *disk, int dir, int name)
{
    int twin = name == SIM_NAME_LOWER ? SIM_NAME_UPPER : SIM_NAME_LOWER;
    bool either = name == SIM_NAME_LOWER || name == SIM_NAME_UPPER;
    const struct sim_node *node = &disk->nodes[dir];
    return disk->windows && either && !node->kids[name] && node->kids[twin] ? twin : name;
}

int sim_stored_name(const struct sim_disk *disk, int dir, struct bytes name)
{
    int index = sim_name_index(disk, name);
    for (int i = 0; disk->windows && index < 0 && i < SIM_NAMES; i++) {
        index = bytes_equal(name, sim_short_name(i)) ? i : -1;
    }
    return index < 0 ? -1 : stored_name(disk, dir, index);
}

static struct sim_place find(const struct sim_disk *disk, const struct sim_path *path)
{
    struct sim_place place = {.dir = path->outside ? SIM_OUTSIDE : SIM_ROOT};
    for (int i = 0; i < path->depth; i++) {
        const struct sim_node *dir = &disk->nodes[place.dir];
        if (dir->type != ENTRY_DIR || dir->covered) {
            return (struct sim_place){0};
        }
        place.name = stored_name(disk, place.dir, path->names[i]);
        place.node = dir->kids[place.name];
        if (i + 1 < path->depth) {
            if (!place.node) {
                return (struct sim_place){0};
            }
            place.dir = place.node;
        }
    }
    return path->depth ? place : (struct sim_place){0};
}

static void tell_all(const struct doing *doing, enum sim_told kind, const struct sim_place *place,
                     const struct sim_place *to)
{
    if (doing->sim) {
        struct sim_event event = {.kind = kind, .place = *place, .to = *to};
        event.dir = place->node && doing->disk->nodes[place->node].type == ENTRY_DIR;
        sim_kernel_tell(doing->sim, &event);
    }
}

static void tell(const struct doing *doing, enum sim_told kind, const struct sim_place *place)
{
    tell_all(doing, kind, place, &(struct sim_place){0});
}

static struct sim_node *make(const struct doing *doing, struct sim_place *place,
                             enum entry_type type, bool reuse)
{
    struct sim_disk *disk = doing->disk;
    if (!place->dir || place->node || disk->next == SIM_NODES) {
        return NULL;
    }
    place->node = disk->next++;
    disk->nodes[place->dir].kids[place->name] = (uint16_t)place->node;
    struct sim_node *node = &disk->nodes[place->node];
    *node = (struct sim_node){.type = (uint8_t)type,
                              .inode = disk->next_inode++,
                              .birth_ns = disk->windows || disk->weak
                                              ? 0
                                              : (uint64_t)doing->now_ns + (uint64_t)disk->next,
                              .mtime_ns = doing->now_ns,
                              .ctime_ns = doing->now_ns,
                              .mode = type == ENTRY_DIR ? 0755 : 0644,
                              .links = 1};
    if (reuse && disk->freed_inode && !disk->windows) {
        node->inode = disk->freed_inode;
        disk->freed_inode = 0;
    }
    tell(doing, TOLD_CREATE, place);
    return node;
}

/* One name less; with the last one the inode goes. */
static void drop(const struct doing *doing, int index)
{
    struct sim_node *node = &doing->disk->nodes[index];
    node->ctime_ns = doing->now_ns;
    node->links--;
    tell(doing, TOLD_LINKS, &(struct sim_place){.node = index});
    if (node->links == 0) {
        doing->disk->freed_inode = node->inode;
        if (doing->sim && node->type == ENTRY_DIR) {
            sim_kernel_drop(doing->sim, index);
        }
    }
}

static void remove_all(const struct doing *doing, struct sim_place place)
{
    struct sim_node *node = &doing->disk->nodes[place.node];
    if (node->covered) {
        return; /* EBUSY */
    }
    for (int n = 0; node->type == ENTRY_DIR && n < SIM_NAMES; n++) {
        if (node->kids[n]) {
            remove_all(doing, (struct sim_place){place.node, n, node->kids[n]});
        }
    }
    if (node->type == ENTRY_DIR && !is_empty(node)) {
        return;
    }
    doing->disk->nodes[place.dir].kids[place.name] = 0;
    drop(doing, place.node);
    tell(doing, TOLD_DELETE, &place);
}

enum how { WROTE = 1, CLOSED = 2, SET_TIMES = 4 };

static void change(const struct doing *doing, const struct sim_place *place, int64_t number,
                   int how)
{
    struct sim_node *node = &doing->disk->nodes[place->node];
    node->size = number % 1000;
    if (!node->many_links) { /* a write through a name elsewhere is told to nobody */
        node->rules = (uint8_t)(number % SIM_RULES);
    }
    node->mtime_ns = node->ctime_ns = doing->now_ns;
    static const enum sim_told told[] = {TOLD_MODIFY, TOLD_CLOSE, TOLD_ATTRIB};
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        if (how & 1 << i) {
            tell(doing, told[i], place);
        }
    }
}

static bool can_rename(const struct sim_disk *disk, const struct sim_place *from,
                       const struct sim_place *to)
{
    if (!from->node || !to->dir || from->node == to->node || disk->nodes[from->node].covered ||
        (to->node && disk->nodes[to->node].covered)) {
        return false;
    }
    bool dir = disk->nodes[from->node].type == ENTRY_DIR;
    if (dir && is_below(disk, to->dir, from->node)) {
        return false;
    }
    if (!to->node) {
        return true;
    }
    bool to_dir = disk->nodes[to->node].type == ENTRY_DIR;
    return dir ? to_dir && is_empty(&disk->nodes[to->node]) : !to_dir;
}

static void rename_to(const struct doing *doing, const struct sim_place *from, struct sim_place *to)
{
    struct sim_disk *disk = doing->disk;
    if (!can_rename(disk, from, to)) {
        return;
    }
    int victim = to->node;
    disk->nodes[to->dir].kids[to->name] = (uint16_t)from->node;
    disk->nodes[from->dir].kids[from->name] = 0;
    disk->nodes[from->node].ctime_ns = doing->now_ns;
    to->node = from->node;
    tell_all(doing, TOLD_RENAME, from, to);
    if (victim) {
        drop(doing, victim);
    }
}

static void exchange(const struct doing *doing, struct sim_place *x, struct sim_place *y)
{
    struct sim_disk *disk = doing->disk;
    if (disk->windows || !x->node || !y->node || x->node == y->node ||
        disk->nodes[x->node].covered || disk->nodes[y->node].covered ||
        (disk->nodes[x->node].type == ENTRY_DIR && is_below(disk, y->dir, x->node)) ||
        (disk->nodes[y->node].type == ENTRY_DIR && is_below(disk, x->dir, y->node))) {
        return;
    }
    struct sim_place to_x = {x->dir, x->name, y->node}, to_y = {y->dir, y->name, x->node};
    disk->nodes[x->dir].kids[x->name] = (uint16_t)y->node;
    disk->nodes[y->dir].kids[y->name] = (uint16_t)x->node;
    disk->nodes[x->node].ctime_ns = disk->nodes[y->node].ctime_ns = doing->now_ns;
    tell_all(doing, TOLD_RENAME, x, &to_y);
    tell_all(doing, TOLD_RENAME, y, &to_x);
}

static void link_to(const struct doing *doing, const struct sim_place *from, struct sim_place *to)
{
    if (!from->node || !to->dir || to->node || doing->disk->nodes[from->node].type == ENTRY_DIR) {
        return;
    }
    struct sim_node *node = &doing->disk->nodes[from->node];
    node->links++;
    node->many_links = true;
    node->ctime_ns = doing->now_ns;
    to->node = from->node;
    doing->disk->nodes[to->dir].kids[to->name] = (uint16_t)to->node;
    tell(doing, TOLD_LINKS, from);
    tell(doing, TOLD_CREATE, to);
}

static void chmod_to(const struct doing *doing, const struct sim_place *place, uint32_t mode)
{
    struct sim_node *node = &doing->disk->nodes[place->node];
    if (node->type == ENTRY_SYMLINK) {
        return;
    }
    node->mode = mode;
    node->ctime_ns = doing->now_ns;
    tell(doing, TOLD_ATTRIB, place);
}

static void move_root(const struct doing *doing, int to)
{
    struct sim_disk *disk = doing->disk;
    if (disk->at_path == to) {
        return;
    }
    if (disk->at_path == SIM_ROOT || to == SIM_ROOT) {
        tell(doing, TOLD_ROOT_MOVED, &(struct sim_place){.node = SIM_ROOT});
    }
    disk->at_path = to;
}

static void do_file(const struct doing *doing, const struct sim_op *op,
                    const struct sim_place *place)
{
    struct sim_node *node = &doing->disk->nodes[place->node];
    struct sim_node before = *node;
    switch (op->kind) {
    case SIM_WRITE:
        change(doing, place, op->number, WROTE | CLOSED);
        break;
    case SIM_BEGIN:
        node->writers++;
        change(doing, place, op->number, WROTE);
        break;
    case SIM_END:
        if (node->writers) {
            node->writers--;
            tell(doing, TOLD_CLOSE, place);
        }
        break;
    case SIM_MAPPED:
        change(doing, place, op->number, CLOSED);
        break;
    case SIM_RESTORE:
        change(doing, place, op->number, WROTE | CLOSED | SET_TIMES);
        node->size = before.size;
        node->mtime_ns = before.mtime_ns;
        break;
    default:
        change(doing, place, op->number, WROTE);
        break;
    }
}

static void do_one(const struct doing *doing, const struct sim_op *op, struct sim_place *place)
{
    struct sim_node *node = &doing->disk->nodes[place->node];
    switch (op->kind) {
    case SIM_CHMOD:
        chmod_to(doing, place, (uint32_t)op->number);
        break;
    case SIM_TOUCH:
        node->mtime_ns = op->number;
        node->ctime_ns = doing->now_ns;
        tell(doing, TOLD_ATTRIB, place);
        break;
    case SIM_REMOVE:
        remove_all(doing, *place);
        break;
    case SIM_COVER:
    case SIM_UNCOVER:
        node->covered = node->type == ENTRY_DIR && op->kind == SIM_COVER;
        break;
    default:
        if (node->type == ENTRY_FILE) {
            do_file(doing, op, place);
        }
        break;
    }
}

static void do_new(const struct doing *doing, const struct sim_op *op, struct sim_place *place)
{
    static const uint8_t types[] = {[SIM_CREATE] = ENTRY_FILE,
                                    [SIM_MKDIR] = ENTRY_DIR,
                                    [SIM_SYMLINK] = ENTRY_SYMLINK,
                                    [SIM_FIFO] = ENTRY_OTHER};
    struct sim_node *node =
        make(doing, place, (enum entry_type)types[op->kind], op->number % 2 != 0);
    if (node && op->kind == SIM_CREATE) {
        node->rules = (uint8_t)(op->number % SIM_RULES);
        tell(doing, TOLD_CLOSE, place);
    } else if (node && op->kind == SIM_SYMLINK) {
        node->target = (uint8_t)(op->number % SIM_TARGETS);
    }
}

void sim_disk_do(struct sim_disk *disk, struct sim *sim, const struct sim_op *op, int64_t wall_ns)
{
    struct doing doing = {disk, sim, wall_ns};
    struct sim_place place = find(disk, &op->path), to = find(disk, &op->to);
    switch (op->kind) {
    case SIM_CREATE:
    case SIM_MKDIR:
    case SIM_SYMLINK:
    case SIM_FIFO:
        do_new(&doing, op, &place);
        break;
    case SIM_LINK:
        link_to(&doing, &place, &to);
        break;
    case SIM_RENAME:
        if (to.node && to.node == place.node) { /* no other name, but perhaps another case of it */
            to.name = op->to.names[op->to.depth - 1];
            to.node = disk->nodes[to.dir].kids[to.name];
        }
        rename_to(&doing, &place, &to);
        break;
    case SIM_EXCHANGE:
        exchange(&doing, &place, &to);
        break;
    case SIM_ROOT_AWAY:
        move_root(&doing, SIM_FREE);
        break;
    case SIM_ROOT_SWAP:
        move_root(&doing, SIM_OTHER_ROOT);
        break;
    case SIM_ROOT_BACK:
        move_root(&doing, SIM_ROOT);
        break;
    default:
        if (place.node) {
            do_one(&doing, op, &place);
        }
        break;
    }
}

bool sim_disk_concerns(const struct sim_disk *disk, const struct sim_op *op, int node)
{
    return find(disk, &op->path).node == node || find(disk, &op->to).node == node;
}

void sim_disk_heal(struct sim_disk *disk, struct sim *sim, int64_t wall_ns)
{
    struct doing doing = {disk, sim, wall_ns};
    int dirs[SIM_NODES];
    int count = sim_dirs_below(disk, SIM_ROOT, dirs);
    move_root(&doing, SIM_ROOT);
    for (int i = 0; i < count; i++) {
        disk->nodes[dirs[i]].covered = false;
        for (int n = 0; n < SIM_NAMES; n++) {
            int kid = disk->nodes[dirs[i]].kids[n];
            const struct sim_node *node = &disk->nodes[kid];
            uint32_t wanted = node->type == ENTRY_DIR ? 0500 : 0400;
            if (kid && (node->mode & wanted) != wanted) {
                struct sim_place place = {dirs[i], n, kid};
                chmod_to(&doing, &place, node->mode | wanted);
            }
        }
    }
}
