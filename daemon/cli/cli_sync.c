/* cli_sync.c: `spoor sync`: waits until the daemon has journaled all that happened before, and
 * with --uploaded until the servers have acknowledged it. A time-out says what is missing, from
 * the same sources as `spoor status`. Main thread. */
#include "cli.h"

#include "buf.h"
#include "cli_progress.h"
#include "cli_render.h"
#include "clock.h"
#include "control.h"
#include "err.h"
#include "json.h"
#include "status_view.h"

#define SYNC_STATUS_NS (2 * CLOCK_NS_PER_S) /* for saying what is missing, after the deadline */
#define SYNC_LINE_MAX  (64 << 10)

static void write_request(const struct cli *cli, struct buf *out)
{
    json_begin(out);
    json_cstr(out, "do", "sync");
    if (cli->folder)
        json_cstr(out, "folder", cli->folder);
    json_bool(out, "uploaded", cli->uploaded);
    json_end(out);
}

/* What keeps the daemon from answering, a line for each folder and upload that lags. */
static void say_missing(const struct cli *cli, const struct config *config,
                        const struct config_folder *only)
{
    struct status_view *view = NULL;

    if (status_view_load(config, only, clock_mono_ns() + SYNC_STATUS_NS, &view, NULL) != 0)
        return; /* no memory: that it timed out was said already */
    if (view->pid == 0)
        cli_say("  the daemon gives no answer: %s", view->unreachable);
    for (size_t f = 0; f < view->folder_count; f++) {
        const struct status_folder *folder = &view->folders[f];
        bool watching = strcmp(folder->state, "watching") == 0;
        int64_t dirty = folder->dirty_names + folder->dirty_dirs;
        if (folder->live && (!watching || dirty > 0 || folder->hung_ms > 0))
            cli_say("  folder '%s': %s, %lld names and directories to look at%s%s%s",
                    folder->config->name, folder->state, (long long)dirty,
                    folder->hung_ms > 0 ? ", and its file system does not answer" : "",
                    folder->error[0] ? ": " : "", folder->error);
        for (size_t u = 0; cli->uploaded && u < folder->upload_count; u++) {
            const struct status_upload *upload = &folder->uploads[u];
            if (upload->configured && upload->pending > 0)
                cli_say("  upload '%s' of folder '%s': acknowledged %lld of %lld, %s%s%s",
                        upload->name, folder->config->name, (long long)upload->acked,
                        (long long)folder->info.last_seq, upload->state,
                        upload->error[0] ? ": " : "", upload->error);
        }
    }
    status_view_free(view);
}

static int print_done(const struct cli *cli, const struct buf *answer)
{
    struct buf out, name;
    int64_t seq = 0;

    buf_init(&out, SYNC_LINE_MAX);
    buf_init(&name, SYNC_LINE_MAX);
    for (size_t i = 0; i < CONFIG_FOLDERS_MAX; i++) {
        char name_path[32], seq_path[32];
        buf_reset(&name);
        (void)snprintf(name_path, sizeof name_path, "$.seqs[%zu].folder", i); /* fits */
        (void)snprintf(seq_path, sizeof seq_path, "$.seqs[%zu].seq", i);      /* fits */
        if (reader_json_get(answer->data, answer->len, name_path, &name, NULL) != 0 ||
            reader_json_get_i64(answer->data, answer->len, seq_path, &seq, NULL) != 0)
            break;
        if (cli->json) {
            json_begin(&out);
            json_cstr(&out, "folder", name.data);
            json_i64(&out, "seq", seq);
            json_bool(&out, "uploaded", cli->uploaded);
            json_end(&out);
            buf_add_char(&out, '\n');
        } else {
            buf_addf(&out, "%s  journaled%s up to ", name.data,
                     cli->uploaded ? " and acknowledged" : "");
            render_count(&out, seq);
            buf_add_char(&out, '\n');
        }
    }
    int code = cli_write(&out);
    buf_deinit(&out);
    buf_deinit(&name);
    return code;
}

/* The daemon's answer, good or bad, into words and an exit code. */
static int print_answer(const struct cli *cli, const struct buf *answer)
{
    struct buf ok, error;
    int code = EXIT_FAILED;

    buf_init(&ok, SYNC_LINE_MAX);
    buf_init(&error, CONTROL_LINE_MAX);
    (void)reader_json_get(answer->data, answer->len, "$.ok", &ok, NULL); /* absent: not ok */
    if (ok.data && strcmp(ok.data, "true") == 0)
        code = print_done(cli, answer);
    else if (reader_json_get(answer->data, answer->len, "$.error", &error, NULL) == 0)
        cli_say("spoor: cannot sync: %s", error.data);
    else
        cli_say("spoor: cannot sync: the daemon's answer is not understood");
    buf_deinit(&ok);
    buf_deinit(&error);
    return code;
}

int cli_sync(const struct cli *cli)
{
    const struct config_folder *only = NULL;
    struct buf request, answer;
    struct err err = {0};
    int64_t deadline = INT64_MAX;
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);

    if (!config)
        return code;
    buf_init(&request, CONTROL_REQUEST_MAX);
    buf_init(&answer, CONTROL_LINE_MAX);
    if (cli->folder) {
        only = cli_pick_folder(cli, config, &code);
        if (!only)
            goto out;
    }
    if (cli->timeout_ns >= 0 && __builtin_add_overflow(clock_mono_ns(), cli->timeout_ns, &deadline))
        deadline = INT64_MAX;
    write_request(cli, &request);
    struct progress *progress = cli->uploaded ? progress_start(config, only) : NULL;
    int rc = control_call(config->daemon.state_dir, request.data, deadline, &answer, &err);
    progress_stop(progress);
    if (rc == ERR_NOTFOUND) {
        cli_say("spoor: the daemon is not running; start it with 'spoor start'");
        code = EXIT_FAILED;
    } else if (rc == ERR_TIMEOUT) {
        cli_say("spoor: timed out; not yet %s:", cli->uploaded ? "acknowledged" : "journaled");
        say_missing(cli, config, only);
        code = EXIT_TIMEOUT;
    } else {
        code = rc != 0 ? cli_fail(&err) : print_answer(cli, &answer);
    }
out:
    buf_deinit(&request);
    buf_deinit(&answer);
    config_free(config);
    return code;
}
