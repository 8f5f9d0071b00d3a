/* folder_thread.c: the loop of a folder's own thread: open, scan, look, reconcile, commit; the gap
 * around every loss; and the writes that others have asked for. It sleeps until something is due,
 * for ever when nothing is: an idle folder wakes nobody. */
#include "folder_private.h"

#include "clock.h"
#include "condwait.h"
#include "journal.h"

enum { RETRY_MIN_S = 1, RETRY_MAX_S = 60, PURGE_EVERY_S = 60, PURGE_ROWS = 20000 };

/* --- when things go wrong --- */

void folder_back_off(struct folder *folder)
{
    int64_t wait = folder->retry_wait_ns ? folder->retry_wait_ns * 2 : RETRY_MIN_S * CLOCK_NS_PER_S;
    wait = wait < RETRY_MAX_S * CLOCK_NS_PER_S ? wait : RETRY_MAX_S * CLOCK_NS_PER_S;
    folder->retry_wait_ns = wait;
    folder->retry_ns = clock_mono_ns() + wait;
}

void folder_fail(struct folder *folder, const struct err *err)
{
    folder_back_off(folder);
    folder->needs_open = true;
    folder->suspect |= err->code == ERR_CORRUPT;
    log_error("folder '%s': %s; trying again in %lld s", folder->config->name, err->text,
              (long long)(folder->retry_wait_ns / CLOCK_NS_PER_S));
    script_clear(folder->script);
    folder_close_parts(folder);
    folder_set_state(folder, FOLDER_FAILED, err->text);
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
    folder_close_parts(folder);
    pthread_mutex_lock(&folder->lock);
    settle_clear(folder->settle); /* the scan that follows finds it all */
    inodes_clear(&folder->inodes);
    pthread_mutex_unlock(&folder->lock);
    if (folder_open_parts(folder, &err) != 0) {
        folder_fail(folder, &err);
        return false;
    }
    folder->needs_open = false;
    folder->needs_scan = true;
    folder->scanned = false;
    folder->root_lost = false;
    folder->closing_gap = false;
    folder_refresh_status(folder);
    if (folder_check_root(folder, &err) != 0) {
        folder_lose_root(folder, &err);
    }
    return !folder->needs_open;
}

static bool step_lost(struct folder *folder)
{
    struct err err = {0};
    pthread_mutex_lock(&folder->lock);
    uint32_t reason = folder->lost_reason;
    bool forgotten = folder->watches_forgotten;
    folder->lost_reason = 0;
    folder->watches_forgotten = false;
    folder->status.gaps += reason != 0;
    pthread_mutex_unlock(&folder->lock);
    if (!reason) {
        return true;
    }
    if (forgotten || (reason & CHANGE_ROOT_LOST)) {
        folder_forget_watches(folder);
    }
    if (reason & CHANGE_ROOT_LOST) {
        reason = CHANGE_ROOT_LOST;
    } else {
        reason = reason & CHANGE_OVERFLOW ? CHANGE_OVERFLOW : CHANGE_INTERNAL;
    }
    log_warn("folder '%s': events were lost (%s); the folder is compared anew",
             folder->config->name, change_reason_name(reason));
    folder->needs_scan = true;
    folder->closing_gap = false;
    if (journal_gap(folder->journal, true, reason, clock_wall_ms(), &err) != 0) {
        folder_fail(folder, &err);
        return false;
    }
    folder_refresh_status(folder);
    folder->notify.changed(folder->notify.ctx);
    return true;
}

/* A comparison in which the folder went away is no failure: the gap says so. A first index leaves a
 * tree that is ahead of its table, and begins anew. */
static void scan_failed(struct folder *folder, const struct err *err)
{
    struct err why = {0};
    if (folder_stopping(folder)) {
        return;
    }
    if (err->code == ERR_NOTFOUND && journal_info(folder->journal)->indexed &&
        folder_check_root(folder, &why) != 0) {
        folder_lose_root(folder, &why);
    } else {
        folder_fail(folder, err);
    }
}

static bool step_scan(struct folder *folder)
{
    struct err err = {0};
    pthread_mutex_lock(&folder->lock);
    folder->needs_scan |= folder->scan_asked;
    folder->scan_asked = false;
    pthread_mutex_unlock(&folder->lock);
    int64_t begun = clock_mono_ns();
    if (!folder->needs_scan || begun < folder->scan_not_before_ns) {
        return true;
    }
    folder->needs_scan = false;
    if (folder_scan(folder, &err) != 0) {
        scan_failed(folder, &err);
        return false;
    }
    int64_t ended = clock_mono_ns();
    int64_t rest = 2 * (ended - begun);
    folder->scan_not_before_ns = ended + (rest > CLOCK_NS_PER_S / 4 ? rest : CLOCK_NS_PER_S / 4);
    folder->scanned = true;
    folder->closing_gap = true;
    folder->closing_before_ns = ended;
    folder_refresh_status(folder);
    folder_set_state(folder, FOLDER_WATCHING, "");
    return true;
}

static bool step_inodes(struct folder *folder)
{
    struct err err = {0};
    if (folder_find_inodes(folder, &err) == 0) {
        return true;
    }
    folder_fail(folder, &err);
    return false;
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

static void after_round(struct folder *folder, bool room)
{
    bool limited = observe_limited(folder->observe);
    int64_t watches = (int64_t)watch_count(folder->watch); /* fewer than when it was committed */
    pthread_mutex_lock(&folder->lock);
    folder->status.watches = watches;
    if (!room) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
    }
    folder->had_trouble |= limited;
    pthread_mutex_unlock(&folder->lock);
    if (limited) {
        folder_refresh_status(folder); /* starts the polling; the commit came before the flags */
    }
}

/* One round: look, reconcile, commit. *more: call again before sleeping. */
static bool step_round(struct folder *folder, bool *more)
{
    struct err err = {0};
    enum observe_result result;
    script_clear(folder->script);
    int rc = observe_round(folder->observe, clock_mono_ns(), forced_before(folder), &result, &err);
    if (rc == 0 && result == OBSERVE_ROOT_LOST) {
        struct err why = err;
        if (folder_check_root(folder, &why) == 0) {
            why = err;
        }
        folder_lose_root(folder, &why);
        return false;
    }
    *more = rc == 0 && result == OBSERVE_FACTS;
    if (rc == 0 && *more) {
        struct reconcile_input input = {.facts = observe_facts(folder->observe),
                                        .defer = observe_defers(folder->observe),
                                        .weak = folder->weak,
                                        .next_seq = journal_info(folder->journal)->last_seq + 1};
        rc = reconcile(folder->tree, &input, folder->script, &err);
        rc = rc ? rc : folder_commit(folder, &err);
        if (rc == 0) {
            bool room = observe_after(folder->observe, clock_mono_ns());
            unwatch_left(folder);
            after_round(folder, room);
        }
    }
    if (rc != 0) {
        observe_abandon(folder->observe);
        folder_fail(folder, &err);
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
        folder_fail(folder, &err);
        return false;
    }
    folder_refresh_status(folder);
    folder->notify.changed(folder->notify.ctx);
    return true;
}

/* Is there nothing left of what was told before this time? */
static bool decided_before_locked(const struct folder *folder, int64_t before_ns)
{
    return !settle_pending_before(folder->settle, before_ns) &&
           (folder->inodes.count == 0 || folder->inodes.first_ns >= before_ns) &&
           (folder->dropped_count == 0 || folder->dropped_first_ns >= before_ns);
}

static void step_tickets(struct folder *folder)
{
    bool any = false;
    int64_t last_seq = journal_info(folder->journal)->last_seq;
    pthread_mutex_lock(&folder->lock);
    bool whole =
        !folder->needs_scan && !folder->closing_gap && !folder->lost_reason && !folder->scan_asked;
    for (size_t i = 0; whole && i < FOLDER_TICKETS_MAX; i++) {
        struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->state == TICKET_ARRIVED && ticket->polled &&
            decided_before_locked(folder, ticket->arrived_ns)) {
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

/* Whatever is found may have happened before whichever sync asked for it: dirty since ever. */
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

/* What is not watched is listed when its interval is over, and when a sync asks: the kernel's queue
 * says nothing of it, so the barrier alone would promise too much. */
static void step_poll(struct folder *folder)
{
    int64_t now = clock_mono_ns();
    bool asked = false;
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < FOLDER_TICKETS_MAX; i++) {
        struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->state == TICKET_ARRIVED && !ticket->polled) {
            ticket->polled = true;
            asked = true;
        }
    }
    if (asked) {
        settle_hurry(folder->settle, now); /* what failed may succeed now */
    }
    if (folder->poll_ns != SETTLE_NEVER && (asked || now >= folder->poll_ns)) {
        folder->poll_ns = now + folder->config->poll_interval_ns;
        (void)tree_each_dir(folder->tree, poll_dir,
                            folder); /* stopped early: lost_reason says so */
    }
    pthread_mutex_unlock(&folder->lock);
}

static bool step_purge(struct folder *folder)
{
    struct err err = {0};
    int64_t now = clock_mono_ns(), purged = 0;
    if (now < folder->purge_not_before_ns) {
        return true;
    }
    const struct config_folder *config = folder->config;
    int64_t now_ms = clock_wall_ms();
    const struct journal_keep keep = {
        .after_wall_ms =
            config->retention_forever ? INT64_MIN : now_ms - config->retention_ns / CLOCK_NS_PER_MS,
        .heard_after_wall_ms = config->consumer_expiry_forever
                                   ? INT64_MIN
                                   : now_ms - config->consumer_expiry_ns / CLOCK_NS_PER_MS,
        .rows_max = config->rows_max,
    };
    if (journal_purge(folder->journal, &keep, PURGE_ROWS, &purged, &err) != 0) {
        folder_fail(folder, &err);
        return false;
    }
    if (purged < PURGE_ROWS) {
        folder->purge_not_before_ns = now + PURGE_EVERY_S * CLOCK_NS_PER_S;
    }
    return true;
}

static bool step_doubt(struct folder *folder)
{
    struct err err = {0};
    if (folder_settle_doubt(folder, &err) == 0) {
        return true;
    }
    folder_fail(folder, &err);
    return false;
}

bool folder_step(struct folder *folder)
{
    bool more = false;
    __atomic_store_n(&folder->beat_ns, clock_mono_ns(), __ATOMIC_RELAXED);
    folder_serve_requests(folder);
    if (!step_open(folder) || !step_doubt(folder) || !folder_step_root(folder)) {
        return false;
    }
    folder_note_dropped(folder);
    if (!step_lost(folder) || !step_scan(folder)) {
        return false;
    }
    if (!folder->needs_scan && !step_inodes(folder)) {
        return false;
    }
    step_poll(folder);
    if (!folder->needs_scan && !step_round(folder, &more)) {
        return false;
    }
    if ((!more && !step_close_gap(folder)) || !step_purge(folder)) {
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
    return folder->stop || folder->requests || folder->adopt || (usable && folder->doubted) ||
           folder->root_asked != folder->root_answered || (usable && folder->lost_reason) ||
           (usable && !folder->needs_scan &&
            (folder->inodes.count || folder->dropped_count || ticket_arrived_locked(folder)));
}

int64_t folder_due(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    int64_t due = called_locked(folder) ? 0 : next_due_locked(folder);
    pthread_mutex_unlock(&folder->lock);
    return due;
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
            condwait_until(&folder->wake_thread, &folder->lock, due);
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
        folder_finish_locked(folder, request);
        request = next;
    }
    folder->requests = NULL;
    folder->requests_tail = &folder->requests;
    pthread_mutex_unlock(&folder->lock);
}

void folder_end(struct folder *folder)
{
    refuse_requests(folder);
    folder_close_parts(folder);
    folder_set_state(folder, FOLDER_STOPPED, "");
    pthread_mutex_lock(&folder->lock);
    folder->ended = true;
    pthread_cond_broadcast(&folder->wake_askers);
    pthread_mutex_unlock(&folder->lock);
}

void *folder_thread(void *ctx)
{
    struct folder *folder = ctx;
    while (!folder_stopping(folder)) {
        if (!folder_step(folder)) {
            sleep_until_due(folder);
        }
    }
    folder_end(folder);
    return NULL;
}
