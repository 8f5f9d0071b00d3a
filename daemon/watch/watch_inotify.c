/* watch_inotify.c: the watch on Linux without privilege: inotify(7).
 *
 * One watch a directory, filed by its number under the identity of the directory; the lock of
 * the queue sees to it that no record of a watch is parsed before watch_add() has filed its
 * number. Waiting and reading are watch_queue.c's, what records mean is inotify_records.c's.
 * Any thread but for run, as watch.h says. */
#include "watch_inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

#include "err.h"

#define QUEUE_LIMIT "/proc/sys/fs/inotify/max_queued_events"
/* Counted in records without a name: with names the queue counts as full a little sooner. */
#define RECORD_MIN_BYTES 16

/* EXCL_UNLINK: a write through an open descriptor after unlink would name a name that is gone or
 * belongs to another file by now (inotify(7)). MASK_ADD: a second add never narrows the first. */
#define MASK_NAMES                                                                                 \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO)
#define MASK_DIR  (MASK_NAMES | IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD)
#define MASK_ROOT (IN_DELETE_SELF | IN_MOVE_SELF) /* others: their parent's watch tells */

static struct watch_inotify *own(struct watch *watch)
{
    return (struct watch_inotify *)watch;
}

/* The directory behind an open handle, without a path that could be another by now: the magic
 * links of proc(5). */
static int add_by_handle(const struct watch_inotify *watch, int dirfd, uint32_t mask)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", dirfd);
    int number = inotify_add_watch(watch->queue.fd, path, mask);
    return number >= 0 ? number : -errno;
}

static int add_failed(int os, struct err *err)
{
    if (os == ENOSPC)
        return err_set(err, ERR_LIMIT, os,
                       "the system's limit of directory watches is reached; raise it with "
                       "'sysctl fs.inotify.max_user_watches=1048576'");
    if (os == ENOENT && access("/proc/self/fd", F_OK))
        return err_set(err, ERR_UNSUPPORTED, os,
                       "cannot watch a directory by its handle: /proc is not mounted");
    return err_os(err, os, "cannot watch directory");
}

static int inotify_run(struct watch *watch, struct err *err)
{
    return watch_queue_run(&own(watch)->queue, err);
}

static void inotify_stop(struct watch *watch)
{
    watch_queue_stop(&own(watch)->queue);
}

static void inotify_close(struct watch *watch)
{
    struct watch_inotify *inotify = own(watch);
    watch_barriers_close(&inotify->barriers);
    watch_queue_deinit(&inotify->queue);
    watch_table_deinit(&inotify->table);
    free(inotify);
}

static int inotify_add(struct watch *watch, const struct watch_dir *dir, int32_t *out,
                       struct err *err)
{
    struct watch_inotify *inotify = own(watch);
    pthread_mutex_lock(&inotify->queue.lock);
    int code = watch_table_reserve(&inotify->table, err);
    if (!code) {
        int number = add_by_handle(inotify, dir->fd, dir->root ? MASK_DIR | MASK_ROOT : MASK_DIR);
        if (number < 0) {
            code = add_failed(-number, err);
        } else {
            /* The same inode gives the same number: the slot may be there. */
            struct watched *slot = watch_table_put(&inotify->table, number);
            slot->dir = dir->file;
            slot->root |= dir->root;
            *out = number;
        }
    }
    pthread_mutex_unlock(&inotify->queue.lock);
    return code;
}

static void inotify_remove(struct watch *watch, int32_t number)
{
    struct watch_inotify *inotify = own(watch);
    pthread_mutex_lock(&inotify->queue.lock);
    if (watch_table_find(&inotify->table, number)) {
        watch_table_remove(&inotify->table, number);
        /* EINVAL: the kernel has dropped it itself, its IN_IGNORED is queued and finds nobody. */
        (void)inotify_rm_watch(inotify->queue.fd, number);
    }
    pthread_mutex_unlock(&inotify->queue.lock);
}

static size_t inotify_count(struct watch *watch)
{
    struct watch_inotify *inotify = own(watch);
    pthread_mutex_lock(&inotify->queue.lock);
    size_t count = inotify->table.count;
    pthread_mutex_unlock(&inotify->queue.lock);
    return count;
}

static int inotify_drain(struct watch *watch, struct err *err)
{
    return watch_queue_drain(&own(watch)->queue, err);
}

static int inotify_barrier(struct watch *watch, uint64_t token, struct err *err)
{
    struct watch_inotify *inotify = own(watch);
    return watch_barriers_send(&inotify->barriers, &inotify->queue.lock, token, err);
}

static const struct watch_ops inotify_ops = {
    .run = inotify_run,
    .stop = inotify_stop,
    .close = inotify_close,
    .add = inotify_add,
    .remove = inotify_remove,
    .count = inotify_count,
    .drain = inotify_drain,
    .barrier = inotify_barrier,
};

static int open_barriers(struct watch_inotify *inotify, const char *path, struct err *err)
{
    int code = watch_barriers_open(&inotify->barriers, path, err);
    if (code)
        return code;
    int number = add_by_handle(inotify, inotify->barriers.dirfd, IN_CREATE | IN_ONLYDIR);
    if (number < 0)
        return add_failed(-number, err);
    inotify->barrier_watch = number;
    return 0;
}

int watch_inotify_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    struct watch_inotify *inotify = calloc(1, sizeof *inotify);
    if (!inotify)
        return err_set(err, ERR_NOMEM, 0, "no memory for a watch");
    inotify->watch.ops = &inotify_ops;
    inotify->watch.backend = "inotify";
    inotify->sink = setup->sink;
    inotify->barriers.dirfd = inotify->barrier_watch = -1;
    watch_table_init(&inotify->table);
    struct watch_queue *queue = &inotify->queue;
    watch_queue_init(queue, "inotify");
    queue->filling_bytes = watch_queue_filling(QUEUE_LIMIT, RECORD_MIN_BYTES);
    queue->parse = watch_inotify_parse;
    queue->ctx = inotify;

    int code;
    queue->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (queue->fd < 0 && errno == EMFILE)
        code = err_set(err, ERR_LIMIT, EMFILE,
                       "cannot open inotify; raise the number of open files or "
                       "'sysctl fs.inotify.max_user_instances=1024'");
    else if (queue->fd < 0)
        code = err_os(err, errno, "cannot open inotify");
    else
        code = watch_queue_open(queue, err);
    if (!code)
        code = open_barriers(inotify, setup->barrier_dir, err);
    if (code)
        inotify_close(&inotify->watch);
    else
        *out = &inotify->watch;
    return code;
}
