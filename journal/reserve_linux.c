/* reserve_linux.c: see reserve.h. Without a reserve the journal works, it only stops earlier on a
 * full disk: what makes and gives up the file cannot fail its caller. */
#include "reserve.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include "err.h"
#include "journal.h"

/* The reserve is made only where this many times its size is free. */
#define ROOM_FACTOR 8
/* The -shm of a log at its limit, twice: 32 KiB for each 4096 pages. */
#define MAP_BYTES (128 << 10)

static bool has_room(int dirfd, uint64_t bytes)
{
    struct statvfs fs;
    if (fstatvfs(dirfd, &fs) != 0)
        return true; /* not known: act as on an ordinary disk */
    return (uint64_t)fs.f_bavail * fs.f_frsize >= bytes;
}

void reserve_before_open(int dirfd)
{
    if (!has_room(dirfd, JOURNAL_RESERVE_BYTES))
        (void)reserve_release(dirfd); /* there may be none */
}

int reserve_check_map(int dirfd, struct err *err)
{
    struct statvfs fs;
    if (fstatvfs(dirfd, &fs) != 0 || fs.f_frsize >= (unsigned long)sysconf(_SC_PAGESIZE) ||
        has_room(dirfd, MAP_BYTES))
        return 0;
    return err_set(err, ERR_FULL, 0,
                   "journal '%s': it cannot be opened while its disk is full; free space on it",
                   JOURNAL_FILE);
}

bool reserve_make(int dirfd)
{
    if (faccessat(dirfd, RESERVE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    if (!has_room(dirfd, (uint64_t)JOURNAL_RESERVE_BYTES * ROOM_FACTOR))
        return false;
    int fd =
        openat(dirfd, RESERVE_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    /* posix_fallocate, unlike ftruncate, takes the blocks. */
    int error = posix_fallocate(fd, 0, JOURNAL_RESERVE_BYTES);
    (void)close(fd); /* nothing was written that could be lost */
    if (error)
        (void)unlinkat(dirfd, RESERVE_FILE, 0); /* a reserve without blocks is none */
    return error == 0;
}

bool reserve_release(int dirfd)
{
    return unlinkat(dirfd, RESERVE_FILE, 0) == 0;
}
