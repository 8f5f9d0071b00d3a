/* sim_engine.c: one life of the engine after the other: a folder with its watch, and a delivery,
 * without threads: the folder's steps, the reading of the kernel's queue and the delivery's steps
 * are taken in turn. A crash leaves the state directory as it was at that moment; what the dying
 * engine still does goes to a directory that nobody reads again. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "batch.h"
#include "clock.h"
#include "delivery.h"
#include "folder_private.h"
#include "osfile.h"
#include "reader.h"
#include "sim.h"

enum { STEPS_MAX = 4000, STATE_MAX = SIM_ROOT_PATH + 16, COPY_BYTES = 64 << 10 };

struct sim_engine {
    struct config_folder folder_config;
    struct config_upload upload_config;
    struct folder *folder;
    struct delivery_shared shared;
    struct delivery *delivery;
    bool changed; /* rows or a state: the upload is told */
    char state[STATE_MAX];
    char root[STATE_MAX];
};

static void note_change(void *ctx)
{
    struct sim_engine *engine = ctx;
    engine->changed = true;
}

/* ---- what the delivery asks of the folder's thread, done on the spot ---- */

static int serve(struct folder *folder, struct folder_request *request, struct err *err)
{
    sim_seam();
    *folder->requests_tail = request;
    folder->requests_tail = &request->next;
    folder_serve_requests(folder);
    sim_seam();
    if (request->rc != 0 && err) {
        *err = request->err;
    }
    return request->rc;
}

static int store_batch(void *ctx, const char *consumer, const struct journal_batch *batch,
                       struct err *err)
{
    struct folder_request request = {.kind = REQUEST_BATCH, .consumer = consumer, .batch = batch};
    return serve(ctx, &request, err);
}

static int acknowledge(void *ctx, const char *consumer, int64_t seq, struct err *err)
{
    struct folder_request request = {.kind = REQUEST_ACK, .consumer = consumer, .seq = seq};
    return serve(ctx, &request, err);
}

static int report(void *ctx, const char *consumer, const char *text, struct err *err)
{
    struct folder_request request = {.kind = REQUEST_REPORT, .consumer = consumer, .text = text};
    return serve(ctx, &request, err);
}

static int resync(void *ctx, const struct journal_order *order, struct err *err)
{
    struct folder_request request = {.kind = REQUEST_RESYNC, .order = order};
    return serve(ctx, &request, err);
}

/* ---- life and death ---- */

static void configure(const struct sim *sim, struct sim_engine *engine)
{
    static const enum config_backend backends[] = {[SIM_INOTIFY] = CONFIG_BACKEND_INOTIFY,
                                                   [SIM_FANOTIFY] = CONFIG_BACKEND_FANOTIFY,
                                                   [SIM_POLL] = CONFIG_BACKEND_POLL,
                                                   [SIM_WINDOWS] = CONFIG_BACKEND_INOTIFY,
                                                   [SIM_WINDOWS_PATHS] = CONFIG_BACKEND_INOTIFY};
    const struct sim_config *config = &sim->config;
    (void)snprintf(engine->root, sizeof engine->root, "%s/root", sim->dir);
    engine->folder_config = (struct config_folder){
        .name = (char *)"folder",
        .path = engine->root, /* there, but empty: looks go to the simulated disk */
        .settle_ns = config->settle_ms * CLOCK_NS_PER_MS,
        .max_delay_ns = config->delay_ms * CLOCK_NS_PER_MS,
        .partial_max_ns = 300 * CLOCK_NS_PER_S,
        .poll_interval_ns = config->poll_s * CLOCK_NS_PER_S,
        .retention_forever = config->retention_s == 0,
        .retention_ns = config->retention_s * CLOCK_NS_PER_S,
        .scan_threads = 1,
        .backend = backends[config->kernel],
    };
    engine->upload_config = (struct config_upload){
        .name = (char *)"server",
        .url = (char *)"http://simulated/",
        .format = CONFIG_FORMAT_SPOOR,
        .ack = CONFIG_ACK_SEQUENCE,
        .fold = config->fold,
        .batch_rows = config->batch_rows,
        .batch_bytes = 1 << 20,
        .batch_delay_ns = config->batch_delay_ms * CLOCK_NS_PER_MS,
        .retry_min_ns = CLOCK_NS_PER_S,
        .retry_max_ns = 60 * CLOCK_NS_PER_S,
        .token_file = (char *)"",
        .ca_file = (char *)"",
        .client_cert = (char *)"",
        .client_key = (char *)"",
    };
}

static int open_delivery(struct sim_engine *engine, struct err *err)
{
    struct delivery_shared *shared = &engine->shared;
    struct upload_journal journal = {.folder = "folder",
                                     .dir = folder_dir(engine->folder),
                                     .ctx = engine->folder,
                                     .store_batch = store_batch,
                                     .ack = acknowledge,
                                     .report = report,
                                     .resync = resync};
    shared->config = &engine->upload_config;
    shared->random = sim_random(&sim_world->random);
    batch_init(&shared->batch);
    transport_answer_init(&shared->answer);
    pthread_mutex_init(&shared->lock, NULL);
    int rc = batch_writer_new(0, &shared->writer, err);
    rc = rc ? rc : transport_open(&engine->upload_config, &shared->transport, err);
    return rc ? rc : delivery_new(shared, &journal, &engine->delivery, err);
}

static int open_folder(struct sim *sim, struct sim_engine *engine, struct err *err)
{
    static const char *const consumers[] = {"server"};
    struct folder_notify notify = {engine, note_change};
    int rc = osfile_make_private_dir(engine->state, err);
    rc =
        rc ? rc : folder_open(&engine->folder_config, engine->state, &notify, &engine->folder, err);
    rc = rc ? rc : folder_set_consumers(engine->folder, consumers, 1, err);
    if (rc == 0) {
        sim->watch = engine->folder->watch;
        const char *backend = watch_backend(sim->watch);
        if (strcmp(backend, sim_kernel_name((int)sim->config.kernel)) != 0) {
            (void)sim_wrong(sim, "the back-end is '%s'", backend);
        }
    }
    return rc;
}

bool sim_engine_start(struct sim *sim)
{
    struct sim_engine *engine = calloc(1, sizeof *engine);
    struct err err = {0};
    if (!engine) {
        return sim_wrong(sim, "no memory");
    }
    sim->engine = engine;
    sim_disk_mount(&sim->disk);
    sim->losses = sim->losses_told = 0;
    sim->must_ask = true;
    configure(sim, engine);
    (void)snprintf(engine->state, sizeof engine->state, "%s/state", sim->dir);
    int rc = open_folder(sim, engine, &err);
    rc = rc ? rc : open_delivery(engine, &err);
    return rc == 0 || sim_wrong(sim, "the engine cannot start: %s", err.text);
}

void sim_engine_stop(struct sim *sim)
{
    struct sim_engine *engine = sim->engine;
    if (!engine) {
        return;
    }
    reader_close(sim->reader);
    sim->reader = NULL;
    delivery_free(engine->delivery);
    transport_close(engine->shared.transport);
    batch_writer_free(engine->shared.writer);
    batch_deinit(&engine->shared.batch);
    transport_answer_deinit(&engine->shared.answer);
    if (engine->folder) {
        folder_stop(engine->folder);
        folder_end(engine->folder);
        folder_close(engine->folder);
    }
    sim_kernel_reset(sim);
    free(engine);
    sim->engine = NULL;
    sim->watch = NULL;
}

int sim_copy_file(const char *from, const char *to)
{
    static const int wanted = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in >= 0 ? open(to, wanted, 0600) : -1;
    char *bytes = malloc(COPY_BYTES);
    ssize_t got = 0;
    bool ok = bytes && out >= 0;
    while (ok && (got = read(in, bytes, COPY_BYTES)) > 0) {
        ok = write(out, bytes, (size_t)got) == got;
    }
    free(bytes);
    if (in >= 0) {
        close(in);
    }
    if (out >= 0) {
        close(out);
    }
    return ok && got == 0 ? 0 : -1;
}

void sim_engine_snapshot(struct sim *sim)
{
    /* Not the -shm file: without a living process it means nothing. */
    static const char *const files[] = {"journal.db", "journal.db-wal", "journal.id"};
    char from[STATE_MAX + 64], to[STATE_MAX + 64];
    (void)snprintf(to, sizeof to, "%s/left", sim->dir);
    (void)mkdir(to, 0700); /* a failure shows below */
    (void)snprintf(to, sizeof to, "%s/left/folder", sim->dir);
    (void)mkdir(to, 0700);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(from, sizeof from, "%s/folder/%s", sim->engine->state, files[i]);
        (void)snprintf(to, sizeof to, "%s/left/folder/%s", sim->dir, files[i]);
        if (sim_copy_file(from, to) != 0 && access(from, F_OK) == 0) {
            (void)sim_wrong(sim, "the snapshot failed: %s", strerror(errno));
        }
    }
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)type;
    (void)where;
    return remove(path);
}

static void die(struct sim *sim)
{
    if (!sim->crashed) {
        sim_engine_snapshot(sim);
        sim->crashed = true;
        sim->crashes++;
    }
}

/* Stops the engine; what it leaves is what it left when it died, if it did. */
static bool stop_for_good(struct sim *sim)
{
    char state[STATE_MAX], left[STATE_MAX];
    bool died = sim->crashed;
    (void)snprintf(state, sizeof state, "%s/state", sim->dir);
    (void)snprintf(left, sizeof left, "%s/left", sim->dir);
    sim_engine_stop(sim);
    sim->crashed = false;
    sim->crash_in = 0;
    if (died && (nftw(state, remove_one, 16, FTW_DEPTH | FTW_PHYS) || rename(left, state))) {
        return sim_wrong(sim, "the state left by the crash is not to be had: %s", strerror(errno));
    }
    return true;
}

bool sim_engine_restart(struct sim *sim, bool crash)
{
    if (crash) {
        die(sim);
    }
    return stop_for_good(sim) && sim_engine_start(sim);
}

bool sim_engine_lose_power(struct sim *sim)
{
    die(sim);
    if (!stop_for_good(sim)) {
        return false;
    }
    sim_disk_revert(&sim->disk, &sim->flushed);
    memset(sim->identity, 0, sizeof sim->identity); /* nodes are other files from now on */
    sim->torn_count = 0;
    return sim_engine_start(sim);
}

int64_t sim_engine_last_seq(const struct sim *sim)
{
    const struct journal *journal = sim->engine->folder->journal;
    return journal ? journal_info(journal)->last_seq : -1;
}

bool sim_engine_knows_root(const struct sim *sim)
{
    const struct journal *journal = sim->engine->folder->journal;
    return journal && journal_info(journal)->root_known;
}

const char *sim_engine_dir(const struct sim *sim)
{
    return folder_dir(sim->engine->folder);
}

/* ---- turns ---- */

static bool is_well(struct sim *sim)
{
    struct folder_status status;
    folder_get_status(sim->engine->folder, &status);
    const struct journal *journal = sim->engine->folder->journal;
    sim->indexed |= journal && journal_info(journal)->indexed;
    /* Lost in its first index, of which nothing may be kept: it begins anew. */
    bool lost = !sim->indexed && strstr(status.error, "the folder is gone");
    if (status.state == FOLDER_FAILED && !lost) {
        return sim_wrong(sim, "the folder failed: %s", status.error);
    }
    return !sim->why[0];
}

/* One step of each; *more: there is more to do now. */
static bool take_turn(struct sim *sim, bool drain, bool *more)
{
    struct sim_engine *engine = sim->engine;
    struct err err = {0};
    if (drain && watch_drain(sim->watch, &err) != 0) {
        return sim_wrong(sim, "the queue cannot be read: %s", err.text);
    }
    *more = folder_step(engine->folder) || folder_due(engine->folder) <= sim->mono_ns;
    bool news = sim_engine_last_seq(sim) != sim->replica.seq;
    if (!sim->crashed && (!is_well(sim) || (news && !sim_check_rows(sim)))) {
        return false;
    }
    if (engine->changed) {
        engine->changed = false;
        delivery_nudge(engine->delivery, false);
    }
    if (!sim->crashed && delivery_due(engine->delivery) <= sim->mono_ns) {
        delivery_step(engine->delivery);
        *more = true;
    }
    return sim->crashed ? sim_engine_restart(sim, false) : is_well(sim);
}

bool sim_engine_run(struct sim *sim, bool drain)
{
    bool more = true;
    for (int i = 0; more; i++) {
        if (i == STEPS_MAX) {
            return sim_wrong(sim, "no end of steps: the engine spins");
        }
        if (!take_turn(sim, drain && i == 0, &more)) {
            return false;
        }
    }
    return true;
}

static int64_t next_due(const struct sim *sim)
{
    int64_t due = folder_due(sim->engine->folder);
    int64_t delivery = delivery_due(sim->engine->delivery);
    return due < delivery ? due : delivery;
}

bool sim_engine_wait(struct sim *sim, int64_t ns)
{
    int64_t until = sim->mono_ns + ns;
    while (sim->mono_ns < until) {
        int64_t due = next_due(sim);
        if (due >= until) {
            sim->mono_ns = until;
            break;
        }
        if (due > sim->mono_ns) {
            sim->mono_ns = due;
        }
        if (!sim_engine_run(sim, true)) {
            return false;
        }
    }
    return true;
}

bool sim_engine_sync(struct sim *sim, bool *done)
{
    uint64_t ticket;
    int64_t seq;
    struct err err = {0};
    struct sim_engine *engine = sim->engine;
    int64_t crashes = sim->crashes;
    *done = false;
    if (folder_sync_start(engine->folder, &ticket, &err) != 0) {
        return sim_wrong(sim, "a sync cannot begin: %s", err.text);
    }
    sim_kernel_barrier(sim);
    for (int i = 0; i < STEPS_MAX; i++) {
        bool more;
        if (!take_turn(sim, true, &more)) {
            return false;
        }
        if (sim->crashes != crashes) {
            return true; /* it crashed, and the sync with it */
        }
        int rc = folder_sync_done(engine->folder, ticket, &seq, &err);
        if (rc != 0) {
            *done = rc == 1;
            return rc == 1 || rc == ERR_CONFLICT || sim_wrong(sim, "a sync failed: %s", err.text);
        }
        int64_t due = next_due(sim);
        if (!more && due == INT64_MAX) {
            return sim_wrong(sim, "a sync waits for ever: nothing is due");
        }
        if (!more && due > sim->mono_ns) {
            sim->mono_ns = due;
        }
    }
    return sim_wrong(sim, "a sync does not end");
}

bool sim_engine_deliver(struct sim *sim)
{
    struct upload_status status;
    for (int i = 0; i < STEPS_MAX; i++) {
        delivery_status(sim->engine->delivery, &status);
        if (sim_server_open(sim) && status.acked == sim->replica.seq &&
            status.state == UPLOAD_IDLE) {
            return true;
        }
        delivery_nudge(sim->engine->delivery, true);
        sim->mono_ns += CLOCK_NS_PER_S;
        if (!sim_engine_run(sim, true)) {
            return false;
        }
        if (sim->replica.seq == 0) {
            return true; /* nothing was ever journaled */
        }
    }
    return sim_wrong(sim, "the server does not get all: %lld of %lld acknowledged; %s",
                     (long long)status.acked, (long long)sim->replica.seq, status.error);
}

bool sim_engine_troubled(struct sim *sim)
{
    struct folder_status status;
    folder_get_status(sim->engine->folder, &status);
    return status.unknown_names > 0 || status.dirty_dirs > 0 || status.unreadable_dirs > 0;
}
