/* osfile_linux.c: the daemon's own files: private directories, atomic replacement, secrets, the
 * lock.
 *
 * Mode bits are looked at on the opened descriptor, never on a path that could be exchanged in
 * between. Leaves the watched folders to daemon/, which opens them under other rules. Any
 * thread. */
#include "osfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "buf.h"
#include "err.h"
#include "num.h"
#include "text.h"

#define OSFILE_PATH_MAX   4096
#define OSFILE_CHUNK      16384
#define OSFILE_PID_BYTES  24
#define OSFILE_NAME_BYTES 256
#define MACHINE_FILE      "/etc/machine-id"
#define MACHINE_BYTES_MAX 128

#if OSFILE_CWD != AT_FDCWD
#error "it is handed to the *at calls"
#endif

int osfile_open_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_os(err, errno, "cannot open directory '%s'", path);
    return fd;
}

static int check_private(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_os(err, errno, "cannot look at directory '%s'", path);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_DENIED, 0,
                       "directory '%s': belongs to user %u, not to user %u who runs this; choose "
                       "another or change its owner",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, ERR_DENIED, 0,
                       "directory '%s': others can write to it (mode %04o); run chmod go-w on it",
                       path, (unsigned)(st.st_mode & 07777));
    return 0;
}

/* Makes every missing directory of `path`, which is written to and restored. */
static int make_parents(char *path, struct err *err)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdir(path, 0755);
        int os = errno;
        /* EEXIST says nothing of its type: what is no directory fails the next step. EACCES,
         * EROFS: an existing parent may forbid even the question. */
        if (rc != 0 && os != EEXIST && access(path, F_OK) != 0)
            return err_os(err, os, "cannot make directory '%s'", path);
        *slash = '/';
    }
    return 0;
}

int osfile_make_private_dir(const char *path, struct err *err)
{
    char copy[OSFILE_PATH_MAX];
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof copy)
        return err_set(err, len ? ERR_LIMIT : ERR_INVALID, 0, "directory '%s': %s", path,
                       len ? "the path is too long" : "the path is empty");
    memcpy(copy, path, len);
    copy[len] = '\0';
    int rc = make_parents(copy, err);
    if (rc != 0)
        return rc;
    if (mkdir(copy, 0700) != 0 && errno != EEXIST)
        return err_os(err, errno, "cannot make directory '%s'", copy);
    int fd = osfile_open_dir(copy, err);
    if (fd < 0)
        return fd;
    rc = check_private(fd, copy, err);
    (void)close(fd); /* opened to look only */
    return rc;
}

/* Opens a regular file for reading. O_NONBLOCK so that a FIFO of that name cannot hang us. */
static int open_regular(int dirfd, const char *name, struct stat *st, struct err *err)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc;

    if (fd < 0)
        return err_os(err, errno, "cannot open '%s'", name);
    if (fstat(fd, st) != 0)
        rc = err_os(err, errno, "cannot look at '%s'", name);
    else if (!S_ISREG(st->st_mode))
        rc = err_set(err, ERR_INVALID, 0, "'%s': not a regular file", name);
    else
        return fd;
    (void)close(fd); /* nothing was written */
    return rc;
}

static int read_all(int fd, const char *name, size_t limit, struct buf *out, struct err *err)
{
    char chunk[OSFILE_CHUNK];
    size_t before = out->len;
    int rc = 0;

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_os(err, errno, "cannot read '%s'", name);
        if (n <= 0)
            break;
        if ((size_t)n > limit - (out->len - before)) {
            rc = err_set(err, ERR_LIMIT, 0, "cannot read '%s': longer than %zu bytes", name, limit);
            break;
        }
        buf_add(out, chunk, (size_t)n);
        if (!buf_ok(out)) {
            rc = err_set(err, ERR_NOMEM, 0, "cannot read '%s': no room for its content", name);
            break;
        }
    }
    explicit_bzero(chunk, sizeof chunk); /* it may have been a secret */
    if (rc != 0)
        buf_truncate(out, before);
    return rc;
}

int osfile_read(int dirfd, const char *name, size_t limit, struct buf *out, struct err *err)
{
    struct stat st;
    int fd = open_regular(dirfd, name, &st, err);

    if (fd < 0)
        return fd;
    int rc = read_all(fd, name, limit, out, err);
    (void)close(fd); /* opened for reading */
    return rc;
}

int osfile_read_secret(const char *path, size_t limit, struct buf *out, struct err *err)
{
    struct stat st;
    size_t before = out->len;
    int fd = open_regular(AT_FDCWD, path, &st, err);

    if (fd < 0)
        return fd;
    int rc;
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        rc = err_set(err, ERR_DENIED, 0,
                     "secret file '%s': others may open it (mode %04o); run chmod 600 on it", path,
                     (unsigned)(st.st_mode & 07777));
    else
        rc = read_all(fd, path, limit, out, err);
    (void)close(fd); /* opened for reading */
    if (rc != 0)
        return rc;
    if (out->len > before && out->data[out->len - 1] == '\n')
        buf_truncate(out, out->len - 1);
    if (out->len > before && out->data[out->len - 1] == '\r')
        buf_truncate(out, out->len - 1);
    if (out->len == before)
        return err_set(err, ERR_INVALID, 0, "secret file '%s': it is empty", path);
    return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* A name nobody else uses: two processes replacing one file must not share a temporary one. */
static int temporary_name(const char *name, char out[OSFILE_NAME_BYTES], struct err *err)
{
    uint64_t random = 0;
    int rc = osfile_random(&random, sizeof random, err);

    if (rc != 0)
        return rc;
    int n = snprintf(out, OSFILE_NAME_BYTES, "%s.%016llx.tmp", name, (unsigned long long)random);
    if (n < 0 || n >= OSFILE_NAME_BYTES)
        return err_set(err, ERR_LIMIT, 0, "cannot write '%s': its name is too long", name);
    return 0;
}

int osfile_replace(int dirfd, const char *name, const void *bytes, size_t len, struct err *err)
{
    char temporary[OSFILE_NAME_BYTES];
    int rc = temporary_name(name, temporary, err);

    if (rc != 0)
        return rc;
    int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_os(err, errno, "cannot make '%s'", temporary);
    int os = write_all(fd, bytes, len);
    /* The content must be down before the name points to it, or a power loss leaves an empty
     * file under the good name. */
    if (os == 0 && fdatasync(fd) != 0)
        os = errno;
    if (close(fd) != 0 && os == 0)
        os = errno;
    if (os == 0 && renameat(dirfd, temporary, dirfd, name) != 0)
        os = errno;
    if (os != 0) {
        (void)unlinkat(dirfd, temporary, 0); /* the first fault is the one to report */
        return err_os(err, os, "cannot write '%s'", name);
    }
    if (fsync(dirfd) != 0)
        return err_os(err, errno, "cannot sync the directory of '%s'", name);
    return 0;
}

int osfile_make(int dirfd, const char *name, struct err *err)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_os(err, errno, "cannot open '%s'", name);
    (void)close(fd); /* nothing was written */
    return 0;
}

int osfile_exists(int dirfd, const char *name, struct err *err)
{
    if (faccessat(dirfd, name, F_OK, 0) == 0)
        return 1;
    return errno == ENOENT ? 0 : err_os(err, errno, "cannot look for '%s'", name);
}

int osfile_size(int dirfd, const char *name, int64_t *out, struct err *err)
{
    struct stat st = {0};

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
        return err_os(err, errno, "cannot look at '%s'", name);
    *out = st.st_size;
    return 0;
}

int osfile_move_aside(int dirfd, const char *from, const char *to, struct err *err)
{
    if (faccessat(dirfd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, ERR_EXISTS, 0, "cannot move '%s' aside: '%s' exists", from, to);
    if (renameat(dirfd, from, dirfd, to) != 0 && errno != ENOENT)
        return err_os(err, errno, "cannot move '%s' aside to '%s'", from, to);
    return 0;
}

int osfile_check_readable(int dirfd, const char *name, struct err *err)
{
    char bytes[OSFILE_CHUNK];
    int code = 0;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_os(err, errno, "cannot read '%s'", name);
    for (off_t at = 0;;) {
        ssize_t n = pread(fd, bytes, sizeof bytes, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            code = err_os(err, errno,
                          "cannot read '%s'; it is kept; check the disk and the "
                          "system's log",
                          name);
        if (n <= 0)
            break;
        at += n;
    }
    (void)close(fd); /* only read */
    return code;
}

int osfile_sync_dir(int dirfd, const char *path, struct err *err)
{
    if (fsync(dirfd) != 0)
        return err_os(err, errno, "cannot sync the directory '%s'", path);
    return 0;
}

int osfile_list(int dirfd, int (*visit)(void *ctx, const char *name, struct err *err), void *ctx,
                struct err *err)
{
    int code = 0;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    DIR *list = fd < 0 ? NULL : fdopendir(fd);

    if (!list) {
        code = err_os(err, errno, "cannot list a directory");
        if (fd >= 0)
            (void)close(fd); /* opened to list only */
        return code;
    }
    errno = 0;
    for (struct dirent *entry; code == 0 && (entry = readdir(list)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            code = visit(ctx, entry->d_name, err);
    if (code == 0 && errno != 0)
        code = err_os(err, errno, "cannot list a directory");
    (void)closedir(list); /* was only read */
    return code;
}

int osfile_open(int dirfd, const char *name, struct err *err)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_os(err, errno, "cannot open '%s'", name) : fd;
}

int osfile_spool(int dirfd, struct err *err)
{
    char name[OSFILE_NAME_BYTES];
    int rc = temporary_name("spool", name, err);

    if (rc != 0)
        return rc;
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_os(err, errno, "cannot make '%s'", name);
    (void)unlinkat(dirfd, name, 0); /* from now on it lives by its descriptor; else it is litter */
    return fd;
}

int osfile_open_log(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

    return fd >= 0 ? fd : err_os(err, errno, "cannot open the log file '%s'", path);
}

int osfile_put(int fd, int at, const char *path, struct err *err)
{
    return dup3(fd, at, O_CLOEXEC) >= 0 ? 0 : err_os(err, errno, "cannot switch to '%s'", path);
}

bool osfile_identify(const char *path, struct osfile_identity *out)
{
    struct statx st;

    /* What the kernel knows already: a file system that hangs would keep us for ever. */
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &st) != 0)
        return false;
    *out = (struct osfile_identity){.volume = makedev(st.stx_dev_major, st.stx_dev_minor),
                                    .low = st.stx_ino};
    return true;
}

int osfile_may_read(const char *path, struct err *err)
{
    return access(path, R_OK) == 0 ? 0 : err_os(err, errno, "cannot open '%s'", path);
}

/* The number the lock's holder wrote, or 0. */
static int64_t read_holder(int fd)
{
    char text[OSFILE_PID_BYTES];
    int64_t pid = 0;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return num_parse_i64(text, 1, INT32_MAX, &pid) == 0 ? pid : 0;
}

static int write_holder(int fd)
{
    char text[OSFILE_PID_BYTES];
    int n = snprintf(text, sizeof text, "%lld\n", (long long)getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return errno ? errno : EIO;
    return 0;
}

static int lock_busy(int fd, const char *name, int64_t *holder, struct err *err)
{
    int64_t pid = read_holder(fd);

    if (holder)
        *holder = pid;
    if (pid == 0)
        return err_set(err, ERR_BUSY, 0, "'%s': held by another process", name);
    return err_set(err, ERR_BUSY, 0, "'%s': held by process %lld", name, (long long)pid);
}

int osfile_lock(int dirfd, const char *name, int64_t *holder, struct err *err)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0)
        return err_os(err, errno, "cannot open lock file '%s'", name);
    /* flock(2) and not fcntl(2): a record lock is lost when any descriptor of the file is
     * closed in this process. The file itself is never unlinked, which would let two
     * processes lock two files of one name. */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            rc = lock_busy(fd, name, holder, err);
        else
            rc = err_os(err, errno, "cannot lock '%s'", name);
        goto out;
    }
    errno = 0;
    int os = write_holder(fd);
    if (os != 0) {
        rc = err_os(err, os, "cannot write lock file '%s'", name);
        goto out;
    }
    return fd;
out:
    (void)close(fd); /* gives the lock up, if we had it */
    return rc;
}

int osfile_random(void *out, size_t len, struct err *err)
{
    char *at = out;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, errno, "cannot get random bytes");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int osfile_machine(struct buf *out, struct err *err)
{
    return osfile_read(AT_FDCWD, MACHINE_FILE, MACHINE_BYTES_MAX, out, err);
}
