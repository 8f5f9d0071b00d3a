/* watch_barrier.c: see watch_barrier.h. Files are made without the back-end's lock, since that may
 * take as long as the disk does. Any thread. */
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

static int make_file(const struct watch_barriers *barriers, const char *name, struct err *err)
{
    int fd = openat(barriers->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, errno, "cannot make barrier file '%s'", name);
    close(fd);
    /* Should it stay behind, opening the barriers empties the directory. */
    (void)unlinkat(barriers->dirfd, name, 0);
    return 0;
}

static struct barrier_mark *find_locked(struct watch_barriers *barriers, struct bytes name)
{
    for (size_t i = 0; i < barriers->count; i++)
        if (bytes_equal(bytes_str(barriers->marks[i].name), name))
            return &barriers->marks[i];
    return NULL;
}

bool watch_barriers_take_locked(struct watch_barriers *barriers, struct bytes name, uint64_t *token)
{
    struct barrier_mark *mark = find_locked(barriers, name);
    if (!mark)
        return false;
    *token = mark->token;
    *mark = barriers->marks[--barriers->count];
    return true;
}

void watch_barriers_lose_locked(struct watch_barriers *barriers, const struct watch_sink *sink)
{
    for (size_t i = 0; i < barriers->count; i++)
        sink->barrier(sink->ctx, barriers->marks[i].token);
    barriers->count = 0;
}

int watch_barriers_send(struct watch_barriers *barriers, pthread_mutex_t *lock, uint64_t token,
                        struct err *err)
{
    char name[BARRIER_NAME_SIZE];
    int code = 0;
    pthread_mutex_lock(lock);
    if (barriers->gone) {
        code = err_set(err, ERR_NOTFOUND, 0, "the directory for barrier files was removed");
    } else if (barriers->count == WATCH_BARRIERS_MAX) {
        code = err_set(err, ERR_LIMIT, 0, "more than %d barriers wait", WATCH_BARRIERS_MAX);
    } else {
        /* A name of its own each, since the kernel merges records that are alike. */
        snprintf(name, sizeof name, "%016llx", (unsigned long long)barriers->number++);
        struct barrier_mark *mark = &barriers->marks[barriers->count++];
        mark->token = token;
        memcpy(mark->name, name, sizeof name);
    }
    pthread_mutex_unlock(lock);
    if (code)
        return code;
    code = make_file(barriers, name, err);
    if (code) {
        uint64_t forgotten;
        pthread_mutex_lock(lock);
        (void)watch_barriers_take_locked(barriers, bytes_str(name), &forgotten); /* or answered */
        pthread_mutex_unlock(lock);
    }
    return code;
}
