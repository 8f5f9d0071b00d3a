/* cli_render.c: lines for people, see cli_render.h. What machines read is written by
 * upload/row.c; nothing here is parsed again by anybody. Colours are plain SGR codes around
 * one word, and only when the caller says that a terminal is there. Main thread. */
#include "cli_render.h"

#include <inttypes.h>

#include "buf.h"
#include "cli.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "json.h"
#include "num.h"
#include "reader.h"
#include "text.h"

#define PROGRESS_WIDTH 30

#define COLOUR_END  "\033[0m"
#define COLOUR_DIM  "\033[2m"
#define COLOUR_BLUE "\033[34m"

static const char *kind_colour(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_CREATE:
        return "\033[32m"; /* green */
    case CHANGE_DELETE:
        return "\033[31m"; /* red */
    case CHANGE_MOVE:
    case CHANGE_EXCHANGE:
        return "\033[36m"; /* cyan */
    case CHANGE_GAP:
        return "\033[35m"; /* magenta */
    case CHANGE_MODIFY:
    case CHANGE_ATTRIB:
        break;
    }
    return "\033[33m"; /* yellow */
}

static void add_coloured(struct buf *out, bool colour, const char *code, const char *text)
{
    if (colour)
        buf_add_str(out, code);
    buf_add_str(out, text);
    if (colour)
        buf_add_str(out, COLOUR_END);
}

static void add_path(struct buf *out, struct bytes path)
{
    text_add_escaped(out, path.at, path.len);
}

void render_count(struct buf *out, int64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64,
                       value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value);
    if (value < 0)
        buf_add_char(out, '-');
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buf_add_char(out, ',');
        buf_add_char(out, digits[i]);
    }
}

char render_type_mark(enum entry_type type)
{
    switch (type) {
    case ENTRY_FILE:
        return 'f';
    case ENTRY_DIR:
        return 'd';
    case ENTRY_SYMLINK:
        return 'l';
    case ENTRY_OTHER:
        return 'o';
    case ENTRY_NONE:
        break;
    }
    return '-';
}

void render_mode(struct buf *out, enum entry_type type, uint32_t mode)
{
    char text[11] = "----------";
    static const char letters[] = "rwxrwxrwx";
    if (type != ENTRY_FILE)
        text[0] = render_type_mark(type);
    for (int i = 0; i < 9; i++)
        if (mode & (0400u >> i))
            text[1 + i] = letters[i];
    /* setuid, setgid and sticky take the place of an x, upper case without it, as in ls(1). */
    if (mode & 04000)
        text[3] = mode & 0100 ? 's' : 'S';
    if (mode & 02000)
        text[6] = mode & 0010 ? 's' : 'S';
    if (mode & 01000)
        text[9] = mode & 0001 ? 't' : 'T';
    buf_add_str(out, text);
}

void render_flags(struct buf *out, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {
        {CHANGE_PARTIAL, "partial"}, {CHANGE_REPLACED, "replaced"}, {CHANGE_IGNORED, "ignored"},
        {CHANGE_PARKED, "parked"},   {CHANGE_END, "end-of-commit"},
    };
    size_t start = out->len;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!(flags & words[i].flag))
            continue;
        if (out->len > start)
            buf_add_char(out, ' ');
        buf_add_str(out, words[i].word);
    }
}

void render_actor(struct buf *out, const struct actor *actor)
{
    if (actor->program[0]) {
        text_add_escaped(out, actor->program, strlen(actor->program));
        buf_addf(out, " (%d)", actor->pid);
    } else {
        buf_addf(out, "process %d", actor->pid);
    }
}

/* What a row says beyond its path, each after two blanks. */
static void add_details(struct buf *out, const struct change *change)
{
    char text[32];
    bool content = change->kind == CHANGE_CREATE || change->kind == CHANGE_MODIFY;
    if (content && change->type == ENTRY_FILE) {
        num_human_bytes(change->attrs.size, text);
        buf_addf(out, "  %s", text);
    }
    if (content && change->type == ENTRY_SYMLINK) {
        buf_add_str(out, "  links to ");
        add_path(out, change->attrs.target);
    }
    if (change->kind == CHANGE_ATTRIB)
        buf_addf(out, "  mode %04o", (unsigned)change->attrs.mode);
    if (change->entries > 0) {
        buf_add_str(out, "  with ");
        render_count(out, change->entries);
        buf_add_str(out, change->entries == 1 ? " entry" : " entries");
    }
    if (change->kind == CHANGE_MOVE && change->other)
        buf_add_str(out, "  over another file");
    uint32_t shown = change->flags & (CHANGE_PARTIAL | CHANGE_REPLACED | CHANGE_IGNORED);
    if (shown) {
        buf_add_str(out, "  ");
        render_flags(out, shown);
    }
    if (change->actor.pid) {
        buf_add_str(out, "  by ");
        render_actor(out, &change->actor);
    }
}

void render_row(struct buf *out, const struct change *change, bool colour)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format_ms(change->time_ms, when);
    add_coloured(out, colour, COLOUR_DIM, when);
    buf_addf(out, " %8" PRId64 " ", change->seq);
    char kind[16];
    (void)snprintf(kind, sizeof(kind), "%-8s", change_kind_name(change->kind)); /* fits */
    add_coloured(out, colour, kind_colour(change->kind), kind);
    buf_add_char(out, ' ');
    buf_add_char(out, render_type_mark(change->type));
    buf_add_char(out, ' ');
    if (change->kind == CHANGE_GAP) {
        const char *reason = change_reason_name(change->flags);
        buf_add_str(out, change->flags & CHANGE_GAP_OPEN
                             ? "events were lost, the folder is being compared"
                             : "compared, the journal is complete again");
        if (reason)
            buf_addf(out, "  (%s)", reason);
        return;
    }
    if (change->from.len) {
        add_path(out, change->from);
        buf_add_str(out, change->kind == CHANGE_EXCHANGE ? " <-> " : " -> ");
    }
    add_path(out, change->path);
    if (change->type == ENTRY_DIR)
        buf_add_char(out, '/');
    add_details(out, change);
}

void render_entry(struct buf *out, const struct reader_entry *entry, bool colour)
{
    render_mode(out, entry->type, entry->attrs.mode);
    if (entry->type == ENTRY_FILE) {
        char when[CLOCK_TEXT_SIZE];
        clock_format_ns(entry->attrs.mtime_ns, when);
        buf_addf(out, " %13" PRId64 " %s ", entry->attrs.size, when);
    } else {
        buf_addf(out, " %13s %-30s ", "-", "-");
    }
    if (colour && entry->type == ENTRY_DIR)
        buf_add_str(out, COLOUR_BLUE);
    add_path(out, entry->path);
    if (colour && entry->type == ENTRY_DIR)
        buf_add_str(out, COLOUR_END);
    if (entry->type == ENTRY_DIR)
        buf_add_char(out, '/');
    if (entry->type == ENTRY_SYMLINK) {
        buf_add_str(out, " -> ");
        add_path(out, entry->attrs.target);
    }
}

int render_flush(struct buf *out, bool now)
{
    if (buf_ok(out) && (out->len == 0 || (!now && out->len < RENDER_FLUSH_MIN)))
        return EXIT_OK;
    if (!buf_ok(out)) {
        cli_say("spoor: no memory for the output");
        return EXIT_FAILED;
    }
    int code = cli_write(out);
    buf_reset(out);
    return code;
}

void render_progress(struct buf *out, int64_t done, int64_t all)
{
    /* By division first: counts may be as large as they like. */
    double part = (double)(done < all ? done : all) / (double)all;
    int filled = (int)(part * PROGRESS_WIDTH);
    buf_add_char(out, '[');
    for (int i = 0; i < PROGRESS_WIDTH; i++)
        buf_add_char(out, i < filled ? '#' : '.');
    buf_addf(out, "] %3d %%  ", (int)(part * 100));
    render_count(out, done);
    buf_add_str(out, " of ");
    render_count(out, all);
    buf_add_str(out, " rows");
}

void render_json_time(struct buf *out, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms <= 0)
        return;
    clock_format_ms(wall_ms, text);
    json_cstr(out, key, text);
}

int moment_parse(const char *text, int64_t now_wall_ms, struct moment *out, struct err *err)
{
    int64_t value;
    size_t len = strlen(text);
    if (len && strspn(text, "0123456789") == len) {
        if (num_parse_i64(text, 0, INT64_MAX, &value) != 0)
            return err_set(err, ERR_INVALID, 0, "sequence number '%s': too large", text);
        *out = (struct moment){.is_seq = true, .seq = value};
        return 0;
    }
    if (num_parse_duration(text, &value) == 0) {
        *out = (struct moment){.wall_ms = now_wall_ms - value / CLOCK_NS_PER_MS};
        return 0;
    }
    if (clock_parse(text, len, &value) == 0) {
        *out = (struct moment){.wall_ms = value / CLOCK_NS_PER_MS};
        return 0;
    }
    return err_set(err, ERR_INVALID, 0,
                   "time '%s': not understood; give a sequence number, a time as "
                   "2026-11-23T08:15:30Z or 2026-11-23, or how long ago, as 10min",
                   text);
}

int render_path_arg(const struct config_folder *folder, const char *arg, struct buf *out,
                    struct err *err)
{
    const char *at = arg;
    if (*at == '/') {
        size_t len = strlen(folder->path);
        while (len && folder->path[len - 1] == '/')
            len--;
        if (strncmp(at, folder->path, len) != 0 || (at[len] && at[len] != '/'))
            return err_set(err, ERR_INVALID, 0, "path '%s': not in folder '%s' (%s)", arg,
                           folder->name, folder->path);
        at += len;
    }
    size_t start = out->len;
    while (*at) {
        size_t len = strcspn(at, "/");
        if (len == 2 && at[0] == '.' && at[1] == '.')
            return err_set(err, ERR_INVALID, 0,
                           "path '%s': '..' is not understood; paths are relative to the folder",
                           arg);
        if (len && !(len == 1 && at[0] == '.')) {
            if (out->len > start)
                buf_add_char(out, '/');
            buf_add(out, at, len);
        }
        at += len + (at[len] == '/');
    }
    return buf_ok(out) ? 0 : err_set(err, ERR_NOMEM, 0, "path '%s': no memory", arg);
}
