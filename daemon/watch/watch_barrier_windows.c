/* watch_barrier_windows.c: the files of barriers, in the root of the folder itself, since every
 * handle has a queue of its own, and order holds within a queue alone. They are hidden, gone as
 * soon as they are made, and by their name nobody's (WINDOWS_BARRIER_PREFIX). Any thread. */
#include "watch_barrier.h"

#include "buf.h"
#include "err.h"
#include "native_windows.h"
#include "windows_records.h"

#define ATTRIBUTES (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE)
#define SHARE_ALL  (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

int watch_barriers_open(struct watch_barriers *barriers, const char *path, struct err *err)
{
    struct buf prefix;
    buf_init(&prefix, (size_t)NATIVE_PATH_MAX * 3);
    buf_addf(&prefix, "%s/%s", path, WINDOWS_BARRIER_PREFIX);
    barriers->prefix = buf_ok(&prefix) ? strdup(prefix.data) : NULL;
    buf_deinit(&prefix);
    /* Another process may watch the same folder: its numbers are others. */
    barriers->number = (uint64_t)GetCurrentProcessId() << 32;
    return barriers->prefix ? 0 : err_set(err, ERR_NOMEM, 0, "no memory for '%s'", path);
}

void watch_barriers_close(struct watch_barriers *barriers)
{
    free(barriers->prefix);
    barriers->prefix = NULL;
}

int watch_barriers_make(const struct watch_barriers *barriers, const char *name, struct err *err)
{
    struct buf path;
    wchar_t *wide = NULL;
    buf_init(&path, (size_t)NATIVE_PATH_MAX * 3);
    buf_addf(&path, "%s%s", barriers->prefix, name);
    int code = buf_ok(&path) ? native_path(path.data, &wide, err)
                             : err_set(err, ERR_NOMEM, 0, "no memory for a barrier");
    buf_deinit(&path);
    if (code)
        return code;
    HANDLE file =
        CreateFileW(wide, GENERIC_WRITE | DELETE, SHARE_ALL, NULL, CREATE_NEW, ATTRIBUTES, NULL);
    DWORD os = file != INVALID_HANDLE_VALUE ? 0 : GetLastError();
    free(wide);
    if (os)
        return err_native(err, os, "cannot make barrier file '%s%s'", WINDOWS_BARRIER_PREFIX, name);
    (void)CloseHandle(file); /* and deletes it */
    return 0;
}
