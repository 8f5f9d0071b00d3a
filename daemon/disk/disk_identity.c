/* disk_identity.c: which file systems keep the identity of a file, inode number and birth time, for
 * as long as the file lives. By the type that statfs(2) gives; no call of the system is made here.
 * Any thread. */
#include "disk.h"

#include <linux/magic.h>

#include "watch.h"

#define MAGIC_EXFAT 0x2011BAB0 /* not in linux/magic.h of every kernel that we build on */

/* FAT has no inodes: the kernel numbers files as it meets them, anew with each mount and after an
 * inode was forgotten (iunique(9) in fs/fat/inode.c). FUSE servers mostly do the same, and servers
 * on a network say what they like. Without a birth time a number that is used again looks like the
 * old file. */
bool disk_identity_is_weak(int64_t fs_type, struct file_id root)
{
    return watch_is_remote(fs_type) || (uint32_t)fs_type == MSDOS_SUPER_MAGIC ||
           (uint32_t)fs_type == MAGIC_EXFAT || root.b == 0;
}
