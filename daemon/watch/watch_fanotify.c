/* watch_fanotify.c: the watch on Linux with privilege: fanotify(7), one mark for the file system.
 *
 * watch_add() asks the kernel for nothing but the directory's file handle, by which records name
 * their directory; a handle is never opened. The mark needs CAP_SYS_ADMIN once, in
 * watch_fanotify_open(); nothing later does, unless the file system is unmounted meanwhile: then
 * the mark is lost, and where it cannot be had again the folder is polled. What records mean is
 * fanotify_records.c's. Any thread but for run, as watch.h says. */
#include "watch_fanotify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "err.h"
#include "fanotify_parse.h"
#include "osfile.h"

#define QUEUE_LIMIT "/proc/sys/fs/fanotify/max_queued_events" /* Linux 5.13 */

#define MASK_NAMES                                                                                 \
    (FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_RENAME | FAN_MODIFY | FAN_CLOSE_WRITE |       \
     FAN_ATTRIB | FAN_ONDIR)
#define GROUP_FLAGS (FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET | FAN_CLOEXEC | FAN_NONBLOCK)

static const char lost_mark[] = "poll (fanotify: the file system was mounted anew and may not be "
                                "marked again; restart spoor)";

struct handle_buffer {
    char fsid[FANOTIFY_FSID_BYTES]; /* in front of the handle, as in a record */
    struct file_handle handle;
    unsigned char room[MAX_HANDLE_SZ];
};

static struct watch_fanotify *own(struct watch *watch)
{
    return (struct watch_fanotify *)watch;
}

static void proc_path(int fd, char path[static 40])
{
    snprintf(path, 40, "/proc/self/fd/%d", fd);
}

static int refused(int os, const char *what, const char *path, struct err *err)
{
    switch (os) {
    case EPERM:
        return err_set(err, ERR_DENIED, os, "not permitted: it needs CAP_SYS_ADMIN");
    case ENOSYS:
    case EINVAL:
        return err_set(err, ERR_UNSUPPORTED, os, "the kernel is older than Linux 5.17");
    case EXDEV:
        return err_set(err, ERR_UNSUPPORTED, os, "'%s' is a subvolume, which cannot be marked",
                       path);
    case ENODEV:
    case EOPNOTSUPP:
        return err_set(err, ERR_UNSUPPORTED, os, "the file system of '%s' cannot be marked", path);
    default:
        return err_os(err, os, "%s '%s'", what, path);
    }
}

static int read_fsid(int dirfd, char fsid[static FANOTIFY_FSID_BYTES])
{
    struct statfs fs;
    _Static_assert(sizeof fs.f_fsid == FANOTIFY_FSID_BYTES, "as in a record");
    if (fstatfs(dirfd, &fs))
        return errno;
    memcpy(fsid, &fs.f_fsid, FANOTIFY_FSID_BYTES);
    return 0;
}

/* What records call this directory; *id is a view of the buffer. 0 or an OS error. */
static int ask_handle(const char *fsid, int dirfd, struct handle_buffer *buffer, struct bytes *id)
{
    int mount_id;
    memcpy(buffer->fsid, fsid, sizeof buffer->fsid);
    buffer->handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(dirfd, "", &buffer->handle, &mount_id, AT_EMPTY_PATH))
        return errno;
    *id = bytes_of((const char *)buffer, offsetof(struct handle_buffer, handle) +
                                             sizeof buffer->handle + buffer->handle.handle_bytes);
    return 0;
}

/* The same, as it is kept. */
static int read_handle(const struct watch_fanotify *watch, const char *fsid, int dirfd,
                       uint64_t *out)
{
    struct handle_buffer buffer;
    struct bytes id = {0};
    int os = ask_handle(fsid, dirfd, &buffer, &id);
    if (!os)
        *out = hash_bytes(watch->key, id.at, id.len);
    return os;
}

/* Does this directory's handle tell its number? Then those of its file system do. */
static bool tells_number(const char *fsid, int dirfd)
{
    struct handle_buffer buffer;
    struct bytes id = {0};
    struct stat st;
    uint64_t number = 0;
    return ask_handle(fsid, dirfd, &buffer, &id) == 0 && fanotify_number(id, &number) &&
           fstat(dirfd, &st) == 0 && number == st.st_ino;
}

/* Marks the file system of an open directory. 0 or an OS error. */
static int mark(struct watch_fanotify *watch, int dirfd)
{
    char path[40], fsid[FANOTIFY_FSID_BYTES];
    uint64_t handle;
    proc_path(dirfd, path);
    int os = read_fsid(dirfd, fsid);
    if (!os && fanotify_mark(watch->queue.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, MASK_NAMES,
                             AT_FDCWD, path))
        os = errno;
    /* Without handles to be had a mark is of no use. */
    os = os ? os : read_handle(watch, fsid, dirfd, &handle);
    if (!os)
        memcpy(watch->fsid, fsid, sizeof fsid);
    watch->marked = !os;
    watch->numbered = !os && tells_number(fsid, dirfd);
    return os;
}

/* Has the root's own fate told, and sees to it that its file system carries our mark. */
static void add_root_locked(struct watch_fanotify *watch, int dirfd)
{
    char path[40], fsid[FANOTIFY_FSID_BYTES];
    proc_path(dirfd, path);
    /* Without it (the limit of watches) looks at the folder find out, later. */
    (void)inotify_add_watch(watch->queue.side_fd, path, IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    if (read_fsid(dirfd, fsid) || memcmp(fsid, watch->fsid, sizeof fsid) != 0)
        watch->marked = false;
    if (!watch->marked)
        (void)mark(watch, dirfd); /* `marked` says how it went */
    watch_set_backend(&watch->watch, watch->marked ? "fanotify" : lost_mark);
}

static int fanotify_run(struct watch *watch, struct err *err)
{
    return watch_queue_run(&own(watch)->queue, err);
}

static void fanotify_stop(struct watch *watch)
{
    watch_queue_stop(&own(watch)->queue);
}

static void fanotify_close(struct watch *watch)
{
    struct watch_fanotify *fanotify = own(watch);
    watch_barriers_close(&fanotify->barriers);
    watch_queue_deinit(&fanotify->queue);
    watch_table_deinit(&fanotify->table);
    handle_index_deinit(&fanotify->index);
    inode_filter_deinit(&fanotify->files);
    free(fanotify);
}

/* Between the look by its name and this its attributes were told, perhaps, when nobody knew it. */
static void tell_early_locked(struct watch_fanotify *watch, uint64_t handle,
                              const struct watched *added)
{
    uint64_t bit = handle % FANOTIFY_EARLY_BITS;
    if (added->root || !(watch->early[bit / 64] >> bit % 64 & 1))
        return;
    watch->sink.hint(watch->sink.ctx, added->dir, bytes_str("."), HINT_ATTRIB, NULL);
    watch->sink.batch(watch->sink.ctx);
}

static int32_t file_locked(struct watch_fanotify *watch, uint64_t handle, struct file_id dir,
                           bool root)
{
    struct watched *slot = handle_index_find(&watch->index, &watch->table, handle);
    bool fresh = !slot;
    if (fresh) {
        int32_t number = watch->last_number;
        /* Never one that was given lately: somebody may still want to remove that. After
         * INT32_MAX directories the numbers begin anew. */
        do
            number = number < INT32_MAX ? number + 1 : 0;
        while (watch_table_find(&watch->table, number));
        watch->last_number = number;
        slot = watch_table_put(&watch->table, number);
        handle_index_put(&watch->index, handle, number);
    }
    slot->dir = dir;
    slot->root |= root;
    if (fresh)
        tell_early_locked(watch, handle, slot);
    return slot->number;
}

static int fanotify_add(struct watch *watch, const struct watch_dir *dir, int32_t *out,
                        struct err *err)
{
    struct watch_fanotify *fanotify = own(watch);
    uint64_t handle = 0;
    int code = 0;
    pthread_mutex_lock(&fanotify->queue.lock);
    if (dir->root)
        add_root_locked(fanotify, dir->fd);
    int os = fanotify->marked ? read_handle(fanotify, fanotify->fsid, dir->fd, &handle) : 0;
    if (os)
        code = err_os(err, os, "cannot watch directory");
    else if (!fanotify->marked)
        *out = -1;
    else if (!(code = watch_table_reserve(&fanotify->table, err)) &&
             !(code = handle_index_reserve(&fanotify->index, &fanotify->table, err)))
        *out = file_locked(fanotify, handle, dir->file, dir->root);
    pthread_mutex_unlock(&fanotify->queue.lock);
    return code;
}

static void fanotify_remove(struct watch *watch, int32_t number)
{
    struct watch_fanotify *fanotify = own(watch);
    pthread_mutex_lock(&fanotify->queue.lock);
    watch_table_remove(&fanotify->table, number);
    pthread_mutex_unlock(&fanotify->queue.lock);
}

static size_t fanotify_count(struct watch *watch)
{
    struct watch_fanotify *fanotify = own(watch);
    pthread_mutex_lock(&fanotify->queue.lock);
    size_t count = fanotify->table.count;
    pthread_mutex_unlock(&fanotify->queue.lock);
    return count;
}

static void fanotify_know(struct watch *watch, uint64_t number)
{
    inode_filter_put(&own(watch)->files, number);
}

static int fanotify_drain(struct watch *watch, struct err *err)
{
    return watch_queue_drain(&own(watch)->queue, err);
}

static int fanotify_barrier(struct watch *watch, uint64_t token, struct err *err)
{
    struct watch_fanotify *fanotify = own(watch);
    return watch_barriers_send(&fanotify->barriers, &fanotify->queue.lock, token, err);
}

static const struct watch_ops fanotify_ops = {
    .run = fanotify_run,
    .stop = fanotify_stop,
    .close = fanotify_close,
    .add = fanotify_add,
    .remove = fanotify_remove,
    .count = fanotify_count,
    .know = fanotify_know,
    .drain = fanotify_drain,
    .barrier = fanotify_barrier,
};

/* Another file system's directory needs a mark of its own; the same one's bears a second. */
static int open_barriers(struct watch_fanotify *watch, const char *path, struct err *err)
{
    char fsid[FANOTIFY_FSID_BYTES];
    int code = watch_barriers_open(&watch->barriers, path, err);
    if (code)
        return code;
    int dirfd = watch->barriers.dirfd;
    int os = read_fsid(dirfd, fsid);
    os = os ? os : read_handle(watch, fsid, dirfd, &watch->barrier_handle);
    if (!os &&
        fanotify_mark(watch->queue.fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_CREATE, dirfd, NULL))
        os = errno;
    return os ? refused(os, "cannot watch", path, err) : 0;
}

static int open_group(struct watch_fanotify *watch, const char *root, struct err *err)
{
    struct watch_queue *queue = &watch->queue;
    /* The queue keeps the system's limit, though with privilege it need not. What an unlimited one
     * holds is the kernel's memory, 145 bytes a record as measured, for changes of the whole file
     * system: a daemon that is stopped or starved meanwhile could take all there is, and cannot
     * bound what it is not running to see. An overflow costs one comparison of the folder. With the
     * default of 16,384 none was met while six writers made or removed 24,000 files a second
     * elsewhere on the file system, at a load of 14 on two processors. */
    queue->fd = fanotify_init(GROUP_FLAGS, O_RDONLY | O_LARGEFILE | O_CLOEXEC);
    if (queue->fd < 0)
        return refused(errno, "cannot open fanotify for", root, err);
    queue->side_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (queue->side_fd < 0)
        return err_os(err, errno, "cannot open inotify for the root");
    return watch_queue_open(queue, err);
}

static int mark_root(struct watch_fanotify *watch, const char *root, struct err *err)
{
    int dirfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* The right to mark it is given up before it can be there (privilege.h). */
    if (dirfd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND, 0, "'%s' is not there yet; restart spoor when it is",
                       root);
    if (dirfd < 0)
        return err_os(err, errno, "cannot open '%s'", root);
    int os = mark(watch, dirfd);
    close(dirfd);
    return os ? refused(os, "cannot mark", root, err) : 0;
}

int watch_fanotify_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    struct watch_fanotify *fanotify = calloc(1, sizeof *fanotify);
    if (!fanotify)
        return err_set(err, ERR_NOMEM, 0, "no memory for a watch");
    fanotify->watch.ops = &fanotify_ops;
    fanotify->watch.backend = "fanotify";
    fanotify->sink = setup->sink;
    fanotify->barriers.dirfd = -1;
    watch_table_init(&fanotify->table);
    handle_index_init(&fanotify->index);
    struct watch_queue *queue = &fanotify->queue;
    watch_queue_init(queue, "fanotify");
    queue->filling_bytes = watch_queue_filling(QUEUE_LIMIT, FANOTIFY_RECORD_UNIT);
    queue->eager = true; /* a process that has ended tells its name no more */
    queue->parse = watch_fanotify_parse;
    queue->ctx = fanotify;

    int code = osfile_random(&fanotify->key, sizeof fanotify->key, err);
    inode_filter_init(&fanotify->files, fanotify->key.k0);
    if (!code)
        code = open_group(fanotify, setup->root, err);
    if (!code)
        code = mark_root(fanotify, setup->root, err);
    if (!code)
        code = open_barriers(fanotify, setup->barrier_dir, err);
    if (code)
        fanotify_close(&fanotify->watch);
    else
        *out = &fanotify->watch;
    return code;
}
