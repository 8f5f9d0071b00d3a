/* watch_barrier.c: see watch_barrier.h. Files are made without the back-end's lock, since that may
 * take as long as the disk does. Any thread. */
#include "watch_barrier.h"

#include "err.h"

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
    code = watch_barriers_make(barriers, name, err);
    if (code) {
        uint64_t forgotten;
        pthread_mutex_lock(lock);
        (void)watch_barriers_take_locked(barriers, bytes_str(name), &forgotten); /* or answered */
        pthread_mutex_unlock(lock);
    }
    return code;
}
