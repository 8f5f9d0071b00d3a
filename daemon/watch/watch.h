/* watch.h: kernel records in, dirty names out: four verbs a back-end.
 *
 * inotify, fanotify and poll stand behind one table (watch_private.h); watch.c chooses.
 * watch_open() makes the kernel object; watch_run() is the body of the watch thread: it
 * starts an overlapped read, waits, lingers a moment so that records gather (an eager loop
 * was measured to cost ten times the CPU and to slow the user's writes by a third), parses, hands
 * over, until watch_stop(), which is safe from any thread and returns at once; watch_close()
 * frees after run has returned. On Linux an overlapped read is a nonblocking read completed
 * by epoll and cancelled by an eventfd; it can always be cancelled and is never left behind.
 *
 * A record only names what to look at again: the tree is the truth. Names are bound to the identity
 * of their directory when the record is read, so they survive the directory's own moves. */
#ifndef SPOOR_WATCH_H
#define SPOOR_WATCH_H

#include "bytes.h"
#include "facts.h"
#include "fileid.h"

struct err;
struct watch;

#define WATCH_LINGER_MS    2 /* the kernel's default queue held 65 ms of the fastest writer */
#define WATCH_BUFFER_BYTES (64 << 10)
#define WATCH_STOP_MS      100 /* run returns within this after stop */

enum watch_loss {
    WATCH_OVERFLOW,  /* the kernel dropped records: everything may be stale */
    WATCH_ROOT_GONE, /* the root directory was deleted, moved away or unmounted */
    WATCH_FORGOTTEN, /* as WATCH_OVERFLOW, and no directory is watched until it is added again */
};

/* In the order of config.h's enum config_backend. */
enum watch_kind {
    WATCH_AUTO, /* inotify; nothing is watched while the root's file system is a remote one */
    WATCH_INOTIFY,
    WATCH_FANOTIFY, /* as WATCH_AUTO where it is refused: watch_backend() then says why */
    WATCH_POLL,     /* watches nothing: every directory is for the caller to list */
};

/* Called with the back-end's lock held, from the watch thread or from whoever drains or adds; must
 * not call back into the watch. Names live for the call. */
struct watch_sink {
    void *ctx;
    /* Hints of one name may be gathered, and overtaken by those of other names. The name "." is
     * the directory itself: HINT_ATTRIB where the kernel does not tell it by its parent (fanotify);
     * HINT_NAME when names in it changed that are not known, so that it must be listed, and deeply
     * with HINT_ENTERED (Windows: short names). `actor`: the last who did it; NULL or pid 0 where
     * that is not known. */
    void (*hint)(void *ctx, struct file_id dir, struct bytes name, uint8_t hints,
                 const struct actor *actor);
    /* The kernel dropped the watch of this directory (deleted, unmounted): it is unwatched now. */
    void (*unwatched)(void *ctx, struct file_id dir, int32_t watch);
    void (*lost)(void *ctx, enum watch_loss loss);
    /* All records that were queued before watch_barrier(token) have been handed over. */
    void (*barrier)(void *ctx, uint64_t token);
    /* A read's worth of records has been handed over (a chance to wake once, not per record). */
    void (*batch)(void *ctx);
    /* A file that watch_know() was told of was touched under a name that lies in no directory that
     * was added; hints 0: a link of it came or went somewhere. NULL: nobody wants to know. A number
     * may be wrong: that of a file that nobody knows. */
    void (*inode)(void *ctx, uint64_t number, uint8_t hints, const struct actor *actor);
};

struct watch_setup {
    enum watch_kind kind;
    const char *root; /* absolute; need not exist yet (fanotify then gives way to inotify) */
    /* A private directory in the state directory in which barriers make and remove files; it is
     * emptied on open. */
    const char *barrier_dir;
    struct watch_sink sink;
};

/* A directory as whoever opened it knows it. */
struct watch_dir {
    int fd; /* an open handle; not used on Windows, which gives paths */
    struct file_id file;
    bool root;
    /* Windows: where it was just opened, if it is not the root. */
    struct file_id parent;
    struct bytes name;
};

/* Everything in `setup` is copied. */
int watch_open(const struct watch_setup *setup, struct watch **out, struct err *err);
/* The watch thread. 0 after watch_stop(), else the error that ended it. */
int watch_run(struct watch *watch, struct err *err);
void watch_stop(struct watch *watch);
void watch_close(struct watch *watch);
/* What watches at this moment: "inotify", "fanotify" or "poll", and in brackets why it is not what
 * was asked for: "inotify (fanotify: ...)". Lives as long as the watch. Any thread. */
const char *watch_backend(const struct watch *watch);

/* Watches one directory (not below it); records carry its `file` from now on. Adding one that is
 * watched keeps it and gives the same number. *out -1: directories of this folder are not watched
 * but polled (watch_backend says why). Any thread. ERR_LIMIT: the system's watch limit (the text
 * names the sysctl); ERR_DENIED: it may not be read. */
int watch_add(struct watch *watch, const struct watch_dir *dir, int32_t *out, struct err *err);
/* No record of it is handed over afterwards. Any thread; -1 does nothing. */
void watch_remove(struct watch *watch, int32_t number);
size_t watch_count(struct watch *watch);
/* A file (no directory) of the folder with this inode number was looked at: from now on the sink is
 * told of it by whatever name it is touched, where the back-end can see that. Any thread. */
void watch_know(struct watch *watch, uint64_t number);
/* Is a file system of this type (statfs f_type) one that others write to without this kernel's
 * knowledge: a network or FUSE one? */
bool watch_is_remote(int64_t fs_type);

/* Is this the name of a file that a watch makes in the root of the folder it watches (Windows:
 * barriers)? It is nobody's: no hint names it, and a listing must not show it (RULES 28). */
bool watch_is_own(struct bytes name);

/* Reads and hands over, now and without waiting, all that the kernel has queued. Any thread. */
int watch_drain(struct watch *watch, struct err *err);
/* Puts a mark into the kernel's queue behind all that happened before this call; the sink's
 * barrier() is called when it comes out. Any thread. */
int watch_barrier(struct watch *watch, uint64_t token, struct err *err);

#endif
