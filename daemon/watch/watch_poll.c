/* watch_poll.c: the watch that watches nothing.
 *
 * Every directory it is asked to watch stays unwatched, and whoever asked lists it from time to
 * time and before a barrier counts. So a barrier has nothing to wait for and is answered at
 * once, on the asker's thread. The watch thread sleeps until the stop. */
#include "watch_private.h"

#include <pthread.h>

#include "err.h"
#include "wake.h"

struct watch_poll {
    struct watch watch;
    struct watch_sink sink;
    struct wake stop;
    pthread_mutex_t lock; /* the sink is called with it held, as watch.h says */
};

static struct watch_poll *own(struct watch *watch)
{
    return (struct watch_poll *)watch;
}

static int poll_run(struct watch *watch, struct err *err)
{
    (void)err;                                     /* waiting cannot fail */
    (void)wake_wait(&own(watch)->stop, INT64_MAX); /* it ends by the stop only */
    return 0;
}

static void poll_stop(struct watch *watch)
{
    wake_set(&own(watch)->stop);
}

static void poll_close(struct watch *watch)
{
    struct watch_poll *poll = own(watch);
    wake_close(&poll->stop);
    pthread_mutex_destroy(&poll->lock);
    free(poll);
}

static int poll_add(struct watch *watch, const struct watch_dir *dir, int32_t *out, struct err *err)
{
    (void)watch;
    (void)dir;
    (void)err;
    *out = -1;
    return 0;
}

static void poll_remove(struct watch *watch, int32_t number)
{
    (void)watch; /* no number was ever given */
    (void)number;
}

static size_t poll_count(struct watch *watch)
{
    (void)watch;
    return 0;
}

static int poll_drain(struct watch *watch, struct err *err)
{
    (void)watch; /* nothing is ever queued */
    (void)err;
    return 0;
}

static int poll_barrier(struct watch *watch, uint64_t token, struct err *err)
{
    struct watch_poll *poll = own(watch);
    (void)err;
    pthread_mutex_lock(&poll->lock);
    poll->sink.barrier(poll->sink.ctx, token);
    poll->sink.batch(poll->sink.ctx);
    pthread_mutex_unlock(&poll->lock);
    return 0;
}

static const struct watch_ops poll_ops = {
    .run = poll_run,
    .stop = poll_stop,
    .close = poll_close,
    .add = poll_add,
    .remove = poll_remove,
    .count = poll_count,
    .drain = poll_drain,
    .barrier = poll_barrier,
};

int watch_poll_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    struct watch_poll *poll = calloc(1, sizeof *poll);
    if (!poll)
        return err_set(err, ERR_NOMEM, 0, "no memory for a watch");
    poll->watch.ops = &poll_ops;
    poll->watch.backend = "poll";
    poll->sink = setup->sink;
    int code = wake_open(&poll->stop, err);
    if (code) {
        free(poll);
        return code;
    }
    pthread_mutex_init(&poll->lock, NULL);
    *out = &poll->watch;
    return 0;
}
