/* delivery.c: the steps of one journal's delivery.
 *
 * What is durable is read afresh at each step (the consumer's acknowledged seq, its stored
 * batch), so that a step is the same after a failure, a restart or a recovery of the journal
 * by its folder's thread. A failure makes the next step begin with the handshake, which
 * also finds a batch that the server took while its answer was lost. The upload's thread. */
#include "delivery.h"

#include "brake.h"
#include "clock.h"
#include "config.h"
#include "delivery_private.h"
#include "hours.h"
#include "num.h"
#include "osfile.h"
#include "post.h"
#include "reader.h"

#define DELIVERY_LOG_PERIOD_NS (60 * CLOCK_NS_PER_S)

bool delivery_is_replica(const struct delivery *delivery)
{
    return delivery->shared->config->format == CONFIG_FORMAT_SPOOR;
}

int delivery_new(struct delivery_shared *shared, const struct upload_journal *journal,
                 struct delivery **out, struct err *err)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (!delivery)
        return err_set(err, ERR_NOMEM, 0, "cannot set up delivery: out of memory");
    delivery->shared = shared;
    delivery->journal = *journal;
    rate_init(&delivery->rate, clock_mono_ns());
    delivery->server_entries = -1;
    delivery->status.compared = !delivery_is_replica(delivery);
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
    out->rate_rows = rate_get(&delivery->rate, clock_mono_ns(), &out->rate_window_ms);
    pthread_mutex_unlock(&delivery->shared->lock);
}

void delivery_set_state(struct delivery *delivery, enum upload_state state, int64_t wait_ms,
                        const char *error)
{
    const struct upload_journal *journal = &delivery->journal;
    struct upload_status *status = &delivery->status;
    int64_t wall_ms = wait_ms ? clock_wall_ms() + wait_ms : 0;
    pthread_mutex_lock(&delivery->shared->lock);
    int64_t told = status->compared ? status->acked : -1;
    status->state = state;
    status->acked = delivery->acked;
    status->compared |= delivery->synced;
    status->failures = delivery->failures;
    status->next_try_wall_ms = wall_ms;
    if (error)
        (void)snprintf(status->error, sizeof status->error, "%s", error); /* cut is fine */
    bool progress = status->compared && status->acked > told;
    pthread_mutex_unlock(&delivery->shared->lock);
    if (progress && journal->progress)
        journal->progress(journal->ctx);
}

void delivery_set_stopped(struct delivery *delivery)
{
    delivery_set_state(delivery, UPLOAD_STOPPED, 0, NULL);
}

/* Due after `wait_ns`; INT64_MAX: when nudged. */
void delivery_wait(struct delivery *delivery, int64_t wait_ns, bool idle)
{
    delivery->idle = idle;
    delivery->due_mono_ns = wait_ns == INT64_MAX ? INT64_MAX : clock_mono_ns() + wait_ns;
}

void delivery_report(struct delivery *delivery, const char *text)
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

void delivery_fail(struct delivery *delivery, bool pause, int64_t wait_ms, const char *text)
{
    delivery->failures++;
    delivery->synced = false;
    complain(delivery, text, pause ? "paused, next try" : "next try", wait_ms);
    delivery_set_state(delivery, pause ? UPLOAD_PAUSED : UPLOAD_BACKOFF, wait_ms, text);
    delivery_wait(delivery, wait_ms * CLOCK_NS_PER_MS, false);
    delivery_report(delivery, text);
}

/* splitmix64 (Steele, Lea, Flood 2014): jitter needs no more. */
uint64_t delivery_random(struct delivery *delivery)
{
    uint64_t x = delivery->shared->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Damage that we met may be in pages that its writer does not read: it is asked to read them all,
 * and moves the file aside when they are bad. True: it does. */
static bool is_given_up(struct delivery *delivery)
{
    struct upload_journal *journal = &delivery->journal;
    const struct journal_order check = {.what = JOURNAL_CHECK};
    struct err err = {0};
    delivery->restart = true; /* should a snapshot be on its way, it is of what was damaged */
    return journal->resync(journal->ctx, &check, &err) == ERR_CORRUPT;
}

void delivery_fail_with(struct delivery *delivery, const struct err *err)
{
    const struct config_upload *config = delivery->shared->config;
    if (err->code == ERR_CANCELLED) {
        /* The upload stops, or the folder's thread has: what is stored stays for the next start. */
        delivery_wait(delivery, INT64_MAX, true);
        return;
    }
    bool corrupt = err->code == ERR_CORRUPT && !is_given_up(delivery);
    bool pause = corrupt || err->code == ERR_LIMIT || err->code == ERR_INVALID;
    int64_t max_ms = config->retry_max_ns / CLOCK_NS_PER_MS;
    int64_t wait_ms = pause ? max_ms
                            : retry_backoff_ms(config->retry_min_ns / CLOCK_NS_PER_MS, max_ms,
                                               delivery->failures, delivery_random(delivery));
    reader_close(delivery->reader); /* opened afresh by the next step */
    delivery->reader = NULL;
    delivery_fail(delivery, pause, wait_ms, err->text);
}

void delivery_succeed(struct delivery *delivery)
{
    if (delivery->failures > 0)
        log_info("upload '%s', folder '%s': delivering again", delivery->shared->config->name,
                 delivery->journal.folder);
    delivery->failures = 0;
    delivery->log_limit = (struct log_limit){0};
    delivery_set_state(delivery, UPLOAD_IDLE, 0, "");
    delivery_report(delivery, "");
}

enum { CONSUMER_FOUND = 1, CONSUMER_FOREIGN };

static int take_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct delivery *delivery = ctx;
    if (strcmp(consumer->name, delivery->shared->config->name) != 0)
        return 0;
    if (consumer->kind != JOURNAL_UPLOAD)
        return CONSUMER_FOREIGN;
    delivery->acked = consumer->acked;
    delivery->batch_last = consumer->batch_last;
    delivery->held = consumer->held;
    delivery->released = consumer->released;
    delivery->retries = consumer->retries;
    (void)snprintf(delivery->reported, sizeof delivery->reported, "%s", consumer->error);
    return CONSUMER_FOUND;
}

/* A journal that was moved aside after a corruption leaves us with a file that nobody writes any
 * more: told by its identity. */
static int open_reader(struct delivery *delivery, struct err *err)
{
    char path[4096];
    struct osfile_identity now = {0};
    int len = snprintf(path, sizeof path, "%s/%s", delivery->journal.dir, JOURNAL_FILE);
    bool known = len > 0 && (size_t)len < sizeof path && osfile_identify(path, &now);
    if (delivery->reader && known && osfile_same(&now, &delivery->file))
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
    if (code == CONSUMER_FOREIGN)
        return err_set(err, ERR_EXISTS, 0,
                       "a reader of the journal has this upload's name; remove it with 'spoor "
                       "consumer remove', or name the upload otherwise");
    code =
        reader_snapshot(delivery->reader, delivery->shared->config->name, &delivery->snapshot, err);
    if (code != ERR_NOTFOUND)
        return code;
    delivery->snapshot = (struct journal_snapshot){0};
    return 0;
}

/* Records what the server has confirmed. A failure is dealt with here. */
bool delivery_acknowledge(struct delivery *delivery, int64_t seq)
{
    struct upload_journal *journal = &delivery->journal;
    struct err err = {0};
    delivery->confirmed = seq;
    if (seq <= delivery->acked)
        return true;
    if (journal->ack(journal->ctx, delivery->shared->config->name, seq, &err)) {
        delivery_fail_with(delivery, &err);
        return false;
    }
    delivery->acked = seq;
    return true;
}

static void handshake(struct delivery *delivery)
{
    struct retry_ask ask = {.handshake = true};
    struct retry_decision decision;
    struct err err = {0};
    delivery_set_state(delivery, UPLOAD_SENDING, 0, NULL);
    if (post_cursor(delivery->shared, &delivery->info, &err)) {
        delivery_fail_with(delivery, &err);
        return;
    }
    if (!delivery_heed(delivery, &ask, &decision))
        return;
    delivery->synced = true;
    if (decision.action == RETRY_ACK)
        delivery_go_on(delivery, decision.seq);
    else
        delivery_resync(delivery, &decision);
}

void delivery_halve(struct delivery *delivery)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    delivery->rows_cap = head->rows / 2;
    delivery->recut_rows = head->rows > 0 ? head->rows : 1;
    delivery_wait(delivery, 0, false);
}

void delivery_count_sent(struct delivery *delivery)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    pthread_mutex_lock(&delivery->shared->lock);
    delivery->status.sent_rows += head->rows;
    rate_add(&delivery->rate, clock_mono_ns(), head->last - head->first + 1);
    delivery->status.sent_bytes += (int64_t)head->body.len;
    delivery->status.sent_batches++;
    pthread_mutex_unlock(&delivery->shared->lock);
}

static void post(struct delivery *delivery)
{
    const struct journal_batch *head = &delivery->shared->batch.head;
    struct retry_ask ask = {.first = head->first, .last = head->last, .rows = head->rows};
    struct retry_decision decision;
    struct err err = {0};
    if (post_batch(delivery->shared, &delivery->info, &err)) {
        delivery_fail_with(delivery, &err);
        return;
    }
    if (!delivery_judge(delivery, &ask, &decision))
        return;
    switch (decision.action) {
    case RETRY_ACK:
        if (!delivery_acknowledge(delivery, decision.seq))
            return;
        if (decision.seq >= head->last)
            delivery_count_sent(delivery);
        delivery_was_taken(delivery);
        delivery_succeed(delivery);
        delivery_wait(delivery, 0, false);
        return;
    case RETRY_HALVE:
        delivery_bisect(delivery);
        return;
    case RETRY_ASIDE:
        delivery_set_aside(delivery, &decision);
        return;
    case RETRY_AGAIN:
    case RETRY_PAUSE:
        delivery_refuse(delivery, &decision);
        return;
    case RETRY_REWIND:
    case RETRY_SNAPSHOT:
    case RETRY_NEW_EPOCH:
    case RETRY_NEW_ID:
    case RETRY_RESTART:
        delivery_resync(delivery, &decision);
        return;
    }
}

static void begin_for_purged(struct delivery *delivery)
{
    char why[128];
    (void)snprintf(why, sizeof why, "rows %lld..%lld are not kept any more",
                   (long long)delivery->acked + 1, (long long)delivery_floor(delivery)); /* fits */
    if (delivery_takes_tree(delivery)) {
        delivery_begin_snapshot(delivery, why);
        return;
    }
    log_warn("upload '%s', folder '%s': %s; none of the kinds it takes can stand for them",
             delivery->shared->config->name, delivery->journal.folder, why);
    if (delivery_acknowledge(delivery, delivery_floor(delivery)))
        delivery_wait(delivery, 0, false);
}

/* None of these rows is for this server. */
static void pass_over(struct delivery *delivery)
{
    if (delivery_acknowledge(delivery, delivery->shared->batch.head.last))
        delivery_wait(delivery, 0, false);
}

static void deliver(struct delivery *delivery)
{
    const struct config_upload *config = delivery->shared->config;
    int64_t pending = delivery->info.last_seq - delivery->acked;
    if (pending <= 0) {
        delivery->gathered = false;
        delivery_succeed(delivery);
        delivery_wait(delivery, INT64_MAX, true);
        return;
    }
    bool small = pending < config->batch_rows && !delivery->batch_last;
    if (small && !delivery->gathered && config->batch_delay_ns > 0) {
        delivery->gathered = true;
        delivery_set_state(delivery, UPLOAD_SENDING, 0, NULL);
        delivery_wait(delivery, config->batch_delay_ns, false);
        return;
    }
    delivery->gathered = false;
    delivery_set_state(delivery, UPLOAD_SENDING, 0, NULL);
    struct err err = {0};
    int code = delivery_take_batch(delivery, &err);
    if (code == ERR_HELD)
        delivery_begin_hold(delivery);
    else if (code)
        delivery_fail_with(delivery, &err);
    else if (!delivery_has_rows(delivery))
        pass_over(delivery);
    else
        post(delivery);
    /* A retry reads the stored bytes again: waiting deliveries hold none in memory. */
    batch_deinit(&delivery->shared->batch);
}

/* Whether there is something to say to the server, but not at this time of the day. */
static bool is_out_of_hours(struct delivery *delivery)
{
    const struct config_upload *config = delivery->shared->config;
    struct hours hours;
    bool nothing = delivery->acked >= delivery->info.last_seq &&
                   (delivery->synced || !delivery_is_replica(delivery)) &&
                   !delivery->snapshot.gen && delivery->retries == 0;
    if (nothing || !config->active_hours || !hours_parse(config->active_hours, &hours))
        return false;
    int64_t wait_ms = hours_wait_ms(&hours, clock_wall_ms());
    if (wait_ms == 0)
        return false;
    delivery_set_state(delivery, UPLOAD_WAITING, wait_ms, "");
    delivery_wait(delivery, wait_ms * CLOCK_NS_PER_MS, false);
    return true;
}

void delivery_step(struct delivery *delivery)
{
    struct err err = {0};
    int code = refresh(delivery, &err);
    if (code == ERR_NOTFOUND) {
        delivery_set_state(delivery, UPLOAD_IDLE, 0, NULL);
        delivery_wait(delivery, INT64_MAX, true);
    } else if (code) {
        delivery_fail_with(delivery, &err);
    } else if (delivery_has_wish(delivery)) {
        delivery_do_wish(delivery);
    } else if (delivery->confirmed > delivery->acked) {
        if (delivery_acknowledge(delivery, delivery->confirmed))
            delivery_wait(delivery, 0, false);
    } else if (is_out_of_hours(delivery)) {
        return;
    } else if (delivery_is_replica(delivery) && !delivery->synced) {
        handshake(delivery);
    } else if (delivery->snapshot.gen && !delivery->restart) {
        delivery_send_snapshot(delivery);
    } else if (delivery->acked < delivery_floor(delivery)) {
        begin_for_purged(delivery);
    } else if (delivery->retries > 0 && !delivery->batch_last) {
        delivery_retry_row(delivery);
    } else if (delivery->held && !delivery->batch_last) {
        delivery_hold(delivery);
    } else {
        deliver(delivery);
    }
}
