/* osfile_windows.h: what osfile_windows.c and osfile_dir_windows.c share. Any thread. */
#ifndef SPOOR_OSFILE_WINDOWS_H
#define SPOOR_OSFILE_WINDOWS_H

#include "native_windows.h"

#define OSFILE_SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
/* What lets its holder change a directory or what lies in it. */
#define OSFILE_RIGHTS_WRITE                                                                        \
    (FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER |   \
     GENERIC_WRITE)

/* The directory's handle, for native_open_at(). */
static inline HANDLE osfile_dir_of(int dirfd)
{
    return dirfd == OSFILE_CWD ? NULL : native_handle(dirfd);
}

/* The handle as a descriptor, which takes it over; or an error code. */
int osfile_descriptor(HANDLE handle, const char *name, struct err *err);

#endif
