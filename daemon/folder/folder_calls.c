/* folder_calls.c: what others ask of a folder: to be told when all before a moment is journaled, to
 * adopt another directory, and the writes of uploads. Any thread; the folder's own does it. */
#include "folder.h"

#include "clock.h"
#include "condwait.h"
#include "folder_private.h"
#include "osfile.h"

/* --- syncs --- */

static struct folder_ticket *free_ticket_locked(struct folder *folder)
{
    struct folder_ticket *oldest_done = NULL;
    for (size_t i = 0; i < FOLDER_TICKETS_MAX; i++) {
        struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->state == TICKET_FREE) {
            return ticket;
        }
        if (ticket->state == TICKET_DONE &&
            (!oldest_done || ticket->number < oldest_done->number)) {
            oldest_done = ticket;
        }
    }
    return oldest_done;
}

/* No mark can be put into the kernel's queue: what a comparison that begins from now on finds is
 * all that happened before (RULES 28). Nothing was lost, so there is no gap. */
static void sync_by_scan(struct folder *folder, struct folder_ticket *ticket, uint64_t number,
                         const char *why)
{
    int64_t skipped = 0;
    pthread_mutex_lock(&folder->lock);
    if (ticket->state == TICKET_SENT && ticket->number == number) { /* else a loss answered it */
        ticket->state = TICKET_ARRIVED;
        ticket->arrived_ns = clock_mono_ns() + 1;
    }
    folder->scan_asked = true;
    bool speak = log_allowed(&folder->sync_limit, 60 * CLOCK_NS_PER_S, &skipped);
    pthread_cond_signal(&folder->wake_thread);
    pthread_mutex_unlock(&folder->lock);
    if (speak) {
        log_warn("folder '%s': %s; sync compares the whole folder instead (%lld more since the "
                 "last such message)",
                 folder->config->name, why, (long long)skipped);
    }
}

int folder_sync_start(struct folder *folder, uint64_t *number, struct err *err)
{
    pthread_mutex_lock(&folder->lock);
    struct folder_ticket *ticket =
        folder->closed || folder->stop ? NULL : free_ticket_locked(folder);
    uint64_t mine = ticket ? ++folder->next_ticket : 0;
    if (ticket) {
        *ticket = (struct folder_ticket){.number = mine, .state = TICKET_SENT};
        if (folder->status.state == FOLDER_ROOT_LOST) {
            folder->root_asked++; /* whoever asks may know that it is back */
            pthread_cond_signal(&folder->wake_thread);
        }
    }
    bool closed = folder->closed || folder->stop;
    pthread_mutex_unlock(&folder->lock);
    if (closed) {
        return err_set(err, ERR_CANCELLED, 0, "folder '%s' is stopping", folder->config->name);
    }
    if (!ticket) {
        return err_set(err, ERR_LIMIT, 0, "folder '%s': %d syncs wait already; try again later",
                       folder->config->name, FOLDER_TICKETS_MAX);
    }
    int rc = watch_barrier(folder->watch, mine, err);
    if (rc == ERR_LIMIT) {
        pthread_mutex_lock(&folder->lock);
        ticket->state = TICKET_FREE;
        pthread_mutex_unlock(&folder->lock);
        return rc;
    }
    if (rc != 0) {
        sync_by_scan(folder, ticket, mine, err->text);
    }
    *number = mine;
    return 0;
}

int folder_sync_done(struct folder *folder, uint64_t number, int64_t *seq, struct err *err)
{
    int rc = ERR_NOTFOUND;
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < FOLDER_TICKETS_MAX; i++) {
        const struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->number != number || ticket->state == TICKET_FREE) {
            continue;
        }
        rc = ticket->state == TICKET_DONE;
        if (rc == 1) {
            *seq = ticket->seq;
        }
    }
    enum folder_state state = folder->status.state;
    char why[sizeof folder->status.error];
    (void)snprintf(why, sizeof why, "%s", folder->status.error);
    bool closed = folder->closed, unanswered = folder->root_asked != folder->root_answered;
    pthread_mutex_unlock(&folder->lock);
    if (rc == 1) {
        return 1;
    }
    if (closed) {
        return err_set(err, ERR_CANCELLED, 0, "folder '%s' has stopped", folder->config->name);
    }
    if (rc == 0 && !unanswered && (state == FOLDER_ROOT_LOST || state == FOLDER_FAILED)) {
        return err_set(err, ERR_CONFLICT, 0, "folder '%s' cannot be synced now: %s",
                       folder->config->name, why);
    }
    return rc == 0 ? 0 : err_set(err, rc, 0, "folder '%s': no such sync", folder->config->name);
}

int folder_adopt(struct folder *folder, struct err *err)
{
    pthread_mutex_lock(&folder->lock);
    bool lost = folder->status.state == FOLDER_ROOT_LOST && !folder->closed && !folder->stop;
    folder->adopt = lost;
    pthread_cond_signal(&folder->wake_thread);
    pthread_mutex_unlock(&folder->lock);
    if (!lost) {
        return err_set(err, ERR_CONFLICT, 0,
                       "folder '%s' is the one that is journaled: there is nothing to adopt",
                       folder->config->name);
    }
    return 0;
}

/* --- writes for others --- */

/* Takes a request back that the folder's thread has not taken. */
static bool withdraw_locked(struct folder *folder, struct folder_request *request)
{
    struct folder_request **at = &folder->requests;
    while (*at && *at != request) {
        at = &(*at)->next;
    }
    if (!*at) {
        return false;
    }
    *at = request->next;
    if (folder->requests_tail == &request->next) {
        folder->requests_tail = at;
    }
    return true;
}

static int post(struct folder *folder, struct folder_request *request, struct err *err)
{
    pthread_mutex_lock(&folder->lock);
    if (folder->closed || folder->stop) {
        pthread_mutex_unlock(&folder->lock);
        return err_set(err, ERR_CANCELLED, 0, "folder '%s' is stopping", folder->config->name);
    }
    *folder->requests_tail = request;
    folder->requests_tail = &request->next;
    pthread_cond_signal(&folder->wake_thread);
    while (!request->done &&
           !(folder_hung_ms_locked(folder) > 0 && withdraw_locked(folder, request))) {
        /* Whoever asks for several folders must not wait for one that hangs (RULES 25). */
        int64_t beat_ns = __atomic_load_n(&folder->beat_ns, __ATOMIC_RELAXED),
                now = clock_mono_ns();
        beat_ns = beat_ns > now - CLOCK_NS_PER_S ? beat_ns : now - CLOCK_NS_PER_S;
        folder_wait_locked(folder, beat_ns + FOLDER_HUNG_MS * CLOCK_NS_PER_MS);
    }
    bool done = request->done;
    pthread_mutex_unlock(&folder->lock);
    if (!done) {
        return err_set(err, ERR_BUSY, 0, "folder '%s': its file system does not answer",
                       folder->config->name);
    }
    if (request->rc != 0 && err) {
        *err = request->err;
    }
    return request->rc;
}

int folder_store_batch(void *folder, const char *consumer, const struct journal_batch *batch,
                       struct err *err)
{
    struct folder_request request = {.kind = REQUEST_BATCH, .consumer = consumer, .batch = batch};
    return post(folder, &request, err);
}

int folder_ack(void *folder, const char *consumer, int64_t seq, struct err *err)
{
    struct folder_request request = {.kind = REQUEST_ACK, .consumer = consumer, .seq = seq};
    return post(folder, &request, err);
}

int folder_report(void *folder, const char *consumer, const char *error, struct err *err)
{
    struct folder_request request = {.kind = REQUEST_REPORT, .consumer = consumer, .text = error};
    return post(folder, &request, err);
}

int folder_resync(void *folder, const struct journal_order *order, struct err *err)
{
    struct folder_request request = {.kind = REQUEST_RESYNC, .order = order};
    return post(folder, &request, err);
}
