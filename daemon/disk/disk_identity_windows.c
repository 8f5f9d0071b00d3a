/* disk_identity_windows.c: which file systems keep the identity of a file for as long as the file
 * lives. By the number that disk_real_fs_type() makes of a file system's name: its first four
 * bytes, and a bit for those on a network. Any thread. */
#include "disk.h"

#include "disk_type_windows.h"

static bool has_name(int64_t fs_type, const char name[4])
{
    uint32_t number = 0;

    memcpy(&number, name, sizeof number);
    return (uint32_t)fs_type == number;
}

/* FAT and exFAT number a file by the place of its directory entry, which a rename changes and a new
 * file may get; servers on a network say what they like. */
bool disk_identity_is_weak(int64_t fs_type, struct file_id root)
{
    (void)root;
    return (fs_type & DISK_TYPE_REMOTE) || has_name(fs_type, "FAT\0") ||
           has_name(fs_type, "FAT3") || has_name(fs_type, "exFA");
}

/* A look answers by the stored name alone (disk_windows.c), so that no name is found under other
 * bytes than its own. */
bool disk_type_folds(int64_t fs_type)
{
    (void)fs_type;
    return false;
}
