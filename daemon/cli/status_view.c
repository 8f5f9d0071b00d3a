/* status_view.c: the daemon's answer and the journals, put together.
 *
 * Where both know a number the journal's is taken, being what is durable; of entries the
 * daemon's is. Leaves layout to cli_status.c. Main thread. */
#include "status_view.h"

#include <stdarg.h>

#include "buf.h"
#include "cli.h"
#include "control.h"
#include "err.h"

#define STATUS_PATH_MAX 4096
#define STATUS_KEY_MAX  64

/* ---- values out of JSON: absent ones are empty or 0, as an older daemon leaves them out ---- */

/* The text at a path such as "$.folders[3]"; false when there is none. */
static bool pick(const struct buf *json, struct buf *out, const char *format, ...)
    PRINTF_LIKE(3, 4);

static bool pick(const struct buf *json, struct buf *out, const char *format, ...)
{
    char path[STATUS_KEY_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(path, sizeof path, format, args); /* our own short words and an index */
    va_end(args);
    buf_reset(out);
    return json->len > 0 && reader_json_get(json->data, json->len, path, out, NULL) == 0;
}

static void pick_text(const struct buf *json, const char *path, char *out, size_t size)
{
    struct buf text;

    buf_init(&text, CONTROL_LINE_MAX);
    if (pick(json, &text, "%s", path))
        (void)snprintf(out, size, "%s", text.data ? text.data : ""); /* cut where too long */
    buf_deinit(&text);
}

static int64_t pick_number(const struct buf *json, const char *path)
{
    int64_t value = 0;

    if (json->len == 0 || reader_json_get_i64(json->data, json->len, path, &value, NULL) != 0)
        return 0;
    return value;
}

/* ---- the daemon's side ---- */

static struct status_folder *find_folder(struct status_view *view, const char *name)
{
    for (size_t i = 0; i < view->folder_count; i++)
        if (strcmp(view->folders[i].config->name, name) == 0)
            return &view->folders[i];
    return NULL;
}

static struct status_upload *find_upload(struct status_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->upload_count; i++)
        if (strcmp(folder->uploads[i].name, name) == 0)
            return &folder->uploads[i];
    return NULL;
}

static void take_folder(struct status_view *view, const struct buf *json)
{
    char name[STATUS_WORD_MAX] = "";

    pick_text(json, "$.name", name, sizeof name);
    struct status_folder *folder = find_folder(view, name);
    if (!folder)
        return; /* not asked for, or configured no more */
    folder->live = true;
    pick_text(json, "$.state", folder->state, sizeof folder->state);
    pick_text(json, "$.error", folder->error, sizeof folder->error);
    pick_text(json, "$.trouble", folder->trouble, sizeof folder->trouble);
    pick_text(json, "$.backend", folder->backend, sizeof folder->backend);
    pick_text(json, "$.identity", folder->identity, sizeof folder->identity);
    folder->entries = pick_number(json, "$.entries");
    folder->directories = pick_number(json, "$.directories");
    folder->watches = pick_number(json, "$.watches");
    folder->dirty_names = pick_number(json, "$.dirty_names");
    folder->dirty_dirs = pick_number(json, "$.dirty_dirs");
    folder->unknown_names = pick_number(json, "$.unknown_names");
    folder->unreadable_dirs = pick_number(json, "$.unreadable_dirs");
    folder->unwatched_dirs = pick_number(json, "$.unwatched_dirs");
    folder->gaps = pick_number(json, "$.gaps");
    folder->hung_ms = pick_number(json, "$.hung_ms");
    folder->wal_bytes = pick_number(json, "$.wal_bytes");
    folder->scan_dirs = pick_number(json, "$.scan_dirs");
    folder->scan_entries = pick_number(json, "$.scan_entries");
}

static void take_upload(struct status_view *view, const struct buf *json)
{
    char name[STATUS_WORD_MAX] = "";
    char folder_name[STATUS_WORD_MAX] = "";

    pick_text(json, "$.name", name, sizeof name);
    pick_text(json, "$.folder", folder_name, sizeof folder_name);
    struct status_folder *folder = find_folder(view, folder_name);
    struct status_upload *upload = folder ? find_upload(folder, name) : NULL;
    if (!upload)
        return; /* as above */
    upload->live = true;
    pick_text(json, "$.state", upload->state, sizeof upload->state);
    pick_text(json, "$.error", upload->error, sizeof upload->error);
    upload->acked = pick_number(json, "$.acked");
    upload->sent_rows = pick_number(json, "$.sent_rows");
    upload->sent_batches = pick_number(json, "$.sent_batches");
    upload->sent_bytes = pick_number(json, "$.sent_bytes");
    upload->failures = pick_number(json, "$.failures");
    upload->next_try_ms = pick_number(json, "$.next_try_ms");
    upload->http_status = pick_number(json, "$.http_status");
    upload->answered_ms = pick_number(json, "$.answered_ms");
    upload->rate_rows = pick_number(json, "$.rate_rows");
    upload->rate_window_ms = pick_number(json, "$.rate_window_ms");
}

static void take_answer(struct status_view *view, const struct buf *answer)
{
    struct buf item;

    buf_init(&item, CONTROL_LINE_MAX);
    view->pid = pick_number(answer, "$.pid");
    view->uptime_ms = pick_number(answer, "$.uptime_ms");
    pick_text(answer, "$.version", view->version, sizeof view->version);
    pick_text(answer, "$.sandbox", view->sandbox, sizeof view->sandbox);
    pick_text(answer, "$.error", view->unreachable, sizeof view->unreachable);
    for (size_t i = 0; i < CONFIG_FOLDERS_MAX && pick(answer, &item, "$.folders[%zu]", i); i++)
        take_folder(view, &item);
    for (size_t i = 0;
         i < CONFIG_FOLDERS_MAX * CONFIG_UPLOADS_MAX && pick(answer, &item, "$.uploads[%zu]", i);
         i++)
        take_upload(view, &item);
    buf_deinit(&item);
}

static void ask_daemon(struct status_view *view, const struct config *config,
                       int64_t deadline_mono_ns)
{
    struct err err = {0};
    struct buf answer;

    buf_init(&answer, CONTROL_LINE_MAX);
    int rc = control_call(config->daemon.state_dir, "{\"do\":\"status\"}", deadline_mono_ns,
                          &answer, &err);
    view->running = rc != ERR_NOTFOUND;
    if (rc == 0)
        take_answer(view, &answer);
    else if (rc != ERR_NOTFOUND)
        (void)snprintf(view->unreachable, sizeof view->unreachable, "%s", err.text); /* fits */
    buf_deinit(&answer);
}

/* ---- the journals' side ---- */

/* Room for `name` among the folder's uploads. */
static struct status_upload *add_upload(struct status_folder *folder, const char *name)
{
    if (folder->upload_count >= CONFIG_UPLOADS_MAX + JOURNAL_CONSUMERS_MAX)
        return NULL;
    struct status_upload *grown =
        realloc(folder->uploads, (folder->upload_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    folder->uploads = grown;
    struct status_upload *upload = &grown[folder->upload_count++];
    *upload = (struct status_upload){0};
    (void)snprintf(upload->name, sizeof upload->name, "%s", name); /* CONFIG_NAME_MAX fits */
    return upload;
}

static int take_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct status_folder *folder = ctx;
    struct status_upload *upload = find_upload(folder, consumer->name);

    /* A reader is no upload, though an upload should be given its name. */
    if (!upload || consumer->kind == JOURNAL_READER)
        upload = add_upload(folder, consumer->name);
    if (!upload)
        return ERR_NOMEM;
    upload->registered = true;
    upload->consumer = *consumer;
    return 0;
}

static void read_journal(struct status_folder *folder, const struct config *config)
{
    struct reader *reader = NULL;
    struct err err = {0};
    struct buf dir;

    buf_init(&dir, STATUS_PATH_MAX);
    cli_folder_dir(config, folder->config, &dir);
    int rc = buf_ok(&dir) ? reader_open(dir.data, &reader, &err) : ERR_LIMIT;
    bool absent = rc == ERR_NOTFOUND;
    if (rc == 0)
        rc = reader_info(reader, &folder->info, &err);
    if (rc == 0)
        rc = reader_entry_count(reader, &folder->entries, &err);
    if (rc == 0)
        rc = reader_consumers(reader, take_consumer, folder, &err);
    folder->journal = rc == 0;
    if (rc != 0 && !absent)
        (void)snprintf(folder->journal_error, sizeof folder->journal_error, "%s",
                       err.text[0] ? err.text : err_code_name(rc)); /* fits */
    reader_close(reader);
    buf_deinit(&dir);
}

/* What the two sides give together. */
static void settle_numbers(struct status_folder *folder)
{
    for (size_t i = 0; i < folder->upload_count; i++) {
        struct status_upload *upload = &folder->uploads[i];
        if (upload->registered)
            upload->acked = upload->consumer.acked;
        if (upload->acked < 0)
            upload->acked = 0;
        upload->pending = folder->info.last_seq - upload->acked;
        if (upload->pending < 0)
            upload->pending = 0; /* acknowledged between the two looks */
    }
}

/* ---- the whole ---- */

void status_view_free(struct status_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < view->folder_count; i++)
        free(view->folders[i].uploads);
    free(view->folders);
    free(view);
}

static int begin(struct status_view *view, const struct config *config,
                 const struct config_folder *only)
{
    view->folders = calloc(config->folder_count + 1, sizeof *view->folders);
    if (!view->folders)
        return ERR_NOMEM;
    for (size_t f = 0; f < config->folder_count; f++) {
        if (only && only != &config->folders[f])
            continue;
        struct status_folder *folder = &view->folders[view->folder_count++];
        folder->config = &config->folders[f];
        for (size_t u = 0; u < config->upload_count; u++) {
            if (!config_upload_serves(&config->uploads[u], folder->config->name))
                continue;
            struct status_upload *upload = add_upload(folder, config->uploads[u].name);
            if (!upload)
                return ERR_NOMEM;
            upload->configured = true;
        }
    }
    return 0;
}

int status_view_load(const struct config *config, const struct config_folder *only,
                     int64_t deadline_mono_ns, struct status_view **out, struct err *err)
{
    struct status_view *view = calloc(1, sizeof *view);

    if (!view || begin(view, config, only) != 0) {
        status_view_free(view);
        return err_set(err, ERR_NOMEM, 0, "no memory for the status");
    }
    /* The daemon first: the journal is then at least as new as what it said. */
    ask_daemon(view, config, deadline_mono_ns);
    for (size_t i = 0; i < view->folder_count; i++) {
        struct status_folder *folder = &view->folders[i];
        int64_t live_entries = folder->entries;
        read_journal(folder, config);
        if (folder->live)
            folder->entries = live_entries;
        settle_numbers(folder);
    }
    *out = view;
    return 0;
}
