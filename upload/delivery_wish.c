/* delivery_wish.c: what somebody wants of a delivery (let the brake go, try or drop rows in
 * quarantine, send the tree whole): left by any thread, done by the upload's own at its next step.
 */
#include "delivery_private.h"

#include "config.h"

bool delivery_wish(struct delivery *delivery, enum journal_resync what, int64_t value)
{
    pthread_mutex_lock(&delivery->shared->lock);
    bool free = !delivery->wished;
    if (free) {
        delivery->wish = (struct journal_order){.what = what, .value = value};
        delivery->wished = true;
    }
    pthread_mutex_unlock(&delivery->shared->lock);
    return free;
}

bool delivery_has_wish(struct delivery *delivery)
{
    pthread_mutex_lock(&delivery->shared->lock);
    bool wished = delivery->wished;
    pthread_mutex_unlock(&delivery->shared->lock);
    return wished;
}

/* Only this thread takes a wish away, so that it stays as it is meanwhile. */
void delivery_do_wish(struct delivery *delivery)
{
    struct upload_journal *journal = &delivery->journal;
    const char *name = delivery->shared->config->name;
    struct journal_order order = delivery->wish;
    struct err err = {0};
    int code = 0;
    order.consumer = name;
    if (order.what != JOURNAL_SNAPSHOT)
        code = journal->resync(journal->ctx, &order, &err);
    if (code && code != ERR_NOTFOUND) {
        delivery_fail_with(delivery, &err); /* once more with the next try */
        return;
    }
    pthread_mutex_lock(&delivery->shared->lock);
    delivery->wished = false;
    pthread_mutex_unlock(&delivery->shared->lock);
    log_info("upload '%s', folder '%s': %s", name, delivery->journal.folder,
             order.what == JOURNAL_RELEASE    ? "the brake was released"
             : order.what == JOURNAL_SNAPSHOT ? "a resync was asked for"
             : order.what == JOURNAL_RETRY    ? "rows in quarantine are sent once more"
                                              : "rows in quarantine were dropped");
    delivery_wait(delivery, 0, false);
    if (order.what == JOURNAL_RELEASE)
        delivery->resync_released = true;
    if (order.what == JOURNAL_SNAPSHOT) {
        /* Out of the way of the next wish, which may be to release this one, but kept in mind until
         * the tree has arrived. */
        delivery->tree_wanted = true;
        if (!delivery->snapshot.gen)
            delivery_begin_snapshot(delivery, "a resync was asked for");
    }
}
