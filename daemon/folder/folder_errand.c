/* folder_errand.c: a journal's order from one who must not wait for the folder's thread, as the
 * daemon's main thread must not (RULES 25). The errand outlives the folder, if it must: it belongs
 * to its sender, and once it is through nothing else knows of it. */
#include "folder_private.h"

#include <stdatomic.h>

#include "wake.h"

struct folder_errand {
    struct folder_request request; /* first: it is what the folder's thread gets */
    struct journal_order order;
    char consumer[65];
    struct wake *wake;
    atomic_bool through;
};

static void finished(struct folder_request *request)
{
    struct folder_errand *errand = (struct folder_errand *)request;
    struct wake *wake = errand->wake;
    atomic_store(&errand->through, true); /* from here on its sender may free it */
    wake_set(wake);
}

int folder_send(struct folder *folder, const struct journal_order *order, struct wake *wake,
                struct folder_errand **out, struct err *err)
{
    struct folder_status status;
    struct folder_errand *errand = calloc(1, sizeof *errand);
    if (!errand) {
        return err_set(err, ERR_NOMEM, 0, "folder '%s': out of memory", folder->config->name);
    }
    folder_get_status(folder, &status);
    errand->order = *order;
    errand->wake = wake;
    errand->request.kind = REQUEST_RESYNC;
    errand->request.finished = finished;
    int len = snprintf(errand->consumer, sizeof errand->consumer, "%s", order->consumer);
    errand->order.consumer = errand->consumer;
    errand->request.order = &errand->order;
    int rc = 0;
    pthread_mutex_lock(&folder->lock);
    if (len < 0 || (size_t)len >= sizeof errand->consumer) {
        rc = err_set(err, ERR_INVALID, 0, "consumer '%.64s...': the name is too long",
                     order->consumer);
    } else if (status.hung_ms > 0) {
        rc = err_set(err, ERR_BUSY, 0, "folder '%s': its file system does not answer",
                     folder->config->name);
    } else if (folder->closed || folder->stop) {
        rc = err_set(err, ERR_CANCELLED, 0, "folder '%s' is stopping", folder->config->name);
    } else {
        *folder->requests_tail = &errand->request;
        folder->requests_tail = &errand->request.next;
        pthread_cond_signal(&folder->wake_thread);
        *out = errand;
    }
    pthread_mutex_unlock(&folder->lock);
    if (rc != 0) {
        free(errand);
    }
    return rc;
}

bool folder_errand_done(struct folder_errand *errand, int *rc, struct err *err)
{
    if (!atomic_load(&errand->through)) {
        return false;
    }
    *rc = errand->request.rc;
    *err = errand->request.err;
    return true;
}

void folder_errand_free(struct folder_errand *errand)
{
    free(errand);
}
