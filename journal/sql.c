/* sql.c: see sql.h. Result codes: https://www.sqlite.org/rescode.html. */
#include "sql.h"

#include "err.h"
#include "sql_share.h"

/* Code, and what the person who reads the message can do. */
static int code_of(int rc, const char **advice)
{
    *advice = "";
    switch (rc & 0xff) {
    case SQLITE_FULL:
        *advice = "; free space on its disk";
        return ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a statement that fits every schema of ours fails: the schema is damaged */
    case SQLITE_MISMATCH:
        *advice = "; move it aside and start anew, or restore it";
        return ERR_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        *advice = "; another program holds it locked";
        return ERR_BUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        *advice = "; check its owner and permissions";
        return ERR_DENIED;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_INTERRUPT:
        return ERR_CANCELLED;
    default: /* IOERR, CANTOPEN, PROTOCOL and what later versions may add */
        *advice = "; check the disk and the system's log";
        return ERR_IO;
    }
}

int sql_fail(const struct sql *sql, int rc, struct err *err)
{
    const char *advice;
    int code = code_of(rc, &advice);
    /* The connection's own words say which table or column; they fit only its last failure. */
    const char *why = sql->db && sqlite3_extended_errcode(sql->db) == rc ? sqlite3_errmsg(sql->db)
                                                                         : sqlite3_errstr(rc);
    int os = sql->db && (code == ERR_IO || code == ERR_DENIED) ? sqlite3_system_errno(sql->db) : 0;
    return err_set(err, code, os, "%s '%s': %s (SQLite %d)%s", sql->what,
                   sql->path ? sql->path : "", why, rc, advice);
}

int sql_open(struct sql *sql, const char *what, const char *path, int flags, struct err *err)
{
    *sql = (struct sql){.what = what, .path = strdup(path)};
    if (!sql->path)
        return err_set(err, ERR_NOMEM, 0, "%s '%s': no memory", what, path);
    sql_share_files();
    int rc = sqlite3_open_v2(path, &sql->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        int extended = sql->db ? sqlite3_extended_errcode(sql->db) : rc;
        return sql_fail(sql, extended, err);
    }
    /* Neither can fail on an open connection. */
    (void)sqlite3_extended_result_codes(sql->db, 1);
    (void)sqlite3_busy_timeout(sql->db, SQL_BUSY_MS);
    return 0;
}

void sql_close(struct sql *sql)
{
    /* close_v2 cannot fail: a statement left open by mistake only delays it. */
    (void)sqlite3_close_v2(sql->db);
    free(sql->path);
    *sql = (struct sql){0};
}

int sql_exec(const struct sql *sql, const char *text, struct err *err)
{
    int rc = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sql_fail(sql, rc, err);
}

int sql_get_i64(const struct sql *sql, const char *text, int64_t *out, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v3(sql->db, text, -1, 0, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    int code = 0;
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else if (rc == SQLITE_DONE)
        *out = 0;
    else
        code = sql_fail(sql, rc, err);
    (void)sqlite3_finalize(statement); /* repeats the step's result */
    return code;
}

int sql_prepare(const struct sql *sql, const char *const *texts, size_t count, sqlite3_stmt **out,
                struct err *err)
{
    for (size_t i = 0; i < count; i++)
        out[i] = NULL;
    for (size_t i = 0; i < count; i++) {
        int rc =
            sqlite3_prepare_v3(sql->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
        if (rc != SQLITE_OK)
            return sql_fail(sql, rc, err);
    }
    return 0;
}

void sql_finalize(sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)sqlite3_finalize(statements[i]); /* repeats the last step's result */
        statements[i] = NULL;
    }
}

int sql_row(const struct sql *sql, sqlite3_stmt *statement, struct err *err)
{
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return 1;
    int code = rc == SQLITE_DONE ? 0 : sql_fail(sql, rc, err);
    (void)sqlite3_reset(statement); /* repeats the step's result */
    return code;
}

int sql_run(const struct sql *sql, sqlite3_stmt *statement, struct err *err)
{
    int code = sql_row(sql, statement, err);
    if (code == 1) {
        (void)sqlite3_reset(statement); /* a row where none was asked for is dropped */
        code = 0;
    }
    return code;
}

int sql_begin(const struct sql *sql, struct err *err)
{
    return sql_exec(sql, "BEGIN IMMEDIATE", err);
}

int sql_commit(const struct sql *sql, struct err *err)
{
    return sql_exec(sql, "COMMIT", err);
}

void sql_rollback(const struct sql *sql)
{
    /* A rollback that fails leaves the connection to be closed, which rolls back. */
    if (sql->db && !sqlite3_get_autocommit(sql->db))
        (void)sqlite3_exec(sql->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Binding fails only for an index or a state that is wrong in the program itself (the tests run
 * every statement), and never for want of memory, since nothing is copied. */
void sql_bind_i64(sqlite3_stmt *statement, int index, int64_t value)
{
    (void)sqlite3_bind_int64(statement, index, value);
}

void sql_bind_blob(sqlite3_stmt *statement, int index, struct bytes bytes)
{
    (void)sqlite3_bind_blob64(statement, index, bytes.len ? bytes.at : NULL, bytes.len,
                              SQLITE_STATIC);
}

void sql_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void sql_bind_null(sqlite3_stmt *statement, int index)
{
    (void)sqlite3_bind_null(statement, index);
}

struct bytes sql_column_bytes(sqlite3_stmt *statement, int column)
{
    const char *at = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);
    return at && len > 0 ? bytes_of(at, (size_t)len) : bytes_of(NULL, 0);
}
