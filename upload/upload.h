/* upload.h: delivery: one thread an [upload] section reads the journals it serves and
 * posts their rows in batches until each is acknowledged. The journal is the queue.
 *
 * The thread only reads journals (reader.h). What it must write (its batch, its
 * acknowledgement) it asks of the folder's thread through `upload_journal`, and waits:
 * a journal has one writer. One batch a journal is in flight; its bytes are stored
 * before the first send and sent again unchanged until acknowledged. */
#ifndef SPOOR_UPLOAD_H
#define SPOOR_UPLOAD_H

#include "journal.h"

struct config_upload;
struct err;
struct upload;

/* One journal to be served. The calls come from the upload's thread, block until the folder's
 * thread has committed, and fail with ERR_CANCELLED once that thread stops. */
struct upload_journal {
    const char *folder;
    const char *dir; /* where journal.db lies */
    void *ctx;
    int (*store_batch)(void *ctx, const char *consumer, const struct journal_batch *batch,
                       struct err *err);
    int (*ack)(void *ctx, const char *consumer, int64_t seq, struct err *err);
    int (*report)(void *ctx, const char *consumer, const char *error_or_empty, struct err *err);
    int (*resync)(void *ctx, const struct journal_order *order, struct err *err);
    /* upload_acked() tells more than before, also without an acknowledgement: after a start it must
     * first be known where the server stands. Must not block. NULL: nobody waits for it. */
    void (*progress)(void *ctx);
};

enum upload_state {
    UPLOAD_IDLE, /* all acknowledged */
    UPLOAD_SENDING,
    UPLOAD_BACKOFF, /* failed; the same bytes again at next_try */
    UPLOAD_WAITING, /* for its hours of the day */
    UPLOAD_HELD,    /* by the mass-delete brake, until it is released */
    UPLOAD_PAUSED,  /* refused for good until something changes; probed slowly */
    UPLOAD_STOPPED,
};
const char *upload_state_name(enum upload_state state);

struct upload_status {
    enum upload_state state;
    char folder[65]; /* the journal this is about */
    int64_t acked;
    bool compared; /* a replica's server was asked since start whether it stands there */
    int64_t sent_rows, sent_batches, sent_bytes; /* since start, compressed bytes */
    int64_t failures;                            /* in a row */
    int64_t next_try_wall_ms;                    /* 0 none */
    int http_status;                             /* of the last answer, 0 none */
    int64_t answered_wall_ms;                    /* when that came, 0 never */
    /* Rows (with those that were folded away), or entries of a snapshot, acknowledged in the last
     * minute or since start, and the length of that time. */
    int64_t rate_rows, rate_window_ms;
    char error[512]; /* last error, "" none */
};

/* Sets up curl; starts nothing and opens no journal: the thread opens them as they come to be
 * (one that is absent, or in which the consumer is not registered yet, is looked for again at
 * each upload_notify()). `journals` are copied, their strings and ctx must live until
 * upload_close(). The config must live as long. The process must ignore SIGPIPE (TLS libraries
 * write without MSG_NOSIGNAL). Main thread. */
int upload_open(const struct config_upload *config, const struct upload_journal *journals,
                size_t count, struct upload **out, struct err *err);
int upload_start(struct upload *upload, struct err *err);
/* Rows were committed in some journal. Any thread, never blocks. */
void upload_notify(struct upload *upload);
/* Try now what waits in back-off or pause (SIGHUP, `spoor sync`). Any thread. */
void upload_retry_now(struct upload *upload);
/* What people want of one journal's delivery (NULL: of all): JOURNAL_RELEASE lets the brake go,
 * JOURNAL_RETRY and JOURNAL_DROP are of row `value` in quarantine (0: of all), JOURNAL_SNAPSHOT
 * sends a replica its tree whole. Done soon after; a tree that the brake holds, or that no server
 * is there for, when that is over, unless the daemon stops before it could begin. ERR_NOTFOUND: it
 * serves no such folder; ERR_BUSY: an earlier wish still waits; ERR_UNSUPPORTED: only a replica can
 * be sent its tree. Any thread. */
int upload_wish(struct upload *upload, const char *folder, enum journal_resync what, int64_t value,
                struct err *err);
/* Asks the thread to end: the request in flight is abandoned (its batch is stored and will be sent
 * again). Any thread, returns at once; upload_close() joins. */
void upload_stop(struct upload *upload);
void upload_close(struct upload *upload);
/* One for each journal served; returns how many were filled. Any thread. */
size_t upload_status(struct upload *upload, struct upload_status *out, size_t max);
const char *upload_name(const struct upload *upload);
/* The acknowledged seq of one journal, -1 when it does not serve that folder or the server was not
 * asked yet: it may have lost what it had acknowledged. Any thread. */
int64_t upload_acked(struct upload *upload, const char *folder);

/* For `verify --server` and tests: GET {url}/v1/journals/{journal}/{what} with the section's
 * credentials; the body is handed over in pieces. HTTP errors become ERR_NETWORK with the status
 * in the text, 404 ERR_NOTFOUND. Any thread. */
int upload_fetch(const struct config_upload *config, const char *journal, const char *what,
                 int (*piece)(void *ctx, const char *bytes, size_t len), void *ctx,
                 struct err *err);

#endif
