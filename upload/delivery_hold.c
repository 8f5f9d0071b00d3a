/* delivery_hold.c: the mass-delete brake of one delivery: set for each batch, held where it
 * stops one, let go when somebody says so. What is held is in the journal: it outlives us. */
#include "delivery_private.h"

#include "brake.h"
#include "clock.h"
#include "config.h"
#include "log.h"
#include "num.h"
#include "reader.h"

/* Only a replica deletes anything. */
int delivery_set_brake(struct delivery *delivery, struct brake *out, struct err *err)
{
    const struct config_upload *config = delivery->shared->config;
    *out = (struct brake){
        .count = delivery_is_replica(delivery) ? config->brake_count : 0,
        .percent = config->brake_percent,
        .released = delivery->released,
        .reader = delivery->reader,
        .left = -1,
    };
    if (out->count == 0)
        return 0;
    int64_t since_ms = clock_wall_ms() - config->brake_window_ns / CLOCK_NS_PER_MS;
    return reader_brake(delivery->reader, config->name, since_ms, &out->sent, err);
}

/* What everybody is to see: nothing more goes until somebody has looked. */
static void say_held(struct delivery *delivery, const char *text)
{
    if (strcmp(delivery->status.error, text) != 0) /* only this thread writes it */
        log_error("upload '%s', folder '%s': %s", delivery->shared->config->name,
                  delivery->journal.folder, text);
    delivery_set_state(delivery, UPLOAD_HELD, 0, text);
    delivery_report(delivery, text);
    delivery_wait(delivery, INT64_MAX, false);
}

void delivery_hold(struct delivery *delivery)
{
    const struct config_upload *config = delivery->shared->config;
    char text[400], window[32];
    num_human_duration(config->brake_window_ns, window);
    (void)snprintf(text, sizeof text,
                   "held at row %lld, from where more than %lld entries and %lld %% of the folder "
                   "would be deleted at the server within %s: look with 'spoor hold list', let it "
                   "go with 'spoor hold release'",
                   (long long)delivery->held, (long long)config->brake_count,
                   (long long)config->brake_percent, window); /* fits */
    say_held(delivery, text);
}

/* False: it failed, which is dealt with here. */
static bool note_hold(struct delivery *delivery)
{
    struct upload_journal *journal = &delivery->journal;
    struct err err = {0};
    const struct journal_order order = {
        .what = JOURNAL_HOLD,
        .consumer = delivery->shared->config->name,
        .value = delivery->acked + 1,
    };
    if (journal->resync(journal->ctx, &order, &err)) {
        delivery_fail_with(delivery, &err);
        return false;
    }
    delivery->held = order.value;
    return true;
}

void delivery_begin_hold(struct delivery *delivery)
{
    if (note_hold(delivery))
        delivery_hold(delivery);
}

bool delivery_holds_snapshot(struct delivery *delivery)
{
    const struct config_upload *config = delivery->shared->config;
    struct brake brake = {.count = config->brake_count, .percent = config->brake_percent};
    char text[400];
    if (delivery->resync_released || delivery->server_entries < 0)
        return false;
    if (reader_entry_count(delivery->reader, &brake.left, NULL))
        brake.left = 0; /* as in brake.c: rather ask */
    int64_t gone = delivery->server_entries - brake.left;
    if (gone <= 0 || !brake_holds(&brake, gone))
        return false;
    (void)snprintf(text, sizeof text,
                   "held: the server must be sent the tree anew, which would delete %lld of its "
                   "%lld entries: let it go with 'spoor hold release'",
                   (long long)gone, (long long)delivery->server_entries); /* fits */
    if (note_hold(delivery))
        say_held(delivery, text);
    return true;
}
