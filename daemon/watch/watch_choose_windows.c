/* watch_choose_windows.c: which back-end watches a folder: the one that Windows has, on network
 * paths too, which tell of changes made elsewhere (SMB). Where a file system does not, the back-end
 * finds out when the root is added. Any thread, as watch.h says. */
#include "watch_private.h"

#include "windows_records.h"

bool watch_is_remote(int64_t fs_type)
{
    (void)fs_type; /* a number of Linux */
    return false;
}

bool watch_is_own(struct bytes name)
{
    return windows_is_barrier(name);
}

bool watch_dir_is_remote(const struct watch_dir *dir)
{
    (void)dir;
    return false;
}

int watch_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    return setup->kind == WATCH_POLL ? watch_poll_open(setup, out, err)
                                     : watch_windows_open(setup, out, err);
}
