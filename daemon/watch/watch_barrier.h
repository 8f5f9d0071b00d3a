/* watch_barrier.h: marks in the kernel's queue: a file of a name of its own, made in a watched
 * private directory, whose record comes out behind all that happened before, since a queue keeps
 * its order and names of one use are never merged. Private to this room; a back-end's lock guards
 * the list. */
#ifndef SPOOR_WATCH_BARRIER_H
#define SPOOR_WATCH_BARRIER_H

#include <pthread.h>

#include "watch_private.h"

#define WATCH_BARRIERS_MAX 1024 /* marks on their way through the kernel's queue */
#define BARRIER_NAME_SIZE  17   /* 16 hexadecimal digits */

struct barrier_mark {
    uint64_t token;
    char name[BARRIER_NAME_SIZE];
};

struct watch_barriers {
    int dirfd;    /* Linux; -1: not open */
    char *prefix; /* Windows: what the files' paths begin with */
    bool gone;    /* the directory was removed */
    uint64_t number;
    struct barrier_mark marks[WATCH_BARRIERS_MAX];
    size_t count;
};

/* Linux: makes the directory private and empty and opens it; watching it is the caller's. Windows:
 * the directory is the folder's root. */
int watch_barriers_open(struct watch_barriers *barriers, const char *path, struct err *err);
void watch_barriers_close(struct watch_barriers *barriers);

/* Makes the file of that name, and removes it again. ERR_DENIED: nobody may, there. */
int watch_barriers_make(const struct watch_barriers *barriers, const char *name, struct err *err);

/* watch.h's barrier; the lock is not held. */
int watch_barriers_send(struct watch_barriers *barriers, pthread_mutex_t *lock, uint64_t token,
                        struct err *err);
/* The record of a barrier's file came out: true, and its token, when it is one that waits. */
bool watch_barriers_take_locked(struct watch_barriers *barriers, struct bytes name,
                                uint64_t *token);
/* Answers all that wait: records were lost, theirs may be among them. */
void watch_barriers_lose_locked(struct watch_barriers *barriers, const struct watch_sink *sink);

#endif
