/* helper_fileop_windows.c: see helper_fileop.h. */
#include "helper_fileop.h"

#include "native_windows.h"

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

/* The caller frees it. */
static wchar_t *whole(const struct temp_dir *dir, const char *path)
{
    char text[1024];
    wchar_t *wide = NULL;
    snprintf(text, sizeof text, "%s/%s", dir->path, path);
    return native_path(text, &wide, NULL) ? NULL : wide;
}

static HANDLE open_path(const struct temp_dir *dir, const char *path, DWORD access, DWORD how,
                        DWORD flags)
{
    wchar_t *wide = whole(dir, path);
    HANDLE file = CreateFileW(wide, access, SHARE_ALL, NULL, how, flags, NULL);
    free(wide);
    return file;
}

bool fileop_create(const struct temp_dir *dir, const char *path)
{
    HANDLE file = open_path(dir, path, GENERIC_WRITE, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL);
    return file != INVALID_HANDLE_VALUE && CloseHandle(file);
}

bool fileop_open(const struct temp_dir *dir, const char *path, struct fileop_file *out)
{
    HANDLE file = open_path(dir, path, GENERIC_WRITE, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL);
    out->handle = (intptr_t)file;
    return file != INVALID_HANDLE_VALUE;
}

bool fileop_write(struct fileop_file file, const char *text)
{
    DWORD done = 0;
    return WriteFile((HANDLE)file.handle, text, (DWORD)strlen(text), &done, NULL) &&
           done == strlen(text);
}

void fileop_close(struct fileop_file file)
{
    (void)CloseHandle((HANDLE)file.handle); /* what was written is the system's */
}

bool fileop_truncate(const struct temp_dir *dir, const char *path, int64_t size)
{
    struct fileop_file file;
    LARGE_INTEGER at = {.QuadPart = size};
    if (!fileop_open(dir, path, &file))
        return false;
    bool done = SetFilePointerEx((HANDLE)file.handle, at, NULL, FILE_BEGIN) &&
                SetEndOfFile((HANDLE)file.handle);
    fileop_close(file);
    return done;
}

bool fileop_protect(const struct temp_dir *dir, const char *path, bool writable)
{
    wchar_t *wide = whole(dir, path);
    DWORD now = GetFileAttributesW(wide);
    DWORD then = writable ? now & ~(DWORD)FILE_ATTRIBUTE_READONLY : now | FILE_ATTRIBUTE_READONLY;
    bool done = now != INVALID_FILE_ATTRIBUTES && SetFileAttributesW(wide, then);
    free(wide);
    return done;
}

bool fileop_mkdir(const struct temp_dir *dir, const char *path)
{
    wchar_t *wide = whole(dir, path);
    bool done = CreateDirectoryW(wide, NULL);
    free(wide);
    return done;
}

bool fileop_remove(const struct temp_dir *dir, const char *path)
{
    wchar_t *wide = whole(dir, path);
    bool done = DeleteFileW(wide) || RemoveDirectoryW(wide);
    free(wide);
    return done;
}

bool fileop_rename(const struct temp_dir *dir, const char *from, const char *to)
{
    wchar_t *old = whole(dir, from), *new = whole(dir, to);
    bool done = MoveFileExW(old, new, MOVEFILE_REPLACE_EXISTING);
    free(old);
    free(new);
    return done;
}

bool fileop_exchange(const struct temp_dir *dir, const char *path, const char *other)
{
    (void)dir;
    (void)path;
    (void)other;
    return false;
}

bool fileop_link(const struct temp_dir *dir, const char *of, const char *path)
{
    wchar_t *old = whole(dir, of), *new = whole(dir, path);
    bool done = CreateHardLinkW(new, old, NULL);
    free(old);
    free(new);
    return done;
}

bool fileop_symlink(const struct temp_dir *dir, const char *target, const char *path)
{
    wchar_t *wide = whole(dir, path), *to = NULL;
    bool done = native_wide(target, &to, NULL) == 0 &&
                CreateSymbolicLinkW(wide, to, SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE);
    free(wide);
    free(to);
    return done;
}

uint64_t fileop_identity(const struct temp_dir *dir, const char *path)
{
    struct osfile_identity identity = {0};
    HANDLE file = open_path(dir, path, FILE_READ_ATTRIBUTES, OPEN_EXISTING,
                            FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    if (file == INVALID_HANDLE_VALUE)
        return 0;
    bool known = native_identify(file, &identity) == 0;
    (void)CloseHandle(file); /* nothing that could be lost */
    return known ? identity.low : 0;
}
