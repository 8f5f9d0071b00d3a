/* watch.c: the verbs of watch.h for whichever back-end was opened (watch_choose_*.c). Any thread,
 * as watch.h says. */
#include "watch_private.h"

int watch_run(struct watch *watch, struct err *err)
{
    return watch->ops->run(watch, err);
}

void watch_stop(struct watch *watch)
{
    watch->ops->stop(watch);
}

void watch_close(struct watch *watch)
{
    if (watch)
        watch->ops->close(watch);
}

const char *watch_backend(const struct watch *watch)
{
    return __atomic_load_n(&watch->backend, __ATOMIC_ACQUIRE);
}

int watch_add(struct watch *watch, const struct watch_dir *dir, int32_t *out, struct err *err)
{
    if (watch->automatic && dir->root) {
        bool remote = watch_dir_is_remote(dir);
        __atomic_store_n(&watch->remote, remote, __ATOMIC_RELEASE);
        watch_set_backend(watch, remote ? "poll (network or FUSE file system)" : watch->local);
    }
    if (__atomic_load_n(&watch->remote, __ATOMIC_ACQUIRE)) {
        *out = -1;
        return 0;
    }
    return watch->ops->add(watch, dir, out, err);
}

void watch_remove(struct watch *watch, int32_t number)
{
    if (number >= 0)
        watch->ops->remove(watch, number);
}

size_t watch_count(struct watch *watch)
{
    return watch->ops->count(watch);
}

void watch_know(struct watch *watch, uint64_t number)
{
    if (watch->ops->know)
        watch->ops->know(watch, number);
}

int watch_drain(struct watch *watch, struct err *err)
{
    return watch->ops->drain(watch, err);
}

int watch_barrier(struct watch *watch, uint64_t token, struct err *err)
{
    return watch->ops->barrier(watch, token, err);
}
