/* rowread.c: see rowread.h. One statement walks the members of the object; each known key has a
 * place in one table: what its value must be, and where it goes. What this accepts is what
 * upload/row.c writes, and unknown keys, which a later version may add. */
#include "rowread.h"

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "query.h"
#include "reader.h"
#include "sql.h"
#include "text.h"

#define FOLDER_MAX 64 /* bytes */

enum key {
    KEY_SEQ,
    KEY_EPOCH,
    KEY_FOLDER,
    KEY_FOLDER_B64,
    KEY_TIME,
    KEY_KIND,
    KEY_TYPE,
    KEY_PATH,
    KEY_PATH_B64,
    KEY_FROM,
    KEY_FROM_B64,
    KEY_TARGET,
    KEY_TARGET_B64,
    KEY_SIZE,
    KEY_MTIME,
    KEY_MODE,
    KEY_ID,
    KEY_OTHER,
    KEY_ENTRIES,
    KEY_PARTIAL,
    KEY_REPLACED,
    KEY_IGNORED,
    KEY_STATE,
    KEY_REASON,
    KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {
    [KEY_SEQ] = "seq",
    [KEY_EPOCH] = "epoch",
    [KEY_FOLDER] = "folder",
    [KEY_FOLDER_B64] = "folder_b64",
    [KEY_TIME] = "time",
    [KEY_KIND] = "kind",
    [KEY_TYPE] = "type",
    [KEY_PATH] = "path",
    [KEY_PATH_B64] = "path_b64",
    [KEY_FROM] = "from",
    [KEY_FROM_B64] = "from_b64",
    [KEY_TARGET] = "target",
    [KEY_TARGET_B64] = "target_b64",
    [KEY_SIZE] = "size",
    [KEY_MTIME] = "mtime",
    [KEY_MODE] = "mode",
    [KEY_ID] = "id",
    [KEY_OTHER] = "other",
    [KEY_ENTRIES] = "entries",
    [KEY_PARTIAL] = "partial",
    [KEY_REPLACED] = "replaced",
    [KEY_IGNORED] = "ignored",
    [KEY_STATE] = "state",
    [KEY_REASON] = "reason",
};

/* Bytes in `texts`, which moves while it grows. */
struct slice {
    size_t at, len;
};

struct rowread {
    struct sql sql;
    sqlite3_stmt *each;
    struct buf texts; /* the decoded names of the row at hand */
    struct slice path, from, target;
    char folder[FOLDER_MAX + 1];
    struct change row;
    uint32_t seen; /* bit per enum key */
    struct err *err;
};

static int invalid(const struct rowread *reader, enum key key, const char *why)
{
    return err_set(reader->err, ERR_INVALID, 0, "row: '%s' %s", key_names[key], why);
}

static bool has(const struct rowread *reader, enum key key)
{
    return (reader->seen & (UINT32_C(1) << key)) != 0;
}

/* --- values --- */

static int take_i64(const struct rowread *reader, enum key key, struct bytes type, int64_t least,
                    int64_t *out)
{
    /* A whole number beyond 64 bits has the type "integer" too, but comes out as a real. */
    if (!bytes_equal(type, bytes_str("integer")) ||
        sqlite3_column_type(reader->each, 2) != SQLITE_INTEGER)
        return invalid(reader, key, "is no whole number");
    int64_t value = sqlite3_column_int64(reader->each, 2);
    if (value < least)
        return invalid(reader, key, "is out of range");
    *out = value;
    return 0;
}

static int take_flag(struct rowread *reader, enum key key, struct bytes type, uint32_t flag)
{
    bool is_true = bytes_equal(type, bytes_str("true"));
    if (!is_true && !bytes_equal(type, bytes_str("false")))
        return invalid(reader, key, "is neither true nor false");
    if (is_true)
        reader->row.flags |= flag;
    return 0;
}

static int take_text(const struct rowread *reader, enum key key, struct bytes type,
                     struct bytes *out)
{
    if (!bytes_equal(type, bytes_str("text")))
        return invalid(reader, key, "is no string");
    *out = sql_column_bytes(reader->each, 2);
    /* A lone surrogate escape comes out of SQLite as bytes that are no UTF-8. */
    if (!text_is_utf8(out->at, out->len))
        return invalid(reader, key, "holds an escape that is no character");
    return 0;
}

/* A name, plain or in base64, into `texts`. */
static int take_bytes(struct rowread *reader, enum key key, struct bytes type, bool base64,
                      struct slice *out)
{
    struct bytes text = {0};
    int code = take_text(reader, key, type, &text);
    if (code)
        return code;
    out->at = reader->texts.len;
    if (base64) {
        if (text_decode_base64(text.at ? text.at : "", text.len, &reader->texts) != 0)
            return invalid(reader, key, "is no base64");
    } else {
        buf_add(&reader->texts, text.at, text.len);
    }
    if (!buf_ok(&reader->texts))
        return err_set(reader->err, ERR_NOMEM, 0, "row: no memory for '%s'", key_names[key]);
    out->len = reader->texts.len - out->at;
    if (out->len == 0 || memchr(reader->texts.data + out->at, '\0', out->len))
        return invalid(reader, key, out->len ? "holds a NUL byte" : "is empty");
    return 0;
}

static int take_folder(struct rowread *reader, enum key key, struct bytes type, bool base64)
{
    struct slice folder;
    int code = take_bytes(reader, key, type, base64, &folder);
    if (code)
        return code;
    if (folder.len > FOLDER_MAX)
        return invalid(reader, key, "is too long");
    memcpy(reader->folder, reader->texts.data + folder.at, folder.len);
    reader->folder[folder.len] = '\0';
    buf_truncate(&reader->texts, folder.at);
    return 0;
}

static int take_time(const struct rowread *reader, enum key key, struct bytes type, int64_t *out_ns)
{
    struct bytes text = {0};
    int code = take_text(reader, key, type, &text);
    if (code == 0 && (text.len == 0 || clock_parse(text.at, text.len, out_ns) != 0))
        code = invalid(reader, key, "is no time (RFC 3339)");
    return code;
}

static int take_mode(struct rowread *reader, struct bytes type)
{
    struct bytes text = {0};
    uint32_t mode = 0;
    int code = take_text(reader, KEY_MODE, type, &text);
    if (code)
        return code;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '7' || mode > 0777)
            return invalid(reader, KEY_MODE, "is no octal number up to 7777");
        mode = mode * 8 + (uint32_t)(text.at[i] - '0');
    }
    if (text.len == 0)
        return invalid(reader, KEY_MODE, "is empty");
    reader->row.attrs.mode = mode;
    return 0;
}

/* One of a set of words, by the parser of that set, which gives 0 for unknown ones. */
static int take_word(const struct rowread *reader, enum key key, struct bytes type, char word[16])
{
    struct bytes text = {0};
    int code = take_text(reader, key, type, &text);
    if (code)
        return code;
    if (text.len == 0 || text.len >= 16)
        return invalid(reader, key, "is an unknown word");
    memcpy(word, text.at, text.len);
    word[text.len] = '\0';
    return 0;
}

static int take_named(struct rowread *reader, enum key key, struct bytes type)
{
    char word[16];
    struct change *row = &reader->row;
    int code = take_word(reader, key, type, word);
    if (code)
        return code;
    bool known = true;
    if (key == KEY_KIND) {
        row->kind = change_kind_parse(word);
        known = row->kind != 0;
    } else if (key == KEY_TYPE) {
        row->type = entry_type_parse(word);
        known = row->type != ENTRY_NONE;
    } else if (key == KEY_REASON) {
        uint32_t reason = change_reason_parse(word);
        row->flags |= reason;
        known = reason != 0;
    } else {
        known = strcmp(word, "open") == 0 || strcmp(word, "closed") == 0;
        row->flags |= strcmp(word, "open") == 0 ? CHANGE_GAP_OPEN : 0u;
    }
    return known ? 0 : invalid(reader, key, "is an unknown word");
}

static int take_value(struct rowread *reader, enum key key, struct bytes type)
{
    struct change *row = &reader->row;
    int64_t time_ns = 0;
    int code;
    switch (key) {
    case KEY_SEQ:
        return take_i64(reader, key, type, 1, &row->seq);
    case KEY_EPOCH:
        return take_i64(reader, key, type, 1, &row->epoch);
    case KEY_SIZE:
        return take_i64(reader, key, type, 0, &row->attrs.size);
    case KEY_ID:
        return take_i64(reader, key, type, 1, &row->entry);
    case KEY_OTHER:
        return take_i64(reader, key, type, 1, &row->other);
    case KEY_ENTRIES:
        return take_i64(reader, key, type, 0, &row->entries);
    case KEY_TIME:
        code = take_time(reader, key, type, &time_ns);
        row->time_ms = time_ns / CLOCK_NS_PER_MS - (time_ns % CLOCK_NS_PER_MS < 0);
        return code;
    case KEY_MTIME:
        return take_time(reader, key, type, &row->attrs.mtime_ns);
    case KEY_MODE:
        return take_mode(reader, type);
    case KEY_FOLDER:
    case KEY_FOLDER_B64:
        return take_folder(reader, key, type, key == KEY_FOLDER_B64);
    case KEY_PATH:
    case KEY_PATH_B64:
        return take_bytes(reader, key, type, key == KEY_PATH_B64, &reader->path);
    case KEY_FROM:
    case KEY_FROM_B64:
        return take_bytes(reader, key, type, key == KEY_FROM_B64, &reader->from);
    case KEY_TARGET:
    case KEY_TARGET_B64:
        return take_bytes(reader, key, type, key == KEY_TARGET_B64, &reader->target);
    case KEY_PARTIAL:
        return take_flag(reader, key, type, CHANGE_PARTIAL);
    case KEY_REPLACED:
        return take_flag(reader, key, type, CHANGE_REPLACED);
    case KEY_IGNORED:
        return take_flag(reader, key, type, CHANGE_IGNORED);
    default:
        return take_named(reader, key, type);
    }
}

/* --- one line --- */

/* SQLite's JSON parser ends at a NUL, be it a byte or an escape, and keeps the rest silently. */
static bool holds_nul(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\0')
            return true;
        if (line[i] != '\\')
            continue;
        if (len - i >= 6 && memcmp(line + i, "\\u0000", 6) == 0)
            return true;
        i++; /* what is escaped: a backslash must not begin another escape */
    }
    return false;
}

static int take_member(struct rowread *reader)
{
    struct bytes name = sql_column_bytes(reader->each, 0);
    struct bytes type = sql_column_bytes(reader->each, 1);
    for (int key = 0; key < KEY_COUNT; key++) {
        if (!bytes_equal(name, bytes_str(key_names[key])))
            continue;
        if (has(reader, (enum key)key))
            return invalid(reader, (enum key)key, "is there twice");
        reader->seen |= UINT32_C(1) << key;
        return take_value(reader, (enum key)key, type);
    }
    return 0;
}

/* Walks the members into reader->row and the slices. */
static int read_line(struct rowread *reader, const char *line, size_t len, struct err *err)
{
    reader->err = err;
    reader->seen = 0;
    reader->row = (struct change){0};
    reader->path = reader->from = reader->target = (struct slice){0};
    reader->folder[0] = '\0';
    buf_reset(&reader->texts);
    if (len > ROWREAD_LINE_MAX)
        return err_set(err, ERR_INVALID, 0, "row: longer than %d bytes", ROWREAD_LINE_MAX);
    /* json_each() also takes arrays and bare values, whose members have no names. */
    if (len == 0 || line[0] != '{' || holds_nul(line, len) || !text_is_utf8(line, len))
        return err_set(err, ERR_INVALID, 0, "row: it is no JSON object in UTF-8 without NUL");
    (void)sqlite3_bind_text(reader->each, 1, line, (int)len, SQLITE_STATIC); /* see sql.c */
    int rc, code = 0;
    while (code == 0 && (rc = sqlite3_step(reader->each)) == SQLITE_ROW)
        code = take_member(reader);
    /* Malformed JSON is an SQL error of this statement, and the only one it can give. */
    if (code == 0 && rc != SQLITE_DONE)
        code = (rc & 0xff) == SQLITE_ERROR
                   ? err_set(err, ERR_INVALID, 0, "row: it is no well-formed JSON object")
                   : sql_fail(&reader->sql, rc, err);
    (void)sqlite3_reset(reader->each); /* repeats the step's result */
    return code;
}

static struct bytes text_at(const struct rowread *reader, struct slice slice)
{
    return slice.len ? bytes_of(reader->texts.data + slice.at, slice.len) : bytes_of(NULL, 0);
}

/* Relative, no empty, "." or ".." component: nothing that could name another place. */
static int check_path(const struct rowread *reader, enum key key, struct bytes path)
{
    for (size_t at = 0; at <= path.len;) {
        const char *slash = at < path.len ? memchr(path.at + at, '/', path.len - at) : NULL;
        size_t end = slash ? (size_t)(slash - path.at) : path.len;
        struct bytes name = bytes_of(path.at + at, end - at);
        if (name.len == 0 || bytes_equal(name, bytes_str(".")) ||
            bytes_equal(name, bytes_str("..")))
            return invalid(reader, key, "has an empty, '.' or '..' component");
        at = end + 1;
    }
    return 0;
}

static int check_pairs(const struct rowread *reader)
{
    static const enum key pairs[][2] = {{KEY_FOLDER, KEY_FOLDER_B64},
                                        {KEY_PATH, KEY_PATH_B64},
                                        {KEY_FROM, KEY_FROM_B64},
                                        {KEY_TARGET, KEY_TARGET_B64}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (has(reader, pairs[i][0]) && has(reader, pairs[i][1]))
            return invalid(reader, pairs[i][0], "is there plain and in base64");
    return 0;
}

/* What an entry must and must not have by its type. */
static int check_entry(const struct rowread *reader)
{
    const struct change *row = &reader->row;
    if (row->type == ENTRY_NONE)
        return invalid(reader, KEY_TYPE, "is missing");
    if (row->path.len == 0)
        return invalid(reader, KEY_PATH, "is missing");
    if (row->type != ENTRY_FILE && (has(reader, KEY_SIZE) || has(reader, KEY_MTIME)))
        return invalid(reader, has(reader, KEY_SIZE) ? KEY_SIZE : KEY_MTIME,
                       "does not belong to this type");
    if (row->type != ENTRY_SYMLINK && row->attrs.target.len)
        return invalid(reader, KEY_TARGET, "does not belong to this type");
    return check_path(reader, KEY_PATH, row->path);
}

static int check_row(const struct rowread *reader)
{
    const struct change *row = &reader->row;
    if (row->seq == 0)
        return invalid(reader, KEY_SEQ, "is missing");
    if (row->kind == 0)
        return invalid(reader, KEY_KIND, "is missing");
    if (row->kind == CHANGE_GAP) {
        if (row->path.len || row->from.len || row->type != ENTRY_NONE)
            return invalid(reader, KEY_KIND, "'gap' has no path, from or type");
        return has(reader, KEY_STATE) ? 0 : invalid(reader, KEY_STATE, "is missing");
    }
    if (has(reader, KEY_STATE) || has(reader, KEY_REASON))
        return invalid(reader, KEY_STATE, "and reason belong to 'gap'");
    bool two = row->kind == CHANGE_MOVE || row->kind == CHANGE_EXCHANGE;
    if (two != (row->from.len != 0))
        return invalid(reader, KEY_FROM, two ? "is missing" : "belongs to 'move' and 'exchange'");
    int code = check_entry(reader);
    return code == 0 && two ? check_path(reader, KEY_FROM, row->from) : code;
}

int rowread_open(struct rowread **out, struct err *err)
{
    const char *text = query_json_each;
    struct rowread *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(err, ERR_NOMEM, 0, "cannot read rows: no memory");
    buf_init(&reader->texts, (size_t)ROWREAD_LINE_MAX * 2);
    int code = sql_open(&reader->sql, "JSON", ":memory:", SQLITE_OPEN_READWRITE, err);
    if (code == 0)
        code = sql_prepare(&reader->sql, &text, 1, &reader->each, err);
    if (code) {
        rowread_close(reader);
        return code;
    }
    *out = reader;
    return 0;
}

void rowread_close(struct rowread *reader)
{
    if (!reader)
        return;
    sql_finalize(&reader->each, 1);
    sql_close(&reader->sql);
    buf_deinit(&reader->texts);
    free(reader);
}

int rowread_parse(struct rowread *reader, const char *line, size_t len, struct change *out,
                  struct err *err)
{
    struct change *row = &reader->row;
    int code = read_line(reader, line, len, err);
    if (code == 0)
        code = check_pairs(reader);
    if (code)
        return code;
    row->path = text_at(reader, reader->path);
    row->from = text_at(reader, reader->from);
    row->attrs.target = text_at(reader, reader->target);
    code = check_row(reader);
    if (code == 0)
        *out = *row;
    return code;
}

const char *rowread_folder(const struct rowread *reader)
{
    return reader->folder;
}

int rowread_parse_entry(struct rowread *reader, const char *line, size_t len,
                        struct reader_entry *out, struct err *err)
{
    struct change *row = &reader->row;
    int code = read_line(reader, line, len, err);
    if (code == 0)
        code = check_pairs(reader);
    if (code)
        return code;
    row->path = text_at(reader, reader->path);
    row->attrs.target = text_at(reader, reader->target);
    if (row->entry == 0)
        return invalid(reader, KEY_ID, "is missing");
    code = check_entry(reader);
    if (code)
        return code;
    size_t name_at = row->path.len;
    while (name_at > 0 && row->path.at[name_at - 1] != '/')
        name_at--;
    *out = (struct reader_entry){
        .id = row->entry,
        .path = row->path,
        .name = bytes_of(row->path.at + name_at, row->path.len - name_at),
        .type = row->type,
        .attrs = row->attrs,
    };
    return 0;
}
