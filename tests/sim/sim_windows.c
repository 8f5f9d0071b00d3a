/* sim_windows.c: ReadDirectoryChanges as Windows does it on NTFS, in both layouts: paths below the
 * root, a move to another directory as a removal and an addition, short names where a program used
 * them, no closes, nothing of the root's own fate, and a full buffer that loses all that is in it.
 *
 * What reads it is windows_records.c; the few lines of the back-end around it, which talk to the
 * system, are here instead of watch_windows.c. */
#include "err.h"
#include "num.h"
#include "sim_kernel.h"
#include "watch_private.h"
#include "windows_records.h"

enum {
    READ_BYTES = 4096,
    BARRIERS_MAX = 64,
    HEAD_PATHS = 12,
    HEAD_IDS = 84,
};

struct sim_windows_watch {
    struct watch watch;
    struct watch_sink sink;
    struct windows_records records;
    uint64_t barriers[BARRIERS_MAX];
    int barrier_count;
    char bytes[READ_BYTES];
};

int __wrap_watch_inotify_open(const struct watch_setup *setup, struct watch **out, struct err *err);
int __real_watch_inotify_open(const struct watch_setup *setup, struct watch **out, struct err *err);
bool __wrap_disk_identity_is_weak(int64_t fs_type, struct file_id root);
bool __real_disk_identity_is_weak(int64_t fs_type, struct file_id root);

/* NTFS has no need of a birth time to tell files apart; another disk may number them anew. */
bool __wrap_disk_identity_is_weak(int64_t fs_type, struct file_id root)
{
    return !sim_is_windows(&sim_world->config) && __real_disk_identity_is_weak(fs_type, root);
}

/* ---- the system's side ---- */

static void lose(struct sim_windows *kernel)
{
    kernel->count = 0;
    kernel->lost = true;
}

static void append(struct sim *sim, const struct sim_windows_record *record)
{
    struct sim_windows *kernel = &sim->kernel.windows;
    if (!kernel->watch || kernel->lost) {
        return;
    }
    if (kernel->count == SIM_QUEUE || kernel->count >= sim->config.queue_max) {
        lose(kernel);
        return;
    }
    kernel->queue[kernel->count++] = *record;
}

/* The path of a name from the root; false: it lies elsewhere. */
static bool spell(const struct sim *sim, const struct sim_place *place, char out[SIM_PATH])
{
    char rest[SIM_PATH] = "";
    struct sim_place at = *place;
    while (at.dir) {
        bool brief = sim->told % 3 == 0 && at.name != SIM_NAME_RULES;
        struct bytes name = brief ? sim_short_name(at.name) : sim_name(&sim->disk, at.name);
        if (snprintf(out, SIM_PATH, "%.*s%s%s", (int)name.len, name.at, *rest ? "\\" : "", rest) >=
            SIM_PATH)
            return false; /* no directory of the simulation is so deep */
        (void)snprintf(rest, sizeof rest, "%s", out);
        if (at.dir == SIM_ROOT) {
            return true;
        }
        at = sim_place_of(&sim->disk, at.dir);
    }
    return false;
}

static void tell(struct sim *sim, uint32_t action, const struct sim_place *place, bool dir)
{
    struct sim_windows_record record = {.action = action,
                                        .file = sim->disk.nodes[place->node].inode,
                                        .parent = sim->disk.nodes[place->dir].inode,
                                        .dir = dir};
    if (spell(sim, place, record.path)) {
        append(sim, &record);
    }
}

/* A directory's own time of change, which the system tells sometimes. */
static void tell_parent(struct sim *sim, int dir)
{
    struct sim_place place = sim_place_of(&sim->disk, dir);
    if (place.dir && sim->told % 2) {
        tell(sim, WINDOWS_MODIFIED, &place, true);
    }
}

static void tell_rename(struct sim *sim, const struct sim_event *event)
{
    bool apart = event->place.dir != event->to.dir;
    tell(sim, apart ? WINDOWS_REMOVED : WINDOWS_RENAMED_OLD, &event->place, event->dir);
    tell(sim, apart ? WINDOWS_ADDED : WINDOWS_RENAMED_NEW, &event->to, event->dir);
    tell_parent(sim, event->place.dir);
    tell_parent(sim, event->to.dir);
}

void sim_windows_tell(struct sim *sim, const struct sim_event *event)
{
    sim->told++;
    switch (event->kind) {
    case TOLD_CREATE:
        tell(sim, WINDOWS_ADDED, &event->place, event->dir);
        tell_parent(sim, event->place.dir);
        break;
    case TOLD_DELETE:
        tell(sim, WINDOWS_REMOVED, &event->place, event->dir);
        tell_parent(sim, event->place.dir);
        break;
    case TOLD_MODIFY:
    case TOLD_CLOSE: /* what was written through a map is seen when it is flushed */
    case TOLD_ATTRIB:
        tell(sim, WINDOWS_MODIFIED, &event->place, event->dir);
        break;
    case TOLD_RENAME:
        tell_rename(sim, event);
        break;
    case TOLD_LINKS:
    case TOLD_ROOT_MOVED:
        break; /* no record */
    }
}

void sim_windows_overflow(struct sim *sim)
{
    lose(&sim->kernel.windows);
}

void sim_windows_reset(struct sim *sim)
{
    sim->kernel.windows = (struct sim_windows){0};
}

/* ---- the engine's side ---- */

static struct sim_windows_watch *own(struct watch *watch)
{
    return (struct sim_windows_watch *)watch;
}

static void put_u32(char *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put_u64(char *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

/* Returns how many bytes the record takes, its successor's alignment included. */
static size_t encode(enum windows_layout layout, const struct sim_windows_record *record, char *out)
{
    bool ids = layout == WINDOWS_IDS;
    size_t head = ids ? HEAD_IDS : HEAD_PATHS, len = strlen(record->path);
    size_t total = (head + 2 * len + 7) / 8 * 8;
    memset(out, 0, total);
    put_u32(out + 4, record->action);
    if (ids) {
        put_u32(out + 56, record->dir ? WINDOWS_ATTRIBUTE_DIRECTORY : 0);
        put_u64(out + 64, record->file);
        put_u64(out + 72, record->parent);
    }
    put_u32(out + head - 4, (uint32_t)(2 * len));
    for (size_t i = 0; i < len; i++) {
        out[head + 2 * i] = record->path[i];
    }
    return total;
}

static void answer_barriers(struct sim_windows_watch *watch)
{
    for (int i = 0; i < watch->barrier_count; i++) {
        watch->sink.barrier(watch->sink.ctx, watch->barriers[i]);
    }
    watch->barrier_count = 0;
}

static void take_barrier(void *ctx, struct bytes rest)
{
    struct sim_windows_watch *watch = ctx;
    char text[24] = "";
    int64_t token = 0;
    memcpy(text, rest.at, rest.len < sizeof text ? rest.len : sizeof text - 1);
    (void)num_parse_i64(text, 0, INT64_MAX, &token); /* 0 is nobody's */
    for (int i = 0; i < watch->barrier_count; i++) {
        if (watch->barriers[i] == (uint64_t)token) {
            watch->barriers[i] = watch->barriers[--watch->barrier_count];
            watch->sink.barrier(watch->sink.ctx, (uint64_t)token);
            return;
        }
    }
}

/* A read's worth of what is queued; 0: nothing was. */
static size_t fill(struct sim *sim, struct sim_windows_watch *watch, enum windows_layout layout)
{
    struct sim_windows *kernel = &sim->kernel.windows;
    size_t used = 0, last = 0;
    int taken = 0;
    int64_t most = sim->told % 4 == 0 ? 1 : SIM_QUEUE; /* halves of a rename may come apart */
    while (taken < kernel->count && taken < most &&
           used + HEAD_IDS + 2 * SIM_PATH + 8 <= sizeof watch->bytes) {
        if (taken) {
            put_u32(watch->bytes + last, (uint32_t)(used - last));
        }
        last = used;
        used += encode(layout, &kernel->queue[taken++], watch->bytes + used);
    }
    kernel->count -= taken;
    memmove(kernel->queue, kernel->queue + taken, (size_t)kernel->count * sizeof kernel->queue[0]);
    return used;
}

static int windows_drain(struct watch *base, struct err *err)
{
    struct sim *sim = sim_world;
    struct sim_windows_watch *watch = own(base);
    enum windows_layout layout = sim->config.kernel == SIM_WINDOWS ? WINDOWS_IDS : WINDOWS_PATHS;
    size_t used;
    (void)err;
    sim_seam();
    if (sim->kernel.windows.lost) {
        sim->kernel.windows.lost = false;
        sim_kernel_lost(sim);
        (void)windows_records_take(&watch->records, layout, watch->bytes, 0); /* false: lost */
        answer_barriers(watch);
    }
    while ((used = fill(sim, watch, layout)) > 0) {
        if (!windows_records_take(&watch->records, layout, watch->bytes, used)) {
            (void)sim_wrong(sim, "the records of Windows are not understood");
        }
    }
    return 0;
}

static int windows_barrier(struct watch *base, uint64_t token, struct err *err)
{
    struct sim_windows_watch *watch = own(base);
    struct sim_windows_record record = {.action = WINDOWS_ADDED,
                                        .parent = sim_world->disk.nodes[SIM_ROOT].inode};
    if (watch->barrier_count == BARRIERS_MAX) {
        return err_set(err, ERR_LIMIT, 0, "too many barriers");
    }
    watch->barriers[watch->barrier_count++] = token;
    (void)snprintf(record.path, sizeof record.path, WINDOWS_BARRIER_PREFIX "%llu",
                   (unsigned long long)token);
    if (windows_records_count(&watch->records) == 0) {
        answer_barriers(watch); /* no root: no read is under way that could lead behind it */
        return 0;
    }
    append(sim_world, &record);
    return 0;
}

static int windows_add(struct watch *watch, const struct watch_dir *dir, int32_t *out,
                       struct err *err)
{
    return windows_records_add(&own(watch)->records, dir, out, err);
}

static void windows_remove(struct watch *watch, int32_t number)
{
    windows_records_remove(&own(watch)->records, number);
}

static size_t windows_count(struct watch *watch)
{
    return windows_records_count(&own(watch)->records);
}

static void windows_close(struct watch *watch)
{
    windows_records_deinit(&own(watch)->records);
    sim_world->kernel.windows.watch = NULL;
    free(watch);
}

static void windows_stop(struct watch *watch)
{
    (void)watch; /* no thread runs */
}

static const struct watch_ops windows_ops = {.stop = windows_stop,
                                             .close = windows_close,
                                             .add = windows_add,
                                             .remove = windows_remove,
                                             .count = windows_count,
                                             .drain = windows_drain,
                                             .barrier = windows_barrier};

int __wrap_watch_inotify_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    if (!sim_is_windows(&sim_world->config)) {
        return __real_watch_inotify_open(setup, out, err);
    }
    struct sim_windows_watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        return err_set(err, ERR_NOMEM, 0, "no memory for a watch");
    }
    watch->watch.ops = &windows_ops;
    watch->watch.backend = sim_kernel_name((int)sim_world->config.kernel);
    watch->sink = setup->sink;
    windows_records_init(&watch->records, &setup->sink, take_barrier, watch);
    sim_world->kernel.windows.watch = watch;
    *out = &watch->watch;
    return 0;
}
