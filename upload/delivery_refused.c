/* delivery_refused.c: rows that a server refuses as such (400, 422, or 413 alone): found by
 * halving; set aside where the server is a log, so that the rest flows; for a replica the delivery
 * stops there (RULES 16). A row in quarantine is sent once more when somebody asks for it, by the
 * very bytes that were refused. */
#include "delivery_private.h"

#include "clock.h"
#include "config.h"
#include "gzip.h"
#include "log.h"
#include "post.h"
#include "reader.h"
#include "text.h"

#define ASIDE_MAX     3         /* so many one after the other: it is not the rows */
#define ROW_BYTES_MAX (4 << 20) /* of a row's line, unpacked */
#define PATH_SHOWN    200

void delivery_bisect(struct delivery *delivery)
{
    if (delivery->shared->answer.status != 413)
        delivery->bisecting = true;
    delivery_halve(delivery);
}

void delivery_was_taken(struct delivery *delivery)
{
    delivery->set_aside = 0;
    delivery->resync_released = false;
    delivery->snapshots = delivery->rewinds = delivery->renewals = (struct delivery_turns){0};
    if (!delivery->bisecting)
        return;
    delivery->rows_cap *= 2;
    if (delivery->rows_cap >= delivery->shared->config->batch_rows) {
        delivery->rows_cap = 0;
        delivery->bisecting = false;
    }
}

static bool unpack(const struct journal_batch *batch, struct buf *line)
{
    if (batch->gzip)
        return gzip_unpack(batch->body.at, batch->body.len, line, NULL) == 0;
    buf_add(line, batch->body.at, batch->body.len);
    return buf_ok(line);
}

void delivery_add_row(const struct delivery *delivery, struct buf *out)
{
    struct buf line, kind, path;
    buf_init(&line, ROW_BYTES_MAX);
    buf_init(&kind, 64);
    buf_init(&path, ROW_BYTES_MAX);
    if (unpack(&delivery->shared->batch.head, &line) &&
        reader_json_get(line.data, line.len, "$.kind", &kind, NULL) == 0) {
        buf_addf(out, "; it is the %s of '", kind.data);
        if (reader_json_get(line.data, line.len, "$.path", &path, NULL) == 0)
            text_add_escaped(out, path.data, path.len < PATH_SHOWN ? path.len : PATH_SHOWN);
        buf_add_char(out, '\'');
    }
    buf_deinit(&line);
    buf_deinit(&kind);
    buf_deinit(&path);
}

/* Asks the folder's thread, with what the server said. False: it failed, which is dealt with. */
static bool order(struct delivery *delivery, enum journal_resync what, int64_t seq)
{
    const struct transport_answer *answer = &delivery->shared->answer;
    struct buf text;
    struct err err = {0};
    buf_init(&text, TRANSPORT_EXCERPT_MAX + 64);
    buf_addf(&text, "%d", answer->status);
    transport_add_excerpt(&text, answer);
    buf_add(&text, "", 1);
    const struct journal_order wanted = {
        .what = what,
        .consumer = delivery->shared->config->name,
        .value = seq,
        .status = answer->status,
        .text = buf_ok(&text) ? text.data : "",
    };
    int code = delivery->journal.resync(delivery->journal.ctx, &wanted, &err);
    buf_deinit(&text);
    if (code)
        delivery_fail_with(delivery, &err);
    return code == 0;
}

void delivery_set_aside(struct delivery *delivery, const struct retry_decision *decision)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    struct retry_decision pause = *decision;
    if (delivery->set_aside + 1 >= ASIDE_MAX) {
        pause.action = RETRY_PAUSE;
        pause.delay_ms = delivery->shared->config->retry_max_ns / CLOCK_NS_PER_MS;
        (void)snprintf(pause.text, sizeof pause.text,
                       "row %lld is refused as the %d rows before it were: the server refuses "
                       "everything",
                       (long long)head->last, ASIDE_MAX - 1); /* fits */
        delivery_refuse(delivery, &pause);
        return;
    }
    int64_t last = head->last;
    if (!order(delivery, JOURNAL_QUARANTINE, last))
        return;
    log_warn("upload '%s', folder '%s': %s, and was put into quarantine: see 'spoor quarantine "
             "list'",
             delivery->shared->config->name, delivery->journal.folder, decision->text);
    delivery->set_aside++;
    delivery->acked = last;
    delivery->confirmed = last;
    delivery->rows_cap = 1; /* grows with what is taken: bad rows come in company */
    delivery->bisecting = true;
    delivery->recut_rows = 0;
    delivery_set_state(delivery, UPLOAD_SENDING, 0, NULL);
    delivery_wait(delivery, 0, false);
}

/* The first that is to be tried, with its bytes in shared->batch. 1: there is one. */
static int take_row(void *ctx, const struct reader_quarantined *row)
{
    struct batch *batch = ctx;
    if (!row->retry)
        return 0;
    buf_reset(&batch->body);
    buf_add(&batch->body, row->batch.body.at, row->batch.body.len);
    batch->head = row->batch;
    batch->head.body = bytes_of(batch->body.data, batch->body.len);
    return 1;
}

static void retry_row(struct delivery *delivery)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    struct retry_ask ask = {.first = head->first, .last = head->last, .rows = 1};
    struct retry_decision decision;
    struct err err = {0};
    if (post_batch(delivery->shared, &delivery->info, &err)) {
        delivery_fail_with(delivery, &err);
        return;
    }
    if (!delivery_heed(delivery, &ask, &decision))
        return;
    bool taken = decision.action == RETRY_ACK;
    if (!order(delivery, taken ? JOURNAL_DROP : JOURNAL_REFUSED, head->last))
        return;
    if (taken)
        delivery_succeed(delivery);
    delivery_wait(delivery, 0, false);
}

void delivery_retry_row(struct delivery *delivery)
{
    struct batch *batch = &delivery->shared->batch;
    struct err err = {0};
    int code =
        reader_quarantine(delivery->reader, delivery->shared->config->name, take_row, batch, &err);
    delivery_set_state(delivery, UPLOAD_SENDING, 0, NULL);
    if (code == 1)
        retry_row(delivery);
    else if (code)
        delivery_fail_with(delivery, &err);
    else
        delivery_wait(delivery, 0, false); /* somebody dropped it meanwhile */
    batch_deinit(batch);
}
