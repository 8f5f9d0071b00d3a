/* engine.c: the folders and uploads of one configuration.
 *
 * Owns them and the links between them. Order is the point here: uploads start before the
 * folders that feed them; folders are asked to stop first, which also frees an upload that
 * waits for a folder's thread; then uploads are joined, because they call into folders; then
 * folders. Leaves signals, control and messages to daemon.c. */
#include "engine.h"

#include <pthread.h>
#include <stdatomic.h>

#include "config.h"
#include "err.h"
#include "folder.h"
#include "log.h"
#include "upload.h"
#include "wake.h"

/* One upload serving one folder: what the upload's thread gets as upload_journal.ctx. */
struct link {
    struct engine *engine;
    size_t upload; /* indexes into the engine's arrays */
    size_t folder;
    _Atomic int64_t acked; /* what was committed last since start */
};

/* What a folder's thread gets as folder_notify.ctx. */
struct feed {
    struct engine *engine;
    size_t folder;
};

struct engine {
    const struct config *config;
    struct wake *wake;
    struct folder **folders; /* config's order */
    struct feed *feeds;
    struct upload **uploads;
    struct link *links;
    size_t link_count;
    atomic_int watched;
    /* Folder threads notify uploads until `closing`; then these may be freed. */
    pthread_mutex_t lock;
    bool closing;
};

/* ---- calls from the threads of folders and uploads ---- */

/* Reads by a read-modify-write, which is ordered with the exchange in engine_watch(): either the
 * main thread sees what was just done when it looks after that, or we see `watched` here. */
static void tell_main(struct engine *engine)
{
    if (atomic_fetch_or(&engine->watched, 0))
        wake_set(engine->wake);
}

static void folder_changed(void *ctx)
{
    const struct feed *feed = ctx;
    struct engine *engine = feed->engine;

    (void)pthread_mutex_lock(&engine->lock); /* a plain mutex, correctly used, cannot fail */
    for (size_t i = 0; i < engine->link_count && !engine->closing; i++)
        if (engine->links[i].folder == feed->folder)
            upload_notify(engine->uploads[engine->links[i].upload]);
    (void)pthread_mutex_unlock(&engine->lock); /* as above */
    tell_main(engine);
}

static int link_store_batch(void *ctx, const char *consumer, const struct journal_batch *batch,
                            struct err *err)
{
    const struct link *link = ctx;

    return folder_store_batch(link->engine->folders[link->folder], consumer, batch, err);
}

static int link_ack(void *ctx, const char *consumer, int64_t seq, struct err *err)
{
    struct link *link = ctx;
    int rc = folder_ack(link->engine->folders[link->folder], consumer, seq, err);

    if (rc == 0) {
        atomic_store(&link->acked, seq);
        tell_main(link->engine);
    }
    return rc;
}

static int link_report(void *ctx, const char *consumer, const char *error, struct err *err)
{
    const struct link *link = ctx;

    return folder_report(link->engine->folders[link->folder], consumer, error, err);
}

static int link_resync(void *ctx, const struct journal_order *order, struct err *err)
{
    struct link *link = ctx;
    int rc = folder_resync(link->engine->folders[link->folder], order, err);

    if (rc == 0 && (order->what == JOURNAL_REWIND || order->what == JOURNAL_SNAPSHOT))
        atomic_store(&link->acked, order->what == JOURNAL_REWIND ? order->value : 0);
    if (rc == 0 && order->what == JOURNAL_QUARANTINE) { /* which acknowledges it */
        atomic_store(&link->acked, order->value);
        tell_main(link->engine);
    }
    return rc;
}

static void link_progress(void *ctx)
{
    const struct link *link = ctx;

    tell_main(link->engine);
}

/* ---- opening ---- */

static int allocate(struct engine *engine, struct err *err)
{
    const struct config *config = engine->config;
    size_t links = 0;

    for (size_t u = 0; u < config->upload_count; u++)
        for (size_t f = 0; f < config->folder_count; f++)
            links += config_upload_serves(&config->uploads[u], config->folders[f].name);
    /* One more of each: calloc(0) may be NULL. */
    engine->folders = calloc(config->folder_count + 1, sizeof(struct folder *));
    engine->feeds = calloc(config->folder_count + 1, sizeof *engine->feeds);
    engine->uploads = calloc(config->upload_count + 1, sizeof(struct upload *));
    engine->links = calloc(links + 1, sizeof *engine->links);
    if (!engine->folders || !engine->feeds || !engine->uploads || !engine->links)
        return err_set(err, ERR_NOMEM, 0, "no memory for the folders and uploads");
    for (size_t u = 0; u < config->upload_count; u++)
        for (size_t f = 0; f < config->folder_count; f++)
            if (config_upload_serves(&config->uploads[u], config->folders[f].name))
                engine->links[engine->link_count++] =
                    (struct link){.engine = engine, .upload = u, .folder = f};
    return 0;
}

static int open_folder(struct engine *engine, size_t index, struct err *err)
{
    const struct config *config = engine->config;
    const char *names[CONFIG_UPLOADS_MAX];
    size_t count = 0;
    struct feed *feed = &engine->feeds[index];
    struct folder_notify notify = {.ctx = feed, .changed = folder_changed};

    *feed = (struct feed){.engine = engine, .folder = index};
    int rc = folder_open(&config->folders[index], config->daemon.state_dir, &notify,
                         &engine->folders[index], err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < engine->link_count; i++)
        if (engine->links[i].folder == index && count < ARRAY_LEN(names))
            names[count++] = config->uploads[engine->links[i].upload].name;
    return folder_set_consumers(engine->folders[index], names, count, err);
}

static int open_upload(struct engine *engine, size_t index, struct err *err)
{
    struct upload_journal journals[CONFIG_FOLDERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < engine->link_count; i++) {
        struct link *link = &engine->links[i];
        if (link->upload != index || count == ARRAY_LEN(journals))
            continue;
        const struct folder *folder = engine->folders[link->folder];
        journals[count++] = (struct upload_journal){
            .folder = folder_name(folder),
            .dir = folder_dir(folder),
            .ctx = link,
            .store_batch = link_store_batch,
            .ack = link_ack,
            .report = link_report,
            .resync = link_resync,
            .progress = link_progress,
        };
    }
    return upload_open(&engine->config->uploads[index], journals, count, &engine->uploads[index],
                       err);
}

int engine_open(const struct config *config, struct wake *wake, struct engine **out,
                struct err *err)
{
    struct engine *engine = calloc(1, sizeof *engine);
    int rc;

    if (!engine)
        return err_set(err, ERR_NOMEM, 0, "no memory for the folders and uploads");
    engine->config = config;
    engine->wake = wake;
    if (pthread_mutex_init(&engine->lock, NULL) != 0) {
        free(engine);
        return err_set(err, ERR_NOMEM, 0, "cannot make a mutex");
    }
    rc = allocate(engine, err);
    for (size_t f = 0; rc == 0 && f < config->folder_count; f++)
        rc = open_folder(engine, f, err);
    for (size_t u = 0; rc == 0 && u < config->upload_count; u++)
        rc = open_upload(engine, u, err);
    if (rc != 0) {
        engine_close(engine);
        return rc;
    }
    *out = engine;
    return 0;
}

bool engine_wants_marks(const struct engine *engine)
{
    for (size_t f = 0; f < engine->config->folder_count; f++)
        if (engine->config->folders[f].backend == CONFIG_BACKEND_FANOTIFY)
            return true;
    return false;
}

int engine_start(struct engine *engine, struct err *err)
{
    int rc = 0;

    for (size_t u = 0; rc == 0 && u < engine->config->upload_count; u++)
        rc = upload_start(engine->uploads[u], err);
    for (size_t f = 0; rc == 0 && f < engine->config->folder_count; f++)
        rc = folder_start(engine->folders[f], err);
    return rc;
}

void engine_stop(struct engine *engine)
{
    for (size_t f = 0; f < engine->config->folder_count; f++)
        if (engine->folders[f])
            folder_stop(engine->folders[f]);
    for (size_t u = 0; u < engine->config->upload_count; u++)
        if (engine->uploads[u])
            upload_stop(engine->uploads[u]);
}

bool engine_wait_end(struct engine *engine, int64_t deadline_mono_ns)
{
    bool ended = true;

    for (size_t f = 0; f < engine->config->folder_count; f++) {
        if (folder_wait_end(engine->folders[f], deadline_mono_ns))
            continue;
        log_error("folder '%s': its file system hangs: it is left behind; what it has seen is "
                  "committed",
                  folder_name(engine->folders[f]));
        ended = false;
    }
    return ended;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    if (engine->folders && engine->uploads) {
        engine_stop(engine);
        (void)pthread_mutex_lock(&engine->lock); /* cannot fail */
        engine->closing = true;
        (void)pthread_mutex_unlock(&engine->lock); /* cannot fail */
        for (size_t u = 0; u < engine->config->upload_count; u++)
            upload_close(engine->uploads[u]);
        for (size_t f = 0; f < engine->config->folder_count; f++)
            folder_close(engine->folders[f]);
    }
    free(engine->folders);
    free(engine->feeds);
    free(engine->uploads);
    free(engine->links);
    (void)pthread_mutex_destroy(&engine->lock); /* nobody is left to hold it */
    free(engine);
}

/* ---- the main thread's questions ---- */

size_t engine_folder_count(const struct engine *engine)
{
    return engine->config->folder_count;
}

struct folder *engine_folder(const struct engine *engine, size_t index)
{
    return engine->folders[index];
}

size_t engine_upload_count(const struct engine *engine)
{
    return engine->config->upload_count;
}

struct upload *engine_upload(const struct engine *engine, size_t index)
{
    return engine->uploads[index];
}

bool engine_serves(const struct engine *engine, size_t upload, size_t folder)
{
    return config_upload_serves(&engine->config->uploads[upload],
                                engine->config->folders[folder].name);
}

void engine_watch(struct engine *engine, bool on)
{
    (void)atomic_exchange(&engine->watched, on); /* what it was does not matter; see tell_main() */
}

void engine_retry(struct engine *engine, size_t folder)
{
    for (size_t u = 0; u < engine->config->upload_count; u++)
        if (folder == SIZE_MAX || engine_serves(engine, u, folder))
            upload_retry_now(engine->uploads[u]);
}

bool engine_acknowledged(const struct engine *engine, size_t folder, int64_t seq)
{
    const char *name = engine->config->folders[folder].name;

    for (size_t i = 0; i < engine->link_count; i++) {
        struct link *link = &engine->links[i];
        /* Our own number counts what was acknowledged since start, the upload's what was before:
         * the journal's answer reaches us before the upload's thread has noted it. */
        if (link->folder == folder && atomic_load(&link->acked) < seq &&
            upload_acked(engine->uploads[link->upload], name) < seq)
            return false;
    }
    return true;
}
