/* daemon_status.c: the daemon's answer to {"do":"status"}.
 *
 * One object a folder with every field of struct folder_status, one object for each folder that
 * an upload serves. Leaves layout for people to cli_status.c. Main thread. */
#include "daemon_status.h"

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "engine.h"
#include "folder.h"
#include "json.h"
#include "upload.h"

static void write_folder(struct buf *out, struct folder *folder)
{
    struct folder_status status = {0};

    folder_get_status(folder, &status);
    json_begin(out);
    json_cstr(out, "name", folder_name(folder));
    json_cstr(out, "state", folder_state_name(status.state));
    json_cstr(out, "error", status.error);
    json_cstr(out, "backend", status.backend ? status.backend : "");
    json_cstr(out, "identity", status.weak ? "weak" : "strong");
    json_i64(out, "hung_ms", status.hung_ms);
    json_i64(out, "entries", status.entries);
    json_i64(out, "directories", status.directories);
    json_i64(out, "watches", status.watches);
    json_i64(out, "last_seq", status.last_seq);
    json_i64(out, "dirty_names", status.dirty_names);
    json_i64(out, "dirty_dirs", status.dirty_dirs);
    json_i64(out, "unknown_names", status.unknown_names);
    json_i64(out, "unreadable_dirs", status.unreadable_dirs);
    json_i64(out, "unwatched_dirs", status.unwatched_dirs);
    json_i64(out, "gaps", status.gaps);
    json_bool(out, "gap_open", status.gap_open);
    json_i64(out, "wal_bytes", status.wal_bytes);
    json_i64(out, "scan_dirs", status.scan_dirs);
    json_i64(out, "scan_entries", status.scan_entries);
    json_cstr(out, "trouble", status.trouble);
    json_end(out);
}

static void write_upload(struct buf *out, const char *name, const struct upload_status *status)
{
    json_begin(out);
    json_cstr(out, "name", name);
    json_cstr(out, "folder", status->folder);
    json_cstr(out, "state", upload_state_name(status->state));
    json_i64(out, "acked", status->acked);
    json_i64(out, "sent_rows", status->sent_rows);
    json_i64(out, "sent_batches", status->sent_batches);
    json_i64(out, "sent_bytes", status->sent_bytes);
    json_i64(out, "failures", status->failures);
    json_i64(out, "next_try_ms", status->next_try_wall_ms);
    json_i64(out, "http_status", status->http_status);
    json_i64(out, "answered_ms", status->answered_wall_ms);
    json_i64(out, "rate_rows", status->rate_rows);
    json_i64(out, "rate_window_ms", status->rate_window_ms);
    json_cstr(out, "error", status->error);
    json_end(out);
}

static void write_uploads(struct buf *out, const struct engine *engine)
{
    struct upload_status *all = calloc(CONFIG_FOLDERS_MAX, sizeof *all);

    if (!all) {
        out->failed = true; /* the answer then says that memory ran out */
        return;
    }
    for (size_t u = 0; u < engine_upload_count(engine); u++) {
        struct upload *upload = engine_upload(engine, u);
        size_t count = upload_status(upload, all, CONFIG_FOLDERS_MAX);
        for (size_t i = 0; i < count; i++)
            write_upload(out, upload_name(upload), &all[i]);
    }
    free(all);
}

void daemon_status_write(struct buf *out, const struct engine *engine, const char *config_file,
                         const char *sandbox, int64_t started_mono_ns)
{
    json_begin(out);
    json_bool(out, "ok", true);
    json_i64(out, "pid", getpid());
    json_i64(out, "uptime_ms", (clock_mono_ns() - started_mono_ns) / CLOCK_NS_PER_MS);
    json_cstr(out, "version", SPOOR_VERSION);
    json_cstr(out, "config", config_file);
    json_cstr(out, "sandbox", sandbox);
    json_array_begin(out, "folders");
    for (size_t f = 0; f < engine_folder_count(engine); f++)
        write_folder(out, engine_folder(engine, f));
    json_array_end(out);
    json_array_begin(out, "uploads");
    write_uploads(out, engine);
    json_array_end(out);
    json_end(out);
}
