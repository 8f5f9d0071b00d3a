/* delivery.c: the steps of one journal's delivery.
 *
 * What is durable is read afresh at each step (the consumer's acknowledged seq, its stored
 * batch), so that a step is the same after a failure, a restart or a recovery of the journal
 * by its folder's thread. A failure makes the next step begin with the handshake, which
 * also finds a batch that the server took while its answer was lost. The upload's thread. */
#include "delivery.h"

#include "clock.h"
#include "config.h"
#include "err.h"
#include "log.h"
#include "num.h"
#include "osfile.h"
#include "post.h"
#include "reader.h"
#include "retry.h"

#define DELIVERY_LOG_PERIOD_NS (60 * CLOCK_NS_PER_S)

struct delivery {
    struct upload_journal journal;
    struct delivery_shared *shared;
    struct reader *reader;       /* NULL: not open */
    struct osfile_identity file; /* of the journal file behind `reader` */
    struct journal_info info;
    int64_t acked;
    int64_t batch_last; /* of the stored batch, 0 none */
    int64_t confirmed;  /* by the server, perhaps not yet by the journal */
    int64_t rows_cap;   /* after 413: rows a batch at most, 0 none */
    int64_t recut_rows; /* after 413: the stored batch of so many rows is not to be sent again */
    bool synced;        /* the server's cursor was compared since the last failure */
    bool gathered;      /* a small batch has waited long enough */
    bool idle;          /* new rows make it due */
    int64_t failures;
    int64_t due_mono_ns;
    char reported[512]; /* what the consumer table says */
    struct log_limit log_limit;
    struct upload_status status; /* guarded by shared->lock */
};

int delivery_new(struct delivery_shared *shared, const struct upload_journal *journal,
                 struct delivery **out, struct err *err)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (!delivery)
        return err_set(err, ERR_NOMEM, 0, "cannot set up delivery: out of memory");
    delivery->shared = shared;
    delivery->journal = *journal;
    (void)snprintf(delivery->status.folder, sizeof delivery->status.folder, "%s",
                   journal->folder); /* names are shorter (CONFIG_NAME_MAX) */
    *out = delivery;
    return 0;
}

void delivery_free(struct delivery *delivery)
{
    if (!delivery)
        return;
    reader_close(delivery->reader);
    free(delivery);
}

int64_t delivery_due(const struct delivery *delivery)
{
    return delivery->due_mono_ns;
}

const char *delivery_folder(const struct delivery *delivery)
{
    return delivery->journal.folder;
}

void delivery_nudge(struct delivery *delivery, bool retry_now)
{
    if (retry_now)
        delivery->gathered = true;
    if (retry_now || delivery->idle)
        delivery->due_mono_ns = 0;
}

void delivery_status(struct delivery *delivery, struct upload_status *out)
{
    pthread_mutex_lock(&delivery->shared->lock);
    *out = delivery->status;
    pthread_mutex_unlock(&delivery->shared->lock);
}

static void set_state(struct delivery *delivery, enum upload_state state, int64_t wait_ms,
                      const char *error)
{
    struct upload_status *status = &delivery->status;
    int64_t wall_ms = wait_ms ? clock_wall_ms() + wait_ms : 0;
    pthread_mutex_lock(&delivery->shared->lock);
    status->state = state;
    status->acked = delivery->acked;
    status->failures = delivery->failures;
    status->next_try_wall_ms = wall_ms;
    if (error)
        (void)snprintf(status->error, sizeof status->error, "%s", error); /* cut is fine */
    pthread_mutex_unlock(&delivery->shared->lock);
}

void delivery_set_stopped(struct delivery *delivery)
{
    set_state(delivery, UPLOAD_STOPPED, 0, NULL);
}

/* Due after `wait_ns`; INT64_MAX: when nudged. */
static void wait_for(struct delivery *delivery, int64_t wait_ns, bool idle)
{
    delivery->idle = idle;
    delivery->due_mono_ns = wait_ns == INT64_MAX ? INT64_MAX : clock_mono_ns() + wait_ns;
}

static void report(struct delivery *delivery, const char *text)
{
    if (strcmp(delivery->reported, text) == 0)
        return;
    struct upload_journal *journal = &delivery->journal;
    const char *consumer = delivery->shared->config->name;
    if (journal->report(journal->ctx, consumer, text, NULL) == 0)
        (void)snprintf(delivery->reported, sizeof delivery->reported, "%s", text);
    /* A failed report is tried with the next one; the status of the running daemon has it. */
}

/* Logged when it is news, and now and then while it lasts. */
static void complain(struct delivery *delivery, const char *text, const char *what, int64_t wait_ms)
{
    int64_t skipped = 0;
    char wait[32];
    bool news = strcmp(delivery->status.error, text) != 0; /* only this thread writes it */
    if (!log_allowed(&delivery->log_limit, DELIVERY_LOG_PERIOD_NS, &skipped) && !news)
        return;
    num_human_duration(wait_ms * CLOCK_NS_PER_MS, wait);
    log_warn("upload '%s', folder '%s': %s; %s in %s", delivery->shared->config->name,
             delivery->journal.folder, text, what, wait);
}

static void fail(struct delivery *delivery, bool pause, int64_t wait_ms, const char *text)
{
    delivery->failures++;
    delivery->synced = false;
    complain(delivery, text, pause ? "paused, next try" : "next try", wait_ms);
    set_state(delivery, pause ? UPLOAD_PAUSED : UPLOAD_BACKOFF, wait_ms, text);
    wait_for(delivery, wait_ms * CLOCK_NS_PER_MS, false);
    report(delivery, text);
}

/* splitmix64 (Steele, Lea, Flood 2014): jitter needs no more. */
static uint64_t next_random(struct delivery_shared *shared)
{
    uint64_t x = shared->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Something of ours failed: the journal, its thread, the memory, or no answer came. */
static void fail_with(struct delivery *delivery, const struct err *err)
{
    const struct config_upload *config = delivery->shared->config;
    if (err->code == ERR_CANCELLED) {
        /* The upload stops, or the folder's thread has: what is stored stays for the next start. */
        wait_for(delivery, INT64_MAX, true);
        return;
    }
    bool pause = err->code == ERR_CORRUPT || err->code == ERR_LIMIT || err->code == ERR_INVALID;
    int64_t max_ms = config->retry_max_ns / CLOCK_NS_PER_MS;
    int64_t wait_ms = pause ? max_ms
                            : retry_backoff_ms(config->retry_min_ns / CLOCK_NS_PER_MS, max_ms,
                                               delivery->failures, next_random(delivery->shared));
    reader_close(delivery->reader); /* opened afresh by the next step */
    delivery->reader = NULL;
    fail(delivery, pause, wait_ms, err->text);
}

static void succeed(struct delivery *delivery)
{
    if (delivery->failures > 0)
        log_info("upload '%s', folder '%s': delivering again", delivery->shared->config->name,
                 delivery->journal.folder);
    delivery->failures = 0;
    delivery->log_limit = (struct log_limit){0};
    set_state(delivery, UPLOAD_IDLE, 0, "");
    report(delivery, "");
}

static int take_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct delivery *delivery = ctx;
    if (strcmp(consumer->name, delivery->shared->config->name) != 0)
        return 0;
    delivery->acked = consumer->acked;
    delivery->batch_last = consumer->batch_last;
    (void)snprintf(delivery->reported, sizeof delivery->reported, "%s", consumer->error);
    return 1;
}

/* A journal that was moved aside after a corruption leaves us with a file that nobody writes any
 * more: told by its identity. */
static int open_reader(struct delivery *delivery, struct err *err)
{
    char path[4096];
    struct osfile_identity now = {0};
    int len = snprintf(path, sizeof path, "%s/%s", delivery->journal.dir, JOURNAL_FILE);
    bool known = len > 0 && (size_t)len < sizeof path && osfile_identify(path, &now);
    if (delivery->reader && known && memcmp(&now, &delivery->file, sizeof now) == 0)
        return 0;
    reader_close(delivery->reader);
    delivery->reader = NULL;
    int code = reader_open(delivery->journal.dir, &delivery->reader, err);
    if (!code)
        delivery->file = now;
    return code;
}

/* Reads where journal and consumer stand. ERR_NOTFOUND: there is no journal, or we are not yet
 * registered in it. */
static int refresh(struct delivery *delivery, struct err *err)
{
    struct journal_info info;
    int code = open_reader(delivery, err);
    if (!code)
        code = reader_info(delivery->reader, &info, err);
    if (code)
        return code;
    if (info.epoch != delivery->info.epoch || strcmp(info.id, delivery->info.id) != 0) {
        delivery->synced = false;
        delivery->confirmed = 0;
        delivery->rows_cap = 0;
        delivery->recut_rows = 0;
    }
    delivery->info = info;
    code = reader_consumers(delivery->reader, take_consumer, delivery, err);
    if (code < 0)
        return code;
    if (code == 0)
        return err_set(err, ERR_NOTFOUND, 0, "consumer '%s' is not registered",
                       delivery->shared->config->name);
    return 0;
}

/* Records what the server has confirmed. A failure is dealt with here. */
static bool acknowledge(struct delivery *delivery, int64_t seq)
{
    struct upload_journal *journal = &delivery->journal;
    struct err err = {0};
    delivery->confirmed = seq;
    if (seq <= delivery->acked)
        return true;
    if (journal->ack(journal->ctx, delivery->shared->config->name, seq, &err)) {
        fail_with(delivery, &err);
        return false;
    }
    delivery->acked = seq;
    return true;
}

static enum retry_sum compare_sum(struct delivery *delivery, const struct transport_answer *answer)
{
    uint64_t ours;
    if (!answer->has_sum || answer->acked > delivery->info.last_seq ||
        reader_sum(delivery->reader, answer->acked, &ours, NULL))
        return RETRY_SUM_UNKNOWN;
    return ours == answer->sum ? RETRY_SUM_SAME : RETRY_SUM_OTHER;
}

/* The answer in hand against where we stand. */
static void judge(struct delivery *delivery, bool handshake, struct retry_decision *out)
{
    const struct config_upload *config = delivery->shared->config;
    const struct transport_answer *answer = &delivery->shared->answer;
    const struct journal_batch *batch = &delivery->shared->batch.head;
    struct retry_ask ask = {
        .handshake = handshake,
        .ack = (enum config_ack)config->ack,
        .epoch = delivery->info.epoch,
        .acked = delivery->acked,
        .last_seq = delivery->info.last_seq,
        .first = handshake ? 0 : batch->first,
        .last = handshake ? 0 : batch->last,
        .retry_min_ms = config->retry_min_ns / CLOCK_NS_PER_MS,
        .retry_max_ms = config->retry_max_ns / CLOCK_NS_PER_MS,
        .failures = delivery->failures,
        .random = next_random(delivery->shared),
    };
    struct retry_answer facts = {
        .status = answer->status,
        .retry_after_ms = answer->retry_after_ms,
        .has_acked = answer->has_acked,
        .has_cursor = answer->has_acked && answer->has_epoch && answer->has_sum,
        .acked = answer->acked,
        .epoch = answer->epoch,
        .sum = compare_sum(delivery, answer),
    };
    retry_decide(&ask, &facts, out);
    pthread_mutex_lock(&delivery->shared->lock);
    delivery->status.http_status = answer->status;
    pthread_mutex_unlock(&delivery->shared->lock);
}

/* A refusal, with the beginning of what the server said about it. */
static void refuse(struct delivery *delivery, const struct retry_decision *decision)
{
    const struct transport_answer *answer = &delivery->shared->answer;
    struct buf text;
    buf_init(&text, sizeof decision->text + TRANSPORT_EXCERPT_MAX);
    buf_add_str(&text, decision->text);
    if (answer->status >= 400)
        transport_add_excerpt(&text, answer);
    fail(delivery, decision->action == RETRY_PAUSE, decision->delay_ms,
         text.data && buf_ok(&text) ? text.data : decision->text);
    buf_deinit(&text);
}

static void handshake(struct delivery *delivery)
{
    struct retry_decision decision;
    struct err err = {0};
    set_state(delivery, UPLOAD_SENDING, 0, NULL);
    if (post_cursor(delivery->shared, &delivery->info, &err)) {
        fail_with(delivery, &err);
        return;
    }
    judge(delivery, true, &decision);
    if (decision.action != RETRY_ACK) {
        refuse(delivery, &decision);
        return;
    }
    if (!acknowledge(delivery, decision.seq))
        return;
    delivery->synced = true;
    wait_for(delivery, 0, false);
}

/* 413: half the rows, and what is stored is not sent again. */
static void halve(struct delivery *delivery)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    delivery->rows_cap = head->rows / 2;
    delivery->recut_rows = head->rows > 0 ? head->rows : 1;
    wait_for(delivery, 0, false);
}

static void count_sent(struct delivery *delivery)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    pthread_mutex_lock(&delivery->shared->lock);
    delivery->status.sent_rows += head->rows;
    delivery->status.sent_bytes += (int64_t)head->body.len;
    delivery->status.sent_batches++;
    pthread_mutex_unlock(&delivery->shared->lock);
}

static void post(struct delivery *delivery)
{
    struct retry_decision decision;
    struct err err = {0};
    if (post_batch(delivery->shared, &delivery->info, &err)) {
        fail_with(delivery, &err);
        return;
    }
    judge(delivery, false, &decision);
    switch (decision.action) {
    case RETRY_ACK:
        if (!acknowledge(delivery, decision.seq))
            return;
        if (decision.seq >= delivery->shared->batch.head.last)
            count_sent(delivery);
        succeed(delivery);
        wait_for(delivery, 0, false);
        return;
    case RETRY_HALVE:
        halve(delivery);
        return;
    case RETRY_AGAIN:
    case RETRY_PAUSE:
        refuse(delivery, &decision);
        return;
    }
}

/* Forms the next batch and has it stored. */
static int form(struct delivery *delivery, struct err *err)
{
    struct delivery_shared *shared = delivery->shared;
    struct upload_journal *journal = &delivery->journal;
    struct batch_limits limits = {
        .rows = shared->config->batch_rows,
        .bytes = shared->config->batch_bytes,
        .format = (enum config_format)shared->config->format,
        .fold = shared->config->fold != 0,
    };
    if (delivery->rows_cap > 0 && delivery->rows_cap < limits.rows)
        limits.rows = delivery->rows_cap;
    int code = batch_build(shared->writer, delivery->reader, delivery->acked, &limits,
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
    code = journal->store_batch(journal->ctx, shared->config->name, &shared->batch.head, err);
    if (!code)
        delivery->recut_rows = 0;
    return code;
}

/* The bytes to send: those that were stored, if they still fit, or new ones. */
static int take_batch(struct delivery *delivery, struct err *err)
{
    struct batch *batch = &delivery->shared->batch;
    if (delivery->batch_last && !delivery->recut_rows) {
        int code = batch_load(delivery->reader, delivery->shared->config->name, batch, err);
        if (!code && batch->head.first == delivery->acked + 1 &&
            batch->head.epoch == delivery->info.epoch)
            return 0;
        if (code && code != ERR_NOTFOUND && code != ERR_CORRUPT)
            return code;
        /* Damaged or overtaken bytes can be formed anew: the server knows rows by their sums. */
    }
    return form(delivery, err);
}

/* Rows that nobody can send any more. A replica cannot do without them; a log goes on. */
static void step_over_purged(struct delivery *delivery)
{
    const struct config_upload *config = delivery->shared->config;
    int64_t floor = delivery->info.floor_seq;
    if (config->format == CONFIG_FORMAT_SPOOR) {
        struct err err = {0};
        (void)err_set(&err, ERR_LIMIT, 0,
                      "rows %lld..%lld were purged before this server had them: a resync is needed",
                      (long long)delivery->acked + 1, (long long)floor);
        fail_with(delivery, &err);
        return;
    }
    log_warn("upload '%s', folder '%s': rows %lld..%lld were purged before they were sent",
             config->name, delivery->journal.folder, (long long)delivery->acked + 1,
             (long long)floor);
    if (acknowledge(delivery, floor))
        wait_for(delivery, 0, false);
}

static void deliver(struct delivery *delivery)
{
    const struct config_upload *config = delivery->shared->config;
    int64_t pending = delivery->info.last_seq - delivery->acked;
    if (pending <= 0) {
        delivery->gathered = false;
        succeed(delivery);
        wait_for(delivery, INT64_MAX, true);
        return;
    }
    bool small = pending < config->batch_rows && !delivery->batch_last;
    if (small && !delivery->gathered && config->batch_delay_ns > 0) {
        delivery->gathered = true;
        set_state(delivery, UPLOAD_SENDING, 0, NULL);
        wait_for(delivery, config->batch_delay_ns, false);
        return;
    }
    delivery->gathered = false;
    set_state(delivery, UPLOAD_SENDING, 0, NULL);
    struct err err = {0};
    if (take_batch(delivery, &err))
        fail_with(delivery, &err);
    else
        post(delivery);
    /* A retry reads the stored bytes again: waiting deliveries hold none in memory. */
    batch_deinit(&delivery->shared->batch);
}

void delivery_step(struct delivery *delivery)
{
    struct err err = {0};
    int code = refresh(delivery, &err);
    if (code == ERR_NOTFOUND) {
        set_state(delivery, UPLOAD_IDLE, 0, NULL);
        wait_for(delivery, INT64_MAX, true);
    } else if (code) {
        fail_with(delivery, &err);
    } else if (delivery->confirmed > delivery->acked) {
        if (acknowledge(delivery, delivery->confirmed))
            wait_for(delivery, 0, false);
    } else if (delivery->shared->config->format == CONFIG_FORMAT_SPOOR && !delivery->synced) {
        handshake(delivery);
    } else if (delivery->acked < delivery->info.floor_seq) {
        step_over_purged(delivery);
    } else {
        deliver(delivery);
    }
}
