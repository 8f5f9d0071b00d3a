/* delivery_form.c: the bytes that a delivery sends next: those that are stored, or new ones, stored
 * before they are first sent (RULES 15). A log's batch without rows is neither stored nor sent: its
 * range is acknowledged as it is. The upload's thread. */
#include "delivery_private.h"

#include "brake.h"
#include "change.h"
#include "config.h"

bool delivery_takes_tree(const struct delivery *delivery)
{
    unsigned kinds = batch_kinds(&delivery->shared->config->kinds);
    return !kinds || (kinds & 1U << CHANGE_CREATE);
}

bool delivery_has_rows(const struct delivery *delivery)
{
    return delivery_is_replica(delivery) || delivery->shared->batch.head.rows > 0;
}

/* Forms the next batch and has it stored. */
static int form(struct delivery *delivery, struct err *err)
{
    struct delivery_shared *shared = delivery->shared;
    struct upload_journal *journal = &delivery->journal;
    struct brake brake;
    struct batch_limits limits = {
        .rows = shared->config->batch_rows,
        .bytes = shared->config->batch_bytes,
        .format = (enum config_format)shared->config->format,
        .brake = &brake,
        .fold = shared->config->fold != 0,
        .kinds = batch_kinds(&shared->config->kinds),
    };
    int code = delivery_set_brake(delivery, &brake, err);
    if (code)
        return code;
    if (delivery->rows_cap > 0 && delivery->rows_cap < limits.rows)
        limits.rows = delivery->rows_cap;
    code = delivery->snapshot.gen
               ? batch_build_part(shared->writer, delivery->reader, &delivery->snapshot, &limits,
                                  &shared->batch, err)
               : batch_build(shared->writer, delivery->reader, delivery->acked, &limits,
                             &shared->batch, err);
    if (code)
        return code;
    if (delivery->recut_rows && shared->batch.head.rows >= delivery->recut_rows) {
        /* The next try sends what is stored: the server's limit may have been raised. */
        delivery->recut_rows = 0;
        delivery->rows_cap = 0;
        return err_set(err, ERR_LIMIT, 0,
                       "the server takes no batch of %lld rows, and rows %lld..%lld cannot be "
                       "cut; raise the server's limit on a request's size",
                       (long long)shared->batch.head.rows, (long long)shared->batch.head.first,
                       (long long)shared->batch.head.last);
    }
    if (!delivery_has_rows(delivery)) {
        delivery->recut_rows = 0;
        return 0;
    }
    code = journal->store_batch(journal->ctx, shared->config->name, &shared->batch.head, err);
    if (!code)
        delivery->recut_rows = 0;
    return code;
}

/* Is the stored batch what comes next? Rows of an older epoch are a log's, left over from before.
 */
static bool is_next(const struct delivery *delivery, const struct journal_batch *head)
{
    const struct journal_snapshot *snapshot = &delivery->snapshot;
    const struct journal_info *info = &delivery->info;
    if (snapshot->gen)
        return head->gen == snapshot->gen && head->part == snapshot->parts + 1;
    return head->gen == 0 && head->first == delivery->acked + 1 &&
           (head->epoch == info->epoch || head->last <= info->epoch_seq);
}

int delivery_take_batch(struct delivery *delivery, struct err *err)
{
    struct batch *batch = &delivery->shared->batch;
    if (delivery->batch_last && !delivery->recut_rows) {
        int code = batch_load(delivery->reader, delivery->shared->config->name, batch, err);
        if (!code && is_next(delivery, &batch->head))
            return 0;
        if (code && code != ERR_NOTFOUND && code != ERR_CORRUPT)
            return code;
        /* Damaged or overtaken bytes can be formed anew: the server knows rows by their sums. */
    }
    return form(delivery, err);
}
