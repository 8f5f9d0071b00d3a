/* row.c: a row and a tree entry as one line of JSON.
 *
 * Written by hand because it is the hot path of every upload: the parts of bounded size go
 * into one reservation by pointer, names by runs. A name of plain printable ASCII, nearly
 * every one, is scanned once and copied once. What a terminal could act upon (C0, DEL, C1)
 * is escaped though JSON would not ask it, since `log --json` prints these lines too. Bytes
 * that are no UTF-8 travel in base64 under another key. Reading back is journal/rowread.c's.
 * Any thread; nothing is kept between calls. */
#include "row.h"

#include "buf.h"
#include "change.h"
#include "reader.h"
#include "text.h"

#define ROW_HEAD_MAX 256 /* bytes of the bounded fields before the names */
#define ROW_TAIL_MAX 512 /* and after them */

static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

/* Two digits at a time: the divisions are what a number costs. */
static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

static char *put_u64(char *at, uint64_t value)
{
    char digits[20];
    size_t start = sizeof digits;
    while (value >= 100) {
        start -= 2;
        memcpy(digits + start, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        start -= 2;
        memcpy(digits + start, pairs + value * 2, 2);
    } else {
        digits[--start] = (char)('0' + value);
    }
    memcpy(at, digits + start, sizeof digits - start);
    return at + (sizeof digits - start);
}

static char *put_i64(char *at, int64_t value)
{
    if (value >= 0)
        return put_u64(at, (uint64_t)value);
    *at++ = '-';
    return put_u64(at, -(uint64_t)value);
}

/* Exactly `width` digits, with leading zeros. */
static char *put_digits(char *at, unsigned value, int width)
{
    int i = width;
    while (i >= 2) {
        i -= 2;
        memcpy(at + i, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (i)
        at[0] = (char)('0' + value % 10);
    return at + width;
}

/* "2026-11-23T08:15:30" of a time from 1677 to 2262, all that 64 bits of nanoseconds hold and
 * the bounds to which a wilder number of seconds is brought. The calendar repeats every 400
 * years (146,097 days); counted from 1 March the leap day is the last of its year. */
static char *put_seconds(char *at, int64_t seconds)
{
    const int64_t day_s = 86400;
    const int64_t bound = INT64_MAX / 1000000000;
    seconds = seconds > bound ? bound : seconds < -bound - 1 ? -bound - 1 : seconds;
    int64_t days = seconds / day_s;
    int64_t rest = seconds % day_s;
    if (rest < 0) {
        rest += day_s;
        days--;
    }
    /* 719,468 days lie between 0000-03-01 and 1970-01-01; the sum is positive here. */
    unsigned count = (unsigned)(days + 719468);
    unsigned era = count / 146097;
    unsigned in_era = count % 146097;
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * in_year + 2) / 153; /* 0 is March */
    unsigned day = in_year - (153 * month + 2) / 5 + 1;
    at = put_digits(at, era * 400 + year + (month >= 10), 4);
    *at++ = '-';
    at = put_digits(at, month < 10 ? month + 3 : month - 9, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, (unsigned)rest / 3600, 2);
    *at++ = ':';
    at = put_digits(at, (unsigned)rest / 60 % 60, 2);
    *at++ = ':';
    return put_digits(at, (unsigned)rest % 60, 2);
}

static char *put_time(char *at, int64_t value, int64_t per_second, int width)
{
    int64_t seconds = value / per_second;
    int64_t fraction = value % per_second;
    if (fraction < 0) {
        fraction += per_second;
        seconds--;
    }
    *at++ = '"';
    at = put_seconds(at, seconds);
    *at++ = '.';
    at = put_digits(at, (unsigned)fraction, width);
    return put(at, "Z\"");
}

static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static void add_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    char brief = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : 0;
    if (c == '"' || c == '\\')
        brief = (char)c;
    if (brief) {
        text[1] = brief;
        buf_add(out, text, 2);
        return;
    }
    buf_add(out, text, sizeof text);
}

/* Well-formed UTF-8 with something in it that must be escaped, or that is not ASCII. */
static void add_escaped(struct buf *out, struct bytes value)
{
    size_t run = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        /* C1 is U+0080..U+009F: C2 80 .. C2 9F. */
        bool c1 = c == 0xc2 && (unsigned char)value.at[i + 1] < 0xa0;
        if (!c1 && c >= 0x20 && c != 0x7f && c != '"' && c != '\\')
            continue;
        buf_add(out, value.at + run, i - run);
        i += c1;
        add_escape(out, (unsigned char)value.at[i]);
        run = i + 1;
    }
    buf_add(out, value.at + run, value.len - run);
}

/* `key` and `key_b64` come whole: ,"path":" and ,"path_b64":" */
static void add_name(struct buf *out, const char *key, const char *key_b64, struct bytes value)
{
    if (is_plain(value)) {
        buf_add_str(out, key);
        buf_add(out, value.at, value.len);
    } else if (text_is_utf8(value.at, value.len)) {
        buf_add_str(out, key);
        add_escaped(out, value);
    } else {
        buf_add_str(out, key_b64);
        text_add_base64(out, value.at, value.len);
    }
    buf_add_char(out, '"');
}

/* `all`: also what is zero, since the entry is described whole; a deleted one is only named. */
static char *put_attrs(char *at, enum entry_type type, const struct entry_attrs *attrs, bool all)
{
    if (type == ENTRY_FILE && (all || attrs->size)) {
        at = put(at, ",\"size\":");
        at = put_i64(at, attrs->size);
    }
    if (type == ENTRY_FILE && (all || attrs->mtime_ns)) {
        at = put(at, ",\"mtime\":");
        at = put_time(at, attrs->mtime_ns, 1000000000, 9);
    }
    if (type != ENTRY_NONE && type != ENTRY_SYMLINK && (all || attrs->mode)) {
        at = put(at, ",\"mode\":\"");
        for (int shift = 9; shift >= 0; shift -= 3)
            *at++ = (char)('0' + ((attrs->mode >> shift) & 7));
        *at++ = '"';
    }
    return at;
}

static void add_target(struct buf *out, enum entry_type type, const struct entry_attrs *attrs)
{
    if (type == ENTRY_SYMLINK && attrs->target.len)
        add_name(out, ",\"target\":\"", ",\"target_b64\":\"", attrs->target);
}

/* Gives back what of a reservation of `max` bytes ending at the buffer's end was not used. */
static void settle_reserved(struct buf *out, const char *start, const char *end, size_t max)
{
    buf_truncate(out, out->len - max + (size_t)(end - start));
}

static char *put_number(char *at, const char *key, int64_t value)
{
    if (!value)
        return at;
    at = put(at, key);
    return put_i64(at, value);
}

/* ,"actor":{"pid":4242,"program":"vim"} */
static void add_actor(struct buf *out, const struct actor *actor)
{
    if (!actor->pid)
        return;
    buf_addf(out, ",\"actor\":{\"pid\":%d", actor->pid);
    if (actor->program[0])
        add_name(out, ",\"program\":\"", ",\"program_b64\":\"", bytes_str(actor->program));
    buf_add_char(out, '}');
}

static char *put_flags(char *at, const struct change *change)
{
    if (change->flags & CHANGE_PARTIAL)
        at = put(at, ",\"partial\":true");
    if (change->flags & CHANGE_REPLACED)
        at = put(at, ",\"replaced\":true");
    if (change->flags & CHANGE_IGNORED)
        at = put(at, ",\"ignored\":true");
    if (change->kind == CHANGE_GAP)
        at = put(at,
                 change->flags & CHANGE_GAP_OPEN ? ",\"state\":\"open\"" : ",\"state\":\"closed\"");
    const char *reason = change_reason_name(change->flags);
    if (reason) {
        at = put(at, ",\"reason\":\"");
        at = put(at, reason);
        *at++ = '"';
    }
    return at;
}

static void write_row(struct buf *out, const char *folder, const struct change *change, int64_t gen)
{
    char *start = buf_extend(out, ROW_HEAD_MAX);
    if (!start)
        return;
    char *at = put(start, "{\"seq\":");
    at = put_i64(at, change->seq);
    at = put(at, ",\"epoch\":");
    at = put_i64(at, change->epoch);
    at = put(at, ",\"time\":");
    at = put_time(at, change->time_ms, 1000, 3);
    at = put(at, ",\"kind\":\"");
    at = put(at, change_kind_name(change->kind));
    *at++ = '"';
    if (change->type != ENTRY_NONE) {
        at = put(at, ",\"type\":\"");
        at = put(at, entry_type_name(change->type));
        *at++ = '"';
    }
    settle_reserved(out, start, at, ROW_HEAD_MAX);

    add_name(out, ",\"folder\":\"", ",\"folder_b64\":\"", bytes_str(folder));
    if (change->path.len)
        add_name(out, ",\"path\":\"", ",\"path_b64\":\"", change->path);
    if (change->from.len)
        add_name(out, ",\"from\":\"", ",\"from_b64\":\"", change->from);
    add_target(out, change->type, &change->attrs);
    add_actor(out, &change->actor);

    start = buf_extend(out, ROW_TAIL_MAX);
    if (!start)
        return;
    bool covers =
        change->type == ENTRY_DIR && (change->kind == CHANGE_DELETE || change->kind == CHANGE_MOVE);
    at = put_attrs(start, change->type, &change->attrs, change->kind != CHANGE_DELETE);
    at = put_number(at, ",\"id\":", change->entry);
    at = put_number(at, ",\"other\":", change->other);
    if (covers || change->entries) {
        at = put(at, ",\"entries\":");
        at = put_i64(at, change->entries);
    }
    at = put_flags(at, change);
    at = put_number(at, ",\"snapshot\":", gen);
    at = put(at, "}\n");
    settle_reserved(out, start, at, ROW_TAIL_MAX);
}

void row_write(struct buf *out, const char *folder, const struct change *change)
{
    write_row(out, folder, change, 0);
}

void row_write_snapshot(struct buf *out, const char *folder, const struct change *change,
                        int64_t gen)
{
    write_row(out, folder, change, gen);
}

void row_write_entry(struct buf *out, const struct reader_entry *entry)
{
    char *start = buf_extend(out, ROW_HEAD_MAX);
    if (!start)
        return;
    char *at = put(start, "{\"id\":");
    at = put_i64(at, entry->id);
    at = put(at, ",\"type\":\"");
    at = put(at, entry_type_name(entry->type));
    *at++ = '"';
    settle_reserved(out, start, at, ROW_HEAD_MAX);

    add_name(out, ",\"path\":\"", ",\"path_b64\":\"", entry->path);
    add_target(out, entry->type, &entry->attrs);

    start = buf_extend(out, ROW_TAIL_MAX);
    if (!start)
        return;
    at = put_attrs(start, entry->type, &entry->attrs, true);
    at = put(at, "}\n");
    settle_reserved(out, start, at, ROW_TAIL_MAX);
}
