/* cli_render.h: how rows, entries and numbers look to people, and how what a user typed
 * (a moment, a path) is understood. Shared by log, show, tree, pending and verify.
 * Names are always escaped, so that none of them can move a cursor. Main thread. */
#ifndef SPOOR_CLI_RENDER_H
#define SPOOR_CLI_RENDER_H

#include "bytes.h"
#include "change.h"

struct buf;
struct config_folder;
struct err;
struct reader_entry;

#define RENDER_OUT_MAX   (16 << 20) /* bytes of a command's output that wait for a flush */
#define RENDER_FLUSH_MIN (64 << 10) /* bytes that are worth a write */

/* "104,512". */
void render_count(struct buf *out, int64_t value);
/* One letter: f d l o, and '-' for ENTRY_NONE. */
char render_type_mark(enum entry_type type);
/* "drwxr-xr-x" as ls has it; a symlink, which has no mode of its own here, is "l---------". */
void render_mode(struct buf *out, enum entry_type type, uint32_t mode);
/* One line without its end: time, seq, kind, type, path or "from -> path", details. */
void render_row(struct buf *out, const struct change *change, bool colour);
/* One line without its end: mode, size, mtime, path, target. */
void render_entry(struct buf *out, const struct reader_entry *entry, bool colour);
/* The words of change.flags as people read them, blank separated: "partial replaced". */
void render_flags(struct buf *out, uint32_t flags);
/* "vim (4242)", or "process 4242" when its name is not known; pid is not 0. */
void render_actor(struct buf *out, const struct actor *actor);

/* "[#####.....]  50 %  2,000 of 4,000 rows"; `all` is not 0. */
void render_progress(struct buf *out, int64_t done, int64_t all);

/* A time as JSON has it; nothing when it is 0, which is never. */
void render_json_time(struct buf *out, const char *key, int64_t wall_ms);

/* Hands the buffer to cli_write() when it holds RENDER_FLUSH_MIN bytes, or whatever it holds when
 * `now`, and empties it. An exit code. */
int render_flush(struct buf *out, bool now);

/* A place in the journal as a user names it. */
struct moment {
    bool is_seq;
    int64_t seq;     /* is_seq */
    int64_t wall_ms; /* else */
};
/* A bare number is a seq; "10min" is so long before `now_wall_ms`; else RFC 3339 or a date. On
 * failure (ERR_INVALID) the text says what is understood. */
int moment_parse(const char *text, int64_t now_wall_ms, struct moment *out, struct err *err);

/* A path argument as the journal spells it: relative to the folder, without "./", doubled or
 * trailing '/'. Absolute ones must lie in the folder. Appended to `out`; the folder itself is "".
 * ERR_INVALID for "..", or outside. */
int render_path_arg(const struct config_folder *folder, const char *arg, struct buf *out,
                    struct err *err);

#endif
