/* reserve_windows.c: see reserve.h. Without a reserve the journal works, it only stops earlier on a
 * full disk: what makes and gives up the file cannot fail its caller. */
#include "reserve.h"

#include "journal.h"
#include "native_windows.h"

/* The reserve is made only where this many times its size is free. */
#define ROOM_FACTOR 8

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

static bool has_room(int dirfd, uint64_t bytes)
{
    uint64_t free_bytes;

    if (native_free_bytes(native_handle(dirfd), &free_bytes) != 0)
        return true; /* not known: act as on an ordinary disk */
    return free_bytes >= bytes;
}

void reserve_before_open(int dirfd)
{
    if (!has_room(dirfd, JOURNAL_RESERVE_BYTES))
        (void)reserve_release(dirfd); /* there may be none */
}

/* The size of a file takes its clusters, so that a map of it has no holes. */
int reserve_check_map(int dirfd, struct err *err)
{
    (void)dirfd;
    (void)err;
    return 0;
}

bool reserve_make(int dirfd)
{
    const struct native_open how = {
        .access = FILE_GENERIC_WRITE | DELETE,
        .share = SHARE_ALL,
        .disposition = FILE_CREATE,
        .options = FILE_NON_DIRECTORY_FILE,
        .is_private = true,
    };
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = JOURNAL_RESERVE_BYTES};
    HANDLE file;

    if (osfile_exists(dirfd, RESERVE_FILE, NULL) == 1)
        return true;
    if (!has_room(dirfd, (uint64_t)JOURNAL_RESERVE_BYTES * ROOM_FACTOR) ||
        native_open_at(native_handle(dirfd), RESERVE_FILE, &how, &file) != 0)
        return false;
    bool made = SetFileInformationByHandle(file, FileEndOfFileInfo, &end, sizeof end);
    if (!made)
        (void)native_dispose(file); /* a reserve without clusters is none */
    (void)CloseHandle(file);        /* nothing was written that could be lost */
    return made;
}

bool reserve_release(int dirfd)
{
    const struct native_open how = {
        .access = DELETE,
        .share = SHARE_ALL,
        .disposition = FILE_OPEN,
        .options = FILE_NON_DIRECTORY_FILE,
    };
    HANDLE file;

    if (native_open_at(native_handle(dirfd), RESERVE_FILE, &how, &file) != 0)
        return false;
    bool gone = native_dispose(file);
    (void)CloseHandle(file); /* which deletes it */
    return gone;
}
