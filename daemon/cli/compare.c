/* compare.c: the merge behind `spoor verify`, see compare.h. The other side's order is
 * checked, not trusted: a server that sends its tree in another order is told so rather than
 * reported as thousands of differences. One thread. */
#include "compare.h"

#include <errno.h>
#include <inttypes.h>

#include "cli_render.h"
#include "clock.h"
#include "err.h"
#include "json.h"
#include "reader.h"
#include "text.h"

void compare_init(struct compare *compare, const struct compare_side *side, const char *folder,
                  bool json, struct buf *out)
{
    *compare = (struct compare){.side = side, .folder = folder, .json = json, .out = out};
    buf_init(&compare->last_path, COMPARE_PATH_MAX);
    buf_init(&compare->skip_journal, COMPARE_PATH_MAX);
    buf_init(&compare->skip_side, COMPARE_PATH_MAX);
}

void compare_deinit(struct compare *compare)
{
    buf_deinit(&compare->last_path);
    buf_deinit(&compare->skip_journal);
    buf_deinit(&compare->skip_side);
}

int compare_path_order(struct bytes x, struct bytes y)
{
    size_t shorter = x.len < y.len ? x.len : y.len;
    size_t i = 0;
    while (i < shorter && x.at[i] == y.at[i])
        i++;
    if (i == shorter)
        return (x.len > y.len) - (x.len < y.len);
    /* A name cannot hold NUL: '/' may stand for it and end a component before any byte does. */
    int a = x.at[i] == '/' ? 0 : (unsigned char)x.at[i];
    int b = y.at[i] == '/' ? 0 : (unsigned char)y.at[i];
    return (a > b) - (a < b);
}

static void keep(struct buf *buf, struct bytes path)
{
    buf_reset(buf);
    buf_add(buf, path.at, path.len);
}

static bool skips(const struct buf *prefix, bool active, struct bytes path)
{
    return active && bytes_path_is_within(path, bytes_of(prefix->data, prefix->len));
}

/* Begins a line or an object about `path`. */
static void begin(struct compare *compare, struct bytes path, const char *difference)
{
    if (compare->json) {
        json_begin(compare->out);
        json_cstr(compare->out, "folder", compare->folder);
        json_cstr(compare->out, "against", compare->side->name);
        json_bytes(compare->out, "path", "path_b64", path.at, path.len);
        json_cstr(compare->out, "difference", difference);
        return;
    }
    text_add_escaped(compare->out, path.at, path.len);
    buf_add_str(compare->out, path.len ? ": " : "(the folder itself): ");
}

static int end(struct compare *compare, struct err *err)
{
    if (compare->json)
        json_end(compare->out);
    buf_add_char(compare->out, '\n');
    if (!buf_ok(compare->out) || !buf_ok(&compare->skip_journal) || !buf_ok(&compare->skip_side)) {
        compare->stopped =
            err_set(err, ERR_LIMIT, 0, "folder '%s': too much to report; use --json into a file",
                    compare->folder);
        return compare->stopped;
    }
    if (compare->flush)
        compare->stopped = compare->flush(compare->flush_ctx);
    return compare->stopped;
}

/* Present on one side alone. */
static int report_only(struct compare *compare, struct bytes path, enum entry_type type,
                       bool in_journal, struct err *err)
{
    compare->differences++;
    begin(compare, path, in_journal ? "only-in-journal" : "not-in-journal");
    if (compare->json)
        json_cstr(compare->out, "type", entry_type_name(type));
    else
        buf_addf(compare->out, "only %s %s (%s%s)", in_journal ? "in the" : "on the",
                 in_journal ? "journal" : compare->side->name, entry_type_name(type),
                 type == ENTRY_DIR ? ", with all below it" : "");
    return end(compare, err);
}

static int report_unknown(struct compare *compare, struct err *err)
{
    /* Another file system mounted there is no part of the folder: said, but no fault. */
    bool mounted = compare->item.os == EXDEV;
    if (!mounted)
        compare->unknown++;
    begin(compare, compare->item.path, mounted ? "mounted" : "unknown");
    const char *why = mounted ? "another file system is mounted there" : strerror(compare->item.os);
    if (compare->json)
        json_cstr(compare->out, "reason", why);
    else
        buf_addf(compare->out, "cannot look: %s", why);
    return end(compare, err);
}

static int report_number(struct compare *compare, struct bytes path, const char *what,
                         int64_t journal, int64_t other, struct err *err)
{
    compare->differences++;
    begin(compare, path, what);
    if (compare->json) {
        json_i64(compare->out, "journal", journal);
        json_i64(compare->out, compare->side->name, other);
    } else {
        buf_addf(compare->out, "%s: journal %" PRId64 ", %s %" PRId64, what, journal,
                 compare->side->name, other);
    }
    return end(compare, err);
}

static int report_text(struct compare *compare, struct bytes path, const char *what,
                       struct bytes journal, struct bytes other, struct err *err)
{
    compare->differences++;
    begin(compare, path, what);
    if (compare->json) {
        /* Only link targets can be other than UTF-8; they are shown, not replayed, here. */
        json_str(compare->out, "journal", journal.at, journal.len);
        json_str(compare->out, compare->side->name, other.at, other.len);
    } else {
        buf_addf(compare->out, "%s: journal ", what);
        text_add_escaped(compare->out, journal.at, journal.len);
        buf_addf(compare->out, ", %s ", compare->side->name);
        text_add_escaped(compare->out, other.at, other.len);
    }
    return end(compare, err);
}

static int compare_mtime(struct compare *compare, const struct reader_entry *entry, struct err *err)
{
    char journal[CLOCK_TEXT_SIZE], other[CLOCK_TEXT_SIZE];
    clock_format_ns(entry->attrs.mtime_ns, journal);
    clock_format_ns(compare->item.attrs.mtime_ns, other);
    return report_text(compare, entry->path, "mtime", bytes_str(journal), bytes_str(other), err);
}

static int compare_mode(struct compare *compare, const struct reader_entry *entry, struct err *err)
{
    char journal[16], other[16];
    (void)snprintf(journal, sizeof(journal), "%04o", (unsigned)entry->attrs.mode); /* fits */
    (void)snprintf(other, sizeof(other), "%04o", (unsigned)compare->item.attrs.mode);
    return report_text(compare, entry->path, "mode", bytes_str(journal), bytes_str(other), err);
}

/* Both sides have the path. */
static int compare_both(struct compare *compare, const struct reader_entry *entry, struct err *err)
{
    const struct compare_item *item = &compare->item;
    int rc = 0;
    if (item->type != entry->type) {
        keep(&compare->skip_journal, entry->path);
        keep(&compare->skip_side, item->path);
        compare->skips_journal = compare->skips_side = true;
        return report_text(compare, entry->path, "type", bytes_str(entry_type_name(entry->type)),
                           bytes_str(entry_type_name(item->type)), err);
    }
    if (item->id && item->id != entry->id)
        rc = report_number(compare, entry->path, "id", entry->id, item->id, err);
    if (!rc && entry->type == ENTRY_FILE && item->attrs.size != entry->attrs.size)
        rc = report_number(compare, entry->path, "size", entry->attrs.size, item->attrs.size, err);
    if (!rc && entry->type == ENTRY_FILE && item->attrs.mtime_ns != entry->attrs.mtime_ns)
        rc = compare_mtime(compare, entry, err);
    if (!rc && entry->type != ENTRY_SYMLINK && item->attrs.mode != entry->attrs.mode)
        rc = compare_mode(compare, entry, err);
    if (!rc && entry->type == ENTRY_SYMLINK &&
        !bytes_equal(item->attrs.target, entry->attrs.target))
        rc = report_text(compare, entry->path, "target", entry->attrs.target, item->attrs.target,
                         err);
    return rc;
}

/* Has an item of the other side at hand unless it is at its end. */
static int fetch(struct compare *compare, struct err *err)
{
    while (!compare->has_item && !compare->ended) {
        int rc = compare->side->next(compare->side->ctx, &compare->item, err);
        if (rc < 0)
            return compare->stopped = rc;
        if (rc == 0) {
            compare->ended = true;
            break;
        }
        struct bytes path = compare->item.path;
        struct bytes last = bytes_of(compare->last_path.data, compare->last_path.len);
        if (!compare->item.unknown) {
            if (compare->last_path.len && compare_path_order(path, last) <= 0)
                return compare->stopped = err_set(
                           err, ERR_INVALID, 0, "folder '%s': the %s's tree does not come in order",
                           compare->folder, compare->side->name);
            keep(&compare->last_path, path);
        }
        compare->has_item = !skips(&compare->skip_side, compare->skips_side, path);
    }
    return 0;
}

/* The item at hand comes before the journal's entry, or after all of them. */
static int take_extra(struct compare *compare, struct err *err)
{
    compare->has_item = false;
    if (compare->item.unknown) {
        keep(&compare->skip_journal, compare->item.path);
        compare->skips_journal = true;
        return report_unknown(compare, err);
    }
    if (compare->item.type == ENTRY_DIR) {
        keep(&compare->skip_side, compare->item.path);
        compare->skips_side = true;
    }
    return report_only(compare, compare->item.path, compare->item.type, false, err);
}

int compare_entry(struct compare *compare, const struct reader_entry *entry, struct err *err)
{
    if (compare->stopped)
        return compare->stopped;
    compare->entries++;
    for (;;) {
        if (skips(&compare->skip_journal, compare->skips_journal, entry->path))
            return 0;
        int rc = fetch(compare, err);
        if (rc)
            return rc;
        if (!compare->has_item)
            break;
        int order = compare_path_order(compare->item.path, entry->path);
        if (order == 0 && !compare->item.unknown) {
            compare->has_item = false;
            return compare_both(compare, entry, err);
        }
        if (order > 0)
            break;
        rc = take_extra(compare, err);
        if (rc)
            return rc;
    }
    if (entry->type == ENTRY_DIR) {
        keep(&compare->skip_journal, entry->path);
        compare->skips_journal = true;
    }
    return report_only(compare, entry->path, entry->type, true, err);
}

int compare_finish(struct compare *compare, struct err *err)
{
    while (!compare->stopped) {
        int rc = fetch(compare, err);
        if (rc || !compare->has_item)
            break;
        (void)take_extra(compare, err); /* its result is in `stopped` */
    }
    return compare->stopped;
}
