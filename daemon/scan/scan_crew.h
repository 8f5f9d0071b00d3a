/* scan_crew.h: the worker threads of one scan: starting and joining them, the first error, the
 * wish to stop, progress and trouble. Private to scan_*.c. */
#ifndef SPOOR_SCAN_CREW_H
#define SPOOR_SCAN_CREW_H

#include <pthread.h>

#include "err.h"
#include "scan.h"

struct scan_crew {
    const struct scan_env *env;
    pthread_t threads[SCAN_THREADS_MAX];
    int thread_count;
    bool failed; /* atomic: everybody ends soon */

    pthread_mutex_t lock; /* guards all below */
    struct err failure;
    int64_t dirs, entries;
};

void scan_crew_init(struct scan_crew *crew, const struct scan_env *env);
void scan_crew_deinit(struct scan_crew *crew);

/* How many threads: `wanted`, or `otherwise` when that is 0; 1..SCAN_THREADS_MAX. */
int scan_crew_size(int wanted, int otherwise);
/* Processors this process may run on. */
int scan_crew_processors(void);

/* Starts `count` threads on work(arg); fewer when the system refuses, an error when it refuses
 * all. */
int scan_crew_start(struct scan_crew *crew, int count, void *(*work)(void *), void *arg,
                    struct err *err);
void scan_crew_join(struct scan_crew *crew);

/* Remembers the first failure; all workers see it at their next directory. */
void scan_crew_fail(struct scan_crew *crew, const struct err *failure);
/* True when the scan is to end: failed, or stopped from outside (then with ERR_CANCELLED). */
bool scan_crew_ended(struct scan_crew *crew);
/* The outcome, after the join. */
int scan_crew_outcome(struct scan_crew *crew, struct err *err);

void scan_crew_progress(struct scan_crew *crew, int64_t dirs, int64_t entries);
/* Tells of a directory that cannot be used: "what: why", with the words for `os`. */
void scan_crew_trouble(struct scan_crew *crew, const struct entry *dir, int os, const char *what);
/* The same for one name in it. */
void scan_crew_trouble_name(struct scan_crew *crew, const struct entry *dir, int os,
                            struct bytes name);

#endif
