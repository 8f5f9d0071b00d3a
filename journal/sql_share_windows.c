/* sql_share_windows.c: see sql_share.h.
 *
 * SQLite's VFS opens without FILE_SHARE_DELETE, and one reader would then keep a damaged journal
 * from being moved aside. The VFS lets its system calls be replaced
 * (https://www.sqlite.org/c3ref/vfs.html, xSetSystemCall); ours adds that share. Any thread. */
#include "sql_share.h"

#include <pthread.h>
#include <sqlite3.h>

#include "native_windows.h"

static HANDLE WINAPI open_shared(LPCWSTR name, DWORD access, DWORD share,
                                 LPSECURITY_ATTRIBUTES security, DWORD disposition, DWORD flags,
                                 HANDLE template)
{
    return CreateFileW(name, access, share | FILE_SHARE_DELETE, security, disposition, flags,
                       template);
}

static void replace_call(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL); /* initialises SQLite */

    if (vfs && vfs->iVersion >= 3)
        /* Fails for an unknown call only; then the journal works, but for moving it aside. */
        (void)vfs->xSetSystemCall(vfs, "CreateFileW", (sqlite3_syscall_ptr)open_shared);
}

void sql_share_files(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, replace_call); /* fails for bad arguments only */
}
