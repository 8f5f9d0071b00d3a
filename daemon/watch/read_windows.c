/* read_windows.c: see read_windows.h. The functions are documented under
 * https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-readdirectorychangesw and
 * nf-winbase-readdirectorychangesexw. */
#include "read_windows.h"

#include "err.h"
#include "native_windows.h"

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

/* All that can make a row: names, sizes, times of writing, attributes. Not the times of reading,
 * which every look would raise. */
#define FILTER                                                                                     \
    (FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME | FILE_NOTIFY_CHANGE_ATTRIBUTES |  \
     FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_CREATION)

#define EXTENDED_INFORMATION 2 /* ReadDirectoryNotifyExtendedInformation */

static void find_extended(struct read_windows *read)
{
    HMODULE module = GetModuleHandleW(L"kernel32.dll");
    FARPROC found = module ? GetProcAddress(module, "ReadDirectoryChangesExW") : NULL;
    memcpy(&read->extended, &found, sizeof found); /* the one way from one type to the other */
}

static bool is_remote(HANDLE dir)
{
    FILE_REMOTE_PROTOCOL_INFO info;
    return GetFileInformationByHandleEx(dir, FileRemoteProtocolInfo, &info, sizeof info);
}

/* Ids are told on NTFS only, where they are half as long as elsewhere and never used again. */
static bool is_ntfs(HANDLE dir)
{
    wchar_t name[MAX_PATH + 1] = L"";
    return GetVolumeInformationByHandleW(dir, NULL, 0, NULL, NULL, NULL, name, ARRAY_LEN(name)) &&
           wcscmp(name, L"NTFS") == 0;
}

static bool identify(HANDLE dir, struct file_id *out)
{
    struct osfile_identity identity;
    if (native_identify(dir, &identity) != 0)
        return false;
    *out = (struct file_id){identity.low, identity.high};
    return true;
}

static HANDLE open_dir(const wchar_t *path, DWORD access, DWORD flags)
{
    return CreateFileW(path, access, SHARE_ALL, NULL, OPEN_EXISTING,
                       FILE_FLAG_BACKUP_SEMANTICS | flags, NULL);
}

bool read_is_at(const struct read_windows *read, const wchar_t *path)
{
    FILE_STANDARD_INFO info;
    struct file_id found = {0};
    /* Deleted, and kept by the handles that others have, ours among them. */
    if (GetFileInformationByHandleEx(read->dir, FileStandardInfo, &info, sizeof info) &&
        info.DeletePending)
        return false;
    HANDLE dir = open_dir(path, FILE_READ_ATTRIBUTES, 0);
    if (dir == INVALID_HANDLE_VALUE)
        return false;
    bool known = identify(dir, &found);
    (void)CloseHandle(dir); /* nothing that could be lost */
    return !known || file_id_equal(found, read->file);
}

void read_init(struct read_windows *read)
{
    *read = (struct read_windows){.dir = INVALID_HANDLE_VALUE};
}

int read_open(struct read_windows *read, const wchar_t *path, struct file_id file, HANDLE port,
              ULONG_PTR key, struct err *err)
{
    struct file_id found = file;
    HANDLE dir = open_dir(path, FILE_LIST_DIRECTORY, FILE_FLAG_OVERLAPPED);
    if (dir == INVALID_HANDLE_VALUE)
        return err_native(err, GetLastError(), "cannot open the folder to watch it");
    *read = (struct read_windows){.dir = dir, .file = file};
    find_extended(read);
    read->layout = read->extended && is_ntfs(dir) ? WINDOWS_IDS : WINDOWS_PATHS;
    read->bytes = is_remote(dir) ? READ_BYTES_REMOTE : READ_BYTES;
    int code = 0;
    /* malloc aligns to 16 bytes; the call wants four. */
    read->buffers[0] = malloc(read->bytes);
    read->buffers[1] = malloc(read->bytes);
    if (!read->buffers[0] || !read->buffers[1])
        code = err_set(err, ERR_NOMEM, 0, "no memory for two reads of %lu bytes", read->bytes);
    else if (identify(dir, &found) && !file_id_equal(found, file))
        code = err_set(err, ERR_CONFLICT, 0, "the folder is another directory now");
    else if (!CreateIoCompletionPort(dir, port, key, 0))
        code = err_native(err, GetLastError(), "cannot wait for the folder");
    if (code)
        read_close(read);
    return code;
}

void read_close(struct read_windows *read)
{
    if (read->dir != INVALID_HANDLE_VALUE)
        (void)CloseHandle(read->dir); /* without a read in flight it does not wait */
    free(read->buffers[0]);
    free(read->buffers[1]);
    read_init(read);
}

/* 0, or a number of GetLastError(). */
static DWORD start(struct read_windows *read)
{
    char *buffer = read->buffers[read->filling];
    read->over = (OVERLAPPED){0};
    BOOL started = read->layout == WINDOWS_IDS
                       ? read->extended(read->dir, buffer, read->bytes, TRUE, FILTER, NULL,
                                        &read->over, NULL, EXTENDED_INFORMATION)
                       : ReadDirectoryChangesW(read->dir, buffer, read->bytes, TRUE, FILTER, NULL,
                                               &read->over, NULL);
    return started ? 0 : GetLastError();
}

int read_start(struct read_windows *read, struct err *err)
{
    DWORD os = start(read);
    if (os == ERROR_INVALID_PARAMETER && read->bytes > READ_BYTES_REMOTE) {
        read->bytes = READ_BYTES_REMOTE;
        os = start(read);
    }
    if (read->layout == WINDOWS_IDS && (os == ERROR_INVALID_FUNCTION || os == ERROR_NOT_SUPPORTED ||
                                        os == ERROR_INVALID_PARAMETER)) {
        read->layout = WINDOWS_PATHS;
        os = start(read);
    }
    if (os == ERROR_INVALID_FUNCTION)
        return err_set(err, ERR_UNSUPPORTED, 0, "its file system tells of no changes");
    if (os)
        return err_native(err, os, "cannot read changes of the folder");
    read->in_flight = true;
    return 0;
}

const char *read_completed(struct read_windows *read)
{
    const char *filled = read->buffers[read->filling];
    read->in_flight = false;
    read->filling = !read->filling;
    return filled;
}

void read_cancel(struct read_windows *read)
{
    /* ERROR_NOT_FOUND: it has just completed by itself. */
    (void)CancelIoEx(read->dir, &read->over);
}

void read_wait(struct read_windows *read)
{
    DWORD bytes;
    (void)GetOverlappedResult(read->dir, &read->over, &bytes, TRUE); /* how it ended is no matter */
}
