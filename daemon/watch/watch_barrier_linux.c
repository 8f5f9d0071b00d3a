/* watch_barrier_linux.c: the files of barriers, in a private directory in the state directory: the
 * kernel has one queue for all that a watch watches. Any thread. */
#include "watch_barrier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "err.h"
#include "osfile.h"

static int empty_dir(int dirfd, const char *path, struct err *err)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) {
        int os = errno;
        if (copy >= 0)
            close(copy);
        return err_os(err, os, "cannot list '%s'", path);
    }
    int code = 0;
    struct dirent *entry;
    while (code == 0 && (entry = readdir(dir))) {
        if (entry->d_type == DT_DIR)
            continue;
        if (unlinkat(dirfd, entry->d_name, 0) && errno != ENOENT)
            code = err_os(err, errno, "cannot remove '%s' in '%s'", entry->d_name, path);
    }
    closedir(dir);
    return code;
}

int watch_barriers_open(struct watch_barriers *barriers, const char *path, struct err *err)
{
    int code = osfile_make_private_dir(path, err);
    if (code)
        return code;
    int dirfd = osfile_open_dir(path, err);
    if (dirfd < 0)
        return dirfd;
    barriers->dirfd = dirfd;
    return empty_dir(dirfd, path, err);
}

void watch_barriers_close(struct watch_barriers *barriers)
{
    if (barriers->dirfd >= 0)
        close(barriers->dirfd);
    barriers->dirfd = -1;
}

int watch_barriers_make(const struct watch_barriers *barriers, const char *name, struct err *err)
{
    int fd = openat(barriers->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, errno, "cannot make barrier file '%s'", name);
    close(fd);
    /* Should it stay behind, opening the barriers empties the directory. */
    (void)unlinkat(barriers->dirfd, name, 0);
    return 0;
}
