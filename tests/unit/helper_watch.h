/* helper_watch.h: a watch of a chosen back-end over a temporary directory, and what its sink was
 * told, for the tests of the contract in watch.h. */
#ifndef SPOOR_HELPER_WATCH_H
#define SPOOR_HELPER_WATCH_H

#include <pthread.h>

#include "helper_temp.h"
#include "watch.h"

#define WATCH_SEEN_MAX 70000
#define WATCH_DIRS_MAX 1000
#define WATCH_TEST_OWN (UINT64_C(1) << 63) /* tokens of barriers that no test sees */

enum seen_kind { SEEN_HINT, SEEN_UNWATCHED, SEEN_LOST, SEEN_BARRIER, SEEN_INODE };

struct seen {
    enum seen_kind kind;
    uint64_t dir;   /* file_id.a; of SEEN_INODE the number */
    uint64_t value; /* hints, watch, loss or token */
    char name[24];
    struct actor actor;
};

/* A directory as the system knows it, and as the tests do. */
struct watch_test_dir {
    struct file_id file;
    uint64_t id;
};

struct watch_test {
    enum watch_kind kind;
    char root[160];
    struct temp_dir temp; /* root/, outside/, barriers/ */
    struct watch *watch;
    int32_t root_watch;
    pthread_t thread;
    bool running, stopped;
    int run_code;
    struct watch_test_dir dirs[WATCH_DIRS_MAX]; /* Windows, where ids are not ours to choose */
    size_t dir_count;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct seen *seen;
    size_t count, next;
    uint64_t last_barrier, own_barrier;
};

/* cmocka's setup and teardown; *state is the kind. The root is watched as directory 1. */
int watch_test_setup(void **state);
int watch_test_teardown(void **state);
/* Runs each test once a back-end, those of a back-end that is not to be had here as skipped; what
 * a main() returns. */
struct watch_case {
    const char *name;
    void (*run)(void **state);
    unsigned kinds; /* bits by enum watch_kind */
};
#define WATCH_BY(kind)  (1u << (kind))
#define WATCH_BY_KERNEL (watch_test_kinds() & ~WATCH_BY(WATCH_POLL))
#define WATCH_BY_ALL                                                                               \
    (WATCH_BY(WATCH_INOTIFY) | WATCH_BY(WATCH_FANOTIFY) | WATCH_BY(WATCH_AUTO) |                   \
     WATCH_BY(WATCH_POLL))
#define WATCH_CASE(test, kinds)                                                                    \
    {                                                                                              \
#test, test, kinds                                                                         \
    }
int watch_test_run(const struct watch_case *cases, size_t count);

/* How a second watch over the same directories is opened; `barriers` has room for 160. */
struct watch_setup watch_test_how(struct watch_test *test, char *barriers);
/* Adds a directory under an identity; ends the test when that fails. */
int32_t watch_test_add(struct watch_test *test, const char *path, uint64_t id, bool root);
void watch_test_drain(struct watch_test *test);
void watch_test_barrier(struct watch_test *test, uint64_t token);

/* The next thing seen is this; nothing more was seen; what was seen until now is forgotten. */
void watch_test_expect(struct watch_test *test, enum seen_kind kind, uint64_t dir, const char *name,
                       uint64_t value);
/* Who did what the latest hint of that name tells. */
const struct actor *watch_test_actor(const struct watch_test *test, uint64_t dir, const char *name);
void watch_test_expect_end(const struct watch_test *test);
void watch_test_forget(struct watch_test *test);
/* Whatever the order and however divided: all hints of the name since forget, together. */
uint64_t watch_test_hints(const struct watch_test *test, uint64_t dir, const char *name);
/* ... are these, as far as this back-end can tell. */
bool watch_test_told(const struct watch_test *test, uint64_t dir, const char *name,
                     uint64_t wanted);
/* How many of that kind were seen since forget. */
size_t watch_test_count(const struct watch_test *test, enum seen_kind kind);

/* The watch thread: start; a barrier sent and waited for; stop, within its time. */
void watch_test_start(struct watch_test *test);
void watch_test_wait_barrier(struct watch_test *test, uint64_t token);
void watch_test_stop(struct watch_test *test);

/* --- what differs by the system: helper_watch_linux.c, helper_watch_windows.c --- */

/* Which back-ends the system has, with several kernels' the default is left out: it is one of them.
 */
unsigned watch_test_kinds(void);
/* NULL, or why this one is not to be had here. */
const char *watch_test_refused(enum watch_kind kind);
/* Can something be tested here? If not, says why; the test then skips. */
enum watch_test_need {
    WATCH_TEST_ROOT_MOVED_TOLD, /* the kernel tells of a move of the root */
    WATCH_TEST_ROOT_REMOVED,    /* a directory that is watched can be removed */
    WATCH_TEST_SYMLINKS,
    WATCH_TEST_BLOCKED_CLOSE, /* a handle that somebody reads from cannot be closed */
};
bool watch_test_has(enum watch_test_need need);
/* Has the tests on a file system that is theirs alone; false: on that of all others. */
#define WATCH_PLACE_SIZE 64
bool watch_test_mount_quiet(char place[static WATCH_PLACE_SIZE]);
void watch_test_unmount(const char *place);
/* How many random runs the system does in a few seconds. */
unsigned watch_test_runs(void);
/* Is what happens to one name told by several hints? */
bool watch_test_has_many_hints(void);
/* The directory as it is given to watch_add(); the other ends what that took. */
void watch_test_find(struct watch_test *test, const char *path, uint64_t id, struct watch_dir *out);
void watch_test_let_go(const struct watch_dir *dir);
/* As the tests know it; 0: they do not. */
uint64_t watch_test_id(const struct watch_test *test, struct file_id file);
/* All that has happened until now is with the sink afterwards. */
int watch_test_pull(struct watch_test *test, struct err *err);
/* Do these hints say what is wanted, as far as the kernel tells? */
bool watch_test_agrees(uint64_t hints, uint64_t wanted);

#endif
