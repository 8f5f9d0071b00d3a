/* helper_upload.h: a real journal in a temporary directory and an upload's requests of it,
 * served under a mutex as the folder's thread would serve them; and a stage for one upload: such a
 * journal at its one end, a server on script at the other. */
#ifndef SPOOR_HELPER_UPLOAD_H
#define SPOOR_HELPER_UPLOAD_H

#include <pthread.h>

#include "config.h"
#include "err.h"
#include "helper_server.h"
#include "journal.h"
#include "upload.h"

#define UPLOAD_RIG_ROWS 50 /* a commit */

struct upload_rig {
    char dir[256]; /* temporary, removed at the end */
    char journal_dir[280];
    char folder[65];
    struct journal *journal;
    pthread_mutex_t lock; /* guards all below, and the journal */
    pthread_cond_t changed;
    int64_t acked;
    int64_t stored_batches;
    int64_t stored_last; /* of the latest */
    int64_t files;       /* made so far, names and ids go on */
    int64_t fail_acks;   /* so many acknowledgements fail with ERR_FULL */
    char reported[512];
    int64_t reports;
    int64_t progress;                   /* calls */
    int64_t resyncs[JOURNAL_CHECK + 1]; /* orders that were carried out, by kind */
};

/* With `consumer` registered at 0 (NULL: none). Aborts when the system fails it. */
void upload_rig_open(struct upload_rig *rig, const char *folder, const char *consumer);
void upload_rig_close(struct upload_rig *rig);
/* Closes the journal and opens it again, as a restart does. */
void upload_rig_reopen(struct upload_rig *rig);
/* The calls an upload gets. */
struct upload_journal upload_rig_ops(struct upload_rig *rig);
/* One commit that creates `count` files in the root; with `flags` on every row but the last. */
void upload_rig_commit(struct upload_rig *rig, size_t count, uint32_t flags);
/* `times` rows in commits of UPLOAD_RIG_ROWS, each a modify of the file that was created by row
 * `entry` as number `file`; the last size is 100000 + times. */
void upload_rig_modify(struct upload_rig *rig, int64_t entry, int64_t file, int64_t times);
/* Its end. */
void upload_rig_delete(struct upload_rig *rig, int64_t entry, int64_t file);
struct journal_info upload_rig_info(struct upload_rig *rig);
/* Each blocks until it is so; false after 30 s. A report has `part` in it, or is empty as `part`.
 */
bool upload_rig_wait_acked(struct upload_rig *rig, int64_t seq);
bool upload_rig_wait_report(struct upload_rig *rig, const char *part);
/* Until upload_acked() told more than before. */
bool upload_rig_wait_progress(struct upload_rig *rig);
/* Until an order of this kind was carried out. */
bool upload_rig_wait_order(struct upload_rig *rig, enum journal_resync what);

/* A section with quick retries; `url` must live as long. */
struct config_upload upload_rig_config(const char *url);

struct upload_stage {
    struct upload_rig journal; /* folder "docs", consumer "main" */
    struct server *server;
    struct config_upload config; /* may be changed before the start */
    struct upload *upload;       /* NULL: not started */
    struct err err;
    char url[128];
};

/* A journal with one commit of `rows` files, and a server. The upload is not started. */
void stage_open(struct upload_stage *stage, const struct server_step *steps, size_t count,
                size_t rows);
void stage_start(struct upload_stage *stage);
void stage_close(struct upload_stage *stage);
struct upload_status stage_status(struct upload_stage *stage);

#endif
