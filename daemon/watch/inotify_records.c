/* inotify_records.c: from inotify records to calls of the sink.
 *
 * A record is bound to the identity of its directory here, while it is read. What its mask means
 * is inotify(7); that a truncation by path is no close, and a store into a mapping nothing until
 * that goes, was measured. Runs with the watch's lock held, on whichever thread reads;
 * keeps nothing of the buffer when it returns. */
#include "watch_inotify.h"

#include <sys/inotify.h>

#include "inotify_parse.h"

static bool cookie_known_locked(const struct watch_inotify *watch, uint32_t cookie)
{
    for (size_t i = 0; i < WATCH_COOKIES; i++)
        if (watch->cookies[i] == cookie)
            return cookie != 0;
    return false;
}

static uint8_t hints_locked(struct watch_inotify *watch, const struct inotify_record *record)
{
    uint8_t hints = 0;
    if (record->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO))
        hints |= HINT_NAME;
    if (record->mask & IN_MODIFY)
        hints |= HINT_CONTENT;
    if (record->mask & IN_CLOSE_WRITE)
        hints |= HINT_CLOSED;
    if (record->mask & IN_ATTRIB)
        hints |= HINT_ATTRIB;
    if (record->mask & IN_MOVED_FROM) {
        watch->cookies[watch->cookie_next] = record->cookie;
        watch->cookie_next = (watch->cookie_next + 1) % WATCH_COOKIES;
    }
    /* A directory whose departure we did not see was elsewhere: nobody watched what is below it
     * (RULES 5). A cookie that has dropped out of the ring only costs a needless listing. */
    if ((record->mask & IN_MOVED_TO) && (record->mask & IN_ISDIR) &&
        !cookie_known_locked(watch, record->cookie))
        hints |= HINT_ENTERED;
    return hints;
}

static void barrier_locked(struct watch_inotify *watch, const struct inotify_record *record)
{
    uint64_t token;
    if (record->mask & IN_IGNORED) {
        watch->barrier_watch = -1;
        watch->barriers.gone = true;
    }
    if ((record->mask & IN_CREATE) &&
        watch_barriers_take_locked(&watch->barriers, record->name, &token)) {
        watch_flush_locked(&watch->queue, &watch->sink);
        watch->sink.barrier(watch->sink.ctx, token);
    }
}

/* Records are missing. A mark may be among them, so every mark that is on its way is answered
 * now: whoever waits for it has just learnt that only a scan can tell. */
static void overflow_locked(struct watch_inotify *watch)
{
    watch_flush_locked(&watch->queue, &watch->sink);
    watch->sink.lost(watch->sink.ctx, WATCH_OVERFLOW);
    watch_barriers_lose_locked(&watch->barriers, &watch->sink);
}

static void record_locked(struct watch_inotify *watch, const struct inotify_record *record)
{
    if (record->mask & IN_Q_OVERFLOW) {
        overflow_locked(watch);
        return;
    }
    if (record->watch == watch->barrier_watch) {
        barrier_locked(watch, record);
        return;
    }
    struct watched *slot = watch_table_find(&watch->table, record->watch);
    if (!slot)
        return; /* removed meanwhile: its records were still queued */
    if (slot->root && (record->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))) {
        watch_flush_locked(&watch->queue, &watch->sink);
        watch->sink.lost(watch->sink.ctx, WATCH_ROOT_GONE);
        return;
    }
    if (record->mask & IN_IGNORED) {
        struct file_id dir = slot->dir;
        watch_table_remove(&watch->table, record->watch);
        watch_flush_locked(&watch->queue, &watch->sink);
        watch->sink.unwatched(watch->sink.ctx, dir, record->watch);
        return;
    }
    /* No name: the directory itself, of which its parent's watch tells by name. The root has no
     * name to look at, and its attributes are no part of the tree. */
    uint8_t hints = record->name.len > 0 ? hints_locked(watch, record) : 0;
    if (hints)
        watch_gather_locked(&watch->queue, &watch->sink, slot->dir, record->name, hints, NULL);
}

size_t watch_inotify_parse(void *ctx, size_t len)
{
    struct watch_inotify *watch = ctx;
    struct inotify_record record;
    size_t offset = 0;
    int found;
    while ((found = inotify_parse(watch->queue.buffer, len, &offset, &record)) == 1)
        record_locked(watch, &record);
    if (found < 0)
        overflow_locked(watch); /* the rest of the buffer is unreadable, so it is lost */
    watch_flush_locked(&watch->queue, &watch->sink);
    watch->sink.batch(watch->sink.ctx);
    return len;
}
