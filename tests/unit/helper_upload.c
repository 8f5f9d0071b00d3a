/* helper_upload.c: see the header. The journal is written by edits made by hand, so that the
 * tests of this room do not hang on reconcile. */
#include "helper_upload.h"

#include <errno.h>

#include "clock.h"
#include "err.h"
#include "helper_temp.h"

#define TIME_MS INT64_C(1795420800000)

static void check(int code, const struct err *err)
{
    if (code == 0)
        return;
    (void)fprintf(stderr, "helper_upload: %s\n", err->text);
    abort();
}

void upload_rig_open(struct upload_rig *rig, const char *folder, const char *consumer)
{
    struct err err = {0};
    *rig = (struct upload_rig){0};
    temp_make(rig->dir, sizeof rig->dir);
    (void)snprintf(rig->folder, sizeof rig->folder, "%s", folder);
    (void)snprintf(rig->journal_dir, sizeof rig->journal_dir, "%s", rig->dir);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->changed, NULL);
    check(journal_open(rig->journal_dir, rig->folder, &rig->journal, &err), &err);
    check(journal_set_indexed(rig->journal, &err), &err);
    if (consumer)
        check(journal_consumer_add(rig->journal, consumer, 0, &err), &err);
}

void upload_rig_close(struct upload_rig *rig)
{
    journal_close(rig->journal);
    pthread_cond_destroy(&rig->changed);
    pthread_mutex_destroy(&rig->lock);
    temp_delete(rig->dir);
}

void upload_rig_reopen(struct upload_rig *rig)
{
    struct err err = {0};
    pthread_mutex_lock(&rig->lock);
    journal_close(rig->journal);
    check(journal_open(rig->journal_dir, rig->folder, &rig->journal, &err), &err);
    pthread_mutex_unlock(&rig->lock);
}

static int store_batch(void *ctx, const char *consumer, const struct journal_batch *batch,
                       struct err *err)
{
    struct upload_rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    int code = journal_batch_store(rig->journal, consumer, batch, err);
    rig->stored_batches += code == 0;
    rig->stored_last = batch->last;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
    return code;
}

static int ack(void *ctx, const char *consumer, int64_t seq, struct err *err)
{
    struct upload_rig *rig = ctx;
    int code;
    pthread_mutex_lock(&rig->lock);
    if (rig->fail_acks > 0) {
        rig->fail_acks--;
        code = err_set(err, ERR_FULL, 0, "no room for an acknowledgement");
    } else {
        code = journal_ack(rig->journal, consumer, seq, TIME_MS, err);
        rig->acked = code ? rig->acked : seq;
    }
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
    return code;
}

static int report(void *ctx, const char *consumer, const char *text, struct err *err)
{
    struct upload_rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    int code = journal_consumer_error(rig->journal, consumer, text, TIME_MS, err);
    (void)snprintf(rig->reported, sizeof rig->reported, "%s", text);
    rig->reports++;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
    return code;
}

static int resync(void *ctx, const struct journal_order *order, struct err *err)
{
    struct upload_rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    int code = journal_resync(rig->journal, order, TIME_MS, err);
    if (code == 0 && (order->what == JOURNAL_REWIND || order->what == JOURNAL_SNAPSHOT))
        rig->acked = order->what == JOURNAL_REWIND ? order->value : 0;
    if (code == 0)
        rig->resyncs[order->what]++;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
    return code;
}

static void progress(void *ctx)
{
    struct upload_rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    rig->progress++;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

struct upload_journal upload_rig_ops(struct upload_rig *rig)
{
    return (struct upload_journal){
        .folder = rig->folder,
        .dir = rig->journal_dir,
        .ctx = rig,
        .store_batch = store_batch,
        .ack = ack,
        .report = report,
        .resync = resync,
        .progress = progress,
    };
}

void upload_rig_commit(struct upload_rig *rig, size_t count, uint32_t flags)
{
    struct err err = {0};
    struct edit *edits = calloc(count, sizeof *edits);
    char(*names)[32] = calloc(count, sizeof *names);
    if (!edits || !names)
        abort();
    pthread_mutex_lock(&rig->lock);
    int64_t next = journal_info(rig->journal)->last_seq + 1;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "file-%08lld", (long long)rig->files++);
        edits[i] = (struct edit){
            .kind = CHANGE_CREATE,
            .type = ENTRY_FILE,
            .flags = i + 1 < count ? flags : 0,
            .entry = next + (int64_t)i,
            .name = bytes_str(names[i]),
            .path = bytes_str(names[i]),
            .attrs = {.size = (int64_t)i * 37, .mtime_ns = TIME_MS * 1000000, .mode = 0644},
            .file = {.a = (uint64_t)rig->files, .b = 1},
        };
    }
    check(journal_commit(rig->journal, edits, count, TIME_MS, &err), &err);
    pthread_mutex_unlock(&rig->lock);
    free(edits);
    free(names);
}

/* One commit of `count` rows about one file, whose size grows from `size`. */
static void commit_file(struct upload_rig *rig, enum change_kind kind, int64_t entry, int64_t file,
                        int64_t size, size_t count)
{
    struct err err = {0};
    char name[32];
    struct edit *edits = calloc(count, sizeof *edits);
    if (!edits)
        abort();
    (void)snprintf(name, sizeof name, "file-%08lld", (long long)file);
    for (size_t i = 0; i < count; i++)
        edits[i] = (struct edit){
            .kind = kind,
            .type = ENTRY_FILE,
            .entry = entry,
            .name = bytes_str(name),
            .path = bytes_str(name),
            .attrs = {.size = size + (int64_t)i, .mtime_ns = TIME_MS * 1000000, .mode = 0644},
            .file = {.a = (uint64_t)file + 1, .b = 1},
        };
    pthread_mutex_lock(&rig->lock);
    check(journal_commit(rig->journal, edits, count, TIME_MS, &err), &err);
    pthread_mutex_unlock(&rig->lock);
    free(edits);
}

void upload_rig_modify(struct upload_rig *rig, int64_t entry, int64_t file, int64_t times)
{
    for (int64_t i = 0; i < times; i += UPLOAD_RIG_ROWS) {
        int64_t left = times - i;
        commit_file(rig, CHANGE_MODIFY, entry, file, 100001 + i,
                    (size_t)(left < UPLOAD_RIG_ROWS ? left : UPLOAD_RIG_ROWS));
    }
}

void upload_rig_delete(struct upload_rig *rig, int64_t entry, int64_t file)
{
    commit_file(rig, CHANGE_DELETE, entry, file, 0, 1);
}

struct journal_info upload_rig_info(struct upload_rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    struct journal_info info = *journal_info(rig->journal);
    pthread_mutex_unlock(&rig->lock);
    return info;
}

static struct timespec deadline_30s(void)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 30;
    return deadline;
}

bool upload_rig_wait_acked(struct upload_rig *rig, int64_t seq)
{
    struct timespec deadline = deadline_30s();
    int code = 0;
    pthread_mutex_lock(&rig->lock);
    while (rig->acked < seq && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&rig->changed, &rig->lock, &deadline);
    bool done = rig->acked >= seq;
    pthread_mutex_unlock(&rig->lock);
    return done;
}

/* "" is the report that all is well again. */
static bool is_reported(const struct upload_rig *rig, const char *part)
{
    return *part ? strstr(rig->reported, part) != NULL : rig->reported[0] == '\0';
}

bool upload_rig_wait_report(struct upload_rig *rig, const char *part)
{
    struct timespec deadline = deadline_30s();
    int code = 0;
    pthread_mutex_lock(&rig->lock);
    while (!is_reported(rig, part) && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&rig->changed, &rig->lock, &deadline);
    bool done = is_reported(rig, part);
    if (!done)
        (void)fprintf(stderr, "waited for '%s', reported was '%s'\n", part, rig->reported);
    pthread_mutex_unlock(&rig->lock);
    return done;
}

bool upload_rig_wait_progress(struct upload_rig *rig)
{
    struct timespec deadline = deadline_30s();
    int code = 0;
    pthread_mutex_lock(&rig->lock);
    while (!rig->progress && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&rig->changed, &rig->lock, &deadline);
    bool done = rig->progress > 0;
    pthread_mutex_unlock(&rig->lock);
    return done;
}

bool upload_rig_wait_order(struct upload_rig *rig, enum journal_resync what)
{
    struct timespec deadline = deadline_30s();
    int code = 0;
    pthread_mutex_lock(&rig->lock);
    while (!rig->resyncs[what] && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&rig->changed, &rig->lock, &deadline);
    bool done = rig->resyncs[what] > 0;
    pthread_mutex_unlock(&rig->lock);
    return done;
}

struct config_upload upload_rig_config(const char *url)
{
    return (struct config_upload){
        .name = (char *)"main",
        .url = (char *)url,
        .format = CONFIG_FORMAT_SPOOR,
        .ack = CONFIG_ACK_SEQUENCE,
        .batch_rows = 1000,
        .batch_bytes = 1 << 20,
        .batch_delay_ns = 0,
        .compression = 1,
        .connect_timeout_ns = 10 * CLOCK_NS_PER_S,
        .timeout_ns = 20 * CLOCK_NS_PER_S,
        .retry_min_ns = 10 * CLOCK_NS_PER_MS,
        .retry_max_ns = 50 * CLOCK_NS_PER_MS,
        .token_file = (char *)"",
        .ca_file = (char *)"",
        .client_cert = (char *)"",
        .client_key = (char *)"",
    };
}

void stage_open(struct upload_stage *stage, const struct server_step *steps, size_t count,
                size_t rows)
{
    *stage = (struct upload_stage){0};
    upload_rig_open(&stage->journal, "docs", "main");
    if (rows)
        upload_rig_commit(&stage->journal, rows, 0);
    stage->server = server_start(steps, count);
    (void)snprintf(stage->url, sizeof stage->url, "http://127.0.0.1:%d/",
                   server_port(stage->server));
    stage->config = upload_rig_config(stage->url);
}

void stage_start(struct upload_stage *stage)
{
    struct upload_journal ops = upload_rig_ops(&stage->journal);
    check(upload_open(&stage->config, &ops, 1, &stage->upload, &stage->err), &stage->err);
    check(upload_start(stage->upload, &stage->err), &stage->err);
}

void stage_close(struct upload_stage *stage)
{
    upload_close(stage->upload);
    server_stop(stage->server);
    upload_rig_close(&stage->journal);
}

struct upload_status stage_status(struct upload_stage *stage)
{
    struct upload_status status = {0};
    (void)upload_status(stage->upload, &status, 1); /* there is one journal */
    return status;
}
