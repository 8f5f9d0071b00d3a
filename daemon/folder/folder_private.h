/* folder_private.h: one folder's state, shared by folder.c (the outside: threads, watch, status),
 * folder_thread.c (the loop: rounds, gaps, purge) and folder_scan.c (first index, comparison). */
#ifndef SPOOR_FOLDER_PRIVATE_H
#define SPOOR_FOLDER_PRIVATE_H

#include <pthread.h>

#include "buf.h"
#include "config.h"
#include "disk.h"
#include "err.h"
#include "folder.h"
#include "inodes.h"
#include "log.h"
#include "observe.h"
#include "reconcile.h"
#include "rules.h"
#include "settle.h"
#include "tree.h"
#include "watch.h"

enum {
    FOLDER_TICKETS_MAX = 128,   /* syncs asked for and not yet forgotten */
    FOLDER_DROPPED_MAX = 65536, /* watches the kernel dropped, until the thread takes note */
    FOLDER_COMMIT_EDITS = 10000,
};

enum folder_request_kind { REQUEST_BATCH, REQUEST_ACK, REQUEST_REPORT, REQUEST_RESYNC };

/* A write that somebody else asked for; lies on the asker's stack until done. */
struct folder_request {
    struct folder_request *next;
    enum folder_request_kind kind;
    const char *consumer;
    const struct journal_batch *batch;
    const struct journal_order *order;
    int64_t seq;
    const char *text;
    bool done;
    int rc;
    struct err err;
    void (*finished)(struct folder_request *request); /* NULL, or nobody waits on wake_askers */
};

enum folder_ticket_state { TICKET_FREE, TICKET_SENT, TICKET_ARRIVED, TICKET_DONE };

struct folder_ticket {
    uint64_t number;
    enum folder_ticket_state state;
    int64_t arrived_ns; /* names dirty since before then must be decided */
    int64_t seq;
    bool polled; /* since it arrived, what is not watched was marked to be listed */
};

struct folder_dropped {
    struct file_id dir;
    int32_t watch;
};

struct folder {
    const struct config_folder *config;
    char *dir;         /* state_dir/<name> */
    char *barrier_dir; /* state_dir/<name>/barrier */
    struct folder_notify notify;
    struct watch *watch;
    struct log_limit trouble_limit, wal_limit, sync_limit;
    pthread_t watch_thread, own_thread;
    bool watch_started, own_started;

    /* The folder's thread alone. */
    struct journal *journal;
    struct tree *tree;
    struct disk disk;
    bool disk_open;
    struct rules *rules;
    struct observe *observe;
    struct script *script;
    struct buf path;
    int64_t next_seq; /* while a script is being built */
    int32_t *unwatch; /* watches of directories that left the tree in this round */
    size_t unwatch_count, unwatch_cap;
    bool needs_open; /* journal, tree and disk are to be opened (again) */
    bool suspect;    /* damage was met: all of the journal is checked when it is opened again */
    bool needs_scan;
    bool closing_gap; /* the scan after a gap is through; its names are not yet */
    int64_t closing_before_ns;
    int64_t retry_ns; /* opening: not before */
    int64_t retry_wait_ns;
    int64_t scan_not_before_ns; /* scans after overflows keep a distance */
    int64_t scan_took_ns;
    int64_t poll_ns; /* unwatched directories are listed again; SETTLE_NEVER none */
    int64_t purge_not_before_ns;
    int64_t beat_ns; /* atomic: the latest call of the file system, or step, began */
    bool root_lost;  /* the journal is open, the folder is not there */
    bool weak;       /* identities do not last on its file system (RULES 2) */
    bool scanned;    /* a scan has been through since the journal was opened */

    pthread_mutex_t lock;
    pthread_cond_t wake_thread; /* monotonic clock */
    pthread_cond_t wake_askers;
    /* Guarded by lock. */
    struct settle *settle;
    struct inodes inodes; /* touched elsewhere; their names are to be found */
    struct folder_request *requests, **requests_tail;
    struct folder_ticket tickets[FOLDER_TICKETS_MAX];
    uint64_t next_ticket;
    struct folder_dropped *dropped;
    size_t dropped_count;
    int64_t dropped_first_ns; /* since when there are any */
    uint32_t lost_reason;     /* CHANGE_OVERFLOW, _INTERNAL, _ROOT_LOST: to be handled */
    bool scan_asked;          /* by a sync that has no barrier: compare, though nothing was lost */
    bool watches_forgotten;   /* WATCH_FORGOTTEN: no entry's watch counts any more */
    bool doubted;             /* see folder_doubt() */
    bool adopt; /* the directory that is at the folder's path now is to be the folder */
    uint64_t root_asked, root_answered; /* looks at the root: asked for by kernel or sync, done */
    bool had_trouble;                   /* since the directories in trouble were counted */
    bool touched;                       /* hints came in since the last batch */
    bool closed;                        /* the thread ends: nothing is accepted any more */
    bool ended;                         /* it has, all but its return */
    int64_t waiting_until_ns;           /* the thread sleeps until then; 0: it does not sleep */
    struct folder_status status;
    char **consumers;
    size_t consumer_count;
    bool stop; /* also read by scan workers, with __atomic_load_n */
};

static inline bool folder_stopping(const struct folder *folder)
{
    return __atomic_load_n(&folder->stop, __ATOMIC_ACQUIRE);
}

/* folder.c */
void folder_set_state(struct folder *folder, enum folder_state state, const char *error);
/* A name or directory could not be looked at: into status, and rarely into the log. */
void folder_trouble(void *ctx, struct bytes path, int os);
/* For status; true: it is to be logged, too, and so many were not. Any thread. */
bool folder_note_trouble(struct folder *folder, const char *text, int64_t *skipped_or_null);
void folder_lost_locked(struct folder *folder, uint32_t reason);
/* For how long the thread has waited for its file system, 0 when that is nothing to speak of. */
int64_t folder_hung_ms_locked(const struct folder *folder);
/* Until somebody wakes the askers, or this monotonic time. */
void folder_wait_locked(struct folder *folder, int64_t until_ns);

/* folder_commit.c: the request is through; the lock is held. It may be freed at once. */
void folder_finish_locked(struct folder *folder, struct folder_request *request);

/* folder_thread.c: the thread's body; ctx is the folder. It takes steps until it is told to stop,
 * sleeps between them until one is due or something calls, and ends. The simulation does the same
 * without a thread. */
void *folder_thread(void *ctx);
/* All that can be done now. True: there is more, do not sleep. */
bool folder_step(struct folder *folder);
/* Monotonic time of the next step: 0 something calls, SETTLE_NEVER only when something will. */
int64_t folder_due(struct folder *folder);
void folder_end(struct folder *folder);

/* The next try comes later each time in a row: twice as long, up to a minute. */
void folder_back_off(struct folder *folder);
/* Closes everything and tries again later; what was dirty is found by the scan that follows. */
void folder_fail(struct folder *folder, const struct err *err);

/* folder_root.c */
/* It is not there, or another: a gap, until it is back. */
void folder_lose_root(struct folder *folder, const struct err *err);
/* False: it is lost still. */
bool folder_step_root(struct folder *folder);
/* No directory is watched any more: each is when the scan finds it. */
void folder_forget_watches(struct folder *folder);

/* folder_inodes.c: what was touched elsewhere becomes dirty names. 0, or the journal failed. */
int folder_find_inodes(struct folder *folder, struct err *err);

/* folder_dropped.c: takes note of watches that are no more. */
void folder_note_dropped(struct folder *folder);

/* folder_open.c */
int folder_open_parts(struct folder *folder, struct err *err);
/* Does what folder_doubt() asks for; ERR_CORRUPT when the doubt was right. */
int folder_settle_doubt(struct folder *folder, struct err *err);
/* The journal's uploads become those of the configuration. */
int folder_apply_consumers(struct folder *folder, struct err *err);
/* From any half-open state. */
void folder_close_parts(struct folder *folder);
/* Is the folder there, and is it the one that is journaled? 0, or why not. */
int folder_check_root(struct folder *folder, struct err *err);
/* Makes the directory that is there now the folder's root. */
int folder_adopt_root(struct folder *folder, struct err *err);

/* folder_commit.c */
/* Commits the script (nothing when it is empty), refreshes status, wakes others. */
int folder_commit(struct folder *folder, struct err *err);
void folder_refresh_status(struct folder *folder);
/* Does the writes that uploads have asked for. */
void folder_serve_requests(struct folder *folder);

/* folder_scan.c */
/* First index, or comparison: what `journal_info.indexed` and the tree ask for. */
int folder_scan(struct folder *folder, struct err *err);

/* folder_rekey.c */
/* Writes identities anew where all else agrees; *count says how many. In a weak folder those that
 * are left are forgotten, unless all have lasted. */
int folder_rekey(struct folder *folder, int64_t *count, struct err *err);
/* observe.h's rekey(); ctx is the folder. */
int folder_write_identity(void *ctx, struct entry *entry, struct file_id file, int64_t ctime_ns);

#endif
