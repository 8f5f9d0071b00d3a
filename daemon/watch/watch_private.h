/* watch_private.h: what a back-end gives watch.c, and what every watch begins with. Private to
 * this room. */
#ifndef SPOOR_WATCH_PRIVATE_H
#define SPOOR_WATCH_PRIVATE_H

#include "watch.h"

#define WATCH_TEXT_SIZE 256

/* The verbs of watch.h, each with the same contract. */
struct watch_ops {
    int (*run)(struct watch *watch, struct err *err);
    void (*stop)(struct watch *watch);
    void (*close)(struct watch *watch);
    int (*add)(struct watch *watch, const struct watch_dir *dir, int32_t *out, struct err *err);
    void (*remove)(struct watch *watch, int32_t number);
    size_t (*count)(struct watch *watch);
    void (*know)(struct watch *watch, uint64_t number); /* NULL: it sees names alone */
    int (*drain)(struct watch *watch, struct err *err);
    int (*barrier)(struct watch *watch, uint64_t token, struct err *err);
};

/* The first member of every back-end's own struct. */
struct watch {
    const struct watch_ops *ops;
    const char *backend; /* atomic: what watch_backend() answers */
    bool automatic;      /* the root's file system decides, whenever it is added */
    bool remote;         /* atomic; automatic, and it is a remote one: nothing is watched */
    const char *local;   /* automatic: what to say when it is not */
    char text[WATCH_TEXT_SIZE];
};

static inline void watch_set_backend(struct watch *watch, const char *lasting_text)
{
    __atomic_store_n(&watch->backend, lasting_text, __ATOMIC_RELEASE);
}

/* watch_choose_*.c: does the directory lie where others write without this system's knowledge? */
bool watch_dir_is_remote(const struct watch_dir *dir);

/* Each fills `ops` and `backend`; the rest of struct watch is zero. */
int watch_inotify_open(const struct watch_setup *setup, struct watch **out, struct err *err);
/* ERR_UNSUPPORTED, ERR_DENIED or the system's refusal: the caller falls back. */
int watch_fanotify_open(const struct watch_setup *setup, struct watch **out, struct err *err);
int watch_windows_open(const struct watch_setup *setup, struct watch **out, struct err *err);
int watch_poll_open(const struct watch_setup *setup, struct watch **out, struct err *err);

#endif
