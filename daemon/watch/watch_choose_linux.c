/* watch_choose_linux.c: which back-end watches a folder.
 *
 * `auto` is inotify that watches nothing while the root lies on a network or FUSE file system: what
 * changes there behind the mount raises no record at all (inotify(7), "Limitations"), so such a
 * folder is polled. That is decided whenever the root is added, since a folder's disk may be
 * mounted later than the daemon is started. fanotify is never chosen by itself. Any thread, as
 * watch.h says. */
#include "watch_private.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include "err.h"

/* Not in linux/magic.h of every kernel that we build on; from the sources of the file systems. */
#define MAGIC_CIFS   0xFF534D42
#define MAGIC_SMB2   0xFE534D42
#define MAGIC_FUSE   0x65735546
#define MAGIC_CEPH   0x00C36400
#define MAGIC_9P     0x01021997
#define MAGIC_LUSTRE 0x0BD00BD0
#define MAGIC_GPFS   0x47504653
#define MAGIC_VBOX   0x786F4256
#define MAGIC_VMHGFS 0xBACBACBC
#define MAGIC_ORANGE 0x20030528
#define MAGIC_OCFS2  0x7461636F
#define MAGIC_GFS2   0x01161970

/* File systems that others write to without this kernel's knowledge. */
static const uint32_t remote_types[] = {
    NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, NCP_SUPER_MAGIC, CODA_SUPER_MAGIC, AFS_SUPER_MAGIC,
    AFS_FS_MAGIC,    MAGIC_CIFS,      MAGIC_SMB2,      MAGIC_FUSE,       MAGIC_CEPH,
    MAGIC_9P,        MAGIC_LUSTRE,    MAGIC_GPFS,      MAGIC_VBOX,       MAGIC_VMHGFS,
    MAGIC_ORANGE,    MAGIC_OCFS2,     MAGIC_GFS2,
};

bool watch_is_remote(int64_t fs_type)
{
    for (size_t i = 0; i < ARRAY_LEN(remote_types); i++)
        if ((uint32_t)fs_type == remote_types[i])
            return true;
    return false;
}

bool watch_is_own(struct bytes name)
{
    (void)name; /* barriers are made in the state directory */
    return false;
}

bool watch_dir_is_remote(const struct watch_dir *dir)
{
    struct statfs fs;
    /* A file system that does not say what it is gets the usual treatment. */
    return !fstatfs(dir->fd, &fs) && watch_is_remote((int64_t)fs.f_type);
}

/* inotify as `auto` has it, for what is local; `refused` (NULL: nothing was) says why it is not
 * what was asked for. */
static int open_automatic(const struct watch_setup *setup, const struct err *refused,
                          struct watch **out, struct err *err)
{
    int code = watch_inotify_open(setup, out, err);
    if (code)
        return code;
    struct watch *watch = *out;
    watch->automatic = true;
    watch->local = "inotify";
    if (refused) {
        snprintf(watch->text, sizeof watch->text, "inotify (fanotify: %.200s)", refused->text);
        watch->local = watch->text;
    }
    watch_set_backend(watch, watch->local);
    return 0;
}

int watch_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    struct err refused = {0};
    switch (setup->kind) {
    case WATCH_POLL:
        return watch_poll_open(setup, out, err);
    case WATCH_FANOTIFY:
        return watch_fanotify_open(setup, out, &refused) ? open_automatic(setup, &refused, out, err)
                                                         : 0;
    case WATCH_INOTIFY:
        return watch_inotify_open(setup, out, err);
    case WATCH_AUTO:
        break;
    }
    return open_automatic(setup, NULL, out, err);
}
