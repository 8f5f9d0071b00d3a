/* sql.h: a thin layer over SQLite: open with the house's settings, prepare once, step,
 * and turn what SQLite says into `struct err` with the file's name and what to do.
 * It knows no table. One connection is used by one thread. */
#ifndef SPOOR_SQL_H
#define SPOOR_SQL_H

#include <sqlite3.h>

#include "bytes.h"

struct err;

#define SQL_BUSY_MS 5000 /* how long a call waits for another connection's lock */

struct sql {
    sqlite3 *db;
    const char *what; /* the thing's word in messages: "journal", "mirror" */
    char *path;
};

/* Opens `path` ("" is a private temporary database) with SQLITE_OPEN_* flags; sql_close() is due
 * whatever the outcome. Nothing is read yet. `what` must outlive the connection. */
int sql_open(struct sql *sql, const char *what, const char *path, int flags, struct err *err);
/* Statements must be finalized before. A never opened (zeroed) one allowed. */
void sql_close(struct sql *sql);

/* Code and message for a result code of SQLite, to be called right after the call that failed.
 * FULL is ERR_FULL, CORRUPT and NOTADB ERR_CORRUPT, IOERR ERR_IO, BUSY and LOCKED ERR_BUSY, NOMEM
 * ERR_NOMEM, READONLY, PERM and AUTH ERR_DENIED, CONSTRAINT ERR_EXISTS, TOOBIG ERR_LIMIT. */
int sql_fail(const struct sql *sql, int rc, struct err *err);

/* Runs the statements of `text` to their ends, rows dropped. */
int sql_exec(const struct sql *sql, const char *text, struct err *err);
/* Sets *out to the one integer that `text` selects, 0 when it selects none. */
int sql_get_i64(const struct sql *sql, const char *text, int64_t *out, struct err *err);

/* Prepares texts[i] into out[i]; what was prepared before a failure is the caller's to finalize. */
int sql_prepare(const struct sql *sql, const char *const *texts, size_t count, sqlite3_stmt **out,
                struct err *err);
void sql_finalize(sqlite3_stmt **statements, size_t count);

/* 1: a row stands; 0: the end; negative: failed. In the last two the statement is reset. */
int sql_row(const struct sql *sql, sqlite3_stmt *statement, struct err *err);
/* Runs a statement that gives no rows, and resets it. */
int sql_run(const struct sql *sql, sqlite3_stmt *statement, struct err *err);

/* A write transaction, with the lock taken at once: a later upgrade could meet SQLITE_BUSY. */
int sql_begin(const struct sql *sql, struct err *err);
int sql_commit(const struct sql *sql, struct err *err);
/* Ends a transaction without effect; does nothing when none is open (FULL and IOERR may have
 * rolled it back already). */
void sql_rollback(const struct sql *sql);

/* Binding and reading. Bytes are bound as they lie, without a copy: they must stay until the
 * statement is reset. Empty bytes are NULL. Column bytes live until the next step or reset. */
void sql_bind_i64(sqlite3_stmt *statement, int index, int64_t value);
void sql_bind_blob(sqlite3_stmt *statement, int index, struct bytes bytes);
void sql_bind_text(sqlite3_stmt *statement, int index, const char *text);
void sql_bind_null(sqlite3_stmt *statement, int index);
struct bytes sql_column_bytes(sqlite3_stmt *statement, int column);

#endif
