/* disk_linux.c: looking at a folder on Linux: openat, statx, getdents64, read only.
 *
 * A directory is opened for reading where that is allowed, else as a mere place (O_PATH), so that
 * its names can still be looked at when it may be searched but not listed. Each handle carries
 * the device of the folder's root: what lies on another device, or is the root of a mount, is
 * unknown (EXDEV), never absent and never entered. No state but the path and the watch, which
 * never change: any thread, one at a time on one handle. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "watch.h"

#define LIST_BUFFER_BYTES (32 << 10)
#define LOOK_RETRIES      8 /* a name that changes its type under our eyes so often is unknown */
#define READ_STEP_BYTES   4096

/* DONT_SYNC: a network file system may answer from its cache, as for any stat in a loop.
 * NO_AUTOMOUNT: looking must not mount anything. */
#define LOOK_FLAGS (AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT)
#define LOOK_MASK                                                                                  \
    (STATX_TYPE | STATX_MODE | STATX_SIZE | STATX_MTIME | STATX_CTIME | STATX_INO | STATX_BTIME |  \
     STATX_NLINK)
#define DIR_FLAGS  (O_DIRECTORY | O_CLOEXEC)
#define FILE_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct disk_real {
    char *path;
    struct watch *watch; /* NULL: nothing is watched */
    int64_t *beat_ns;    /* NULL: nobody asks */
};

struct disk_dir {
    int fd;
    bool listed;                 /* the next listing must rewind */
    int8_t folds;                /* -1: not asked yet */
    uint32_t major_id, minor_id; /* device of the folder's root */
};

/* What getdents64(2) fills in; glibc's struct dirent64 is the same, but the manual page gives
 * this one. */
struct list_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static void beat(void *ctx)
{
    const struct disk_real *disk = ctx;
    if (disk->beat_ns)
        __atomic_store_n(disk->beat_ns, clock_mono_ns(), __ATOMIC_RELAXED);
}

static int64_t ns_of(struct statx_timestamp time)
{
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static struct file_id id_of(const struct statx *st)
{
    return (struct file_id){st->stx_ino,
                            st->stx_mask & STATX_BTIME ? (uint64_t)ns_of(st->stx_btime) : 0};
}

static enum disk_answer answer_of(int os)
{
    return os == ENOENT || os == ENOTDIR ? DISK_ABSENT : DISK_UNKNOWN;
}

/* A name as a C string. False for what can be no name: such a look is a mistake of the caller. */
static bool name_text(struct bytes name, char out[NAME_MAX + 1])
{
    if (name.len == 0 || name.len > NAME_MAX || memchr(name.at, '/', name.len) ||
        memchr(name.at, '\0', name.len))
        return false;
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return strcmp(out, ".") != 0 && strcmp(out, "..") != 0;
}

/* Bind mounts have the device of the rest, but are roots of mounts (Linux 5.8 says so). File
 * systems such as overlayfs give files devices of their own, hence directories only. */
static bool is_covered(const struct disk_dir *dir, const struct statx *st)
{
    if (st->stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return true;
    return S_ISDIR(st->stx_mode) &&
           (st->stx_dev_major != dir->major_id || st->stx_dev_minor != dir->minor_id);
}

/* ---- directories ---- */

static int open_dir(int at, const char *name, int flags)
{
    int fd = openat(at, name, O_RDONLY | DIR_FLAGS | flags);
    if (fd < 0 && errno == EACCES)
        fd = openat(at, name, O_PATH | DIR_FLAGS | flags);
    return fd;
}

/* Makes a handle of `fd`, which it owns from now on. Without a parent it is the root. */
static enum disk_answer adopt_dir(int fd, const struct disk_dir *parent, struct disk_dir **out,
                                  struct file_id *file, int *os)
{
    struct statx st;
    struct disk_dir *dir = malloc(sizeof *dir);
    *os = 0;
    if (!dir)
        *os = ENOMEM;
    else if (statx(fd, "", AT_EMPTY_PATH | LOOK_FLAGS, STATX_TYPE | STATX_INO | STATX_BTIME, &st))
        *os = errno;
    else if (parent && is_covered(parent, &st))
        *os = EXDEV;
    if (!dir || *os) {
        close(fd);
        free(dir);
        return DISK_UNKNOWN;
    }
    *dir = (struct disk_dir){.fd = fd,
                             .folds = -1,
                             .major_id = parent ? parent->major_id : st.stx_dev_major,
                             .minor_id = parent ? parent->minor_id : st.stx_dev_minor};
    *out = dir;
    *file = id_of(&st);
    return DISK_PRESENT;
}

static enum disk_answer linux_open_root(void *ctx, struct disk_dir **out, struct file_id *file,
                                        int *os)
{
    const struct disk_real *disk = ctx;
    *out = NULL;
    beat(ctx);
    /* The user may have named the folder by a symbolic link: here alone it is followed. */
    int fd = open_dir(AT_FDCWD, disk->path, 0);
    if (fd < 0) {
        *os = errno;
        return answer_of(*os);
    }
    return adopt_dir(fd, NULL, out, file, os);
}

static enum disk_answer linux_open(void *ctx, struct disk_dir *parent, struct bytes name,
                                   struct disk_dir **out, struct file_id *file, int *os)
{
    char text[NAME_MAX + 1];
    *out = NULL;
    beat(ctx);
    *os = EINVAL;
    if (!name_text(name, text))
        return DISK_UNKNOWN;
    int fd = open_dir(parent->fd, text, O_NOFOLLOW);
    if (fd < 0) {
        *os = errno;
        /* ELOOP: a symbolic link, so no directory. */
        return *os == ELOOP ? DISK_ABSENT : answer_of(*os);
    }
    return adopt_dir(fd, parent, out, file, os);
}

static void linux_close(void *ctx, struct disk_dir *dir)
{
    (void)ctx;
    if (!dir)
        return;
    close(dir->fd);
    free(dir);
}

static bool add_names(struct buf *names, const char *at, size_t len)
{
    while (len > 0) {
        struct list_entry head;
        memcpy(&head, at, sizeof head);
        const char *name = at + offsetof(struct list_entry, name);
        size_t name_len = strlen(name);
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            uint16_t prefix = (uint16_t)name_len;
            buf_add(names, &prefix, sizeof prefix);
            buf_add(names, name, name_len);
        }
        at += head.size;
        len -= head.size;
    }
    return buf_ok(names);
}

static enum disk_answer linux_list(void *ctx, struct disk_dir *dir, struct buf *names, int *os)
{
    char buffer[LIST_BUFFER_BYTES];
    long n = 0;
    *os = 0;
    beat(ctx);
    if (dir->listed && lseek(dir->fd, 0, SEEK_SET) < 0)
        *os = errno;
    dir->listed = true;
    while (!*os && (n = syscall(SYS_getdents64, dir->fd, buffer, sizeof buffer)) > 0)
        if (!add_names(names, buffer, (size_t)n))
            *os = ENOMEM;
    if (n < 0)
        *os = errno == EBADF ? EACCES : errno; /* EBADF: O_PATH, since it may not be read */
    if (*os == ENOENT)
        return DISK_ABSENT; /* removed while we held it: nothing is left in it */
    return *os ? DISK_UNKNOWN : DISK_PRESENT;
}

/* A file system of this type says by itself which directories fold: chattr +F. */
static bool has_fold_flag(int fd)
{
    int flags = 0;
    return !ioctl(fd, FS_IOC_GETFLAGS, &flags) && (flags & FS_CASEFOLD_FL);
}

static bool linux_folds(void *ctx, struct disk_dir *dir)
{
    beat(ctx);
    struct statfs fs;
    if (dir->folds < 0)
        dir->folds = !fstatfs(dir->fd, &fs) &&
                     (disk_type_folds((int64_t)fs.f_type) || has_fold_flag(dir->fd));
    return dir->folds;
}

/* ---- names ---- */

static enum disk_answer unknown(struct disk_entry *out, int os)
{
    out->os = os;
    return DISK_UNKNOWN;
}

static enum entry_type type_of(uint32_t mode)
{
    if (S_ISREG(mode))
        return ENTRY_FILE;
    if (S_ISDIR(mode))
        return ENTRY_DIR;
    return S_ISLNK(mode) ? ENTRY_SYMLINK : ENTRY_OTHER;
}

/* What belongs to the type (change.h). A directory's ctime changes with each of its entries. */
static struct entry_attrs attrs_of(const struct statx *st, enum entry_type type)
{
    struct entry_attrs attrs = {0};
    if (type == ENTRY_FILE) {
        attrs.size = (int64_t)st->stx_size;
        attrs.mtime_ns = ns_of(st->stx_mtime);
    }
    if (type != ENTRY_SYMLINK)
        attrs.mode = st->stx_mode & 07777;
    if (type != ENTRY_DIR)
        attrs.ctime_ns = ns_of(st->stx_ctime);
    return attrs;
}

static enum disk_answer linux_look(void *ctx, struct disk_dir *dir, struct bytes name,
                                   struct disk_entry *out)
{
    const struct disk_real *disk = ctx;
    char text[NAME_MAX + 1];
    if (!name_text(name, text))
        return unknown(out, EINVAL);
    beat(ctx);
    for (int i = 0; i < LOOK_RETRIES; i++) {
        struct statx st;
        if (statx(dir->fd, text, LOOK_FLAGS, LOOK_MASK, &st)) {
            out->os = errno;
            return answer_of(out->os);
        }
        if (is_covered(dir, &st))
            return unknown(out, EXDEV);
        out->type = type_of(st.stx_mode);
        /* At once: what happens to it elsewhere before the look is in `st`, after this it is told;
         * between the two, microseconds, it would be found by the next scan. */
        if (disk->watch && out->type != ENTRY_DIR)
            watch_know(disk->watch, st.stx_ino);
        out->file = id_of(&st);
        out->link_count = st.stx_nlink;
        out->attrs = attrs_of(&st, out->type);
        out->os = 0;
        if (out->type != ENTRY_SYMLINK)
            return DISK_PRESENT;
        /* Linux keeps no longer target than 4095 bytes, so a full buffer is a whole one. */
        ssize_t n = readlinkat(dir->fd, text, out->target, sizeof out->target);
        if (n >= 0) {
            out->attrs.target = bytes_of(out->target, (size_t)n);
            return DISK_PRESENT;
        }
        /* ENOENT, EINVAL: gone, or something else by now; look again. */
        if (errno != ENOENT && errno != EINVAL)
            return unknown(out, errno);
    }
    return unknown(out, EAGAIN);
}

/* Opens a regular file. Opening a device or a FIFO can have effects, so the type is asked first,
 * and again of what was opened. -1 with errno. */
static int open_file(const struct disk_dir *dir, struct bytes name)
{
    char text[NAME_MAX + 1];
    struct stat st;
    if (!name_text(name, text)) {
        errno = EINVAL;
        return -1;
    }
    if (fstatat(dir->fd, text, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
        return -1;
    int fd = S_ISREG(st.st_mode) ? openat(dir->fd, text, FILE_FLAGS) : -1;
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
        return fd;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || !S_ISREG(st.st_mode) || errno == ELOOP)
        errno = ENOENT;
    return -1;
}

static int linux_has_writer(void *ctx, struct disk_dir *dir, struct bytes name)
{
    beat(ctx);
    int fd = open_file(dir, name);
    if (fd < 0)
        return -1;
    int answer = -1;
    /* Should a writer come in these microseconds, it waits for us to let go and we are sent a
     * signal: SIGIO would end the process, SIGURG is ignored unless someone asks for it. */
    if (!fcntl(fd, F_SETSIG, SIGURG)) {
        if (!fcntl(fd, F_SETLEASE, F_RDLCK)) {
            (void)fcntl(fd, F_SETLEASE, F_UNLCK); /* closing would let go of it too */
            answer = 0;
        } else if (errno == EAGAIN) {
            answer = 1;
        }
    }
    close(fd);
    return answer;
}

static enum disk_answer linux_read_file(void *ctx, struct disk_dir *dir, struct bytes name,
                                        size_t limit, struct buf *out, int *os)
{
    beat(ctx);
    int fd = open_file(dir, name);
    if (fd < 0) {
        *os = errno;
        return answer_of(*os);
    }
    size_t start = out->len, total = 0;
    ssize_t n;
    char buffer[READ_STEP_BYTES];
    *os = 0;
    while ((n = read(fd, buffer, sizeof buffer)) > 0 && total <= limit) {
        buf_add(out, buffer, (size_t)n);
        total += (size_t)n;
    }
    if (n < 0)
        *os = errno;
    else if (total > limit)
        *os = EFBIG;
    else if (!buf_ok(out))
        *os = ENOMEM;
    close(fd);
    if (*os && buf_ok(out))
        buf_truncate(out, start);
    return *os ? DISK_UNKNOWN : DISK_PRESENT;
}

/* ---- watching ---- */

static int linux_watch(void *ctx, struct disk_dir *dir, struct file_id file, bool root,
                       int32_t *out, struct err *err)
{
    const struct disk_real *disk = ctx;
    *out = -1;
    struct watch_dir place = {.fd = dir->fd, .file = file, .root = root};
    return disk->watch ? watch_add(disk->watch, &place, out, err) : 0;
}

static void linux_unwatch(void *ctx, int32_t watch)
{
    const struct disk_real *disk = ctx;
    if (disk->watch)
        watch_remove(disk->watch, watch);
}

static const struct disk_ops linux_ops = {
    .open_root = linux_open_root,
    .open = linux_open,
    .close = linux_close,
    .look = linux_look,
    .folds = linux_folds,
    .list = linux_list,
    .watch = linux_watch,
    .unwatch = linux_unwatch,
    .has_writer = linux_has_writer,
    .read_file = linux_read_file,
};

int disk_real_open(const char *path, struct watch *watch, struct disk *out, struct err *err)
{
    struct disk_real *disk = calloc(1, sizeof *disk);
    char *copy = strdup(path);
    if (!disk || !copy) {
        free(disk);
        free(copy);
        return err_set(err, ERR_NOMEM, 0, "no memory for folder '%s'", path);
    }
    *disk = (struct disk_real){.path = copy, .watch = watch};
    *out = (struct disk){&linux_ops, disk};
    return 0;
}

void disk_real_close(struct disk *disk)
{
    if (!disk || !disk->ctx)
        return;
    struct disk_real *own = disk->ctx;
    free(own->path);
    free(own);
    *disk = (struct disk){0};
}

void disk_real_beat(struct disk *disk, int64_t *beat_ns)
{
    struct disk_real *own = disk->ctx;
    own->beat_ns = beat_ns;
}

int disk_real_fs_type(struct disk *disk, int64_t *out, struct err *err)
{
    const struct disk_real *own = disk->ctx;
    struct statfs fs;
    if (statfs(own->path, &fs))
        return err_os(err, errno, "cannot ask for the file system of '%s'", own->path);
    *out = (int64_t)fs.f_type;
    return 0;
}
