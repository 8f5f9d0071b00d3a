/* fanotify_records.c: from fanotify records to calls of the sink.
 *
 * The mark covers the whole file system, so most records may be of places that nobody asked for,
 * our own journal's among them: what lies in no directory that was added is dropped first. Records
 * of one name are merged by the kernel and overtake each other (fanotify(7)): they say which name
 * to look at and nothing else. Runs with the lock held, on whichever thread reads. */
#include "watch_fanotify.h"

#include <sys/fanotify.h>
#include <sys/inotify.h>

#include "fanotify_parse.h"
#include "inotify_parse.h"

#define SIDE_BUFFER_BYTES 4096

static uint64_t handle_of(const struct watch_fanotify *watch, const struct fanotify_place *place)
{
    return hash_bytes(watch->key, place->id.at, place->id.len);
}

static struct watched *find_locked(const struct watch_fanotify *watch,
                                   const struct fanotify_place *place)
{
    if (place->id.len == 0)
        return NULL;
    return handle_index_find(&watch->index, &watch->table, handle_of(watch, place));
}

static void hint_locked(struct watch_fanotify *watch, const struct watched *dir, struct bytes name,
                        uint8_t hints, int32_t pid)
{
    bool self = bytes_equal(name, bytes_str("."));
    /* The root has no name to look at, and its attributes are no part of the tree. */
    if (!dir || name.len == 0 || hints == 0 || (self && dir->root))
        return;
    watch_gather_locked(&watch->queue, &watch->sink, dir->dir, name, hints,
                        watch_actors_of(&watch->actors, pid));
}

static void overflow_locked(struct watch_fanotify *watch)
{
    watch_flush_locked(&watch->queue, &watch->sink);
    watch->sink.lost(watch->sink.ctx, WATCH_OVERFLOW);
    watch_barriers_lose_locked(&watch->barriers, &watch->sink);
}

/* A directory that was removed holds nothing any more. */
static void forget_locked(struct watch_fanotify *watch, const struct watched *slot)
{
    struct watched gone = *slot;
    watch_table_remove(&watch->table, gone.number);
    watch_flush_locked(&watch->queue, &watch->sink);
    watch->sink.unwatched(watch->sink.ctx, gone.dir, gone.number);
}

static uint8_t hints_of(uint64_t mask)
{
    uint8_t hints = 0;
    if (mask & (FAN_CREATE | FAN_DELETE))
        hints |= HINT_NAME;
    if (mask & FAN_MODIFY)
        hints |= HINT_CONTENT;
    if (mask & FAN_CLOSE_WRITE)
        hints |= HINT_CLOSED;
    if (mask & FAN_ATTRIB)
        hints |= HINT_ATTRIB;
    return hints;
}

/* What lies in no directory of ours may be a file of ours all the same, under a name outside the
 * folder, or under none (a link made or removed tells of the inode alone, without a name, as does
 * a write by a file handle). Such a number is looked up by the sink, so it is filtered here. */
static void elsewhere_locked(struct watch_fanotify *watch, const struct fanotify_record *record)
{
    uint64_t named = record->dir.id.len > 0 ? FAN_ATTRIB : 0;
    uint8_t hints = hints_of(record->mask & (FAN_MODIFY | FAN_CLOSE_WRITE | named));
    uint64_t number;
    /* DELETE_SELF: its last name is gone, and that was told by a record of the name. */
    if (!watch->sink.inode || !watch->numbered ||
        (record->mask & (FAN_ONDIR | FAN_RENAME | FAN_DELETE_SELF)) || (named && hints == 0))
        return;
    if (!fanotify_number(record->target.id, &number) ||
        !inode_filter_may_hold(&watch->files, number))
        return;
    watch->sink.inode(watch->sink.ctx, number, hints, watch_actors_of(&watch->actors, record->pid));
}

static void rename_locked(struct watch_fanotify *watch, const struct fanotify_record *record)
{
    const struct watched *from = find_locked(watch, &record->from);
    const struct watched *to = find_locked(watch, &record->to);
    /* Until now it was in a directory nobody added, and so was what is below it (RULES 5). */
    bool entered = !from && (record->mask & FAN_ONDIR);
    hint_locked(watch, from, record->from.name, HINT_NAME, record->pid);
    hint_locked(watch, to, record->to.name, entered ? HINT_NAME | HINT_ENTERED : HINT_NAME,
                record->pid);
}

/* True when the record is of the directory of the barriers. */
static bool barrier_locked(struct watch_fanotify *watch, const struct fanotify_record *record)
{
    uint64_t token;
    if (record->dir.id.len == 0 || handle_of(watch, &record->dir) != watch->barrier_handle)
        return false;
    if ((record->mask & FAN_CREATE) &&
        watch_barriers_take_locked(&watch->barriers, record->dir.name, &token)) {
        watch_flush_locked(&watch->queue, &watch->sink);
        watch->sink.barrier(watch->sink.ctx, token);
    }
    return true;
}

/* A directory tells of its attributes by itself alone, not by its parent. */
static void early_locked(struct watch_fanotify *watch, const struct fanotify_record *record)
{
    if (record->dir.id.len > 0 && (record->mask & FAN_ATTRIB) &&
        bytes_equal(record->dir.name, bytes_str("."))) {
        uint64_t bit = handle_of(watch, &record->dir) % FANOTIFY_EARLY_BITS;
        watch->early[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

static void record_locked(struct watch_fanotify *watch, const struct fanotify_record *record)
{
    if (record->mask & FAN_Q_OVERFLOW) {
        overflow_locked(watch);
        return;
    }
    if (barrier_locked(watch, record))
        return;
    if (record->mask & FAN_RENAME)
        rename_locked(watch, record);
    const struct watched *dir = find_locked(watch, &record->dir);
    if (dir) {
        hint_locked(watch, dir, record->dir.name, hints_of(record->mask), record->pid);
    } else {
        early_locked(watch, record);
        elsewhere_locked(watch, record);
    }
    if ((record->mask & FAN_DELETE) && (record->mask & FAN_ONDIR)) {
        const struct watched *removed = find_locked(watch, &record->target);
        if (removed)
            forget_locked(watch, removed);
    }
}

/* The mark went with the file system. */
static void unmounted_locked(struct watch_fanotify *watch)
{
    struct watch_table gone = watch->table;
    watch->marked = false;
    watch_table_init(&watch->table); /* every number in the index is dead by that */
    for (size_t i = 0; i < gone.cap; i++)
        if (gone.slots[i].number >= 0)
            watch->sink.unwatched(watch->sink.ctx, gone.slots[i].dir, gone.slots[i].number);
    watch_table_deinit(&gone);
}

/* The root's own fate, which fanotify tells in part only: nothing is said of an unmount. */
static void side_locked(struct watch_fanotify *watch)
{
    char buffer[SIDE_BUFFER_BYTES];
    struct inotify_record record;
    size_t offset = 0;
    ssize_t n = read(watch->queue.side_fd, buffer, sizeof buffer);
    /* EAGAIN: nothing happened to the root. */
    while (n > 0 && inotify_parse(buffer, (size_t)n, &offset, &record) == 1) {
        if (record.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_Q_OVERFLOW))
            watch->sink.lost(watch->sink.ctx, WATCH_ROOT_GONE);
        if (record.mask & IN_UNMOUNT)
            unmounted_locked(watch);
    }
}

size_t watch_fanotify_parse(void *ctx, size_t len)
{
    struct watch_fanotify *watch = ctx;
    struct fanotify_record record;
    size_t offset = 0, records = 0;
    int found = 0;
    if (len == 0) {
        side_locked(watch);
        return 0;
    }
    watch_actors_begin(&watch->actors);
    while ((found = fanotify_parse(watch->queue.buffer, len, &offset, &record)) == 1) {
        record_locked(watch, &record);
        records++;
    }
    if (found < 0)
        overflow_locked(watch); /* the rest of the buffer is unreadable, so it is lost */
    watch_flush_locked(&watch->queue, &watch->sink);
    watch->sink.batch(watch->sink.ctx);
    return (records + (found < 0)) * FANOTIFY_RECORD_UNIT;
}
