/* helper_vfs.h: a SQLite VFS over the default one that lets the n-th call of a kind fail, once or
 * from then on. It stands in front of every connection that is opened while it is installed. One
 * thread at a time. */
#ifndef SPOOR_HELPER_VFS_H
#define SPOOR_HELPER_VFS_H

enum vfs_call { VFS_OPEN, VFS_READ, VFS_WRITE, VFS_SYNC, VFS_TRUNCATE, VFS_DELETE, VFS_SHM };

#define VFS_CALL_COUNT (VFS_SHM + 1)

enum vfs_failure {
    VFS_EIO,  /* nothing was done */
    VFS_FULL, /* half was written; calls that write only */
};

const char *vfs_call_name(enum vfs_call call);

/* In front of the default VFS; what is wrong ends the test. */
void vfs_install(void);
void vfs_uninstall(void);

/* From now on the n-th call (from 1) fails; `persistent`: all later ones of the kind too. */
void vfs_arm(enum vfs_call call, long n, enum vfs_failure failure, bool persistent);
/* No more failures. Returns how many there were. */
long vfs_disarm(void);

#endif
