/* folder_commit.c: what the folder's thread writes, its own script and what others asked for, and
 * what it says of itself afterwards. */
#include "folder_private.h"

#include "clock.h"
#include "journal.h"
#include "num.h"

struct troubled {
    int64_t unreadable, unwatched;
};

static int count_troubled(void *ctx, struct entry *dir)
{
    struct troubled *troubled = ctx;
    troubled->unreadable += (dir->flags & TREE_RELIST) != 0;
    troubled->unwatched += (dir->flags & TREE_UNWATCHED) != 0;
    return 0;
}

/* A log that only grows is no loss yet, but the disk's end is one (RULES 33). */
static void speak_of_wal(struct folder *folder, int64_t bytes)
{
    char text[32];
    int64_t skipped = 0;
    if (bytes > FOLDER_WAL_LOUD_BYTES &&
        log_allowed(&folder->wal_limit, 60 * CLOCK_NS_PER_S, &skipped)) {
        num_human_bytes(bytes, text);
        log_warn("folder '%s': the log of its journal has grown to %s, because a program keeps a "
                 "transaction open on '%s/" JOURNAL_FILE "' (an sqlite3 shell?); end it",
                 folder->config->name, text, folder->dir);
    }
}

void folder_refresh_status(struct folder *folder)
{
    const struct journal_info *info = journal_info(folder->journal);
    int64_t watches = (int64_t)watch_count(folder->watch);
    const char *backend = watch_backend(folder->watch);
    struct troubled troubled = {0};
    int64_t wal_bytes = journal_wal_bytes(folder->journal);
    speak_of_wal(folder, wal_bytes);
    pthread_mutex_lock(&folder->lock);
    struct folder_status *status = &folder->status;
    bool count = folder->had_trouble || status->unreadable_dirs || status->unwatched_dirs;
    folder->had_trouble = false;
    status->entries = tree_entry_count(folder->tree);
    status->directories = (int64_t)tree_dir_count(folder->tree) - 1;
    status->watches = watches;
    bool other = strcmp(status->backend, backend) != 0;
    status->backend = backend;
    status->last_seq = info->last_seq;
    status->gap_open = info->gap_open;
    status->wal_bytes = wal_bytes;
    pthread_mutex_unlock(&folder->lock);
    if (other) {
        log_warn("folder '%s': watched by %s from now on", folder->config->name, backend);
    }
    if (!count) {
        return;
    }
    (void)tree_each_dir(folder->tree, count_troubled, &troubled); /* it never stops */
    pthread_mutex_lock(&folder->lock);
    status->unreadable_dirs = troubled.unreadable;
    status->unwatched_dirs = troubled.unwatched;
    if (!troubled.unreadable && !troubled.unwatched && !settle_unknown_count(folder->settle)) {
        status->trouble[0] = '\0';
    }
    pthread_mutex_unlock(&folder->lock);
    if (!troubled.unwatched) {
        folder->poll_ns = SETTLE_NEVER;
    } else if (folder->poll_ns == SETTLE_NEVER) {
        folder->poll_ns = clock_mono_ns() + folder->config->poll_interval_ns;
    }
}

int folder_commit(struct folder *folder, struct err *err)
{
    size_t count = script_count(folder->script);
    int rc = 0;
    if (count) {
        rc = journal_commit(folder->journal, script_get(folder->script, 0), count, clock_wall_ms(),
                            err);
    }
    bool rows = script_rows(folder->script) > 0;
    script_clear(folder->script);
    if (rc == 0) {
        folder->retry_wait_ns = count ? 0 : folder->retry_wait_ns; /* opening alone proves little */
        folder_refresh_status(folder);
        if (rows) {
            folder->notify.changed(folder->notify.ctx);
        }
    }
    return rc;
}

/* The journal's own orders concern every upload: each is woken to look. */
static int resync(struct folder *folder, const struct journal_order *order, struct err *err)
{
    int rc = journal_resync(folder->journal, order, clock_wall_ms(), err);
    const struct journal_info *info = journal_info(folder->journal);
    if (rc != 0) {
        return rc;
    }
    if (order->what == JOURNAL_NEW_EPOCH) {
        log_warn("folder '%s': its journal begins epoch %lld with row %lld; servers get the tree "
                 "anew",
                 folder->config->name, (long long)info->epoch, (long long)info->last_seq + 1);
        folder->notify.changed(folder->notify.ctx);
    } else if (order->what == JOURNAL_NEW_ID) {
        log_warn("folder '%s': its journal has a new id, %s; servers see a new journal and keep "
                 "what they had under the old one",
                 folder->config->name, info->id);
        folder->notify.changed(folder->notify.ctx);
    } else if (order->what == JOURNAL_READER_REMOVE) {
        rc = folder_apply_consumers(folder, err); /* an upload may have waited for its name */
        folder->notify.changed(folder->notify.ctx);
    }
    return rc;
}

static void serve(struct folder *folder, struct folder_request *request)
{
    int64_t now_ms = clock_wall_ms();
    struct journal *journal = folder->journal;
    struct err *err = &request->err;
    if (!journal) {
        request->rc =
            err_set(err, ERR_BUSY, 0, "folder '%s': its journal is not open", folder->config->name);
        return;
    }
    switch (request->kind) {
    case REQUEST_BATCH:
        request->rc = journal_batch_store(journal, request->consumer, request->batch, err);
        break;
    case REQUEST_ACK:
        request->rc = journal_ack(journal, request->consumer, request->seq, now_ms, err);
        break;
    case REQUEST_REPORT:
        request->rc =
            journal_consumer_error(journal, request->consumer, request->text, now_ms, err);
        break;
    case REQUEST_RESYNC:
        request->rc = resync(folder, request->order, err);
        break;
    }
    bool copy_only = request->kind == REQUEST_RESYNC && request->order->what == JOURNAL_SNAPSHOT;
    if (request->rc == ERR_IO || request->rc == ERR_CORRUPT ||
        (request->rc == ERR_FULL && !copy_only)) {
        folder->needs_open = true;
        folder->suspect |= request->rc == ERR_CORRUPT;
    }
}

void folder_finish_locked(struct folder *folder, struct folder_request *request)
{
    request->done = true;
    if (request->finished) {
        request->finished(request);
    } else {
        pthread_cond_broadcast(&folder->wake_askers);
    }
}

void folder_serve_requests(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    struct folder_request *request = folder->requests;
    folder->requests = NULL;
    folder->requests_tail = &folder->requests;
    pthread_mutex_unlock(&folder->lock);
    while (request) {
        struct folder_request *next = request->next; /* its owner may free it once it is done */
        serve(folder, request);
        pthread_mutex_lock(&folder->lock);
        folder_finish_locked(folder, request);
        pthread_mutex_unlock(&folder->lock);
        request = next;
    }
}
