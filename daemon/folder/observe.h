/* observe.h: names that are due become facts: the looks of a round (RULES 3, 4). It knows the disk
 * by disk.h alone, read only, and never follows a link.
 *
 * A round: observe_round() takes what is due, looks at it and at whatever else must be known
 * before anything may be called gone (the names an identity had or has, dirty names, directories
 * that appeared); the caller reconciles and commits; observe_after() puts back what is
 * still open. The folder's thread; only the dirty set is shared, under its lock. */
#ifndef SPOOR_OBSERVE_H
#define SPOOR_OBSERVE_H

#include <pthread.h>

#include "disk.h"
#include "facts.h"
#include "settle.h"
#include "tree.h"

struct err;
struct observe;
struct rules;

#define OBSERVE_NAMES_MAX    10000 /* due names taken by one round */
#define OBSERVE_FACTS_MAX    30000 /* facts after which no further directory is listed */
#define OBSERVE_RETRY_MIN_NS (INT64_C(1000) * 1000 * 1000)
#define OBSERVE_RETRY_MAX_NS (INT64_C(300) * 1000 * 1000 * 1000)
/* A partial row is completed after so long without a write, writer or not. */
#define OBSERVE_PARTIAL_QUIET_NS (INT64_C(60) * 1000 * 1000 * 1000)

struct observe_env {
    const struct disk *disk;
    struct tree *tree;
    struct rules *rules; /* NULL: nothing is ignored */
    struct settle *settle;
    pthread_mutex_t *lock; /* guards settle */
    void *ctx;
    /* Brings every record the kernel has queued into the dirty set. */
    void (*drain)(void *ctx);
    /* A name or directory could not be looked at; `what` is its path. */
    void (*trouble)(void *ctx, struct bytes path, int os);
    size_t facts_max; /* 0: OBSERVE_FACTS_MAX; tests make it small */
    /* Identities do not last on this file system; NULL: they do. Read in each round. */
    const bool *weak;
    /* This entry has another identity now (and, no directory, this ctime), without a row: edits the
     * tree and the script of the round. 0 or ERR_NOMEM. */
    int (*rekey)(void *ctx, struct entry *entry, struct file_id file, int64_t ctime_ns);
};

enum observe_result {
    OBSERVE_NOTHING,   /* nothing was due */
    OBSERVE_FACTS,     /* reconcile them, then call observe_after() */
    OBSERVE_ROOT_LOST, /* the folder is not there or another one: nothing was taken */
};

int observe_new(const struct observe_env *env, struct observe **out);
void observe_free(struct observe *observe);

/* Names dirty since before `force_before_ns` are due whatever their age (0: none are forced). */
int observe_round(struct observe *observe, int64_t now_ns, int64_t force_before_ns,
                  enum observe_result *result, struct err *err);
struct facts *observe_facts(struct observe *observe);
/* For struct reconcile_input. */
bool observe_defers(const struct observe *observe);
/* After the commit. False: the dirty set is beyond its bounds and all must be scanned. */
bool observe_after(struct observe *observe, int64_t now_ns);
/* Has the round found directories that could not be watched? They are polled from now on. */
bool observe_limited(const struct observe *observe);
/* Lets go of a round that was not committed; what it had taken is gone: a scan must follow. */
void observe_abandon(struct observe *observe);

#endif
