/* osfile_windows.c: the daemon's own files: atomic replacement, secrets, logs, the lock. Their
 * directories are in osfile_dir_windows.c.
 *
 * Everything is opened below a directory's handle, with all three shares unless something is to be
 * kept from others, so that nobody is kept from renaming or deleting. An access list is looked at
 * on the opened handle, never on a path that could be exchanged in between. Leaves the watched
 * folders to daemon/. Any thread. */
#include "osfile.h"

#include <errno.h>
#include <limits.h>

#include "buf.h"
#include "err.h"
#include "native_windows.h"
#include "num.h"
#include "osfile_windows.h"

#define OSFILE_CHUNK      16384
#define OSFILE_PID_BYTES  24
#define OSFILE_NAME_BYTES 256
#define LOCK_OFFSET       0x7fffffff /* far behind the text, which others read */
#define MACHINE_KEY       L"SOFTWARE\\Microsoft\\Cryptography"
#define MACHINE_VALUE     L"MachineGuid"
#define MACHINE_UNITS_MAX 64

#define RIGHTS_READ (FILE_READ_DATA | OSFILE_RIGHTS_WRITE | GENERIC_READ)

static const struct native_open read_file = {
    .access = FILE_GENERIC_READ,
    .share = OSFILE_SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = FILE_NON_DIRECTORY_FILE,
};
static const struct native_open open_or_make = {
    .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE,
    .share = OSFILE_SHARE_ALL,
    .disposition = FILE_OPEN_IF,
    .options = FILE_NON_DIRECTORY_FILE,
    .is_private = true,
};
static const struct native_open look = {
    .access = FILE_READ_ATTRIBUTES,
    .share = OSFILE_SHARE_ALL,
    .disposition = FILE_OPEN,
};

static bool is_absent(DWORD os)
{
    return os == ERROR_FILE_NOT_FOUND || os == ERROR_PATH_NOT_FOUND;
}

static int read_all(HANDLE file, const char *name, size_t limit, struct buf *out, struct err *err)
{
    char chunk[OSFILE_CHUNK];
    size_t before = out->len;
    int rc = 0;

    while (rc == 0) {
        DWORD n = 0;
        if (!ReadFile(file, chunk, sizeof chunk, &n, NULL))
            rc = err_native(err, GetLastError(), "cannot read '%s'", name);
        if (n == 0)
            break;
        if (n > limit - (out->len - before)) {
            rc = err_set(err, ERR_LIMIT, 0, "cannot read '%s': longer than %zu bytes", name, limit);
            break;
        }
        buf_add(out, chunk, n);
        if (!buf_ok(out))
            rc = err_set(err, ERR_NOMEM, 0, "cannot read '%s': no room for its content", name);
    }
    explicit_bzero(chunk, sizeof chunk); /* it may have been a secret */
    if (rc != 0)
        buf_truncate(out, before);
    return rc;
}

int osfile_read(int dirfd, const char *name, size_t limit, struct buf *out, struct err *err)
{
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), name, &read_file, &file);

    if (os != 0)
        return err_native(err, os, "cannot open '%s'", name);
    int rc = read_all(file, name, limit, out, err);
    (void)CloseHandle(file); /* opened for reading */
    return rc;
}

int osfile_read_secret(const char *path, size_t limit, struct buf *out, struct err *err)
{
    size_t before = out->len;
    bool others = false, ours = false;
    HANDLE file;
    DWORD os = native_open_at(NULL, path, &read_file, &file);

    if (os != 0)
        return err_native(err, os, "cannot open '%s'", path);
    os = native_look_private(file, RIGHTS_READ, &others, &ours);
    int rc;
    if (os != 0)
        rc = err_native(err, os, "cannot look at '%s'", path);
    else if (others)
        rc = err_set(err, ERR_DENIED, 0,
                     "secret file '%s': others may open it; see to it that only its user, "
                     "administrators and the system may",
                     path);
    else
        rc = read_all(file, path, limit, out, err);
    (void)CloseHandle(file); /* opened for reading */
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

static DWORD write_all(HANDLE file, const char *bytes, size_t len)
{
    while (len > 0) {
        DWORD n = 0;
        if (!WriteFile(file, bytes, len < OSFILE_CHUNK ? (DWORD)len : OSFILE_CHUNK, &n, NULL))
            return GetLastError();
        bytes += n;
        len -= n;
    }
    return 0;
}

/* A new private file of a name nobody else uses, and that name. */
static int make_temporary(int dirfd, const char *name, ULONG options,
                          char temporary[OSFILE_NAME_BYTES], HANDLE *out, struct err *err)
{
    const struct native_open how = {
        .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE,
        .share = OSFILE_SHARE_ALL,
        .disposition = FILE_CREATE,
        .options = FILE_NON_DIRECTORY_FILE | options,
        .is_private = true,
    };
    uint64_t random = 0;
    int rc = osfile_random(&random, sizeof random, err);

    if (rc != 0)
        return rc;
    int n =
        snprintf(temporary, OSFILE_NAME_BYTES, "%s.%016llx.tmp", name, (unsigned long long)random);
    if (n < 0 || n >= OSFILE_NAME_BYTES)
        return err_set(err, ERR_LIMIT, 0, "cannot write '%s': its name is too long", name);
    DWORD os = native_open_at(osfile_dir_of(dirfd), temporary, &how, out);
    return os == 0 ? 0 : err_native(err, os, "cannot make '%s'", temporary);
}

int osfile_replace(int dirfd, const char *name, const void *bytes, size_t len, struct err *err)
{
    char temporary[OSFILE_NAME_BYTES];
    HANDLE file;
    int rc = make_temporary(dirfd, name, 0, temporary, &file, err);

    if (rc != 0)
        return rc;
    DWORD os = write_all(file, bytes, len);
    /* The content must be down before the name points to it, or a power loss leaves an empty file
     * under the good name. The second flush takes the rename with it: NTFS writes its log for a
     * file up to its last change. */
    if (os == 0 && !FlushFileBuffers(file))
        os = GetLastError();
    if (os == 0)
        os = native_rename(file, osfile_dir_of(dirfd), name, true);
    if (os != 0)
        (void)native_dispose(file); /* the first fault is the one to report */
    else if (!FlushFileBuffers(file))
        os = GetLastError();
    if (!CloseHandle(file) && os == 0)
        os = GetLastError();
    return os == 0 ? 0 : err_native(err, os, "cannot write '%s'", name);
}

int osfile_open(int dirfd, const char *name, struct err *err)
{
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), name, &open_or_make, &file);

    if (os != 0)
        return err_native(err, os, "cannot open '%s'", name);
    return osfile_descriptor(file, name, err);
}

int osfile_make(int dirfd, const char *name, struct err *err)
{
    int fd = osfile_open(dirfd, name, err);

    if (fd < 0)
        return fd;
    (void)close(fd); /* nothing was written */
    return 0;
}

int osfile_exists(int dirfd, const char *name, struct err *err)
{
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), name, &look, &file);

    if (os != 0)
        return is_absent(os) ? 0 : err_native(err, os, "cannot look for '%s'", name);
    (void)CloseHandle(file); /* opened to look only */
    return 1;
}

int osfile_size(int dirfd, const char *name, int64_t *out, struct err *err)
{
    LARGE_INTEGER size = {.QuadPart = 0};
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), name, &look, &file);

    if (os == 0) {
        if (!GetFileSizeEx(file, &size))
            os = GetLastError();
        (void)CloseHandle(file); /* opened to look only */
    }
    if (os != 0 && !is_absent(os))
        return err_native(err, os, "cannot look at '%s'", name);
    *out = size.QuadPart;
    return 0;
}

int osfile_move_aside(int dirfd, const char *from, const char *to, struct err *err)
{
    const struct native_open how = {
        .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE,
        .share = OSFILE_SHARE_ALL,
        .disposition = FILE_OPEN,
        .options = FILE_OPEN_REPARSE_POINT,
    };
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), from, &how, &file);

    if (os == 0) {
        os = native_rename(file, osfile_dir_of(dirfd), to, false);
        if (os == 0 && !FlushFileBuffers(file)) /* takes the rename with it, as above */
            os = GetLastError();
        (void)CloseHandle(file); /* nothing was written that is not flushed */
    }
    if (os == ERROR_ALREADY_EXISTS || os == ERROR_FILE_EXISTS)
        return err_set(err, ERR_EXISTS, 0, "cannot move '%s' aside: '%s' exists", from, to);
    if (os != 0 && !is_absent(os))
        return err_native(err, os, "cannot move '%s' aside to '%s'", from, to);
    return 0;
}

int osfile_check_readable(int dirfd, const char *name, struct err *err)
{
    char bytes[OSFILE_CHUNK];
    DWORD n = 1;
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), name, &read_file, &file);

    if (os == 0) {
        while (os == 0 && n > 0)
            if (!ReadFile(file, bytes, sizeof bytes, &n, NULL))
                os = GetLastError();
        (void)CloseHandle(file); /* only read */
        if (os != 0)
            return err_native(
                err, os, "cannot read '%s'; it is kept; check the disk and the system's log", name);
    }
    return os == 0 || is_absent(os) ? 0 : err_native(err, os, "cannot read '%s'", name);
}

int osfile_spool(int dirfd, struct err *err)
{
    char name[OSFILE_NAME_BYTES];
    HANDLE file;
    int rc = make_temporary(dirfd, "spool", FILE_DELETE_ON_CLOSE, name, &file, err);

    return rc == 0 ? osfile_descriptor(file, name, err) : rc;
}

int osfile_open_log(const char *path, struct err *err)
{
    const struct native_open append = {
        .access = FILE_APPEND_DATA | FILE_READ_ATTRIBUTES,
        .share = OSFILE_SHARE_ALL,
        .disposition = FILE_OPEN_IF,
        .options = FILE_NON_DIRECTORY_FILE,
        .is_private = true,
    };
    HANDLE file;
    DWORD os = native_open_at(NULL, path, &append, &file);

    if (os != 0)
        return err_native(err, os, "cannot open the log file '%s'", path);
    return osfile_descriptor(file, path, err);
}

/* The C library closes the old one and takes a duplicate of the new one under its own lock. */
int osfile_put(int fd, int at, const char *path, struct err *err)
{
    return _dup2(fd, at) == 0 ? 0 : err_os(err, errno, "cannot switch to '%s'", path);
}

bool osfile_identify(const char *path, struct osfile_identity *out)
{
    HANDLE file;

    if (native_open_at(NULL, path, &look, &file) != 0)
        return false;
    bool known = native_identify(file, out) == 0;
    (void)CloseHandle(file); /* opened to look only */
    return known;
}

int osfile_may_read(const char *path, struct err *err)
{
    HANDLE file;
    DWORD os = native_open_at(NULL, path, &read_file, &file);

    if (os != 0)
        return err_native(err, os, "cannot open '%s'", path);
    (void)CloseHandle(file); /* opened to be asked only */
    return 0;
}

/* The number the lock's holder wrote, or 0. */
static int64_t read_holder(HANDLE file)
{
    char text[OSFILE_PID_BYTES];
    DWORD n = 0;
    int64_t pid = 0;

    if (!ReadFile(file, text, sizeof text - 1, &n, NULL))
        return 0;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return num_parse_i64(text, 1, UINT32_MAX, &pid) == 0 ? pid : 0;
}

static DWORD write_holder(HANDLE file)
{
    char text[OSFILE_PID_BYTES];
    int n = snprintf(text, sizeof text, "%lu\n", GetCurrentProcessId());
    DWORD os = write_all(file, text, (size_t)n);

    return os == 0 && !SetEndOfFile(file) ? GetLastError() : os;
}

static int lock_busy(HANDLE file, const char *name, int64_t *holder, struct err *err)
{
    int64_t pid = read_holder(file);

    if (holder)
        *holder = pid;
    if (pid == 0)
        return err_set(err, ERR_BUSY, 0, "'%s': held by another process", name);
    return err_set(err, ERR_BUSY, 0, "'%s': held by process %lld", name, (long long)pid);
}

int osfile_lock(int dirfd, const char *name, int64_t *holder, struct err *err)
{
    OVERLAPPED place = {.Offset = LOCK_OFFSET};
    HANDLE file;
    DWORD os = native_open_at(osfile_dir_of(dirfd), name, &open_or_make, &file);
    int rc;

    if (os != 0)
        return err_native(err, os, "cannot open lock file '%s'", name);
    /* Released by the system when the process ends, however it ends. The file itself is never
     * deleted, which would let two processes lock two files of one name. */
    if (!LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place)) {
        os = GetLastError();
        if (os == ERROR_LOCK_VIOLATION || os == ERROR_IO_PENDING)
            rc = lock_busy(file, name, holder, err);
        else
            rc = err_native(err, os, "cannot lock '%s'", name);
        goto out;
    }
    os = write_holder(file);
    if (os != 0) {
        rc = err_native(err, os, "cannot write lock file '%s'", name);
        goto out;
    }
    return osfile_descriptor(file, name, err);
out:
    (void)CloseHandle(file); /* gives the lock up, if we had it */
    return rc;
}

int osfile_random(void *out, size_t len, struct err *err)
{
    /* BCryptGenRandom(NULL, out, len, BCRYPT_USE_SYSTEM_PREFERRED_RNG): bcrypt.h says that the
     * system's own generator needs no provider. */
    if (len > ULONG_MAX || BCryptGenRandom(NULL, out, (ULONG)len, BCRYPT_USE_SYSTEM_PREFERRED_RNG))
        return err_set(err, ERR_IO, 0, "cannot get random bytes");
    return 0;
}

int osfile_machine(struct buf *out, struct err *err)
{
    WCHAR text[MACHINE_UNITS_MAX];
    DWORD bytes = sizeof text;
    /* Of the 64-bit view whatever this program is: a number for each view would be two machines. */
    LSTATUS os = RegGetValueW(HKEY_LOCAL_MACHINE, MACHINE_KEY, MACHINE_VALUE,
                              RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY, NULL, text, &bytes);

    if (os != 0)
        return err_native(err, (DWORD)os, "cannot read the machine's name");
    native_add_narrow(out, text, wcslen(text));
    return 0;
}
