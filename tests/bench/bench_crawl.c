/* bench_crawl.c: the floor that a scan is measured against: getdents64 on every directory and
 * statx on every name, by N threads, and nothing else. No scan can be quicker than this.
 *
 *   bench_crawl ROOT THREADS     prints "SECONDS ENTRIES DIRECTORIES"
 *
 * Threads share one stack of directories still to be read. A directory is opened by its path, which
 * is what a scanner without state would do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "clock.h"
#include "err.h"
#include "num.h"

#define THREADS_MAX 64
#define LIST_BYTES  (64 << 10)

struct todo {
    struct todo *next;
    char path[];
};

struct crawl {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct todo *stack;
    int working; /* threads that may still push */
    int64_t entries;
    int64_t dirs;
    bool failed;
};

/* The record of getdents64(2), which no libc header declares. */
struct record {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* "dir/name", or a copy of `dir` when name is empty; NULL without memory. */
static struct todo *todo_new(const char *dir, const char *name)
{
    size_t size = strlen(dir) + 1 + strlen(name) + 1;
    struct todo *todo = malloc(sizeof *todo + size);
    if (todo) {
        todo->next = NULL;
        (void)snprintf(todo->path, size, name[0] ? "%s/%s" : "%s%s", dir, name);
    }
    return todo;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* Looks at the names of one listing; found directories go on `*found`. */
static int look_at(int fd, const char *list, size_t len, const char *path, struct todo **found,
                   int64_t *entries)
{
    for (size_t at = 0; at < len;) {
        const struct record *record = (const struct record *)(const void *)(list + at);
        struct statx facts;
        at += record->length;
        if (is_dot(record->name))
            continue;
        if (statx(fd, record->name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                  STATX_BASIC_STATS | STATX_BTIME, &facts) != 0)
            return -1;
        ++*entries;
        if (!S_ISDIR(facts.stx_mode))
            continue;
        struct todo *todo = todo_new(path, record->name);
        if (!todo)
            return -1;
        todo->next = *found;
        *found = todo;
    }
    return 0;
}

static int read_dir(const char *path, char *list, struct todo **found, int64_t *entries)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = 0;
    for (;;) {
        long len = syscall(SYS_getdents64, fd, list, LIST_BYTES);
        if (len <= 0) {
            rc = len == 0 ? 0 : -1;
            break;
        }
        rc = look_at(fd, list, (size_t)len, path, found, entries);
        if (rc != 0)
            break;
    }
    (void)close(fd); /* read only */
    return rc;
}

/* Puts what one directory held on the shared stack and its numbers into the sums. */
static void hand_over_locked(struct crawl *crawl, struct todo *found, int64_t entries, int rc)
{
    while (found) {
        struct todo *next = found->next;
        found->next = crawl->stack;
        crawl->stack = found;
        found = next;
    }
    crawl->entries += entries;
    crawl->dirs++;
    crawl->failed = crawl->failed || rc != 0;
    crawl->working--;
    (void)pthread_cond_broadcast(&crawl->more);
}

static void *work(void *ctx)
{
    struct crawl *crawl = ctx;
    char *list = malloc(LIST_BYTES);
    (void)pthread_mutex_lock(&crawl->lock);
    crawl->failed = crawl->failed || !list;
    for (;;) {
        while (!crawl->stack && crawl->working > 0)
            (void)pthread_cond_wait(&crawl->more, &crawl->lock);
        if (!crawl->stack || crawl->failed)
            break;
        struct todo *todo = crawl->stack;
        crawl->stack = todo->next;
        crawl->working++;
        (void)pthread_mutex_unlock(&crawl->lock);

        struct todo *found = NULL;
        int64_t entries = 0;
        int rc = read_dir(todo->path, list, &found, &entries);
        free(todo);

        (void)pthread_mutex_lock(&crawl->lock);
        hand_over_locked(crawl, found, entries, rc);
    }
    (void)pthread_cond_broadcast(&crawl->more);
    (void)pthread_mutex_unlock(&crawl->lock);
    free(list);
    return NULL;
}

int main(int argc, char **argv)
{
    int64_t threads = 0;
    if (argc != 3 || num_parse_i64(argv[2], 1, THREADS_MAX, &threads) != 0) {
        (void)fputs("usage: bench_crawl ROOT THREADS\n", stderr);
        return 2;
    }
    struct crawl crawl = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    pthread_t ids[THREADS_MAX];
    int started = 0;
    int64_t begin_ns = clock_mono_ns();
    crawl.stack = todo_new(argv[1], "");
    crawl.failed = !crawl.stack;
    while (started < threads && pthread_create(&ids[started], NULL, work, &crawl) == 0)
        started++;
    crawl.failed = crawl.failed || started < threads;
    for (int i = 0; i < started; i++)
        (void)pthread_join(ids[i], NULL); /* fails for a bad id only */
    double seconds = (double)(clock_mono_ns() - begin_ns) / 1e9;
    while (crawl.stack) {
        struct todo *next = crawl.stack->next;
        free(crawl.stack);
        crawl.stack = next;
    }
    if (crawl.failed) {
        (void)fprintf(stderr, "bench_crawl: cannot read '%s' whole\n", argv[1]);
        return 1;
    }
    return printf("%.4f %lld %lld\n", seconds, (long long)crawl.entries, (long long)crawl.dirs) < 0;
}
