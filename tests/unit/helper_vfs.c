/* helper_vfs.c: see helper_vfs.h. Each file is the default VFS's own, with a table of methods of
 * ours in front (https://www.sqlite.org/vfs.html, "shims"). A failed xRead, xSync, ... has done
 * nothing; a failed xWrite for want of space has done half, as write(2) does. */
#include "helper_vfs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sqlite3.h>

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real; /* lies behind this struct, in the same memory */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    enum vfs_call call;
    enum vfs_failure failure;
    long left; /* calls until it fires; 0: not armed */
    long fired;
    bool persistent;
} shim;

const char *vfs_call_name(enum vfs_call call)
{
    static const char *const names[] = {"xOpen",     "xRead",   "xWrite", "xSync",
                                        "xTruncate", "xDelete", "xShm"};
    return names[call];
}

static bool fires(enum vfs_call call)
{
    if (shim.left == 0 || call != shim.call || --shim.left > 0)
        return false;
    shim.left = shim.persistent ? 1 : 0;
    shim.fired++;
    return true;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct shim_file *)file)->real;
}

/* --- files --- */

static int file_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    if (fires(VFS_READ))
        return SQLITE_IOERR_READ;
    return real_of(file)->pMethods->xRead(real_of(file), out, len, at);
}

static int file_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    sqlite3_file *real = real_of(file);
    if (!fires(VFS_WRITE))
        return real->pMethods->xWrite(real, bytes, len, at);
    if (shim.failure == VFS_EIO)
        return SQLITE_IOERR_WRITE;
    int rc = len > 1 ? real->pMethods->xWrite(real, bytes, len / 2, at) : SQLITE_OK;
    return rc == SQLITE_OK ? SQLITE_FULL : rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (fires(VFS_TRUNCATE))
        return SQLITE_IOERR_TRUNCATE;
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    if (fires(VFS_SYNC))
        return shim.failure == VFS_FULL ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
    return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), out);
}

static int file_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_traits(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    if (fires(VFS_SHM))
        return shim.failure == VFS_FULL ? SQLITE_FULL : SQLITE_IOERR_SHMMAP;
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    /* A lock that cannot be given back is no failure that a system knows. */
    if (!(flags & SQLITE_SHM_UNLOCK) && fires(VFS_SHM))
        return SQLITE_IOERR_SHMLOCK;
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

/* Version 2: without xFetch, which is for mmap_size > 0 only. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* --- the VFS --- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags,
                    int *out_flags)
{
    struct shim_file *file = (struct shim_file *)out;
    (void)vfs;
    file->base.pMethods = NULL; /* nothing to close unless it opens */
    file->real = (sqlite3_file *)(file + 1);
    if (fires(VFS_OPEN))
        return SQLITE_CANTOPEN;
    int rc = shim.real->xOpen(shim.real, name, file->real, flags, out_flags);
    if (rc == SQLITE_OK)
        file->base.pMethods = &methods;
    else if (file->real->pMethods)
        (void)file->real->pMethods->xClose(file->real); /* half open */
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    if (fires(VFS_DELETE))
        return SQLITE_IOERR_DELETE;
    return shim.real->xDelete(shim.real, name, sync_dir);
}

void vfs_install(void)
{
    shim.real = sqlite3_vfs_find(NULL);
    assert_non_null(shim.real);
    /* What is not ours (paths, randomness, time) is called with our struct, which the methods of
     * the unix VFS treat as theirs: it is a copy of it. */
    shim.vfs = *shim.real;
    shim.vfs.zName = "spoor-fault";
    shim.vfs.pNext = NULL;
    shim.vfs.szOsFile = (int)sizeof(struct shim_file) + shim.real->szOsFile;
    shim.vfs.xOpen = vfs_open;
    shim.vfs.xDelete = vfs_delete;
    shim.left = 0;
    assert_int_equal(sqlite3_vfs_register(&shim.vfs, 1), SQLITE_OK);
}

void vfs_uninstall(void)
{
    shim.left = 0;
    assert_int_equal(sqlite3_vfs_unregister(&shim.vfs), SQLITE_OK);
    assert_int_equal(sqlite3_vfs_register(shim.real, 1), SQLITE_OK);
}

void vfs_arm(enum vfs_call call, long n, enum vfs_failure failure, bool persistent)
{
    shim.call = call;
    shim.failure = failure;
    shim.persistent = persistent;
    shim.fired = 0;
    shim.left = n;
}

long vfs_disarm(void)
{
    shim.left = 0;
    return shim.fired;
}
