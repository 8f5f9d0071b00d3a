/* sim_run.c: one script from its beginning to its end, and then quiet: what is broken is mended,
 * and after a sync all must hold, with the server, and after restarts, too. */
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "clock.h"
#include "sim.h"
#include "watch.h"

enum { HEALED_WAIT_S = 900 }; /* longer than the longest back-off of a look */

bool sim_wrong(struct sim *sim, const char *format, ...)
{
    if (sim->why[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(sim->why, sizeof sim->why, format, args);
        va_end(args);
    }
    return false;
}

/* What the disk gives as the time of a change. */
static int64_t stamp(const struct sim *sim)
{
    int64_t tick = sim->config.coarse_ms * CLOCK_NS_PER_MS;
    int64_t now = sim->mono_ns + sim->wall_offset_ns;
    return tick ? now - now % tick : now;
}

static bool names_rules(const struct sim_path *path)
{
    return path->depth && path->names[path->depth - 1] == SIM_NAME_RULES;
}

void sim_do(struct sim *sim, const struct sim_op *op, bool between_looks)
{
    if (between_looks) {
        for (int i = SIM_FIRST; i < sim->disk.next; i++) {
            if (sim_disk_concerns(&sim->disk, op, i)) {
                sim_identity_forget(sim, i);
            }
        }
    }
    sim_disk_do(&sim->disk, sim, op, stamp(sim));
    sim->rules_changed |= names_rules(&op->path) || names_rules(&op->to);
    sim_identity_changed(sim);
}

/* Operations that no look came for. */
static void flush_torn(struct sim *sim)
{
    for (int i = 0; i < sim->torn_count; i++) {
        sim_do(sim, &sim->torn[i], false);
    }
    sim->torn_count = 0;
}

static bool sync_and_check(struct sim *sim)
{
    bool done;
    flush_torn(sim);
    if (!sim_engine_sync(sim, &done)) {
        return false;
    }
    sim->rules_changed &= !done;
    return !done || sim->disk.at_path != SIM_ROOT || sim_engine_troubled(sim) ||
           sim_check_disk(sim, true);
}

static bool do_op(struct sim *sim, const struct sim_op *op)
{
    if (op->kind < SIM_KINDS_OF_USERS) {
        if (op->torn && sim->torn_count < SIM_TORN) {
            sim->torn[sim->torn_count++] = *op;
        } else {
            struct sim_op now = *op;
            /* Another directory before the first start would simply be the folder. */
            if (op->kind == SIM_ROOT_SWAP && !sim_engine_knows_root(sim)) {
                now.kind = SIM_ROOT_AWAY;
            }
            sim_do(sim, &now, false);
        }
        return true;
    }
    switch (op->kind) {
    case SIM_RUN:
    case SIM_STEP:
        return sim_engine_run(sim, op->kind == SIM_RUN);
    case SIM_WAIT:
        return sim_engine_wait(sim, op->number * CLOCK_NS_PER_MS);
    case SIM_SYNC:
        return sync_and_check(sim);
    case SIM_CRASH:
        sim->crash_in = (int)op->number;
        return true;
    case SIM_SERVER:
        sim_server_lose(sim, op->number);
        return true;
    case SIM_FLUSH:
        sim->flushed = sim->disk;
        return true;
    case SIM_POWER:
        return sim_engine_lose_power(sim);
    case SIM_RESTART:
        return sim_engine_restart(sim, false);
    case SIM_OVERFLOW:
        sim_kernel_overflow(sim);
        return true;
    case SIM_JUMP:
        sim->wall_offset_ns += op->number * CLOCK_NS_PER_S;
        return true;
    default:
        if (sim->fault_count < SIM_FAULTS) {
            sim->faults[sim->fault_count++] = (uint8_t)op->number;
        }
        return true;
    }
}

/* Every directory of the tree is watched, and nothing that left it. */
static bool check_watches(struct sim *sim)
{
    size_t dirs = 1;
    for (int i = 0; i < sim->replica.count; i++) {
        dirs += sim->replica.entries[i].type == ENTRY_DIR;
    }
    bool limited = sim->config.kernel == SIM_INOTIFY && sim->config.watch_max < SIM_NODES;
    return limited || sim->config.kernel == SIM_POLL || watch_count(sim->watch) == dirs ||
           sim_wrong(sim, "%zu directories, %zu watches", dirs, watch_count(sim->watch));
}

static bool final_sync(struct sim *sim, bool links, const char *when)
{
    bool done = false;
    char why[sizeof sim->why];
    bool ok = sim_engine_sync(sim, &done) && sim_check_rows(sim) &&
              (done || sim_wrong(sim, "the root is there, and a sync says it is not")) &&
              sim_check_disk(sim, links) && check_watches(sim);
    if (!ok) {
        (void)snprintf(why, sizeof why, "%.440s (%s)", sim->why, when);
        memcpy(sim->why, why, sizeof why);
    }
    return ok;
}

/* All must hold when nobody disturbs any more. */
static bool end_quietly(struct sim *sim)
{
    flush_torn(sim);
    if (sim->crash_in && !sim_engine_restart(sim, true)) {
        return false;
    }
    sim_disk_heal(&sim->disk, sim, stamp(sim));
    sim_identity_changed(sim);
    sim->fault_count = 0;
    if (!sim_engine_wait(sim, HEALED_WAIT_S * CLOCK_NS_PER_S) ||
        !final_sync(sim, sim->config.kernel != SIM_FANOTIFY, "at the end") ||
        /* What an idle server has lost is noticed when it is asked. */
        (sim->server_lost && !sim_engine_restart(sim, false)) || !sim_engine_deliver(sim) ||
        !sim_check_mirror(sim)) {
        return false;
    }
    /* A scan sees what the kernel never told (but by fanotify): writes through other names of a
     * file. */
    if (!sim_engine_restart(sim, false) || !final_sync(sim, false, "after a restart")) {
        return false;
    }
    int64_t seq = sim->replica.seq;
    if (!sim_engine_restart(sim, true) || !final_sync(sim, false, "after a crash at rest")) {
        return false;
    }
    if (sim->replica.seq != seq) {
        return sim_wrong(sim, "I8: a scan of an unchanged folder wrote %lld rows",
                         (long long)(sim->replica.seq - seq));
    }
    return sim_engine_deliver(sim) && sim_check_mirror(sim);
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)type;
    (void)where;
    return remove(path);
}

void sim_run(struct sim *sim, const struct sim_script *script)
{
    static const char *const dirs[] = {"", "/mirror", "/backup", "/root"};
    char path[SIM_ROOT_PATH + 16];
    (void)nftw(sim->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* may not be there */
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        (void)snprintf(path, sizeof path, "%s%s", sim->dir, dirs[i]);
        if (mkdir(path, 0700) != 0) {
            (void)sim_wrong(sim, "cannot make '%s': %s", path, strerror(errno));
            return;
        }
    }
    sim->config = script->config;
    sim->random = script->config.seed;
    sim->mono_ns = 1000 * CLOCK_NS_PER_S;
    sim->wall_offset_ns = INT64_C(1795420800) * CLOCK_NS_PER_S;
    sim->replica = (struct sim_replica){0};
    sim_disk_init(&sim->disk, sim_is_windows(&sim->config), sim->config.weak != 0);
    sim->flushed = sim->disk;
    sim_kernel_reset(sim);
    buf_init(&sim->rows, 64 << 20);
    bool ok = sim_engine_start(sim);
    for (int i = 0; i < script->count && ok; i++) {
        ok = do_op(sim, &script->ops[i]);
    }
    if (ok) {
        (void)end_quietly(sim); /* what is wrong is in sim->why */
    }
    sim_engine_stop(sim);
    sim_server_close(sim);
    (void)nftw(sim->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* litter at worst */
}
