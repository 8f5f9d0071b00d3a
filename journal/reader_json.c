/* reader_json.c: one value out of one JSON object, by SQLite's JSON functions, on a private
 * in-memory connection: for answers that come a few a second, not for rows. Any thread. */
#include "reader.h"

#include "buf.h"
#include "err.h"
#include "num.h"
#include "query.h"
#include "sql.h"

#define NUMBER_BYTES_MAX 32

static int invalid(struct err *err)
{
    return err_set(err, ERR_INVALID, 0, "JSON object: it is not well-formed");
}

static int take_value(sqlite3_stmt *statement, const char *path, struct buf *out, struct err *err)
{
    struct bytes type = sql_column_bytes(statement, 0);
    if (type.len == 0 || bytes_equal(type, bytes_str("null")))
        return err_set(err, ERR_NOTFOUND, 0, "JSON object: it has no '%s'", path);
    if (bytes_equal(type, bytes_str("true")) || bytes_equal(type, bytes_str("false"))) {
        buf_add(out, type.at, type.len);
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, 1);
        buf_add(out, text, (size_t)sqlite3_column_bytes(statement, 1));
    }
    return buf_ok(out) ? 0 : err_set(err, ERR_LIMIT, 0, "JSON object: '%s' is too long", path);
}

int reader_json_get(const char *json, size_t len, const char *path, struct buf *out,
                    struct err *err)
{
    struct sql sql;
    sqlite3_stmt *statement = NULL;
    const char *text = query_json_get;
    /* SQLite's JSON parser would stop at a NUL and take the rest for absent. */
    if (len == 0 || len > INT32_MAX || memchr(json, '\0', len))
        return invalid(err);
    int code = sql_open(&sql, "JSON", ":memory:", SQLITE_OPEN_READWRITE, err);
    if (code == 0)
        code = sql_prepare(&sql, &text, 1, &statement, err);
    if (code == 0) {
        (void)sqlite3_bind_text(statement, 1, json, (int)len, SQLITE_STATIC); /* see sql.c */
        sql_bind_text(statement, 2, path);
        /* Malformed JSON is an SQL error of this statement, and the only one it can give. */
        int rc = sqlite3_step(statement);
        code = rc == SQLITE_ROW              ? take_value(statement, path, out, err)
               : (rc & 0xff) == SQLITE_ERROR ? invalid(err)
                                             : sql_fail(&sql, rc, err);
    }
    sql_finalize(&statement, 1);
    sql_close(&sql);
    return code;
}

int reader_json_get_i64(const char *json, size_t len, const char *path, int64_t *out,
                        struct err *err)
{
    struct buf text;
    buf_init(&text, NUMBER_BYTES_MAX);
    int code = reader_json_get(json, len, path, &text, err);
    if (code == 0 && (!text.data || num_parse_i64(text.data, INT64_MIN, INT64_MAX, out) != 0))
        code = err_set(err, ERR_INVALID, 0, "JSON object: '%s' is no whole number", path);
    buf_deinit(&text);
    return code;
}
