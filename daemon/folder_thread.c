/* folder_thread.c: the loop of a folder's own thread: open, scan, look, reconcile, commit; the gap
 * around every loss; and the writes that others have asked for. It sleeps until something is due,
 * for ever when nothing is: an idle folder wakes nobody. */
#include "folder_private.h"

#include <errno.h>
#include <sys/stat.h>

#include "clock.h"
#include "journal.h"
#include "reader.h"

enum { RETRY_MIN_S = 1, RETRY_MAX_S = 60, PURGE_EVERY_S = 60, PURGE_ROWS = 20000 };

/* --- opening --- */

static void collect_unwatch(void *ctx, int32_t number)
{
    struct folder *folder = ctx;
    if (folder->unwatch_count == folder->unwatch_cap) {
        size_t cap = folder->unwatch_cap ? folder->unwatch_cap * 2 : 256;
        int32_t *grown = realloc(folder->unwatch, cap * sizeof *grown);
        if (!grown) {
            return; /* it stays watched: its records name a directory nobody knows */
        }
        folder->unwatch = grown;
        folder->unwatch_cap = cap;
    }
    folder->unwatch[folder->unwatch_count++] = number;
}

static void drain(void *ctx)
{
    struct folder *folder = ctx;
    /* A failure is the watch thread's to report: it reads the same queue. */
    (void)watch_drain(folder->watch, NULL);
}

static void close_parts(struct folder *folder)
{
    observe_free(folder->observe);
    folder->observe = NULL;
    tree_free(folder->tree);
    folder->tree = NULL;
    rules_free(folder->rules);
    folder->rules = NULL;
    if (folder->disk_open) {
        disk_linux_close(&folder->disk);
        folder->disk_open = false;
    }
    journal_close(folder->journal);
    folder->journal = NULL;
}

static int open_journal(struct folder *folder, struct err *err)
{
    int rc = journal_open(folder->dir, folder->config->name, &folder->journal, err);
    if (rc != 0) {
        return rc;
    }
    if (journal_info(folder->journal)->machine_changed) {
        log_warn("folder '%s': its state came from another machine; the journal has a new id",
                 folder->config->name);
    }
    struct tree_source source = journal_tree_source(folder->journal);
    rc = tree_new(&folder->tree, &source);
    if (rc != 0) {
        return err_set(err, rc, 0, "out of memory");
    }
    tree_on_unwatch(folder->tree, collect_unwatch, folder);
    return journal_load_tree(folder->journal, folder->tree, err);
}

struct stale {
    struct folder *folder;
    char names[JOURNAL_CONSUMERS_MAX][65];
    size_t count;
};

static int find_stale(void *ctx, const struct reader_consumer *consumer)
{
    struct stale *stale = ctx;
    for (size_t i = 0; i < stale->folder->consumer_count; i++) {
        if (strcmp(stale->folder->consumers[i], consumer->name) == 0) {
            return 0;
        }
    }
    if (stale->count < JOURNAL_CONSUMERS_MAX) {
        (void)snprintf(stale->names[stale->count++], sizeof stale->names[0], "%s", consumer->name);
    }
    return 0;
}

/* The consumers of the configuration, and no others: one that is gone would keep rows for ever. */
static int apply_consumers(struct folder *folder, struct err *err)
{
    struct reader *reader;
    int rc = reader_open(folder->dir, &reader, err);
    struct stale *stale = rc == 0 ? calloc(1, sizeof *stale) : NULL;
    if (rc == 0 && stale) {
        stale->folder = folder;
        rc = reader_consumers(reader, find_stale, stale, err);
    }
    for (size_t i = 0; rc == 0 && stale && i < stale->count; i++) {
        log_info("folder '%s': '%s' is configured no more and is forgotten", folder->config->name,
                 stale->names[i]);
        rc = journal_consumer_remove(folder->journal, stale->names[i], err);
    }
    for (size_t i = 0; rc == 0 && i < folder->consumer_count; i++) {
        rc = journal_consumer_add(folder->journal, folder->consumers[i], 0, err);
    }
    free(stale);
    reader_close(reader);
    return rc;
}

/* Is the folder there, and is it the one that is journaled? 0, or why not. */
static int check_root(struct folder *folder, struct err *err)
{
    const struct journal_info *info = journal_info(folder->journal);
    struct disk_dir *root = NULL;
    struct file_id file;
    int os = 0;
    enum disk_answer answer = folder->disk.ops->open_root(folder->disk.ctx, &root, &file, &os);
    if (answer != DISK_PRESENT) {
        return err_os(err, os ? os : ENOENT, "cannot open '%s'", folder->config->path);
    }
    folder->disk.ops->close(folder->disk.ctx, root);
    if (!info->root_known) {
        int64_t fs_type = 0;
        int rc = disk_linux_fs_type(&folder->disk, &fs_type, err);
        rc = rc ? rc : journal_set_root(folder->journal, file, fs_type, err);
        if (rc != 0) {
            return rc;
        }
    } else if (!file_id_equal(info->root, file)) {
        return err_set(err, ERR_CONFLICT, 0,
                       "'%s' is another directory than the one that is journaled (inode %llu, "
                       "was %llu): nothing is journaled or deleted; put the old one back, or move "
                       "'%s' away to begin a new journal",
                       folder->config->path, (unsigned long long)file.a,
                       (unsigned long long)info->root.a, folder->dir);
    }
    tree_set_root(folder->tree, file, tree_root(folder->tree)->mode);
    return 0;
}

static int open_parts(struct folder *folder, struct err *err)
{
    int rc = open_journal(folder, err);
    if (rc == ERR_CORRUPT) {
        log_error("folder '%s': %s; the file is moved aside and a new journal is begun",
                  folder->config->name, err->text);
        close_parts(folder);
        rc = journal_move_aside(folder->dir, err);
        rc = rc ? rc : open_journal(folder, err);
    }
    rc = rc ? rc : apply_consumers(folder, err);
    rc = rc ? rc : rules_new(&folder->config->ignore, &folder->rules, err);
    rc = rc ? rc : disk_linux_open(folder->config->path, folder->watch, &folder->disk, err);
    if (rc != 0) {
        return rc;
    }
    folder->disk_open = true;
    struct observe_env env = {.disk = &folder->disk,
                              .tree = folder->tree,
                              .rules = folder->rules,
                              .settle = folder->settle,
                              .lock = &folder->lock,
                              .ctx = folder,
                              .drain = drain,
                              .trouble = folder_trouble};
    return observe_new(&env, &folder->observe) ? err_set(err, ERR_NOMEM, 0, "out of memory") : 0;
}

/* --- keeping others informed --- */

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

static void refresh_status(struct folder *folder)
{
    const struct journal_info *info = journal_info(folder->journal);
    int64_t watches = (int64_t)watch_count(folder->watch);
    struct troubled troubled = {0};
    pthread_mutex_lock(&folder->lock);
    struct folder_status *status = &folder->status;
    bool count = folder->had_trouble || status->unreadable_dirs || status->unwatched_dirs;
    folder->had_trouble = false;
    status->entries = tree_entry_count(folder->tree);
    status->directories = (int64_t)tree_dir_count(folder->tree) - 1;
    status->watches = watches;
    status->last_seq = info->last_seq;
    status->gap_open = info->gap_open;
    pthread_mutex_unlock(&folder->lock);
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
        refresh_status(folder);
        if (rows) {
            folder->notify.changed(folder->notify.ctx);
        }
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
    }
    if (request->rc == ERR_IO || request->rc == ERR_FULL || request->rc == ERR_CORRUPT) {
        folder->needs_open = true;
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
        request->done = true;
        pthread_cond_broadcast(&folder->wake_askers);
        pthread_mutex_unlock(&folder->lock);
        request = next;
    }
}

/* --- when things go wrong --- */

/* Closes everything and tries again later; what was dirty is found by the scan that follows. */
static void fail(struct folder *folder, const struct err *err)
{
    int64_t wait = folder->retry_wait_ns ? folder->retry_wait_ns * 2 : RETRY_MIN_S * CLOCK_NS_PER_S;
    wait = wait < RETRY_MAX_S * CLOCK_NS_PER_S ? wait : RETRY_MAX_S * CLOCK_NS_PER_S;
    folder->retry_wait_ns = wait;
    folder->retry_ns = clock_mono_ns() + wait;
    folder->needs_open = true;
    log_error("folder '%s': %s; trying again in %lld s", folder->config->name, err->text,
              (long long)(wait / CLOCK_NS_PER_S));
    script_clear(folder->script);
    close_parts(folder);
    folder_set_state(folder, FOLDER_FAILED, err->text);
}

static void lose_root(struct folder *folder, const struct err *err)
{
    struct err gap_err;
    int64_t wait = folder->retry_wait_ns ? folder->retry_wait_ns * 2 : RETRY_MIN_S * CLOCK_NS_PER_S;
    wait = wait < RETRY_MAX_S * CLOCK_NS_PER_S ? wait : RETRY_MAX_S * CLOCK_NS_PER_S;
    folder->retry_wait_ns = wait;
    folder->retry_ns = clock_mono_ns() + wait;
    if (!folder->root_lost) {
        log_error("folder '%s': %s; it waits until the folder is back", folder->config->name,
                  err->text);
        if (folder->scanned &&
            journal_gap(folder->journal, true, CHANGE_ROOT_LOST, clock_wall_ms(), &gap_err) != 0) {
            fail(folder, &gap_err);
            return;
        }
    }
    folder->root_lost = true;
    folder->needs_scan = true;
    folder_set_state(folder, FOLDER_ROOT_LOST, err->text);
}

/* --- steps of the loop; each returns false when the journal had to be given up --- */

static bool step_open(struct folder *folder)
{
    struct err err = {0};
    if (!folder->needs_open) {
        return true;
    }
    if (clock_mono_ns() < folder->retry_ns) {
        return false;
    }
    close_parts(folder);
    pthread_mutex_lock(&folder->lock);
    settle_clear(folder->settle); /* the scan that follows finds it all */
    pthread_mutex_unlock(&folder->lock);
    if (open_parts(folder, &err) != 0) {
        fail(folder, &err);
        return false;
    }
    folder->needs_open = false;
    folder->needs_scan = true;
    folder->scanned = false;
    folder->root_lost = false;
    folder->closing_gap = false;
    refresh_status(folder);
    if (check_root(folder, &err) != 0) {
        lose_root(folder, &err);
    } else {
        folder->retry_wait_ns = 0;
    }
    return !folder->needs_open;
}

static int forget_watch(void *ctx, struct entry *dir)
{
    (void)ctx;
    dir->watch = -1;
    return 0;
}

static bool step_root(struct folder *folder)
{
    struct err err = {0};
    pthread_mutex_lock(&folder->lock);
    bool hint = folder->root_hint;
    folder->root_hint = false;
    pthread_mutex_unlock(&folder->lock);
    if (folder->root_lost ? clock_mono_ns() < folder->retry_ns && !hint : !hint) {
        return !folder->root_lost;
    }
    if (check_root(folder, &err) != 0) {
        lose_root(folder, &err);
        return false;
    }
    if (folder->root_lost) {
        log_info("folder '%s': the folder is back", folder->config->name);
        folder->root_lost = false;
        folder->retry_wait_ns = 0;
        /* Unmounting dropped the watches; adding one that still stands gives the same number. */
        (void)tree_each_dir(folder->tree, forget_watch, NULL); /* it never stops */
    }
    return true;
}

/* Watches that the kernel dropped: should the directory still be there, it is listed when seen. */
static void step_dropped(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < folder->dropped_count; i++) {
        struct entry *dir = tree_dir(folder->tree, folder->dropped[i].dir);
        if (dir && dir->watch == folder->dropped[i].watch) {
            dir->watch = -1;
            dir->flags |= TREE_RELIST;
        }
    }
    folder->dropped_count = 0;
    pthread_mutex_unlock(&folder->lock);
}

static bool step_lost(struct folder *folder)
{
    struct err err = {0};
    pthread_mutex_lock(&folder->lock);
    uint32_t reason = folder->lost_reason;
    folder->lost_reason = 0;
    folder->status.gaps += reason != 0;
    pthread_mutex_unlock(&folder->lock);
    if (!reason) {
        return true;
    }
    reason = reason & CHANGE_OVERFLOW ? CHANGE_OVERFLOW : CHANGE_INTERNAL;
    log_warn("folder '%s': events were lost (%s); the folder is compared anew",
             folder->config->name, change_reason_name(reason));
    folder->needs_scan = true;
    folder->closing_gap = false;
    if (journal_gap(folder->journal, true, reason, clock_wall_ms(), &err) != 0) {
        fail(folder, &err);
        return false;
    }
    refresh_status(folder);
    folder->notify.changed(folder->notify.ctx);
    return true;
}

static bool step_scan(struct folder *folder)
{
    struct err err = {0};
    int64_t begun = clock_mono_ns();
    if (!folder->needs_scan || begun < folder->scan_not_before_ns) {
        return true;
    }
    folder->needs_scan = false;
    if (folder_scan(folder, &err) != 0) {
        if (!folder_stopping(folder)) {
            fail(folder, &err);
        }
        return false;
    }
    int64_t ended = clock_mono_ns();
    int64_t rest = 2 * (ended - begun);
    folder->scan_not_before_ns = ended + (rest > CLOCK_NS_PER_S / 4 ? rest : CLOCK_NS_PER_S / 4);
    folder->scanned = true;
    folder->closing_gap = true;
    folder->closing_before_ns = ended;
    refresh_status(folder);
    folder_set_state(folder, FOLDER_WATCHING, "");
    return true;
}

static void unwatch_left(struct folder *folder)
{
    for (size_t i = 0; i < folder->unwatch_count; i++) {
        watch_remove(folder->watch, folder->unwatch[i]);
    }
    folder->unwatch_count = 0;
}

/* Everything dirty since before this must be decided now: for a sync, or to close a gap. */
static int64_t forced_before(struct folder *folder)
{
    int64_t force = folder->closing_gap ? folder->closing_before_ns : 0;
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < FOLDER_TICKETS_MAX; i++) {
        const struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->state == TICKET_ARRIVED && ticket->arrived_ns > force) {
            force = ticket->arrived_ns;
        }
    }
    pthread_mutex_unlock(&folder->lock);
    return force;
}

/* One round: look, reconcile, commit. *more: call again before sleeping. */
static bool step_round(struct folder *folder, bool *more)
{
    struct err err = {0};
    enum observe_result result;
    int rc = observe_round(folder->observe, clock_mono_ns(), forced_before(folder), &result, &err);
    if (rc == 0 && result == OBSERVE_ROOT_LOST) {
        struct err why = err;
        if (check_root(folder, &why) == 0) {
            why = err;
        }
        lose_root(folder, &why);
        return false;
    }
    *more = rc == 0 && result == OBSERVE_FACTS;
    if (rc == 0 && *more) {
        struct reconcile_input input = {.facts = observe_facts(folder->observe),
                                        .defer = observe_defers(folder->observe),
                                        .next_seq = journal_info(folder->journal)->last_seq + 1};
        script_clear(folder->script);
        rc = reconcile(folder->tree, &input, folder->script, &err);
        rc = rc ? rc : folder_commit(folder, &err);
        if (rc == 0) {
            bool room = observe_after(folder->observe, clock_mono_ns());
            unwatch_left(folder);
            if (!room) {
                pthread_mutex_lock(&folder->lock);
                folder_lost_locked(folder, CHANGE_INTERNAL);
                pthread_mutex_unlock(&folder->lock);
            }
        }
    }
    if (rc != 0) {
        observe_abandon(folder->observe);
        fail(folder, &err);
    }
    return rc == 0;
}

static bool step_close_gap(struct folder *folder)
{
    struct err err = {0};
    if (!folder->closing_gap) {
        return true;
    }
    pthread_mutex_lock(&folder->lock);
    bool open = settle_pending_before(folder->settle, folder->closing_before_ns);
    pthread_mutex_unlock(&folder->lock);
    if (open) {
        return true;
    }
    folder->closing_gap = false;
    if (journal_gap(folder->journal, false, 0, clock_wall_ms(), &err) != 0) {
        fail(folder, &err);
        return false;
    }
    refresh_status(folder);
    folder->notify.changed(folder->notify.ctx);
    return true;
}

static void step_tickets(struct folder *folder)
{
    bool any = false;
    int64_t last_seq = journal_info(folder->journal)->last_seq;
    pthread_mutex_lock(&folder->lock);
    bool whole = !folder->needs_scan && !folder->closing_gap && !folder->lost_reason;
    for (size_t i = 0; whole && i < FOLDER_TICKETS_MAX; i++) {
        struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->state == TICKET_ARRIVED &&
            !settle_pending_before(folder->settle, ticket->arrived_ns)) {
            ticket->state = TICKET_DONE;
            ticket->seq = last_seq;
            any = true;
        }
    }
    pthread_mutex_unlock(&folder->lock);
    if (any) {
        folder->notify.changed(folder->notify.ctx);
    }
}

static int poll_dir(void *ctx, struct entry *dir)
{
    struct folder *folder = ctx;
    struct settle_mark mark = {.dir = dir->file, .due_ns = clock_mono_ns()};
    if ((dir->flags & TREE_UNWATCHED) && !settle_mark_dir(folder->settle, &mark)) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
        return 1;
    }
    return 0;
}

static void step_poll(struct folder *folder)
{
    int64_t now = clock_mono_ns();
    if (now < folder->poll_ns) {
        return;
    }
    folder->poll_ns = now + folder->config->poll_interval_ns;
    pthread_mutex_lock(&folder->lock);
    (void)tree_each_dir(folder->tree, poll_dir, folder); /* stopped early: said by lost_reason */
    pthread_mutex_unlock(&folder->lock);
}

static bool step_purge(struct folder *folder)
{
    struct err err = {0};
    int64_t now = clock_mono_ns(), purged = 0;
    if (folder->config->retention_forever || now < folder->purge_not_before_ns) {
        return true;
    }
    int64_t keep_after = clock_wall_ms() - folder->config->retention_ns / CLOCK_NS_PER_MS;
    if (journal_purge(folder->journal, keep_after, PURGE_ROWS, &purged, &err) != 0) {
        fail(folder, &err);
        return false;
    }
    if (purged < PURGE_ROWS) {
        folder->purge_not_before_ns = now + PURGE_EVERY_S * CLOCK_NS_PER_S;
    }
    return true;
}

/* All that can be done now. True: there is more, do not sleep. */
static bool work(struct folder *folder)
{
    bool more = false;
    folder_serve_requests(folder);
    if (!step_open(folder) || !step_root(folder)) {
        return false;
    }
    step_dropped(folder);
    if (!step_lost(folder) || !step_scan(folder)) {
        return false;
    }
    step_poll(folder);
    if (!folder->needs_scan && !step_round(folder, &more)) {
        return false;
    }
    if (!more && (!step_close_gap(folder) || !step_purge(folder))) {
        return false;
    }
    step_tickets(folder);
    return more;
}

/* --- sleeping --- */

static int64_t next_due_locked(const struct folder *folder)
{
    if (folder->needs_open || folder->root_lost) {
        return folder->retry_ns;
    }
    if (folder->needs_scan) {
        return folder->scan_not_before_ns;
    }
    int64_t due = settle_next_due(folder->settle);
    return due < folder->poll_ns ? due : folder->poll_ns;
}

static bool ticket_arrived_locked(const struct folder *folder)
{
    for (size_t i = 0; i < FOLDER_TICKETS_MAX; i++) {
        if (folder->tickets[i].state == TICKET_ARRIVED) {
            return true;
        }
    }
    return false;
}

static bool called_locked(const struct folder *folder)
{
    bool usable = !folder->needs_open && !folder->root_lost;
    return folder->stop || folder->requests || folder->root_hint ||
           (usable && folder->lost_reason) ||
           (usable && !folder->needs_scan && ticket_arrived_locked(folder));
}

static void sleep_until_due(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    while (!called_locked(folder)) {
        int64_t due = next_due_locked(folder);
        if (due <= clock_mono_ns()) {
            break;
        }
        folder->waiting_until_ns = due;
        if (due == SETTLE_NEVER) {
            pthread_cond_wait(&folder->wake_thread, &folder->lock);
        } else {
            struct timespec until = {.tv_sec = (time_t)(due / CLOCK_NS_PER_S),
                                     .tv_nsec = (long)(due % CLOCK_NS_PER_S)};
            (void)pthread_cond_timedwait(&folder->wake_thread, &folder->lock, &until);
        }
    }
    folder->waiting_until_ns = 0;
    pthread_mutex_unlock(&folder->lock);
}

static void refuse_requests(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    folder->closed = true;
    for (struct folder_request *request = folder->requests; request;) {
        struct folder_request *next = request->next;
        request->rc = err_set(&request->err, ERR_CANCELLED, 0, "folder '%s' has stopped",
                              folder->config->name);
        request->done = true;
        request = next;
    }
    folder->requests = NULL;
    folder->requests_tail = &folder->requests;
    pthread_cond_broadcast(&folder->wake_askers);
    pthread_mutex_unlock(&folder->lock);
}

void *folder_thread(void *ctx)
{
    struct folder *folder = ctx;
    while (!folder_stopping(folder)) {
        if (!work(folder)) {
            sleep_until_due(folder);
        }
    }
    refuse_requests(folder);
    close_parts(folder);
    folder_set_state(folder, FOLDER_STOPPED, "");
    return NULL;
}
