/* reader_tree.c: the tree as it is, as it was, and in the slices a scan asks for. The
 * thread that opened the reader. */
#include "reader.h"

#include "err.h"
#include "reader_private.h"
#include "replay.h"
#include "schema.h"
#include "treewalk.h"

int reader_tree(struct reader *reader, struct journal_info *at,
                int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx,
                struct err *err)
{
    struct journal_info info;
    bool mine;
    int code = reader_begin(reader, &mine, err);
    if (code)
        return code;
    code = reader_info(reader, &info, err);
    if (code == 0) {
        if (at)
            *at = info;
        code = treewalk(&reader->sql, reader->statements[QR_CHILDREN], visit, ctx, err);
    }
    reader_end(reader, mine);
    return code;
}

/* --- the past: rows into a temporary database --- */

struct past {
    struct replay replay;
    struct err *err;
};

static int replay_row(void *ctx, const struct change *change)
{
    struct past *past = ctx;
    int code = replay_apply(&past->replay, change, past->err);
    /* Our own rows are applicable, or the journal is not what was written. */
    if (code == ERR_INVALID) {
        code = ERR_CORRUPT;
        if (past->err)
            past->err->code = code;
    }
    return code;
}

/* All rows up to `seq` must still be there. */
static int check_reach(struct reader *reader, int64_t seq, struct err *err)
{
    struct journal_info info;
    int code = reader_info(reader, &info, err);
    if (code)
        return code;
    if (info.floor_seq > 0)
        return err_set(err, ERR_NOTFOUND, 0,
                       "journal '%s': rows up to %lld are purged, so that no tree of the past can "
                       "be rebuilt (retention = forever keeps them)",
                       reader->sql.path, (long long)info.floor_seq);
    if (seq < 0 || seq > info.last_seq)
        return err_set(err, ERR_NOTFOUND, 0, "journal '%s': it has no row %lld (the last is %lld)",
                       reader->sql.path, (long long)seq, (long long)info.last_seq);
    return 0;
}

/* Inside one snapshot, so that nothing is purged between the check and the rows. */
static int replay_rows(struct reader *reader, int64_t seq, struct past *past)
{
    const struct reader_range range = {
        .first = 1, .last = seq, .verify = true, .until_ms = INT64_MAX};
    bool mine;
    int code = reader_begin(reader, &mine, past->err);
    if (code)
        return code;
    code = check_reach(reader, seq, past->err);
    if (code == 0)
        code = reader_rows(reader, &range, replay_row, past, past->err);
    reader_end(reader, mine);
    return code;
}

int reader_tree_at(struct reader *reader, int64_t seq,
                   int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx,
                   struct err *err)
{
    struct sql sql;
    struct past past = {.err = err};
    /* An empty name is a temporary file of SQLite's own, gone with the connection: what is in it
     * need not survive anything. */
    int code =
        sql_open(&sql, "temporary tree", "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (code == 0)
        code = sql_exec(&sql,
                        "PRAGMA journal_mode=OFF;PRAGMA synchronous=OFF;PRAGMA cache_size=-8192;"
                        "BEGIN;" SCHEMA_NODE_TABLE("node"),
                        err);
    if (code == 0)
        code = replay_init(&past.replay, &sql, query_replay, err);
    if (code == 0)
        code = replay_rows(reader, seq, &past);
    if (code == 0)
        code = treewalk(&sql, past.replay.statements[QP_CHILDREN], visit, ctx, err);
    replay_deinit(&past.replay);
    sql_close(&sql);
    return code;
}

/* --- slices for scan workers --- */

struct reader_cursor {
    struct reader *reader;
    sqlite3_stmt *select;
    bool running; /* a range is set and not at its end */
};

int reader_cursor_open(struct reader *reader, struct reader_cursor **out, struct err *err)
{
    const char *text = query_cursor;
    struct reader_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return err_set(err, ERR_NOMEM, 0, "journal '%s': no memory for a cursor", reader->sql.path);
    cursor->reader = reader;
    int code = sql_prepare(&reader->sql, &text, 1, &cursor->select, err);
    if (code) {
        reader_cursor_close(cursor);
        return code;
    }
    *out = cursor;
    return 0;
}

void reader_cursor_close(struct reader_cursor *cursor)
{
    if (!cursor)
        return;
    sql_finalize(&cursor->select, 1);
    free(cursor);
}

int reader_cursor_range(struct reader_cursor *cursor, int64_t first_id, int64_t last_id,
                        struct err *err)
{
    (void)err; /* nothing is read before the first step, and so nothing can fail */
    (void)sqlite3_reset(cursor->select); /* repeats the last step's result */
    sql_bind_i64(cursor->select, 1, first_id);
    sql_bind_i64(cursor->select, 2, last_id);
    cursor->running = true;
    return 0;
}

int reader_cursor_next(struct reader_cursor *cursor, struct reader_entry *out, struct err *err)
{
    if (!cursor->running) /* a further step would begin the range again */
        return 0;
    int code = sql_row(&cursor->reader->sql, cursor->select, err);
    if (code == 1)
        query_read_entry(cursor->select, out);
    else
        cursor->running = false;
    return code;
}
