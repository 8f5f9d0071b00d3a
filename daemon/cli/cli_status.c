/* cli_status.c: `spoor status`: what is watched, journaled and delivered, for people or, with
 * --json, a record a line. Names, errors and paths are escaped for the terminal. Main thread. */
#include "cli.h"

#include "buf.h"
#include "cli_consumer.h"
#include "cli_render.h"
#include "clock.h"
#include "err.h"
#include "folder.h"
#include "json.h"
#include "num.h"
#include "status_view.h"
#include "text.h"

#define STATUS_ASK_NS  (5 * CLOCK_NS_PER_S)
#define STATUS_OUT_MAX (64 << 20)
#define DOT            " \xC2\xB7 "

struct page {
    const struct status_view *view;
    struct buf *out;
    int width; /* of the first column */
    bool colour;
    int64_t now_ms;
};

/* ---- for people ---- */

static void add_label(const struct page *page, const char *indent, const char *name)
{
    buf_addf(page->out, "%s%-*s", indent, page->width - (int)strlen(indent), name);
}

/* A line under the first one, for what is not well. */
static void add_warning(const struct page *page, const char *text)
{
    if (text[0] == '\0')
        return;
    buf_addf(page->out, "%*s%s! ", page->width, "", page->colour ? "\033[33m" : "");
    text_add_escaped(page->out, text, strlen(text));
    buf_addf(page->out, "%s\n", page->colour ? "\033[0m" : "");
}

static void add_counted(const struct page *page, const char *before, int64_t count,
                        const char *after)
{
    buf_add_str(page->out, before);
    render_count(page->out, count);
    buf_add_str(page->out, after);
}

static void add_age(const struct page *page, const char *before, int64_t ms, const char *after)
{
    char text[32];

    num_human_duration((ms > 0 ? ms : 0) * CLOCK_NS_PER_MS, text);
    buf_addf(page->out, "%s%s%s", before, text, after);
}

static void print_daemon(const struct page *page)
{
    const struct status_view *view = page->view;

    add_label(page, "", "daemon");
    if (!view->running) {
        buf_add_str(page->out, "not running ('spoor start' starts it)\n");
        return;
    }
    if (view->pid == 0) {
        buf_add_str(page->out, "running, but it gives no answer\n");
        add_warning(page, view->unreachable);
        return;
    }
    buf_addf(page->out, "running (process %lld", (long long)view->pid);
    add_age(page, ", for ", view->uptime_ms, ")");
    if (strcmp(view->version, SPOOR_VERSION) != 0)
        buf_addf(page->out, DOT "version %s, this command is " SPOOR_VERSION, view->version);
    if (strcmp(view->sandbox, "none") == 0)
        buf_add_str(page->out, DOT "not confined: this system has no sandbox");
    else if (strcmp(view->sandbox, "off") == 0)
        buf_add_str(page->out, DOT "sandbox off");
    buf_add_char(page->out, '\n');
}

static void print_scan(const struct page *page, const struct status_folder *folder)
{
    add_counted(page, ": ", folder->scan_entries, " entries in ");
    add_counted(page, "", folder->scan_dirs, " directories so far");
}

static void print_state(const struct page *page, const struct status_folder *folder)
{
    if (!folder->live) {
        buf_add_str(page->out, !page->view->running   ? "not watched"
                               : page->view->pid == 0 ? "state not known"
                                                      : "not known to the daemon");
        return;
    }
    if (strcmp(folder->state, "watching") == 0) {
        buf_addf(page->out, "watching by %s", folder->backend);
        return;
    }
    buf_add_str(page->out, folder->state);
    if (strcmp(folder->state, "indexing") == 0 || strcmp(folder->state, "scanning") == 0)
        print_scan(page, folder);
}

static void print_folder(const struct page *page, const struct status_folder *folder)
{
    int64_t dirty = folder->dirty_names + folder->dirty_dirs;

    add_label(page, "", folder->config->name);
    print_state(page, folder);
    if (folder->journal) {
        add_counted(page, DOT, folder->entries, folder->entries == 1 ? " entry" : " entries");
        if (folder->live)
            add_counted(page, " in ", folder->directories,
                        folder->directories == 1 ? " directory" : " directories");
        add_counted(page, DOT "last seq ", folder->info.last_seq, "");
    } else if (folder->journal_error[0] == '\0') {
        buf_add_str(page->out, DOT "no journal yet");
    }
    if (strcmp(folder->identity, "weak") == 0)
        buf_add_str(page->out, DOT "identity weak");
    if (dirty > 0)
        add_counted(page, DOT, dirty, " not looked at yet");
    if (folder->gaps > 0)
        add_counted(page, DOT, folder->gaps, folder->gaps == 1 ? " gap" : " gaps");
    buf_add_char(page->out, '\n');
    add_warning(page, folder->journal_error);
    add_warning(page, folder->error);
    if (folder->journal && folder->info.gap_open)
        add_warning(page, "events were lost; a scan is to find what they were (open gap)");
}

static void print_wal(const struct page *page, const struct status_folder *folder)
{
    struct buf line;
    char size[32];

    if (folder->wal_bytes <= FOLDER_WAL_LOUD_BYTES)
        return;
    buf_init(&line, STATUS_OUT_MAX);
    num_human_bytes(folder->wal_bytes, size);
    buf_addf(&line, "the journal's log has grown to %s: a program keeps a transaction open on it",
             size);
    add_warning(page, line.data ? line.data : "");
    buf_deinit(&line);
}

/* What cannot be seen of the folder. */
static void print_trouble(const struct page *page, const struct status_folder *folder)
{
    struct buf line;

    buf_init(&line, STATUS_OUT_MAX);
    if (folder->hung_ms > 0) {
        char text[32];
        num_human_duration(folder->hung_ms * CLOCK_NS_PER_MS, text);
        buf_addf(&line, "the file system of '%s' has not answered for %s", folder->config->path,
                 text);
        add_warning(page, line.data ? line.data : "");
        buf_reset(&line);
    }
    /* Where nothing is watched by design nothing is missing. */
    if (folder->unwatched_dirs > 0 && strncmp(folder->backend, "poll", 4) != 0) {
        buf_addf(&line,
                 "%lld directories beyond the watch limit are only compared from time to "
                 "time; raise it: sysctl fs.inotify.max_user_watches=...",
                 (long long)folder->unwatched_dirs);
        add_warning(page, line.data ? line.data : "");
        buf_reset(&line);
    }
    if (folder->unknown_names > 0 || folder->unreadable_dirs > 0) {
        buf_addf(&line, "cannot look at %lld names and %lld directories, trying again",
                 (long long)folder->unknown_names, (long long)folder->unreadable_dirs);
        if (folder->trouble[0] != '\0')
            buf_addf(&line, "; the last: %s", folder->trouble);
        add_warning(page, line.data ? line.data : "");
    }
    buf_deinit(&line);
}

/* "", or what an upload is doing that people should know. */
static const char *upload_words(const struct status_upload *upload)
{
    if (!upload->live)
        return "";
    if (strcmp(upload->state, "backoff") == 0)
        return DOT "backing off";
    if (strcmp(upload->state, "paused") == 0)
        return DOT "paused";
    if (strcmp(upload->state, "sending") == 0)
        return DOT "sending";
    return "";
}

/* Thousandths of rows a second. Counts are of a minute: no overflow. */
static int64_t milli_per_s(const struct status_upload *upload)
{
    return upload->rate_window_ms > 0 ? upload->rate_rows * 1000000 / upload->rate_window_ms : 0;
}

/* How it has been going of late. */
static void add_pace(const struct page *page, const struct status_upload *upload)
{
    int64_t rate_milli = milli_per_s(upload);
    if (!upload->live)
        return;
    if (rate_milli >= 1000)
        add_counted(page, DOT, rate_milli / 1000, " rows/s");
    else if (rate_milli > 0)
        add_counted(page, DOT, (rate_milli * 60 + 999) / 1000, " rows/min");
    if (upload->answered_ms > 0) {
        buf_addf(page->out, DOT "answered %lld", (long long)upload->http_status);
        add_age(page, " ", page->now_ms - upload->answered_ms, " ago");
    }
}

static void print_upload(const struct page *page, const struct status_upload *upload)
{
    const char *error = upload->live ? upload->error : upload->consumer.error;
    int64_t oldest_ms = upload->consumer.oldest_pending_ms;

    add_label(page, "  ", upload->name);
    if (!upload->registered && upload->acked == 0)
        buf_add_str(page->out, "nothing acknowledged yet");
    else
        add_counted(page, "acknowledged ", upload->acked, "");
    if (upload->pending == 0)
        buf_add_str(page->out, DOT "nothing pending");
    else
        add_counted(page, DOT, upload->pending, " pending");
    if (upload->pending > 0 && oldest_ms > 0)
        add_age(page, ", oldest ", page->now_ms - oldest_ms, "");
    if (upload->registered && upload->consumer.snapshot_entries >= 0) {
        add_counted(page, DOT "snapshot: ", upload->consumer.snapshot_sent, " of ");
        add_counted(page, "", upload->consumer.snapshot_entries, " entries sent");
    }
    add_pace(page, upload);
    buf_add_str(page->out, upload_words(upload));
    if (upload->live && upload->next_try_ms > page->now_ms)
        add_age(page, ", next try in ", upload->next_try_ms - page->now_ms, "");
    if (!upload->configured)
        buf_add_str(page->out, DOT "not in the configuration");
    buf_add_char(page->out, '\n');
    add_warning(page, error);
}

static bool is_reader(const struct status_upload *upload)
{
    return upload->registered && upload->consumer.kind == JOURNAL_READER;
}

static void print_reader(const struct page *page, const struct status_folder *folder,
                         const struct status_upload *upload)
{
    add_label(page, "  ", upload->name);
    buf_add_str(page->out, "reader" DOT);
    consumer_add_text(page->out, &upload->consumer, &folder->info, page->now_ms);
    buf_add_char(page->out, '\n');
}

static void print_all(struct page *page)
{
    page->width = (int)strlen("daemon");
    for (size_t f = 0; f < page->view->folder_count; f++) {
        const struct status_folder *folder = &page->view->folders[f];
        int len = (int)strlen(folder->config->name);
        page->width = len > page->width ? len : page->width;
        for (size_t u = 0; u < folder->upload_count; u++) {
            len = (int)strlen(folder->uploads[u].name) + 2;
            page->width = len > page->width ? len : page->width;
        }
    }
    page->width += 2;
    print_daemon(page);
    for (size_t f = 0; f < page->view->folder_count; f++) {
        const struct status_folder *folder = &page->view->folders[f];
        print_folder(page, folder);
        print_trouble(page, folder);
        print_wal(page, folder);
        for (size_t u = 0; u < folder->upload_count; u++)
            if (is_reader(&folder->uploads[u]))
                print_reader(page, folder, &folder->uploads[u]);
            else
                print_upload(page, &folder->uploads[u]);
    }
}

/* ---- for programs ---- */

static void json_text(struct buf *out, const char *key, const char *text)
{
    if (text[0] != '\0')
        json_cstr(out, key, text);
}

static void json_daemon(struct buf *out, const struct config *config,
                        const struct status_view *view)
{
    json_begin(out);
    json_cstr(out, "record", "daemon");
    json_bool(out, "running", view->running);
    if (view->pid != 0) {
        json_i64(out, "pid", view->pid);
        json_i64(out, "uptime_ms", view->uptime_ms);
        json_cstr(out, "version", view->version);
        json_text(out, "sandbox", view->sandbox);
    }
    json_text(out, "error", view->unreachable);
    json_bytes(out, "config", "config_b64", config->file, strlen(config->file));
    json_bytes(out, "state_dir", "state_dir_b64", config->daemon.state_dir,
               strlen(config->daemon.state_dir));
    json_end(out);
    buf_add_char(out, '\n');
}

static void json_live_folder(struct buf *out, const struct status_folder *folder)
{
    json_text(out, "backend", folder->backend);
    json_text(out, "identity", folder->identity);
    json_i64(out, "directories", folder->directories);
    json_i64(out, "watches", folder->watches);
    json_i64(out, "dirty_names", folder->dirty_names);
    json_i64(out, "dirty_dirs", folder->dirty_dirs);
    json_i64(out, "unknown_names", folder->unknown_names);
    json_i64(out, "unreadable_dirs", folder->unreadable_dirs);
    json_i64(out, "unwatched_dirs", folder->unwatched_dirs);
    json_i64(out, "gaps", folder->gaps);
    if (folder->hung_ms > 0)
        json_i64(out, "hung_ms", folder->hung_ms);
    json_i64(out, "wal_bytes", folder->wal_bytes);
    json_i64(out, "scan_dirs", folder->scan_dirs);
    json_i64(out, "scan_entries", folder->scan_entries);
    json_text(out, "trouble", folder->trouble);
}

static void json_folder(struct buf *out, const struct status_folder *folder)
{
    const struct config_folder *config = folder->config;
    const char *error = folder->error[0] ? folder->error : folder->journal_error;

    json_begin(out);
    json_cstr(out, "record", "folder");
    json_cstr(out, "folder", config->name);
    json_bytes(out, "path", "path_b64", config->path, strlen(config->path));
    json_cstr(out, "state", folder->live ? folder->state : "down");
    json_text(out, "error", error);
    if (folder->journal) {
        json_cstr(out, "journal", folder->info.id);
        json_i64(out, "epoch", folder->info.epoch);
        json_i64(out, "last_seq", folder->info.last_seq);
        json_i64(out, "floor_seq", folder->info.floor_seq);
        json_i64(out, "entries", folder->entries);
        json_bool(out, "indexed", folder->info.indexed);
        json_bool(out, "gap_open", folder->info.gap_open);
    }
    if (folder->live)
        json_live_folder(out, folder);
    json_end(out);
    buf_add_char(out, '\n');
}

static void json_upload(const struct page *page, const struct status_folder *folder,
                        const struct status_upload *upload)
{
    struct buf *out = page->out;
    const char *error = upload->live ? upload->error : upload->consumer.error;
    int64_t oldest_ms = upload->consumer.oldest_pending_ms;

    json_begin(out);
    json_cstr(out, "record", "upload");
    json_cstr(out, "upload", upload->name);
    json_cstr(out, "folder", folder->config->name);
    json_bool(out, "configured", upload->configured);
    json_cstr(out, "state", upload->live ? upload->state : "down");
    json_text(out, "error", error);
    render_json_time(out, "error_time", upload->consumer.error[0] ? upload->consumer.error_ms : 0);
    json_i64(out, "acked", upload->acked);
    render_json_time(out, "acked_time", upload->consumer.acked_ms);
    json_i64(out, "pending", upload->pending);
    if (upload->pending > 0 && oldest_ms > 0) {
        render_json_time(out, "oldest_pending_time", oldest_ms);
        json_i64(out, "oldest_pending_ms", page->now_ms - oldest_ms);
    }
    if (upload->registered && upload->consumer.snapshot_entries >= 0) {
        json_i64(out, "snapshot_entries", upload->consumer.snapshot_entries);
        json_i64(out, "snapshot_sent", upload->consumer.snapshot_sent);
    }
    if (upload->consumer.batch_first > 0) {
        json_i64(out, "batch_first", upload->consumer.batch_first);
        json_i64(out, "batch_last", upload->consumer.batch_last);
    }
    if (upload->live) {
        json_i64(out, "sent_rows", upload->sent_rows);
        json_i64(out, "sent_batches", upload->sent_batches);
        json_i64(out, "sent_bytes", upload->sent_bytes);
        json_i64(out, "failures", upload->failures);
        json_i64(out, "http_status", upload->http_status);
        render_json_time(out, "answered_time", upload->answered_ms);
        int64_t rate_milli = milli_per_s(upload);
        json_key(out, "rows_per_s");
        buf_addf(out, "%lld.%03lld", (long long)(rate_milli / 1000),
                 (long long)(rate_milli % 1000));
        render_json_time(out, "next_try_time", upload->next_try_ms);
    }
    json_end(out);
    buf_add_char(out, '\n');
}

static void json_reader(const struct page *page, const struct status_folder *folder,
                        const struct status_upload *upload)
{
    json_begin(page->out);
    json_cstr(page->out, "record", "reader");
    consumer_add_json(page->out, folder->config->name, &upload->consumer, &folder->info);
    json_end(page->out);
    buf_add_char(page->out, '\n');
}

static void json_all(const struct page *page, const struct config *config)
{
    json_daemon(page->out, config, page->view);
    for (size_t f = 0; f < page->view->folder_count; f++) {
        const struct status_folder *folder = &page->view->folders[f];
        json_folder(page->out, folder);
        for (size_t u = 0; u < folder->upload_count; u++)
            if (is_reader(&folder->uploads[u]))
                json_reader(page, folder, &folder->uploads[u]);
            else
                json_upload(page, folder, &folder->uploads[u]);
    }
}

int cli_status(const struct cli *cli)
{
    struct status_view *view = NULL;
    const struct config_folder *only = NULL;
    struct err err = {0};
    struct buf out;
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);

    if (!config)
        return code;
    buf_init(&out, STATUS_OUT_MAX);
    if (cli->folder) {
        only = cli_pick_folder(cli, config, &code);
        if (!only)
            goto out;
    }
    if (status_view_load(config, only, clock_mono_ns() + STATUS_ASK_NS, &view, &err) != 0) {
        code = cli_fail(&err);
        goto out;
    }
    struct page page = {
        .view = view, .out = &out, .colour = cli_is_terminal(), .now_ms = clock_wall_ms()};
    if (cli->json)
        json_all(&page, config);
    else
        print_all(&page);
    code = cli_write(&out);
out:
    buf_deinit(&out);
    status_view_free(view);
    config_free(config);
    return code;
}
