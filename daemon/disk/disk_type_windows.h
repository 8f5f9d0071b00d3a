/* disk_type_windows.h: what the number of a file system's type holds beside its name. */
#ifndef SPOOR_DISK_TYPE_WINDOWS_H
#define SPOOR_DISK_TYPE_WINDOWS_H

#define DISK_TYPE_REMOTE (INT64_C(1) << 32) /* on a network */

#endif
