/* delivery_answer.c: the answer in hand against where the journal stands, and what is said of a
 * refusal. The upload's thread. */
#include "config.h"
#include "clock.h"
#include "delivery_private.h"
#include "reader.h"

static int compare_sum(struct delivery *delivery, enum retry_sum *out, struct err *err)
{
    const struct transport_answer *answer = &delivery->shared->answer;
    uint64_t ours;
    *out = RETRY_SUM_UNKNOWN;
    if (!answer->has_sum || answer->acked > delivery->info.last_seq)
        return 0;
    int code = reader_sum(delivery->reader, answer->acked, &ours, err);
    if (code == 0)
        *out = ours == answer->sum ? RETRY_SUM_SAME : RETRY_SUM_OTHER;
    return code == ERR_NOTFOUND ? 0 : code; /* purged */
}

int64_t delivery_floor(const struct delivery *delivery)
{
    const struct journal_info *info = &delivery->info;
    bool older = delivery_is_replica(delivery) && info->epoch_seq > info->floor_seq;
    return older ? info->epoch_seq : info->floor_seq;
}

bool delivery_judge(struct delivery *delivery, struct retry_ask *ask, struct retry_decision *out)
{
    const struct config_upload *config = delivery->shared->config;
    const struct transport_answer *answer = &delivery->shared->answer;
    struct retry_answer facts = {
        .status = answer->status,
        .retry_after_ms = answer->retry_after_ms,
        .has_acked = answer->has_acked,
        .has_cursor = answer->has_acked && answer->has_epoch && answer->has_sum,
        .gen = answer->gen,
        .acked = answer->acked,
        .epoch = answer->epoch,
    };
    struct err err = {0};
    if (compare_sum(delivery, &facts.sum, &err)) {
        delivery_fail_with(delivery, &err);
        return false;
    }
    ask->ack = (enum config_ack)config->ack;
    ask->replica = delivery_is_replica(delivery);
    ask->epoch = delivery->info.epoch;
    ask->floor = delivery_floor(delivery);
    ask->acked = delivery->acked;
    ask->last_seq = delivery->info.last_seq;
    ask->retry_min_ms = config->retry_min_ns / CLOCK_NS_PER_MS;
    ask->retry_max_ms = config->retry_max_ns / CLOCK_NS_PER_MS;
    ask->failures = delivery->failures;
    ask->random = delivery_random(delivery);
    retry_decide(ask, &facts, out);
    int64_t entries;
    if (facts.has_cursor && answer->body.len > 0 &&
        reader_json_get_i64(answer->body.data, answer->body.len, "$.entries", &entries, NULL) == 0)
        delivery->server_entries = entries;
    if (answer->gen > delivery->server_gen)
        delivery->server_gen = answer->gen;
    int64_t now_ms = clock_wall_ms();
    pthread_mutex_lock(&delivery->shared->lock);
    delivery->status.http_status = answer->status;
    delivery->status.answered_wall_ms = now_ms;
    pthread_mutex_unlock(&delivery->shared->lock);
    return true;
}

void delivery_refuse(struct delivery *delivery, const struct retry_decision *decision)
{
    const struct transport_answer *answer = &delivery->shared->answer;
    struct buf text;
    buf_init(&text, sizeof decision->text + 2 * TRANSPORT_EXCERPT_MAX);
    buf_add_str(&text, decision->text);
    if (answer->status >= 400)
        transport_add_excerpt(&text, answer);
    bool row = decision->action == RETRY_PAUSE && delivery->shared->batch.head.rows == 1 &&
               (answer->status == 400 || answer->status == 413 || answer->status == 422);
    if (row) {
        delivery_add_row(delivery, &text);
        buf_add_str(&text, "; nothing goes past it: mend the server and say 'spoor quarantine "
                           "retry', or send the tree anew by 'spoor resync'");
    }
    delivery_fail(delivery, decision->action == RETRY_PAUSE, decision->delay_ms,
                  text.data && buf_ok(&text) ? text.data : decision->text);
    buf_deinit(&text);
}

bool delivery_heed(struct delivery *delivery, struct retry_ask *ask, struct retry_decision *out)
{
    if (!delivery_judge(delivery, ask, out))
        return false;
    if (out->action != RETRY_AGAIN && out->action != RETRY_PAUSE)
        return true;
    delivery_refuse(delivery, out);
    return false;
}
