/* osfile_dir_windows.c: the directories of the daemon's own files: opened, made private, listed.
 * See osfile_windows.c, which also says how things are opened. Any thread. */
#include "buf.h"
#include "err.h"
#include "osfile_windows.h"

#define LIST_BYTES 32768

static const struct native_open read_dir = {
    .access = FILE_GENERIC_READ | FILE_TRAVERSE,
    .share = OSFILE_SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = FILE_DIRECTORY_FILE,
};

int osfile_descriptor(HANDLE handle, const char *name, struct err *err)
{
    int fd = native_fd(handle);

    return fd >= 0 ? fd : err_set(err, ERR_LIMIT, 0, "'%s': too many files are open", name);
}

int osfile_open_dir(const char *path, struct err *err)
{
    HANDLE dir;
    DWORD os = native_open_at(NULL, path, &read_dir, &dir);

    if (os != 0)
        return err_native(err, os, "cannot open directory '%s'", path);
    return osfile_descriptor(dir, path, err);
}

static int check_private(HANDLE dir, const char *path, struct err *err)
{
    bool others = false, ours = false;
    DWORD os = native_look_private(dir, OSFILE_RIGHTS_WRITE, &others, &ours);

    if (os != 0)
        return err_native(err, os, "cannot look at directory '%s'", path);
    if (!ours)
        return err_set(err, ERR_DENIED, 0,
                       "directory '%s': belongs to another user than the one who runs this; choose "
                       "another or change its owner",
                       path);
    if (others)
        return err_set(err, ERR_DENIED, 0,
                       "directory '%s': others can write to it; see to it that only its user, "
                       "administrators and the system may",
                       path);
    return 0;
}

/* Makes one directory, unless it is there; only the last is private. */
static DWORD make_dir(const char *path, bool last)
{
    struct native_open how = read_dir;
    HANDLE dir;

    how.disposition = FILE_OPEN_IF;
    how.is_private = last;
    DWORD os = native_open_at(NULL, path, &how, &dir);
    if (os == 0)
        (void)CloseHandle(dir); /* opened to be made only */
    return os;
}

/* Where the first name below the volume begins: after "C:/" or "//server/share/". */
static char *after_volume(char *path)
{
    if (path[0] && path[1] == ':')
        return path + 2 + (path[2] == '/');
    if (path[0] == '/' && path[1] == '/') {
        char *share = strchr(path + 2, '/');
        char *rest = share ? strchr(share + 1, '/') : NULL;
        return rest ? rest + 1 : path + strlen(path);
    }
    return path + (*path == '/');
}

static int make_with_parents(char *path, struct err *err)
{
    for (char *slash = after_volume(path);; slash++) {
        slash += strcspn(slash, "/\\");
        char parted = *slash;
        *slash = '\0';
        DWORD os = make_dir(path, parted == '\0');
        if (os != 0)
            return err_native(err, os, "cannot make directory '%s'", path);
        if (parted == '\0')
            return 0;
        *slash = parted;
    }
}

int osfile_make_private_dir(const char *path, struct err *err)
{
    size_t len = strlen(path);

    while (len > 1 && (path[len - 1] == '/' || path[len - 1] == '\\'))
        len--;
    if (len == 0)
        return err_set(err, ERR_INVALID, 0, "directory '%s': the path is empty", path);
    char *copy = strndup(path, len);
    if (!copy)
        return err_set(err, ERR_NOMEM, 0, "cannot make directory '%s': out of memory", path);
    HANDLE dir = NULL;
    int rc = make_with_parents(copy, err);
    DWORD os = rc == 0 ? native_open_at(NULL, copy, &read_dir, &dir) : 0;
    if (os != 0)
        rc = err_native(err, os, "cannot open directory '%s'", copy);
    if (rc == 0)
        rc = check_private(dir, copy, err);
    if (dir)
        (void)CloseHandle(dir); /* opened to look only */
    free(copy);
    return rc;
}

/* Each rename was flushed by the handle of what was renamed; directories themselves cannot be. */
int osfile_sync_dir(int dirfd, const char *path, struct err *err)
{
    (void)dirfd;
    (void)path;
    (void)err;
    return 0;
}

/* One buffer of entries; what `visit` returned, or 0. */
static int visit_entries(const char *bytes,
                         int (*visit)(void *ctx, const char *name, struct err *err), void *ctx,
                         struct err *err)
{
    struct buf name;
    int rc = 0;

    buf_init(&name, 4 * (size_t)NATIVE_NAME_MAX);
    for (;;) {
        const FILE_FULL_DIR_INFO *entry = (const void *)bytes;
        size_t count = entry->FileNameLength / sizeof(WCHAR);
        if (!native_is_dots(entry->FileName, count)) {
            buf_reset(&name);
            native_add_narrow(&name, entry->FileName, count);
            rc = buf_ok(&name) ? visit(ctx, name.data, err)
                               : err_set(err, ERR_NOMEM, 0, "cannot list a directory");
        }
        if (rc != 0 || entry->NextEntryOffset == 0)
            break;
        bytes += entry->NextEntryOffset;
    }
    buf_deinit(&name);
    return rc;
}

int osfile_list(int dirfd, int (*visit)(void *ctx, const char *name, struct err *err), void *ctx,
                struct err *err)
{
    HANDLE list = NULL; /* a position of its own */
    char *bytes = malloc(LIST_BYTES);
    int rc = bytes ? 0 : err_set(err, ERR_NOMEM, 0, "cannot list a directory: out of memory");
    DWORD failed = rc == 0 ? native_open_at(osfile_dir_of(dirfd), "", &read_dir, &list) : 0;

    if (failed != 0)
        rc = err_native(err, failed, "cannot list a directory");
    while (rc == 0) {
        if (!GetFileInformationByHandleEx(list, FileFullDirectoryInfo, bytes, LIST_BYTES)) {
            DWORD os = GetLastError();
            if (os != ERROR_NO_MORE_FILES)
                rc = err_native(err, os, "cannot list a directory");
            break;
        }
        rc = visit_entries(bytes, visit, ctx, err);
    }
    if (list)
        (void)CloseHandle(list); /* opened to list only */
    free(bytes);
    return rc;
}
