/* scan_crew.c: see scan_crew.h.
 *
 * A scan ends in one of three ways: the work is done, somebody failed, or the folder's thread was
 * told to stop. The last two are looked for between directories, and within large ones; nobody
 * waits for anything longer than one system call on the folder. */
#include "scan_crew.h"

#include <errno.h>

void scan_crew_init(struct scan_crew *crew, const struct scan_env *env)
{
    *crew = (struct scan_crew){.env = env};
    pthread_mutex_init(&crew->lock, NULL);
}

void scan_crew_deinit(struct scan_crew *crew)
{
    pthread_mutex_destroy(&crew->lock);
}

int scan_crew_size(int wanted, int otherwise)
{
    int count = wanted > 0 ? wanted : otherwise;
    if (count > SCAN_THREADS_MAX)
        count = SCAN_THREADS_MAX;
    return count > 0 ? count : 1;
}

int scan_crew_start(struct scan_crew *crew, int count, void *(*work)(void *), void *arg,
                    struct err *err)
{
    int os = 0;
    while (crew->thread_count < count && !os) {
        os = pthread_create(&crew->threads[crew->thread_count], NULL, work, arg);
        crew->thread_count += !os;
    }
    if (crew->thread_count == 0)
        return err_os(err, os, "cannot start a thread to scan the folder");
    return 0;
}

void scan_crew_join(struct scan_crew *crew)
{
    for (int i = 0; i < crew->thread_count; i++)
        (void)pthread_join(crew->threads[i], NULL); /* our own threads, joined once */
    crew->thread_count = 0;
}

void scan_crew_fail(struct scan_crew *crew, const struct err *failure)
{
    pthread_mutex_lock(&crew->lock);
    if (crew->failure.code == 0)
        crew->failure = *failure;
    pthread_mutex_unlock(&crew->lock);
    __atomic_store_n(&crew->failed, true, __ATOMIC_RELEASE);
}

bool scan_crew_ended(struct scan_crew *crew)
{
    if (__atomic_load_n(&crew->failed, __ATOMIC_ACQUIRE))
        return true;
    if (!crew->env->stop || !__atomic_load_n(crew->env->stop, __ATOMIC_ACQUIRE))
        return false;
    struct err stopped;
    err_set(&stopped, ERR_CANCELLED, 0, "the scan was stopped");
    scan_crew_fail(crew, &stopped);
    return true;
}

int scan_crew_outcome(struct scan_crew *crew, struct err *err)
{
    if (crew->failure.code && err)
        *err = crew->failure;
    return crew->failure.code;
}

void scan_crew_progress(struct scan_crew *crew, int64_t dirs, int64_t entries)
{
    pthread_mutex_lock(&crew->lock);
    crew->dirs += dirs;
    crew->entries += entries;
    /* Under the lock, so that the totals are told in order. */
    if (crew->env->progress)
        crew->env->progress(crew->env->ctx, crew->dirs, crew->entries);
    pthread_mutex_unlock(&crew->lock);
}

static void report(struct scan_crew *crew, const struct entry *dir, const struct err *told)
{
    if (crew->env->trouble)
        crew->env->trouble(crew->env->ctx, dir, told->os, told->text);
}

void scan_crew_trouble(struct scan_crew *crew, const struct entry *dir, int os, const char *what)
{
    struct err told;
    if (os == EXDEV)
        err_set(&told, ERR_UNSUPPORTED, 0, "another file system is mounted over the directory");
    else
        err_os(&told, os, "%s", what);
    told.os = os;
    report(crew, dir, &told);
}

void scan_crew_trouble_name(struct scan_crew *crew, const struct entry *dir, int os,
                            struct bytes name)
{
    struct err told;
    if (os == EXDEV)
        err_set(&told, ERR_UNSUPPORTED, 0, "another file system is mounted at '%.*s'",
                (int)name.len, name.at);
    else
        err_os(&told, os, "cannot look at '%.*s'", (int)name.len, name.at);
    told.os = os;
    report(crew, dir, &told);
}
