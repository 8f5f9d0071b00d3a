/* daemon_control.c: what the command line asks of a daemon that runs, a line each way. Nothing
 * here waits for a folder or a server. The main thread. */
#include "daemon_private.h"

#include "barrier.h"
#include "buf.h"
#include "config.h"
#include "control.h"
#include "daemon_status.h"
#include "engine.h"
#include "folder.h"
#include "json.h"
#include "reader.h"
#include "upload.h"

void daemon_answer(struct daemon *daemon, uint64_t client, const char *error_or_null)
{
    struct buf line;

    buf_init(&line, CONTROL_LINE_MAX);
    json_begin(&line);
    json_bool(&line, "ok", !error_or_null);
    if (error_or_null)
        json_cstr(&line, "error", error_or_null);
    json_i64(&line, "pid", getpid());
    json_end(&line);
    control_answer(daemon->control, client, line.data ? line.data : "", line.len);
    buf_deinit(&line);
}

static void answer_status(struct daemon *daemon, uint64_t client)
{
    struct buf line;

    buf_init(&line, CONTROL_LINE_MAX);
    daemon_status_write(&line, daemon->engine, daemon->config->file, daemon->confine.word,
                        daemon->started_mono_ns);
    if (buf_ok(&line))
        control_answer(daemon->control, client, line.data, line.len);
    else
        daemon_answer(daemon, client, "the answer is too long or memory ran out");
    buf_deinit(&line);
}

static void handle_sync(struct daemon *daemon, uint64_t client, const char *request, size_t len)
{
    struct buf folder, uploaded;

    buf_init(&folder, CONTROL_REQUEST_MAX);
    buf_init(&uploaded, CONTROL_REQUEST_MAX);
    /* Both may be absent: all folders, journaled only. */
    (void)reader_json_get(request, len, "$.folder", &folder, NULL);
    (void)reader_json_get(request, len, "$.uploaded", &uploaded, NULL);
    barriers_add(daemon->barriers, daemon->engine, daemon->control, client,
                 folder.data ? folder.data : "",
                 uploaded.data && strcmp(uploaded.data, "true") == 0);
    buf_deinit(&folder);
    buf_deinit(&uploaded);
}

/* A request to one folder, by its name. */
static void handle_folder(struct daemon *daemon, uint64_t client, const char *request, size_t len,
                          int (*act)(struct folder *folder, struct err *err))
{
    struct err err = {0};
    struct buf name;
    int rc = ERR_NOTFOUND;

    buf_init(&name, CONTROL_REQUEST_MAX);
    (void)err_set(&err, rc, 0, "the daemon watches no folder of that name"); /* unless */
    if (reader_json_get(request, len, "$.folder", &name, NULL) == 0 && name.data)
        for (size_t i = 0; i < engine_folder_count(daemon->engine); i++) {
            struct folder *folder = engine_folder(daemon->engine, i);
            if (strcmp(folder_name(folder), name.data) == 0)
                rc = act(folder, &err);
        }
    daemon_answer(daemon, client, rc == 0 ? NULL : err.text);
    buf_deinit(&name);
}

/* What is wanted of uploads; all but `what` may be absent: all uploads, all folders, all rows. */
static void handle_wish(struct daemon *daemon, uint64_t client, const char *request, size_t len,
                        enum journal_resync what)
{
    struct err err = {0}, failed = {0};
    struct buf folder, name;
    int64_t seq = 0;
    bool done = false;

    buf_init(&folder, CONTROL_REQUEST_MAX);
    buf_init(&name, CONTROL_REQUEST_MAX);
    (void)reader_json_get_i64(request, len, "$.seq", &seq, NULL);
    (void)reader_json_get(request, len, "$.folder", &folder, NULL);
    (void)reader_json_get(request, len, "$.upload", &name, NULL);
    for (size_t i = 0; i < engine_upload_count(daemon->engine); i++) {
        struct upload *upload = engine_upload(daemon->engine, i);
        if (name.data && strcmp(upload_name(upload), name.data) != 0)
            continue;
        int rc = upload_wish(upload, folder.data, what, seq, &err);
        done |= rc == 0;
        /* Of several, only those it can be said of are meant. */
        if (rc != 0 && (name.data || rc == ERR_BUSY))
            failed = err;
    }
    if (!done && failed.code == 0)
        (void)err_set(&failed, ERR_NOTFOUND, 0, "no upload that this can be done for");
    daemon_answer(daemon, client, failed.code == 0 ? NULL : failed.text);
    buf_deinit(&folder);
    buf_deinit(&name);
}

void daemon_answer_request(void *ctx, uint64_t client, const char *request, size_t len)
{
    struct daemon *daemon = ctx;
    struct err err = {0};
    struct buf verb;

    buf_init(&verb, CONTROL_REQUEST_MAX);
    if (!daemon->engine || daemon->stopping) {
        daemon_answer(daemon, client, "the daemon is stopping");
    } else if (reader_json_get(request, len, "$.do", &verb, &err) != 0 || !verb.data) {
        daemon_answer(daemon, client, "the request is no JSON object with a \"do\"");
    } else if (strcmp(verb.data, "status") == 0) {
        answer_status(daemon, client);
    } else if (strcmp(verb.data, "sync") == 0) {
        handle_sync(daemon, client, request, len);
    } else if (strcmp(verb.data, "stop") == 0) {
        daemon->stopping = true;
        daemon_answer(daemon, client, NULL);
    } else if (strcmp(verb.data, "reload") == 0) {
        daemon_answer(daemon, client, daemon_reload(daemon, &err) == 0 ? NULL : err.text);
    } else if (strcmp(verb.data, "adopt") == 0) {
        handle_folder(daemon, client, request, len, folder_adopt);
    } else if (strcmp(verb.data, "check") == 0) {
        handle_folder(daemon, client, request, len, folder_doubt);
    } else if (strcmp(verb.data, "release") == 0) {
        handle_wish(daemon, client, request, len, JOURNAL_RELEASE);
    } else if (strcmp(verb.data, "retry-rows") == 0) {
        handle_wish(daemon, client, request, len, JOURNAL_RETRY);
    } else if (strcmp(verb.data, "drop-rows") == 0) {
        handle_wish(daemon, client, request, len, JOURNAL_DROP);
    } else if (strcmp(verb.data, "resync") == 0) {
        handle_wish(daemon, client, request, len, JOURNAL_SNAPSHOT);
    } else if (strcmp(verb.data, "consumer") == 0) {
        daemon_handle_consumer(daemon, client, request, len);
    } else if (strcmp(verb.data, "retry") == 0) {
        engine_retry(daemon->engine, SIZE_MAX);
        daemon_answer(daemon, client, NULL);
    } else {
        daemon_answer(
            daemon, client,
            "unknown request; known are status, sync, stop, reload, adopt, check, release, "
            "retry-rows, drop-rows, resync, "
            "consumer and retry");
    }
    buf_deinit(&verb);
}
