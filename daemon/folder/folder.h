/* folder.h: one watched folder, whole: its watch, its dirty set, its journal and the two
 * threads that serve them.
 *
 * The watch thread turns kernel records into dirty names. The folder's thread looks at
 * names that are due, reconciles and commits; it alone writes the journal, so an upload's
 * batch and acknowledgement are posted to it. A folder whose file system hangs holds up
 * itself alone (RULES 25). */
#ifndef SPOOR_FOLDER_H
#define SPOOR_FOLDER_H

#include "journal.h"

struct config_folder;
struct err;
struct folder;

/* A log larger than this is spoken of: a program keeps a transaction open on the journal. The first
 * index, with nobody reading, needs half of it at most (measured: 17 to 24 MB). */
#define FOLDER_WAL_LOUD_BYTES (32 << 20)

enum folder_state {
    FOLDER_STARTING, /* journal being opened and checked */
    FOLDER_INDEXING, /* first index */
    FOLDER_SCANNING, /* comparing disk and tree */
    FOLDER_WATCHING,
    FOLDER_ROOT_LOST, /* the folder is not there, or is another one: nothing is journaled */
    FOLDER_FAILED,    /* journal unusable; retried with back-off */
    FOLDER_STOPPED,
};
const char *folder_state_name(enum folder_state state);

#define FOLDER_HUNG_MS 3000 /* a file system that has not answered for so long is said to hang */

struct folder_status {
    enum folder_state state;
    char name[65];
    char error[512];     /* why it is not well, "" when it is */
    const char *backend; /* watch.h's watch_backend() */
    int64_t entries;
    int64_t directories;
    int64_t watches;
    int64_t last_seq;
    int64_t dirty_names, dirty_dirs; /* not looked at yet */
    int64_t unknown_names;           /* could not be looked at (permission, I/O); retried */
    int64_t unreadable_dirs;
    int64_t unwatched_dirs; /* polled: watch limit */
    int64_t gaps;           /* since start */
    bool gap_open;
    int64_t wal_bytes; /* of the journal's log; beyond FOLDER_WAL_LOUD_BYTES somebody holds it */
    int64_t hung_ms;   /* the file system has not answered for so long; 0: it does answer */
    bool weak;         /* its file system's identities do not last (RULES 2) */
    int64_t scan_dirs, scan_entries; /* progress of the scan under way */
    char trouble[512]; /* the last name or directory that could not be read, and why */
};

struct folder_notify {
    void *ctx;
    /* Rows were committed, a sync is done, or the state changed. From the folder's thread; must
     * not block or call back into the folder. */
    void (*changed)(void *ctx);
};

/* `state_dir`/<name>/ is made if missing. Starts nothing. The config must live until close. */
int folder_open(const struct config_folder *config, const char *state_dir,
                const struct folder_notify *notify, struct folder **out, struct err *err);
int folder_start(struct folder *folder, struct err *err);
/* Any thread, returns at once. The last commit is finished, nothing new is begun. */
void folder_stop(struct folder *folder);
/* After folder_stop(): waits until the folder's thread is through. False: it hangs in a call of the
 * file system, and folder_close() would hang too. Any thread. */
bool folder_wait_end(struct folder *folder, int64_t deadline_mono_ns);
/* Joins and frees; NULL allowed. */
void folder_close(struct folder *folder);

const char *folder_name(const struct folder *folder);
const char *folder_dir(const struct folder *folder); /* where journal.db lies */
/* Never blocks on the disk. Any thread. */
void folder_get_status(struct folder *folder, struct folder_status *out);

/* The barrier: everything that happened in the folder before this call will be in the journal
 * when the ticket is done. Any thread, does not block. */
int folder_sync_start(struct folder *folder, uint64_t *ticket, struct err *err);
/* 1: done, *seq is the last row then (what --uploaded waits for); 0: not yet; negative: cannot be
 * (stopped, root lost). */
int folder_sync_done(struct folder *folder, uint64_t ticket, int64_t *seq, struct err *err);

/* Takes the directory that lies at the folder's path now for the folder, though another one was
 * journaled (a restored backup, a new disk). ERR_CONFLICT unless the folder is root-lost. Any
 * thread, returns at once; the state says what came of it. */
int folder_adopt(struct folder *folder, struct err *err);

/* Somebody met damage while reading the journal: the folder's thread reads all of it and, should
 * that be true, moves the file aside and begins anew. Any thread, returns at once. ERR_CANCELLED
 * once the folder stops. */
int folder_doubt(struct folder *folder, struct err *err);

/* The writes of others, done by the folder's thread; block until committed. ERR_CANCELLED once the
 * folder stops, ERR_BUSY when its file system hangs. ctx is the folder: they fit struct
 * upload_journal. */
int folder_store_batch(void *folder, const char *consumer, const struct journal_batch *batch,
                       struct err *err);
int folder_ack(void *folder, const char *consumer, int64_t seq, struct err *err);
int folder_report(void *folder, const char *consumer, const char *error, struct err *err);
int folder_resync(void *folder, const struct journal_order *order, struct err *err);
/* The same for who must not wait: the order, whose words are copied, is given to the folder's
 * thread, and `wake` is set when it is through. ERR_BUSY when the file system hangs. */
struct folder_errand;
struct wake;
int folder_send(struct folder *folder, const struct journal_order *order, struct wake *wake,
                struct folder_errand **out, struct err *err);
/* True when it is through: then *rc and *err say how. A closed folder's errands are. Any thread. */
bool folder_errand_done(struct folder_errand *errand, int *rc, struct err *err);
/* Only when it is through. NULL allowed. */
void folder_errand_free(struct folder_errand *errand);
/* Makes the set of consumers these (adds new ones at 0, removes those that are configured no
 * more). Between open and start: the journal may not be open yet, so it is done by the thread. */
int folder_set_consumers(struct folder *folder, const char *const *names, size_t count,
                         struct err *err);

#endif
