/* status_view.h: what is known of the daemon, its folders and uploads, from both sources: the
 * daemon's answer, if one runs, and the journals, which can be read at any time. Printed by
 * cli_status.c, and used by cli_sync.c to say what is missing. Main thread. */
#ifndef SPOOR_STATUS_VIEW_H
#define SPOOR_STATUS_VIEW_H

#include "config.h"
#include "reader.h"

#define STATUS_BACKEND_MAX 256 /* bytes of a back-end with the reason for it */
#define STATUS_WORD_MAX    65  /* bytes of a name or state, NUL included */
#define STATUS_TEXT_MAX    513 /* bytes of an error */

/* One upload, or another consumer, of one folder. */
struct status_upload {
    char name[STATUS_WORD_MAX];
    bool configured; /* else a reader that registered with the journal */
    bool live;       /* the daemon told: these are of its answer */
    char state[STATUS_WORD_MAX];
    char error[STATUS_TEXT_MAX];
    int64_t sent_rows, sent_batches, sent_bytes;
    int64_t failures;
    int64_t next_try_ms; /* wall, 0 none */
    int64_t http_status; /* of the last answer, 0 none */
    int64_t answered_ms; /* wall, 0 never */
    int64_t rate_rows, rate_window_ms;
    bool registered; /* the journal knows it: `consumer` is filled */
    struct reader_consumer consumer;
    int64_t acked;
    int64_t pending; /* rows */
};

struct status_folder {
    const struct config_folder *config;
    bool live; /* as above */
    char state[STATUS_WORD_MAX];
    char error[STATUS_TEXT_MAX];
    char trouble[STATUS_TEXT_MAX];
    char backend[STATUS_BACKEND_MAX];
    char identity[STATUS_WORD_MAX]; /* "strong" or "weak" */
    int64_t directories, watches, dirty_names, dirty_dirs;
    int64_t unknown_names, unreadable_dirs, unwatched_dirs;
    int64_t hung_ms; /* its file system has not answered for so long */
    int64_t gaps, scan_dirs, scan_entries, wal_bytes;
    bool journal; /* there is one that can be read: `info` is filled */
    char journal_error[STATUS_TEXT_MAX];
    struct journal_info info;
    int64_t entries;
    struct status_upload *uploads;
    size_t upload_count;
};

struct status_view {
    bool running;
    char unreachable[STATUS_TEXT_MAX]; /* why the daemon gave no answer although it runs, or "" */
    int64_t pid, uptime_ms;
    char version[STATUS_WORD_MAX];
    char sandbox[STATUS_WORD_MAX]; /* "landlock", "none" (there is none), "off" (as configured) */
    struct status_folder *folders;
    size_t folder_count;
};

/* Asks and reads; `only` limits it to one folder, NULL takes all of `config`, which must outlive
 * the view. That no daemon runs, or a journal cannot be read, is part of the view. ERR_NOMEM. */
int status_view_load(const struct config *config, const struct config_folder *only,
                     int64_t deadline_mono_ns, struct status_view **out, struct err *err);
void status_view_free(struct status_view *view);

#endif
