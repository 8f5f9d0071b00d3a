/* disk_identity_linux.c: which file systems keep the identity of a file, inode number and birth
 * time, for as long as the file lives, and which keep to the bytes of a name. By the type that
 * statfs(2) gives; no call of the system is made here. Any thread. */
#include "disk.h"

#include <linux/magic.h>

#include "watch.h"

/* Not in linux/magic.h of every kernel that we build on; from the sources of the file systems. */
#define MAGIC_EXFAT 0x2011BAB0
#define MAGIC_NTFS  0x5346544E
#define MAGIC_NTFS3 0x7366746E
#define MAGIC_HFS   0x4244
#define MAGIC_HFSX  0x482B
#define MAGIC_JFS   0x3153464A

/* FAT has no inodes: the kernel numbers files as it meets them, anew with each mount and after an
 * inode was forgotten (iunique(9) in fs/fat/inode.c). FUSE servers mostly do the same, and servers
 * on a network say what they like. Without a birth time a number that is used again looks like the
 * old file. */
bool disk_identity_is_weak(int64_t fs_type, struct file_id root)
{
    return watch_is_remote(fs_type) || (uint32_t)fs_type == MSDOS_SUPER_MAGIC ||
           (uint32_t)fs_type == MAGIC_EXFAT || root.b == 0;
}

/* What lies behind a network or FUSE file system may be anything. JFS made for OS/2 folds. */
bool disk_type_folds(int64_t fs_type)
{
    static const uint32_t types[] = {MSDOS_SUPER_MAGIC, MAGIC_EXFAT, MAGIC_NTFS, MAGIC_NTFS3,
                                     MAGIC_HFS,         MAGIC_HFSX,  MAGIC_JFS};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((uint32_t)fs_type == types[i])
            return true;
    return watch_is_remote(fs_type);
}
