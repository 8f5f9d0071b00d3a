/* sim_make.c: a script from a seed. It is made against a disk of its own, so that most of what it
 * asks for can be done; what cannot does nothing, so that any part of it is a script, too. */
#include "sim_script.h"

uint64_t sim_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct maker {
    uint64_t state;
    struct sim_script *out;
    struct sim_disk disk, flushed;
    int unreadable; /* how often, of 100, modes that shut the daemon out are given */
    int torn;       /* how often, of 100, an operation waits for a look */
    int inner;      /* depth that is kept to */
};

static int64_t pick(struct maker *maker, int64_t count)
{
    return (int64_t)(sim_random(&maker->state) % (uint64_t)count);
}

static bool chance(struct maker *maker, int percent)
{
    return pick(maker, 100) < percent;
}

/* A directory that is there. */
static int pick_dir(struct maker *maker, struct sim_path *path)
{
    const struct sim_disk *disk = &maker->disk;
    *path = (struct sim_path){.outside = chance(maker, 8)};
    int dir = path->outside ? SIM_OUTSIDE : SIM_ROOT;
    while (path->depth < maker->inner && chance(maker, 65)) {
        int first = (int)pick(maker, SIM_NAMES), kid = 0, name = 0;
        for (int i = 0; i < SIM_NAMES && !kid; i++) {
            name = (first + i) % SIM_NAMES;
            int node = disk->nodes[dir].kids[name];
            kid = node && disk->nodes[node].type == ENTRY_DIR ? node : 0;
        }
        if (!kid) {
            break;
        }
        path->names[path->depth++] = (uint8_t)name;
        dir = kid;
    }
    return dir;
}

/* A name, one that is there when `there`. */
static void pick_path(struct maker *maker, bool there, struct sim_path *path)
{
    int dir = pick_dir(maker, path);
    int name = chance(maker, 6) ? SIM_NAME_RULES : (int)pick(maker, SIM_NAMES - 1);
    for (int i = 0; there && i < SIM_NAMES && !maker->disk.nodes[dir].kids[name]; i++) {
        name = (name + 1) % SIM_NAMES;
    }
    path->names[path->depth++] = (uint8_t)name;
}

static int64_t pick_mode(struct maker *maker)
{
    static const int64_t good[] = {0755, 0700, 0644, 0600, 0777, 0500};
    static const int64_t bad[] = {0, 0311, 0444, 0200};
    return chance(maker, maker->unreadable) ? bad[pick(maker, 4)] : good[pick(maker, 6)];
}

/* Adds one, and does it on the maker's own disk. */
static void add(struct maker *maker, const struct sim_op *op)
{
    if (maker->out->count < SIM_OPS_MAX) {
        maker->out->ops[maker->out->count++] = *op;
        if (op->kind < SIM_KINDS_OF_USERS) {
            sim_disk_do(&maker->disk, NULL, op, 1);
        } else if (op->kind == SIM_FLUSH) {
            maker->flushed = maker->disk;
        } else if (op->kind == SIM_POWER) {
            sim_disk_revert(&maker->disk, &maker->flushed);
        }
    }
}

static void add_user_op(struct maker *maker)
{
    struct sim_op made_op = {0}, *op = &made_op;
    static const uint8_t kinds[] = {
        SIM_CREATE, SIM_CREATE,  SIM_CREATE,   SIM_CREATE, SIM_MKDIR,  SIM_MKDIR,  SIM_MKDIR,
        SIM_MKDIR,  SIM_WRITE,   SIM_WRITE,    SIM_BEGIN,  SIM_END,    SIM_MAPPED, SIM_RESTORE,
        SIM_CHMOD,  SIM_TOUCH,   SIM_TRUNCATE, SIM_FIFO,   SIM_LINK,   SIM_REMOVE, SIM_REMOVE,
        SIM_REMOVE, SIM_RENAME,  SIM_RENAME,   SIM_RENAME, SIM_RENAME, SIM_RENAME, SIM_EXCHANGE,
        SIM_COVER,  SIM_UNCOVER, SIM_SYMLINK};
    op->kind = (enum sim_kind)kinds[pick(maker, (int64_t)ARRAY_LEN(kinds))];
    bool made = op->kind == SIM_CREATE || op->kind == SIM_MKDIR || op->kind == SIM_FIFO ||
                op->kind == SIM_SYMLINK;
    op->number = op->kind == SIM_CHMOD ? pick_mode(maker) : pick(maker, 5000);
    op->torn = chance(maker, maker->torn) ? (int)pick(maker, 12) + 1 : 0;
    pick_path(maker, !made, &op->path);
    if (op->kind == SIM_COVER && !chance(maker, maker->unreadable)) {
        op->kind = SIM_RENAME;
    }
    if (op->kind == SIM_RENAME || op->kind == SIM_LINK || op->kind == SIM_EXCHANGE) {
        pick_path(maker, op->kind == SIM_EXCHANGE, &op->to);
    }
    add(maker, op);
}

static void add_other_op(struct maker *maker)
{
    struct sim_op made_op = {0}, *op = &made_op;
    static const uint8_t kinds[] = {
        SIM_RUN,       SIM_RUN,   SIM_RUN,    SIM_RUN,       SIM_STEP,      SIM_WAIT,
        SIM_WAIT,      SIM_WAIT,  SIM_WAIT,   SIM_WAIT,      SIM_WAIT,      SIM_SYNC,
        SIM_SYNC,      SIM_CRASH, SIM_CRASH,  SIM_RESTART,   SIM_OVERFLOW,  SIM_JUMP,
        SIM_FAULT,     SIM_FAULT, SIM_FAULT,  SIM_ROOT_AWAY, SIM_ROOT_BACK, SIM_ROOT_SWAP,
        SIM_ROOT_BACK, SIM_FLUSH, SIM_SERVER, SIM_SERVER,    SIM_SERVER,    SIM_FLUSH,
        SIM_POWER};
    op->kind = (enum sim_kind)kinds[pick(maker, (int64_t)ARRAY_LEN(kinds))];
    switch (op->kind) {
    case SIM_WAIT:
        op->number = chance(maker, 50) ? pick(maker, 500) : pick(maker, 20000);
        break;
    case SIM_CRASH:
        op->number = pick(maker, 60) + 1;
        break;
    case SIM_JUMP:
        op->number = pick(maker, 200000) - 100000;
        break;
    default:
        op->number = pick(maker, 64);
        break;
    }
    add(maker, op);
}

/* ---- what chance alone brings about too rarely ---- */

static void add_wait(struct maker *maker, int64_t ms)
{
    add(maker, &(struct sim_op){.kind = SIM_WAIT, .number = ms});
}

/* Half a settle time and a bit: twice that, and a name that was let be is due. */
static void add_half_wait(struct maker *maker)
{
    add_wait(maker, maker->out->config.settle_ms * 6 / 10);
}

static struct sim_op rename_op(struct maker *maker)
{
    struct sim_op op = {.kind = SIM_RENAME};
    pick_path(maker, true, &op.path);
    pick_path(maker, false, &op.to);
    return op;
}

/* Something moves while its new name, or its old one, does not come to rest: one of them is due
 * and the other is not. */
static void add_half_settled(struct maker *maker)
{
    struct sim_op move = rename_op(maker);
    bool stays = chance(maker, 70);
    struct sim_op busy = {.kind = stays ? SIM_CHMOD : SIM_FIFO, .number = 0755};
    busy.path = stays ? move.to : move.path;
    add_wait(maker, maker->out->config.settle_ms * 2);
    add(maker, &move);
    if (chance(maker, 30)) { /* and on: a chain whose middle is due */
        struct sim_op next = rename_op(maker);
        next.path = move.to;
        add_half_wait(maker);
        add(maker, &next);
        busy.path = next.to;
    }
    for (int64_t i = pick(maker, 3) + 1; i > 0; i--) {
        add_half_wait(maker);
        add(maker, &busy);
    }
    add_half_wait(maker);
    if (chance(maker, 30)) {
        add_user_op(maker);
    }
}

/* A directory that is known with one below it leaves, something changes in the lower one, and it
 * returns before anybody looked. */
static void add_quick_trip(struct maker *maker)
{
    struct sim_op op = {.kind = SIM_MKDIR}, away = {.kind = SIM_RENAME}, back = away;
    pick_path(maker, false, &op.path);
    if (op.path.outside || op.path.depth + 2 > SIM_DEPTH) {
        return;
    }
    away.path = back.to = op.path;
    away.to = (struct sim_path){.outside = true, .depth = 1};
    away.to.names[0] = (uint8_t)pick(maker, SIM_NAMES - 1);
    back.path = away.to;
    add(maker, &op);
    int lower = (int)pick(maker, SIM_NAMES - 1);
    op.path.names[op.path.depth++] = (uint8_t)lower;
    add(maker, &op);
    add_wait(maker, maker->out->config.settle_ms * 2 + 100);
    add(maker, &away);
    struct sim_op change = {.kind = chance(maker, 70) ? SIM_CREATE : SIM_MKDIR, .path = away.to};
    change.path.names[change.path.depth++] = (uint8_t)lower;
    change.path.names[change.path.depth++] = (uint8_t)pick(maker, SIM_NAMES - 1);
    add(maker, &change);
    if (chance(maker, 30)) {
        pick_path(maker, false, &back.to);
    }
    add(maker, &back);
}

/* A directory leaves, something in it changes there, and it returns: to its name or another. */
static void add_round_trip(struct maker *maker)
{
    struct sim_op leave = rename_op(maker);
    leave.path.outside = false;
    leave.to = (struct sim_path){.outside = true, .depth = 1};
    leave.to.names[0] = (uint8_t)pick(maker, SIM_NAMES - 1);
    add(maker, &leave);
    for (int64_t i = pick(maker, 3); i >= 0; i--) {
        struct sim_op op = {.kind = chance(maker, 50) ? SIM_CREATE : SIM_MKDIR, .path = leave.to};
        if (chance(maker, 30)) {
            op.kind = SIM_REMOVE;
        }
        for (int64_t depth = pick(maker, 2); depth >= 0; depth--) {
            op.path.names[op.path.depth++] = (uint8_t)pick(maker, SIM_NAMES - 1);
        }
        add(maker, &op);
    }
    if (chance(maker, 30)) {
        add_half_wait(maker);
    }
    struct sim_op back = {.kind = SIM_RENAME, .path = leave.to, .to = leave.path};
    if (chance(maker, 40)) {
        pick_path(maker, false, &back.to);
    }
    add(maker, &back);
}

/* Rows are made and sent, and the server answers so, and then so. */
static void add_faults(struct maker *maker)
{
    for (int64_t i = pick(maker, 4) + 2; i > 0; i--) {
        add_user_op(maker);
    }
    for (int64_t i = pick(maker, 4) + 1; i > 0; i--) {
        add(maker, &(struct sim_op){.kind = SIM_FAULT, .number = pick(maker, 64)});
    }
    add_wait(maker, maker->out->config.settle_ms * 2 + pick(maker, 5000));
}

/* Rows are sent and perhaps forgotten, then the server loses what it has, and more follow. */
static void add_server_loss(struct maker *maker)
{
    for (int64_t i = pick(maker, 3) + 1; i > 0; i--) {
        add_user_op(maker);
    }
    add_wait(maker, chance(maker, 50) ? 100000 : 5000); /* past a purge, or not */
    add(maker, &(struct sim_op){.kind = SIM_SERVER, .number = pick(maker, 3)});
    if (chance(maker, 50)) {
        add(maker, &(struct sim_op){.kind = SIM_RESTART});
    }
    add_faults(maker);
}

/* A path of directories springs up while the engine looks. */
static void add_mkdirs(struct maker *maker)
{
    struct sim_op op = {.kind = SIM_MKDIR};
    pick_path(maker, false, &op.path);
    add(maker, &op);
    int64_t levels = pick(maker, 3) + 1;
    while (levels-- > 0 && op.path.depth < SIM_DEPTH) {
        op.path.names[op.path.depth++] = (uint8_t)pick(maker, SIM_NAMES - 1);
        op.kind = levels ? SIM_MKDIR : SIM_CREATE;
        op.torn = (int)pick(maker, 6);
        add(maker, &op);
    }
}

static void add_scenario(struct maker *maker)
{
    static void (*const scenarios[])(struct maker *) = {
        add_half_settled, add_half_settled, add_half_settled, add_round_trip,
        add_quick_trip,   add_faults,       add_server_loss,  add_mkdirs};
    scenarios[pick(maker, (int64_t)ARRAY_LEN(scenarios))](maker);
}

void sim_script_make(uint64_t seed, struct sim_script *out)
{
    static const int64_t settles[] = {0, 300, 300, 1500}, delays[] = {100, 5000, 5000, 30000};
    static const int64_t queues[] = {6, 30, 400, 400}, watches[] = {3, 8, 1000, 1000, 1000};
    static const int64_t batches[] = {16, 40, 1000}, ticks[] = {0, 4, 1000};
    static const int64_t polls[] = {10, 60, 300}, retentions[] = {0, 1, 30};
    static const uint8_t kernels[] = {SIM_INOTIFY, SIM_INOTIFY, SIM_FANOTIFY,     SIM_FANOTIFY,
                                      SIM_POLL,    SIM_WINDOWS, SIM_WINDOWS_PATHS};
    struct maker maker = {.state = seed, .out = out};
    *out = (struct sim_script){.config = {.seed = seed}};
    struct sim_config *config = &out->config;
    config->settle_ms = settles[pick(&maker, 4)];
    config->delay_ms = delays[pick(&maker, 4)];
    config->queue_max = queues[pick(&maker, 4)];
    config->watch_max = watches[pick(&maker, 5)];
    config->batch_rows = batches[pick(&maker, 3)];
    config->batch_delay_ms = pick(&maker, 2) * 1000;
    config->kernel = kernels[pick(&maker, ARRAY_LEN(kernels))];
    config->weak = !sim_is_windows(config) && config->kernel != SIM_FANOTIFY && chance(&maker, 15);
    sim_disk_init(&maker.disk, sim_is_windows(config), config->weak != 0);
    maker.flushed = maker.disk;
    config->coarse_ms = ticks[pick(&maker, 3)];
    config->poll_s = polls[pick(&maker, 3)];
    config->retention_s = retentions[pick(&maker, 3)];
    config->fold = pick(&maker, 2);
    maker.unreadable = chance(&maker, 40) ? 50 : 0;
    maker.torn = chance(&maker, 50) ? 40 : 0;
    maker.inner = (int)pick(&maker, SIM_DEPTH - 2) + 1;
    int others = (int)pick(&maker, 40) + 10;
    int count = (int)pick(&maker, 60) + 8;
    while (out->count < count) {
        if (chance(&maker, 5)) {
            add_scenario(&maker);
        } else if (chance(&maker, others)) {
            add_other_op(&maker);
        } else {
            add_user_op(&maker);
        }
    }
}
