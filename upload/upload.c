/* upload.c: the thread of one [upload] section, and what other threads may ask of it.
 *
 * The thread takes turns between its journals: whichever is due makes one step
 * (delivery.c). When none is, it sleeps until the earliest back-off ends or somebody wakes
 * it: with everything acknowledged there is no deadline and it never wakes by itself. */
#include "upload.h"

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"
#include "config.h"
#include "delivery.h"
#include "err.h"
#include "osfile.h"
#include "wake.h"

#define FETCH_URL_MAX 8192 /* bytes */

struct upload {
    struct delivery_shared shared;
    size_t count;
    size_t turn; /* the thread's: whose turn is next */
    struct wake wake;
    atomic_bool stopping;
    atomic_bool notified;
    atomic_bool retry_now;
    bool started;
    pthread_t thread;
    struct delivery *deliveries[]; /* `count` of them */
};

const char *upload_state_name(enum upload_state state)
{
    switch (state) {
    case UPLOAD_IDLE:
        return "idle";
    case UPLOAD_SENDING:
        return "sending";
    case UPLOAD_BACKOFF:
        return "backoff";
    case UPLOAD_WAITING:
        return "waiting";
    case UPLOAD_HELD:
        return "held";
    case UPLOAD_PAUSED:
        return "paused";
    case UPLOAD_STOPPED:
        return "stopped";
    }
    return "?";
}

/* The next in turn that is due, or NULL and the time when one will be. */
static struct delivery *pick(struct upload *upload, int64_t *deadline)
{
    int64_t now = clock_mono_ns();
    *deadline = INT64_MAX;
    for (size_t i = 0; i < upload->count; i++) {
        size_t index = (upload->turn + i) % upload->count;
        struct delivery *delivery = upload->deliveries[index];
        int64_t due = delivery_due(delivery);
        if (due <= now) {
            upload->turn = (index + 1) % upload->count;
            return delivery;
        }
        if (due < *deadline)
            *deadline = due;
    }
    return NULL;
}

static void *run(void *arg)
{
    struct upload *upload = arg;
    while (!atomic_load(&upload->stopping)) {
        bool retry_now = atomic_exchange(&upload->retry_now, false);
        bool notified = atomic_exchange(&upload->notified, false);
        for (size_t i = 0; (retry_now || notified) && i < upload->count; i++)
            delivery_nudge(upload->deliveries[i], retry_now);
        int64_t deadline;
        struct delivery *delivery = pick(upload, &deadline);
        if (delivery)
            delivery_step(delivery);
        else
            (void)wake_wait(&upload->wake, deadline); /* either way: look again */
    }
    for (size_t i = 0; i < upload->count; i++)
        delivery_set_stopped(upload->deliveries[i]);
    return NULL;
}

int upload_open(const struct config_upload *config, const struct upload_journal *journals,
                size_t count, struct upload **out, struct err *err)
{
    if (count > CONFIG_FOLDERS_MAX)
        return err_set(err, ERR_LIMIT, 0, "cannot set up upload '%s': over %d folders",
                       config->name, CONFIG_FOLDERS_MAX);
    struct upload *upload = calloc(1, sizeof *upload + count * sizeof(struct delivery *));
    if (!upload)
        return err_set(err, ERR_NOMEM, 0, "cannot set up upload '%s': out of memory", config->name);
    struct delivery_shared *shared = &upload->shared;
    upload->wake.fd = -1;
    shared->config = config;
    batch_init(&shared->batch);
    transport_answer_init(&shared->answer);
    pthread_mutex_init(&shared->lock, NULL);
    atomic_init(&upload->stopping, false);
    atomic_init(&upload->notified, false);
    atomic_init(&upload->retry_now, false);
    int code = wake_open(&upload->wake, err);
    if (!code)
        code = osfile_random(&shared->random, sizeof shared->random, err);
    if (!code)
        code = batch_writer_new((int)config->compression, &shared->writer, err);
    if (!code)
        code = transport_open(config, &shared->transport, err);
    for (size_t i = 0; i < count && !code; i++) {
        code = delivery_new(shared, &journals[i], &upload->deliveries[i], err);
        upload->count += code == 0;
    }
    if (code)
        upload_close(upload);
    else
        *out = upload;
    return code;
}

int upload_start(struct upload *upload, struct err *err)
{
    int os = pthread_create(&upload->thread, NULL, run, upload);
    if (os)
        return err_os(err, os, "cannot start thread of upload '%s'", upload->shared.config->name);
    upload->started = true;
    return 0;
}

void upload_notify(struct upload *upload)
{
    atomic_store(&upload->notified, true);
    wake_set(&upload->wake);
}

void upload_retry_now(struct upload *upload)
{
    atomic_store(&upload->retry_now, true);
    wake_set(&upload->wake);
}

int upload_wish(struct upload *upload, const char *folder, enum journal_resync what, int64_t value,
                struct err *err)
{
    const struct config_upload *config = upload->shared.config;
    int code = ERR_NOTFOUND;
    if (what == JOURNAL_SNAPSHOT && config->format != CONFIG_FORMAT_SPOOR)
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "upload '%s': it is a log; only a replica can be sent its tree",
                       config->name);
    for (size_t i = 0; i < upload->count && code != ERR_BUSY; i++)
        if (!folder || strcmp(delivery_folder(upload->deliveries[i]), folder) == 0)
            code = delivery_wish(upload->deliveries[i], what, value) ? 0 : ERR_BUSY;
    upload_retry_now(upload);
    if (code == ERR_BUSY)
        return err_set(err, code, 0, "upload '%s': the wish before this one waits still",
                       config->name);
    return code ? err_set(err, code, 0, "upload '%s': it serves no such folder", config->name) : 0;
}

void upload_stop(struct upload *upload)
{
    atomic_store(&upload->stopping, true);
    transport_cancel(upload->shared.transport);
    wake_set(&upload->wake);
}

void upload_close(struct upload *upload)
{
    if (!upload)
        return;
    if (upload->started) {
        upload_stop(upload);
        pthread_join(upload->thread, NULL);
    }
    for (size_t i = 0; i < upload->count; i++)
        delivery_free(upload->deliveries[i]);
    transport_close(upload->shared.transport);
    batch_writer_free(upload->shared.writer);
    batch_deinit(&upload->shared.batch);
    transport_answer_deinit(&upload->shared.answer);
    pthread_mutex_destroy(&upload->shared.lock);
    wake_close(&upload->wake);
    free(upload);
}

size_t upload_status(struct upload *upload, struct upload_status *out, size_t max)
{
    size_t filled = upload->count < max ? upload->count : max;
    for (size_t i = 0; i < filled; i++)
        delivery_status(upload->deliveries[i], &out[i]);
    return filled;
}

const char *upload_name(const struct upload *upload)
{
    return upload->shared.config->name;
}

int64_t upload_acked(struct upload *upload, const char *folder)
{
    struct upload_status status;
    for (size_t i = 0; i < upload->count; i++) {
        if (strcmp(delivery_folder(upload->deliveries[i]), folder) == 0) {
            delivery_status(upload->deliveries[i], &status);
            return status.compared ? status.acked : -1;
        }
    }
    return -1;
}

/* An answer that is no success, as an error with what the server said. */
static int refused(const char *url, const struct transport_answer *answer, struct err *err)
{
    struct buf text;
    buf_init(&text, TRANSPORT_EXCERPT_MAX);
    transport_add_excerpt(&text, answer);
    int code = err_set(err, answer->status == 404 ? ERR_NOTFOUND : ERR_NETWORK, 0,
                       "cannot fetch '%s': the server answered %d%s", url, answer->status,
                       text.len ? text.data : "");
    buf_deinit(&text);
    return code;
}

int upload_fetch(const struct config_upload *config, const char *journal, const char *what,
                 int (*piece)(void *ctx, const char *bytes, size_t len), void *ctx, struct err *err)
{
    struct transport *transport = NULL;
    struct transport_answer answer;
    struct buf url;
    if (config->format != CONFIG_FORMAT_SPOOR)
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "cannot ask server of upload '%s': only format spoor has a tree to ask for",
                       config->name);
    buf_init(&url, FETCH_URL_MAX);
    transport_answer_init(&answer);
    transport_add_url(&url, config->url, journal, what);
    int code = buf_ok(&url)
                   ? transport_open(config, &transport, err)
                   : err_set(err, ERR_LIMIT, 0, "cannot form request: the url is too long");
    if (code)
        goto out;
    struct transport_request request = {.url = url.data, .piece = piece, .ctx = ctx};
    code = transport_perform(transport, &request, &answer, err);
    if (!code && (answer.status < 200 || answer.status > 299))
        code = refused(url.data, &answer, err);

out:
    transport_close(transport);
    transport_answer_deinit(&answer);
    buf_deinit(&url);
    return code;
}
