/* watch_inotify.c: the watch on Linux without privilege: inotify(7).
 *
 * A read is overlapped in the sense of DESIGN 3: the descriptor is nonblocking, epoll says when a
 * read would complete, an eventfd ends the wait. The watch thread runs watch_run(); everything
 * else may be called from any thread. One lock covers reading, parsing and handing over, so
 * that records reach the sink in the kernel's order whoever reads them, and no record of a watch
 * is parsed before watch_add() has filed its number. Idle, the thread sleeps without a timeout. */
#include "watch_inotify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "err.h"
#include "num.h"
#include "osfile.h"

#define QUEUE_DEFAULT    16384 /* records: the kernel's own default */
#define RECORD_MIN_BYTES 16

/* EXCL_UNLINK: a write through an open descriptor after unlink would name a name that is gone or
 * belongs to another file by now (FACTS 1.4). MASK_ADD: a second add never narrows the first. */
#define MASK_NAMES                                                                                 \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO)
#define MASK_DIR  (MASK_NAMES | IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD)
#define MASK_ROOT (IN_DELETE_SELF | IN_MOVE_SELF) /* others: their parent's watch tells */

static size_t queued_bytes(const struct watch *watch)
{
    int bytes = 0;
    /* FIONREAD on an inotify descriptor cannot fail; were it to, 0 means one read less. */
    (void)ioctl(watch->fd, FIONREAD, &bytes);
    return bytes > 0 ? (size_t)bytes : 0;
}

/* One read, completed at once or not at all. *got 0: the queue is empty. */
static int read_locked(struct watch *watch, size_t *got, struct err *err)
{
    ssize_t n = read(watch->fd, watch->buffer, sizeof watch->buffer);
    *got = n > 0 ? (size_t)n : 0;
    if (n > 0)
        watch_records_locked(watch, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        return err_os(err, errno, "cannot read from inotify");
    return 0;
}

/* Hands over what is queued now, and no more than that: a writer who never pauses must not keep
 * the caller here. The lock is let go between reads so that watch_add() gets in. */
static int drain(struct watch *watch, bool until_stop, struct err *err)
{
    size_t wanted = 0, done = 0, got;
    int code = 0;
    do {
        pthread_mutex_lock(&watch->lock);
        if (done == 0)
            wanted = queued_bytes(watch);
        got = 0;
        if (wanted > 0)
            code = read_locked(watch, &got, err);
        pthread_mutex_unlock(&watch->lock);
        done += got;
        if (until_stop && __atomic_load_n(&watch->stopping, __ATOMIC_ACQUIRE))
            break;
    } while (code == 0 && got > 0 && done < wanted);
    return code;
}

static size_t filling_bytes(void)
{
    /* A quarter of the queue, counted in records without a name: with names it is less. */
    int64_t records = QUEUE_DEFAULT;
    char text[32] = "";
    int fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
        /* Unreadable or odd: the kernel's default stays. */
        (void)num_parse_i64(text, 1, INT32_MAX, &records);
        close(fd);
    }
    return (size_t)records * RECORD_MIN_BYTES / 4;
}

static int empty_dir(int dirfd, const char *path, struct err *err)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) {
        int os = errno;
        if (copy >= 0)
            close(copy);
        return err_os(err, os, "cannot list '%s'", path);
    }
    int code = 0;
    struct dirent *entry;
    while (code == 0 && (entry = readdir(dir))) {
        if (entry->d_type == DT_DIR)
            continue;
        if (unlinkat(dirfd, entry->d_name, 0) && errno != ENOENT)
            code = err_os(err, errno, "cannot remove '%s' in '%s'", entry->d_name, path);
    }
    closedir(dir);
    return code;
}

/* The directory behind an open handle, without a path that could be another by now: the magic
 * links of proc(5). */
static int add_by_handle(const struct watch *watch, int dirfd, uint32_t mask)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", dirfd);
    int number = inotify_add_watch(watch->fd, path, mask);
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

static int open_barriers(struct watch *watch, const char *path, struct err *err)
{
    int code = osfile_make_private_dir(path, err);
    if (code)
        return code;
    watch->barrier_dir = osfile_open_dir(path, err);
    if (watch->barrier_dir < 0)
        return watch->barrier_dir;
    code = empty_dir(watch->barrier_dir, path, err);
    if (code)
        return code;
    int number = add_by_handle(watch, watch->barrier_dir, IN_CREATE | IN_ONLYDIR);
    if (number < 0)
        return add_failed(-number, err);
    watch->barrier_watch = number;
    return 0;
}

static int open_epoll(struct watch *watch, struct err *err)
{
    int code = wake_open(&watch->stop, err);
    if (code)
        return code;
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event queue = {.events = EPOLLIN, .data.fd = watch->fd};
    struct epoll_event stop = {.events = EPOLLIN, .data.fd = watch->stop.fd};
    if (watch->epoll < 0 || epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->fd, &queue) ||
        epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->stop.fd, &stop))
        return err_os(err, errno, "cannot wait for inotify");
    return 0;
}

int watch_open(const struct watch_sink *sink, const char *barrier_dir, struct watch **out,
               struct err *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_set(err, ERR_NOMEM, 0, "no memory for a watch");
    watch->sink = *sink;
    watch->epoll = watch->barrier_dir = watch->stop.fd = -1;
    watch->barrier_watch = watch->pending.watch = -1;
    watch->filling_bytes = filling_bytes();
    watch_table_init(&watch->table);
    pthread_mutex_init(&watch->lock, NULL);

    int code;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0 && errno == EMFILE)
        code = err_set(err, ERR_LIMIT, EMFILE,
                       "cannot open inotify; raise the number of open files or "
                       "'sysctl fs.inotify.max_user_instances=1024'");
    else if (watch->fd < 0)
        code = err_os(err, errno, "cannot open inotify");
    else
        code = open_epoll(watch, err);
    if (!code)
        code = open_barriers(watch, barrier_dir, err);
    if (code)
        watch_close(watch);
    else
        *out = watch;
    return code;
}

int watch_run(struct watch *watch, struct err *err)
{
    for (;;) {
        struct epoll_event event;
        int ready = epoll_wait(watch->epoll, &event, 1, -1);
        if (ready < 0 && errno != EINTR)
            return err_os(err, errno, "cannot wait for inotify");
        if (__atomic_load_n(&watch->stopping, __ATOMIC_ACQUIRE))
            return 0;
        if (ready <= 0)
            continue;
        /* Lingering: records gather while only a stop can wake us. */
        if (queued_bytes(watch) < watch->filling_bytes &&
            wake_wait(&watch->stop, clock_mono_ns() + WATCH_LINGER_MS * CLOCK_NS_PER_MS))
            return 0;
        int code = drain(watch, true, err);
        if (code)
            return code;
    }
}

void watch_stop(struct watch *watch)
{
    __atomic_store_n(&watch->stopping, true, __ATOMIC_RELEASE);
    wake_set(&watch->stop);
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    if (watch->epoll >= 0)
        close(watch->epoll);
    if (watch->fd >= 0)
        close(watch->fd);
    if (watch->barrier_dir >= 0)
        close(watch->barrier_dir);
    wake_close(&watch->stop);
    watch_table_deinit(&watch->table);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

const char *watch_backend(const struct watch *watch)
{
    (void)watch; /* one back-end so far */
    return "inotify";
}

int watch_add(struct watch *watch, int dirfd, struct file_id dir, bool root, int32_t *out,
              struct err *err)
{
    pthread_mutex_lock(&watch->lock);
    int code = watch_table_reserve(&watch->table, err);
    if (!code) {
        int number = add_by_handle(watch, dirfd, root ? MASK_DIR | MASK_ROOT : MASK_DIR);
        if (number < 0) {
            code = add_failed(-number, err);
        } else {
            /* The same inode gives the same number: the slot may be there. */
            struct watched *slot = watch_table_put(&watch->table, number);
            slot->dir = dir;
            slot->root |= root;
            *out = number;
        }
    }
    pthread_mutex_unlock(&watch->lock);
    return code;
}

void watch_remove(struct watch *watch, int32_t number)
{
    if (number < 0)
        return;
    pthread_mutex_lock(&watch->lock);
    if (watch_table_find(&watch->table, number)) {
        watch_table_remove(&watch->table, number);
        /* EINVAL: the kernel has dropped it itself, its IN_IGNORED is queued and finds nobody. */
        (void)inotify_rm_watch(watch->fd, number);
    }
    pthread_mutex_unlock(&watch->lock);
}

size_t watch_count(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    size_t count = watch->table.count;
    pthread_mutex_unlock(&watch->lock);
    return count;
}

int watch_drain(struct watch *watch, struct err *err)
{
    return drain(watch, false, err);
}

static int barrier_file(const struct watch *watch, const char *name, struct err *err)
{
    int fd = openat(watch->barrier_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, errno, "cannot make barrier file '%s'", name);
    close(fd);
    /* Should it stay behind, watch_open() empties the directory. */
    (void)unlinkat(watch->barrier_dir, name, 0);
    return 0;
}

static void forget_barrier(struct watch *watch, const char *name)
{
    pthread_mutex_lock(&watch->lock);
    for (size_t i = 0; i < watch->barrier_count; i++)
        if (!strcmp(watch->barriers[i].name, name)) {
            watch->barriers[i] = watch->barriers[--watch->barrier_count];
            break;
        }
    pthread_mutex_unlock(&watch->lock);
}

int watch_barrier(struct watch *watch, uint64_t token, struct err *err)
{
    char name[BARRIER_NAME_SIZE];
    int code = 0;
    pthread_mutex_lock(&watch->lock);
    if (watch->barrier_watch < 0) {
        code = err_set(err, ERR_NOTFOUND, 0, "the directory for barrier files was removed");
    } else if (watch->barrier_count == WATCH_BARRIERS_MAX) {
        code = err_set(err, ERR_LIMIT, 0, "more than %d barriers wait", WATCH_BARRIERS_MAX);
    } else {
        /* A name of its own each, since the kernel merges records that are alike. */
        snprintf(name, sizeof name, "%016llx", (unsigned long long)watch->barrier_number++);
        struct barrier *barrier = &watch->barriers[watch->barrier_count++];
        barrier->token = token;
        memcpy(barrier->name, name, sizeof name);
    }
    pthread_mutex_unlock(&watch->lock);
    if (code)
        return code;
    code = barrier_file(watch, name, err);
    if (code)
        forget_barrier(watch, name);
    return code;
}
