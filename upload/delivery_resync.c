/* delivery_resync.c: bringing a server that stands elsewhere to where the journal stands:
 * rewinding, a snapshot in parts and its commit, another epoch or id for the journal (RULES 14,
 * 18). Like all steps these read what is durable first, so that they go on after a crash of either
 * side. The upload's thread. */
#include "clock.h"
#include "config.h"
#include "delivery_private.h"
#include "post.h"
#include "reader.h"

/* Has the folder's thread carry out an order. A failure is dealt with here. */
static bool order(struct delivery *delivery, enum journal_resync what, int64_t value)
{
    struct upload_journal *journal = &delivery->journal;
    const struct journal_order wanted = {
        .what = what, .consumer = delivery->shared->config->name, .value = value};
    struct err err = {0};
    if (journal->resync(journal->ctx, &wanted, &err) == 0)
        return true;
    delivery_fail_with(delivery, &err);
    return false;
}

static void say(const struct delivery *delivery, const char *why, const char *what)
{
    log_warn("upload '%s', folder '%s': %s; %s", delivery->shared->config->name,
             delivery->journal.folder, why, what);
}

/* Forgets a snapshot; what is acknowledged stays. */
static bool drop_snapshot(struct delivery *delivery)
{
    if (!delivery->snapshot.gen)
        return true;
    if (!order(delivery, JOURNAL_REWIND, delivery->acked))
        return false;
    delivery->snapshot.gen = 0;
    return true;
}

/* Snapshots one after the other, without rows between them, keep a growing distance, and so do
 * rewinds and new epochs and ids: two sides that cannot agree must not go on so without a pause.
 * True: not yet; the next step asks for the cursor again. */
static bool is_too_soon(struct delivery *delivery, struct delivery_turns *turns, const char *why)
{
    const struct config_upload *config = delivery->shared->config;
    int64_t wait_ns = turns->not_before_ns - clock_mono_ns();
    if (turns->count > 0 && wait_ns > 0) {
        delivery->synced = false;
        delivery_set_state(delivery, UPLOAD_BACKOFF, wait_ns / CLOCK_NS_PER_MS + 1, why);
        delivery_wait(delivery, wait_ns, false);
        return true;
    }
    int64_t wait_ms = retry_backoff_ms(config->retry_min_ns / CLOCK_NS_PER_MS,
                                       config->retry_max_ns / CLOCK_NS_PER_MS, turns->count,
                                       delivery_random(delivery));
    turns->not_before_ns = clock_mono_ns() + wait_ms * CLOCK_NS_PER_MS;
    turns->count++;
    return false;
}

void delivery_begin_snapshot(struct delivery *delivery, const char *why)
{
    int64_t gen = clock_wall_ms();
    bool synced = delivery->synced;
    delivery->synced = false; /* should it be put off */
    if (!delivery->info.indexed) {
        /* The tree is not whole yet; the folder's thread wakes us when it is. */
        delivery_set_state(delivery, UPLOAD_IDLE, 0, why);
        delivery_wait(delivery, INT64_MAX, true);
        return;
    }
    if (delivery_holds_snapshot(delivery) || is_too_soon(delivery, &delivery->snapshots, why))
        return;
    gen = gen > delivery->server_gen ? gen : delivery->server_gen + 1;
    gen = gen > delivery->snapshot.gen ? gen : delivery->snapshot.gen + 1;
    if (!order(delivery, JOURNAL_SNAPSHOT, gen))
        return;
    say(delivery, why, "the tree is sent whole");
    delivery->synced = synced;
    delivery->restart = false;
    delivery->acked = 0;
    delivery->confirmed = 0;
    delivery_set_state(delivery, UPLOAD_SENDING, 0, why);
    delivery_wait(delivery, 0, false);
}

/* One that is on its way goes on, unless the server knows it no more. */
static void go_on_with_snapshot(struct delivery *delivery, const char *why)
{
    const struct journal_snapshot *snapshot = &delivery->snapshot;
    bool good = snapshot->gen && !delivery->restart && snapshot->epoch == delivery->info.epoch &&
                snapshot->gen >= delivery->server_gen;
    if (good)
        delivery_wait(delivery, 0, false);
    else
        delivery_begin_snapshot(delivery, why);
}

void delivery_go_on(struct delivery *delivery, int64_t seq)
{
    if (delivery->tree_wanted)
        go_on_with_snapshot(delivery, "a resync was asked for");
    else if (delivery->snapshot.gen && !delivery->restart)
        go_on_with_snapshot(delivery, "the server has heard of a newer snapshot than this one's");
    else if (seq > delivery->acked ? delivery_acknowledge(delivery, seq) : drop_snapshot(delivery))
        delivery_wait(delivery, 0, false);
}

/* The journal itself is to be another: what that changes is read at the next step. */
static void renew(struct delivery *delivery, enum journal_resync what,
                  const struct retry_decision *decision)
{
    if (is_too_soon(delivery, &delivery->renewals, decision->text))
        return;
    log_error("upload '%s', folder '%s': %s; %s", delivery->shared->config->name,
              delivery->journal.folder, decision->text,
              what == JOURNAL_NEW_ID ? "the journal takes another id"
                                     : "the journal begins another epoch");
    if (!order(delivery, what, decision->seq))
        return;
    delivery_set_state(delivery, UPLOAD_SENDING, 0, decision->text);
    delivery_wait(delivery, 0, false);
}

static void rewind_to(struct delivery *delivery, const struct retry_decision *decision)
{
    if (is_too_soon(delivery, &delivery->rewinds, decision->text))
        return;
    if (!order(delivery, JOURNAL_REWIND, decision->seq))
        return;
    say(delivery, decision->text, "its rows are sent again");
    delivery->acked = decision->seq;
    delivery->confirmed = 0;
    delivery_set_state(delivery, UPLOAD_SENDING, 0, decision->text);
    delivery_wait(delivery, 0, false);
}

void delivery_resync(struct delivery *delivery, const struct retry_decision *decision)
{
    switch (decision->action) {
    case RETRY_REWIND:
        if (delivery->tree_wanted)
            go_on_with_snapshot(delivery, decision->text);
        else
            rewind_to(delivery, decision);
        break;
    case RETRY_SNAPSHOT:
        go_on_with_snapshot(delivery, decision->text);
        break;
    case RETRY_NEW_EPOCH:
        renew(delivery, JOURNAL_NEW_EPOCH, decision);
        break;
    case RETRY_NEW_ID:
        renew(delivery, JOURNAL_NEW_ID, decision);
        break;
    case RETRY_RESTART:
        delivery->restart = true;
        delivery_refuse(delivery, decision);
        break;
    case RETRY_ACK:
    case RETRY_AGAIN:
    case RETRY_HALVE:
    case RETRY_ASIDE:
    case RETRY_PAUSE:
        break; /* the caller's */
    }
}

/* --- sending --- */

/* The answer to a part or to the commit. True: it is confirmed. */
static bool is_confirmed(struct delivery *delivery, bool commit)
{
    const struct journal_batch *batch = &delivery->shared->batch.head;
    const struct journal_snapshot *snapshot = &delivery->snapshot;
    struct retry_ask ask = {
        .gen = snapshot->gen,
        .commit = commit,
        .first = commit ? snapshot->seq : batch->first,
        .last = commit ? snapshot->seq : batch->last,
        .rows = commit ? 0 : batch->rows,
    };
    struct retry_decision decision;
    if (!delivery_judge(delivery, &ask, &decision))
        return false;
    switch (decision.action) {
    case RETRY_ACK:
        return true;
    case RETRY_HALVE:
        delivery_halve(delivery);
        return false;
    case RETRY_ASIDE:
    case RETRY_PAUSE:
        /* What it refuses for good may have been damaged on the way into the copy; and a server
         * that takes no tree at all may take rows. */
        delivery->restart = true;
        delivery->tree_wanted = false;
        delivery_refuse(delivery, &decision);
        return false;
    case RETRY_AGAIN:
        delivery_refuse(delivery, &decision);
        return false;
    case RETRY_REWIND:
    case RETRY_SNAPSHOT:
    case RETRY_NEW_EPOCH:
    case RETRY_NEW_ID:
    case RETRY_RESTART:
        delivery_resync(delivery, &decision);
        return false;
    }
    return false;
}

static void send_part(struct delivery *delivery)
{
    struct delivery_shared *shared = delivery->shared;
    struct err err = {0};
    if (delivery_take_batch(delivery, &err) ||
        post_part(shared, &delivery->info, &delivery->snapshot, &err)) {
        delivery_fail_with(delivery, &err);
        return;
    }
    if (is_confirmed(delivery, false) && order(delivery, JOURNAL_PART, shared->batch.head.part)) {
        delivery_count_sent(delivery);
        delivery_wait(delivery, 0, false);
    }
}

static void send_commit(struct delivery *delivery)
{
    struct err err = {0};
    int64_t seq = delivery->snapshot.seq;
    if (delivery_is_replica(delivery)) {
        if (post_commit(delivery->shared, &delivery->info, &delivery->snapshot, &err)) {
            delivery_fail_with(delivery, &err);
            return;
        }
        if (!is_confirmed(delivery, true))
            return;
    }
    /* Also when that is row 0: the acknowledgement ends the snapshot. */
    struct upload_journal *journal = &delivery->journal;
    if (journal->ack(journal->ctx, delivery->shared->config->name, seq, &err)) {
        delivery_fail_with(delivery, &err);
        return;
    }
    log_info("upload '%s', folder '%s': the tree of %lld entries arrived; on with row %lld",
             delivery->shared->config->name, delivery->journal.folder,
             (long long)delivery->snapshot.entries, (long long)seq + 1);
    delivery->acked = seq;
    delivery->snapshot.gen = 0;
    delivery->tree_wanted = false;
    delivery_succeed(delivery);
    delivery_wait(delivery, 0, false);
}

void delivery_send_snapshot(struct delivery *delivery)
{
    if (!delivery_takes_tree(delivery)) { /* not any more: the configuration has changed */
        if (delivery_acknowledge(delivery, delivery_floor(delivery))) /* which ends the snapshot */
            delivery_wait(delivery, 0, false);
        return;
    }
    delivery_set_state(delivery, UPLOAD_SENDING, 0, NULL);
    if (delivery->snapshot.sent < delivery->snapshot.entries)
        send_part(delivery);
    else
        send_commit(delivery);
    batch_deinit(&delivery->shared->batch);
}
