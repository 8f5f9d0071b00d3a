/* helper_temp_windows.c: see helper_temp.h. By the \\?\ form of paths throughout, so that no depth
 * stops it; what a test made read-only is made writable first. */
#include "helper_temp.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "native_windows.h"
#include "num.h"
#include "osfile.h"

static void check(bool fine, const char *what, const char *path)
{
    if (!fine)
        fail_msg("%s '%s': Windows error %lu", what, path, GetLastError());
}

void temp_make(char *path, size_t size)
{
    wchar_t units[MAX_PATH + 1];
    struct buf base;
    uint64_t random = 0;

    /* wine.sh names a place in memory: a flush of Windows' is an fsync(2) there. */
    DWORD count = GetEnvironmentVariableW(L"SPOOR_TEST_DIR", units, MAX_PATH);
    if (count == 0)
        count = GetTempPathW(MAX_PATH, units);
    check(count > 0 && count <= MAX_PATH, "no place for", "temporary files");
    buf_init(&base, 4 * MAX_PATH);
    native_add_narrow(&base, units, count);
    for (char *at = base.data; (at = strchr(at, '\\')) != NULL;)
        *at = '/';
    assert_int_equal(osfile_random(&random, sizeof random, NULL), 0);
    int n = snprintf(path, size, "%sspoor-test-%016llx", base.data, (unsigned long long)random);
    assert_true(n > 0 && (size_t)n < size);
    buf_deinit(&base);
    struct err err = {0};
    if (osfile_make_private_dir(path, &err) != 0)
        fail_msg("%s", err.text);
}

void temp_make_in_memory(char *path, size_t size)
{
    temp_make(path, size);
}

bool temp_is_wine(void)
{
    return GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
}

void temp_set_env(const char *name, const char *value_or_null)
{
    assert_int_equal(_putenv_s(name, value_or_null ? value_or_null : ""), 0); /* "": removes it */
}

bool temp_alias(const char *path, const char *of)
{
    wchar_t *place = NULL, *target = NULL;
    DWORD flags = SYMBOLIC_LINK_FLAG_DIRECTORY | SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE;

    assert_int_equal(native_path(path, &place, NULL), 0);
    assert_int_equal(native_wide(of, &target, NULL), 0);
    /* Wine 8 says yes and makes a file. */
    bool made = !temp_is_wine() && CreateSymbolicLinkW(place, target, flags);
    free(place);
    free(target);
    return made;
}

/* Deletes what lies in the directory, then the directory; `path` has room for more names. */
static void delete_all(wchar_t *path)
{
    WIN32_FIND_DATAW found;
    size_t len = wcslen(path);

    wcscpy(path + len, L"\\*");
    HANDLE list = FindFirstFileW(path, &found);
    while (list != INVALID_HANDLE_VALUE) {
        if (wcscmp(found.cFileName, L".") != 0 && wcscmp(found.cFileName, L"..") != 0 &&
            len + 2 + wcslen(found.cFileName) < NATIVE_PATH_MAX) {
            wcscpy(path + len + 1, found.cFileName);
            bool below = (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) &&
                         !(found.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT);
            (void)SetFileAttributesW(path, FILE_ATTRIBUTE_NORMAL); /* it may be read-only */
            if (below)
                delete_all(path);
            else if (!DeleteFileW(path))
                (void)RemoveDirectoryW(path); /* a link to one; else it is litter */
        }
        if (!FindNextFileW(list, &found))
            break;
    }
    if (list != INVALID_HANDLE_VALUE)
        (void)FindClose(list);
    path[len] = L'\0';
    (void)RemoveDirectoryW(path); /* or it is litter */
}

void temp_delete(const char *path)
{
    wchar_t *units = NULL;
    wchar_t *room = malloc((NATIVE_PATH_MAX + 4) * sizeof *room);

    assert_non_null(room);
    assert_int_equal(native_path(path, &units, NULL), 0);
    wcscpy(room, units);
    delete_all(room);
    free(room);
    free(units);
}

void temp_secret(const char *path, const char *text, bool is_private)
{
    SECURITY_ATTRIBUTES everybody = {.nLength = sizeof everybody};
    wchar_t *units = NULL;
    DWORD done = 0;
    struct err err = {0};

    assert_int_equal(native_path(path, &units, NULL), 0);
    (void)DeleteFileW(units); /* there may be none */
    if (is_private) {
        if (osfile_replace(OSFILE_CWD, path, text, strlen(text), &err) != 0)
            fail_msg("%s", err.text);
    } else {
        check(ConvertStringSecurityDescriptorToSecurityDescriptorW(
                  L"D:(A;;FA;;;WD)", SDDL_REVISION_1, &everybody.lpSecurityDescriptor, NULL),
              "no access list for", path);
        HANDLE file = CreateFileW(units, GENERIC_WRITE, 0, &everybody, CREATE_ALWAYS,
                                  FILE_ATTRIBUTE_NORMAL, NULL);
        check(file != INVALID_HANDLE_VALUE, "cannot open", path);
        check(WriteFile(file, text, (DWORD)strlen(text), &done, NULL), "cannot write", path);
        check(CloseHandle(file), "cannot close", path);
        (void)LocalFree(everybody.lpSecurityDescriptor); /* cannot fail for what it gave */
    }
    free(units);
}

static HANDLE open_to_look(const char *path)
{
    wchar_t *units = NULL;

    assert_int_equal(native_path(path, &units, NULL), 0);
    HANDLE file = CreateFileW(units, READ_CONTROL | FILE_READ_ATTRIBUTES,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    check(file != INVALID_HANDLE_VALUE, "cannot look at", path);
    free(units);
    return file;
}

bool temp_is_private(const char *path)
{
    bool others = true, ours = false;
    HANDLE file = open_to_look(path);

    assert_int_equal(native_look_private(file, FILE_ALL_ACCESS, &others, &ours), 0);
    check(CloseHandle(file), "cannot close", path);
    return ours && !others;
}

int64_t temp_occupied(const char *path)
{
    FILE_STANDARD_INFO info;
    HANDLE file = open_to_look(path);

    check(GetFileInformationByHandleEx(file, FileStandardInfo, &info, sizeof info),
          "cannot look at", path);
    check(CloseHandle(file), "cannot close", path);
    return info.AllocationSize.QuadPart;
}

void temp_dir_open(struct temp_dir *dir)
{
    temp_make(dir->path, sizeof dir->path);
    dir->fd = osfile_open_dir(dir->path, NULL);
    check(dir->fd >= 0, "cannot open", dir->path);
}

void temp_dir_close(struct temp_dir *dir)
{
    (void)close(dir->fd); /* or it could not be deleted */
    temp_delete(dir->path);
}

static wchar_t *below(const struct temp_dir *dir, const char *path)
{
    char whole[1024];
    wchar_t *units = NULL;

    int n = snprintf(whole, sizeof whole, "%s/%s", dir->path, path);
    assert_true(n > 0 && (size_t)n < sizeof whole);
    assert_int_equal(native_path(whole, &units, NULL), 0);
    return units;
}

void temp_write(const struct temp_dir *dir, const char *path, const char *text)
{
    wchar_t *units = below(dir, path);
    DWORD done = 0;
    HANDLE file = CreateFileW(units, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                              CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);

    check(file != INVALID_HANDLE_VALUE, "cannot open", path);
    check(WriteFile(file, text, (DWORD)strlen(text), &done, NULL), "cannot write", path);
    assert_int_equal(done, strlen(text));
    check(CloseHandle(file), "cannot close", path);
    free(units);
}

void temp_mkdir(const struct temp_dir *dir, const char *path)
{
    wchar_t *units = below(dir, path);

    check(CreateDirectoryW(units, NULL), "cannot make", path);
    free(units);
}

void temp_rename(const struct temp_dir *dir, const char *from, const char *to)
{
    wchar_t *old = below(dir, from), *new = below(dir, to);

    check(MoveFileExW(old, new, MOVEFILE_REPLACE_EXISTING), "cannot rename", from);
    free(old);
    free(new);
}

void temp_remove(const struct temp_dir *dir, const char *path)
{
    wchar_t *units = below(dir, path);

    check(DeleteFileW(units) || RemoveDirectoryW(units), "cannot remove", path);
    free(units);
}

int temp_count_descriptors(void)
{
    DWORD count = 0;

    check(GetProcessHandleCount(GetCurrentProcess(), &count), "cannot count", "handles");
    return (int)count;
}
