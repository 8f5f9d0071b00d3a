/* disk_windows.c: looking at a folder on Windows, by handles and read only.
 *
 * A name is first asked of its directory (a listing of that one name), which answers with the name
 * as it is stored: another case or an 8.3 name is absent (RULES 7). What a listing says of sizes
 * and times is as old as the last close through that very name, so those come from a handle
 * (disk_facts_windows.h), opened for attributes alone, which no other program's sharing can refuse
 * or feel. Reparse points are never followed. All handles share everything, so
 * that nobody is kept from renaming or deleting. Why something is unknown is told as an errno. No
 * state but the path and the watch, which never change: any thread, one at a time on one handle. */
#include "disk.h"

#include <errno.h>
#include <wchar.h>

#include "buf.h"
#include "clock.h"
#include "disk_facts_windows.h"
#include "disk_type_windows.h"
#include "err.h"
#include "native_windows.h"
#include "watch.h"
#include "wtf8.h"

_Static_assert(DISK_NAME_MAX == NATIVE_NAME_MAX * WTF8_UNIT_BYTES_MAX, "any name fits");

#define LIST_BUFFER_BYTES (32 << 10)
#define LOOK_RETRIES      8 /* a name that changes its file under our eyes so often is unknown */
#define READ_STEP_BYTES   4096
#define ENTRY_BYTES       (sizeof(FILE_ID_BOTH_DIR_INFORMATION) + 2 * NATIVE_NAME_MAX + 8)
#define SHARE_ALL         (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define LOOK_OPTIONS      (FILE_OPEN_REPARSE_POINT | FILE_OPEN_FOR_BACKUP_INTENT)

/* FileIdBothDirectoryInformation (ntifs.h), which winternl.h has without its number. */
#define ID_BOTH_CLASS 37

struct disk_real {
    char *path;
    struct watch *watch; /* NULL: nothing is watched */
    int64_t *beat_ns;    /* NULL: nobody asks */
};

struct disk_dir {
    HANDLE handle;
    struct file_id file, parent;
    uint64_t volume;          /* of the folder's root */
    size_t name_len;          /* 0: the root */
    char name[DISK_NAME_MAX]; /* where it was opened in `parent` */
};

static const struct native_open open_list = {
    .access = FILE_LIST_DIRECTORY | FILE_TRAVERSE | FILE_READ_ATTRIBUTES,
    .share = SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = FILE_DIRECTORY_FILE | LOOK_OPTIONS,
};
static const struct native_open open_look = {
    .access = FILE_READ_ATTRIBUTES,
    .share = SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = LOOK_OPTIONS,
};
static const struct native_open open_read = {
    .access = FILE_GENERIC_READ,
    .share = SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = LOOK_OPTIONS, /* a directory opens too, and is told from a file by its facts */
};

static void beat(void *ctx)
{
    const struct disk_real *disk = ctx;
    if (disk->beat_ns)
        __atomic_store_n(disk->beat_ns, clock_mono_ns(), __ATOMIC_RELAXED);
}

/* errno is the word of disk.h for why. */
static int errno_of(DWORD os)
{
    switch (os) {
    case ERROR_SUCCESS:
        return 0;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        return ENOENT;
    case ERROR_DIRECTORY:
        return ENOTDIR;
    case ERROR_ACCESS_DENIED:
    case ERROR_DELETE_PENDING:
        return EACCES;
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
        return EBUSY;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
        return ENOMEM;
    case ERROR_INVALID_NAME:
        return EINVAL;
    case ERROR_TOO_MANY_OPEN_FILES:
        return EMFILE;
    default:
        return EIO;
    }
}

static enum disk_answer answer_of(int os)
{
    return os == ENOENT || os == ENOTDIR ? DISK_ABSENT : DISK_UNKNOWN;
}

/* A name as a C string. False for what can be no name: such a look is a mistake of the caller. */
static bool name_text(struct bytes name, char out[DISK_NAME_MAX + 1])
{
    if (name.len == 0 || name.len > DISK_NAME_MAX || memchr(name.at, '/', name.len) ||
        memchr(name.at, '\\', name.len) || memchr(name.at, '\0', name.len))
        return false;
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return strcmp(out, ".") != 0 && strcmp(out, "..") != 0;
}

/* ---- stored names ---- */

/* Does the directory hold this very name? The directory is opened anew: the name that a listing is
 * for belongs to the handle. 0, ENOENT, or why it cannot be told. */
static int ask_stored(const struct disk_dir *dir, struct bytes name)
{
    unsigned char bytes[ENTRY_BYTES] __attribute__((aligned(8)));
    char stored[DISK_NAME_MAX];
    const FILE_ID_BOTH_DIR_INFORMATION *entry = (const void *)bytes;
    uint16_t units[NATIVE_NAME_MAX];
    IO_STATUS_BLOCK status;
    HANDLE list;
    size_t count = 0, len = 0;

    if (wtf8_to_utf16(name, units, NATIVE_NAME_MAX, &count) != 0 || wmemchr(units, L'*', count) ||
        wmemchr(units, L'?', count))
        return ENOENT; /* no file system of Windows holds such a name */
    DWORD os = native_open_at(dir->handle, "", &open_list, &list);
    if (os != 0)
        return errno_of(os);
    UNICODE_STRING wanted = {(USHORT)(2 * count), (USHORT)(2 * count), units};
    NTSTATUS code =
        NtQueryDirectoryFile(list, NULL, NULL, NULL, &status, bytes, sizeof bytes,
                             (FILE_INFORMATION_CLASS)ID_BOTH_CLASS, TRUE, &wanted, TRUE);
    (void)CloseHandle(list); /* opened to list only */
    if (code < 0) {
        os = RtlNtStatusToDosError(code);
        return os == ERROR_NO_MORE_FILES ? ENOENT : errno_of(os);
    }
    if (wtf8_from_utf16(entry->FileName, entry->FileNameLength / 2, stored, sizeof stored, &len))
        return EIO;
    return bytes_equal(bytes_of(stored, len), name) ? 0 : ENOENT;
}

/* ---- directories ---- */

/* Makes a handle of `handle`, which it owns from now on. Without a parent it is the root. */
static enum disk_answer adopt_dir(HANDLE handle, const struct disk_dir *parent, struct bytes name,
                                  struct disk_dir **out, struct file_id *file, int *os)
{
    struct disk_facts facts;
    struct disk_dir *dir = malloc(sizeof *dir);
    DWORD failed = dir ? disk_facts_ask(handle, &facts) : ERROR_NOT_ENOUGH_MEMORY;
    enum disk_answer answer = DISK_UNKNOWN;
    *os = errno_of(failed);
    if (failed == 0 && disk_facts_type(&facts) != ENTRY_DIR) {
        *os = ENOTDIR;
        answer = DISK_ABSENT;
    } else if (failed == 0 && parent && facts.volume != parent->volume) {
        *os = EXDEV;
    } else if (failed == 0) {
        *dir = (struct disk_dir){.handle = handle,
                                 .file = facts.file,
                                 .parent = parent ? parent->file : facts.file,
                                 .volume = facts.volume,
                                 .name_len = name.len};
        if (name.len)
            memcpy(dir->name, name.at, name.len);
        *os = 0;
        *out = dir;
        *file = facts.file;
        return DISK_PRESENT;
    }
    (void)CloseHandle(handle); /* opened to look only */
    free(dir);
    return answer;
}

static enum disk_answer real_open_root(void *ctx, struct disk_dir **out, struct file_id *file,
                                       int *os)
{
    const struct disk_real *disk = ctx;
    struct native_open how = open_list;
    HANDLE handle;
    *out = NULL;
    beat(ctx);
    /* The user may have named the folder by a link: here alone it is followed. */
    how.options &= ~(ULONG)FILE_OPEN_REPARSE_POINT;
    *os = errno_of(native_open_at(NULL, disk->path, &how, &handle));
    if (*os)
        return answer_of(*os);
    return adopt_dir(handle, NULL, bytes_of(NULL, 0), out, file, os);
}

static enum disk_answer real_open(void *ctx, struct disk_dir *parent, struct bytes name,
                                  struct disk_dir **out, struct file_id *file, int *os)
{
    char text[DISK_NAME_MAX + 1];
    HANDLE handle;
    *out = NULL;
    beat(ctx);
    *os = EINVAL;
    if (!name_text(name, text))
        return DISK_UNKNOWN;
    *os = ask_stored(parent, name);
    if (*os)
        return answer_of(*os);
    *os = errno_of(native_open_at(parent->handle, text, &open_list, &handle));
    if (*os)
        return answer_of(*os);
    return adopt_dir(handle, parent, name, out, file, os);
}

static void real_close(void *ctx, struct disk_dir *dir)
{
    (void)ctx;
    if (!dir)
        return;
    (void)CloseHandle(dir->handle); /* opened to look only */
    free(dir);
}

/* One buffer of entries; those of the root are without the watch's own. */
static bool add_names(struct buf *names, bool root, const unsigned char *at)
{
    for (;;) {
        const FILE_ID_BOTH_DIR_INFORMATION *entry = (const void *)at;
        size_t count = entry->FileNameLength / sizeof(WCHAR);
        if (!native_is_dots(entry->FileName, count)) {
            char name[DISK_NAME_MAX];
            size_t len = 0;
            if (wtf8_from_utf16(entry->FileName, count, name, sizeof name, &len))
                return false;
            uint16_t prefix = (uint16_t)len;
            if (!root || !watch_is_own(bytes_of(name, len))) {
                buf_add(names, &prefix, sizeof prefix);
                buf_add(names, name, len);
            }
        }
        if (entry->NextEntryOffset == 0)
            return buf_ok(names);
        at += entry->NextEntryOffset;
    }
}

static enum disk_answer real_list(void *ctx, struct disk_dir *dir, struct buf *names, int *os)
{
    unsigned char *buffer = malloc(LIST_BUFFER_BYTES);
    IO_STATUS_BLOCK status;
    HANDLE list = NULL; /* a position of its own */
    beat(ctx);
    DWORD failed =
        buffer ? native_open_at(dir->handle, "", &open_list, &list) : ERROR_NOT_ENOUGH_MEMORY;
    while (failed == 0) {
        NTSTATUS code =
            NtQueryDirectoryFile(list, NULL, NULL, NULL, &status, buffer, LIST_BUFFER_BYTES,
                                 (FILE_INFORMATION_CLASS)ID_BOTH_CLASS, FALSE, NULL, FALSE);
        if (code < 0)
            failed = RtlNtStatusToDosError(code);
        else if (!add_names(names, dir->name_len == 0, buffer))
            failed = ERROR_NOT_ENOUGH_MEMORY;
    }
    if (list)
        (void)CloseHandle(list); /* opened to list only */
    free(buffer);
    *os = failed == ERROR_NO_MORE_FILES ? 0 : errno_of(failed);
    if (*os == ENOENT)
        return DISK_ABSENT; /* removed while we held it: nothing is left in it */
    return *os ? DISK_UNKNOWN : DISK_PRESENT;
}

/* ---- names ---- */

static enum disk_answer unknown(struct disk_entry *out, int os)
{
    out->os = os;
    return DISK_UNKNOWN;
}

static DWORD look_at(HANDLE handle, const struct disk_dir *dir, struct disk_entry *out)
{
    struct disk_facts facts;
    DWORD os = disk_facts_ask(handle, &facts);
    if (os != 0)
        return os;
    if (facts.volume != dir->volume)
        return ERROR_NOT_SAME_DEVICE;
    if (facts.standard.DeletePending)
        return ERROR_DELETE_PENDING;
    out->type = disk_facts_type(&facts);
    out->file = facts.file;
    out->link_count = facts.standard.NumberOfLinks;
    out->attrs = disk_facts_attrs(&facts, out->type);
    out->os = 0;
    return out->type == ENTRY_SYMLINK ? disk_facts_target(handle, out) : 0;
}

static enum disk_answer real_look(void *ctx, struct disk_dir *dir, struct bytes name,
                                  struct disk_entry *out)
{
    char text[DISK_NAME_MAX + 1];
    HANDLE handle;
    if (!name_text(name, text))
        return unknown(out, EINVAL);
    beat(ctx);
    for (int i = 0; i < LOOK_RETRIES; i++) {
        out->os = ask_stored(dir, name);
        if (out->os)
            return answer_of(out->os);
        DWORD os = native_open_at(dir->handle, text, &open_look, &handle);
        if (os == 0) {
            os = look_at(handle, dir, out);
            (void)CloseHandle(handle); /* opened to look only */
        }
        if (os == 0)
            return DISK_PRESENT;
        out->os = os == ERROR_NOT_SAME_DEVICE ? EXDEV : errno_of(os);
        /* Gone, or another kind of thing by now: look again. */
        if (out->os != ENOENT && os != ERROR_NOT_A_REPARSE_POINT)
            return answer_of(out->os);
    }
    return unknown(out, EAGAIN);
}

/* Windows tells no one who has a file open without disturbing him (RULES 11). */
static int real_has_writer(void *ctx, struct disk_dir *dir, struct bytes name)
{
    (void)ctx;
    (void)dir;
    (void)name;
    return -1;
}

static DWORD read_all(HANDLE file, size_t limit, struct buf *out)
{
    char buffer[READ_STEP_BYTES];
    size_t total = 0;
    DWORD n = 1;
    while (n > 0 && total <= limit) {
        if (!ReadFile(file, buffer, sizeof buffer, &n, NULL))
            return GetLastError();
        buf_add(out, buffer, n);
        total += n;
    }
    if (total > limit)
        return ERROR_FILE_TOO_LARGE;
    return buf_ok(out) ? 0 : ERROR_NOT_ENOUGH_MEMORY;
}

static enum disk_answer real_read_file(void *ctx, struct disk_dir *dir, struct bytes name,
                                       size_t limit, struct buf *out, int *os)
{
    char text[DISK_NAME_MAX + 1];
    size_t start = out->len;
    struct disk_facts facts;
    HANDLE file;
    beat(ctx);
    *os = name_text(name, text) ? ask_stored(dir, name) : EINVAL;
    if (*os)
        return answer_of(*os);
    DWORD failed = native_open_at(dir->handle, text, &open_read, &file);
    if (failed == 0) {
        failed = disk_facts_ask(file, &facts);
        if (failed == 0)
            failed = disk_facts_type(&facts) == ENTRY_FILE ? read_all(file, limit, out)
                                                           : ERROR_FILE_NOT_FOUND;
        (void)CloseHandle(file); /* opened to read only */
    }
    *os = failed == ERROR_FILE_TOO_LARGE ? EFBIG : errno_of(failed);
    if (*os && buf_ok(out))
        buf_truncate(out, start);
    return *os ? answer_of(*os) : DISK_PRESENT;
}

/* ---- watching ---- */

static int real_watch(void *ctx, struct disk_dir *dir, struct file_id file, bool root, int32_t *out,
                      struct err *err)
{
    const struct disk_real *disk = ctx;
    *out = -1;
    struct watch_dir place = {
        .fd = -1,
        .file = file,
        .root = root,
        .parent = dir->parent,
        .name = bytes_of(dir->name, dir->name_len),
    };
    return disk->watch ? watch_add(disk->watch, &place, out, err) : 0;
}

static void real_unwatch(void *ctx, int32_t watch)
{
    const struct disk_real *disk = ctx;
    if (disk->watch)
        watch_remove(disk->watch, watch);
}

static const struct disk_ops real_ops = {
    .open_root = real_open_root,
    .open = real_open,
    .close = real_close,
    .look = real_look,
    .list = real_list,
    .watch = real_watch,
    .unwatch = real_unwatch,
    .has_writer = real_has_writer,
    .read_file = real_read_file,
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
    *out = (struct disk){&real_ops, disk};
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
    bool remote = false;
    char name[4] = "";
    uint32_t number = 0;
    HANDLE root;
    DWORD os = native_open_at(NULL, own->path, &open_look, &root);
    if (os == 0) {
        os = native_file_system(root, name, &remote);
        (void)CloseHandle(root); /* opened to ask only */
    }
    if (os != 0)
        return err_native(err, os, "cannot ask for the file system of '%s'", own->path);
    memcpy(&number, name, sizeof number);
    *out = number | (remote ? DISK_TYPE_REMOTE : 0);
    return 0;
}
