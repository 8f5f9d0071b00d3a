/* mirror.c: see mirror.h. The store is a SQLite file with the journal's own settings: what
 * was confirmed to the client survives power loss here too. The thread that opened it. */
#include "mirror.h"

#include "err.h"
#include "mirror_private.h"
#include "osfile.h"
#include "reader.h"
#include "rowread.h"
#include "schema.h"
#include "treewalk.h"

#define PATH_BYTES_MAX 4096 /* of the store's directory */

static bool is_id(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t len = strlen(text);
    return len > 0 && len < JOURNAL_ID_SIZE && strspn(text, allowed) == len;
}

static void copy_text(char *out, size_t size, struct bytes text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len)
        memcpy(out, text.at, len);
    out[len] = '\0';
}

/* 1: read, 0: there is none yet. */
static int load_cursor(struct mirror *mirror, struct err *err)
{
    sqlite3_stmt *select = mirror->statements[QM_CURSOR];
    int code = sql_row(&mirror->sql, select, err);
    if (code != 1)
        return code;
    mirror->cursor = (struct mirror_cursor){
        .epoch = sqlite3_column_int64(select, 2),
        .seq = sqlite3_column_int64(select, 3),
        .sum = (uint64_t)sqlite3_column_int64(select, 4),
        .tree_sum = (uint64_t)sqlite3_column_int64(select, 5),
        .entries = sqlite3_column_int64(select, 6),
        .batches = sqlite3_column_int64(select, 7),
        .gen = sqlite3_column_int64(select, 8),
    };
    copy_text(mirror->cursor.journal, sizeof mirror->cursor.journal, sql_column_bytes(select, 0));
    copy_text(mirror->cursor.folder, sizeof mirror->cursor.folder, sql_column_bytes(select, 1));
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 1;
}

static int open_database(struct mirror *mirror, const char *path, struct err *err)
{
    int version;
    /* SQLite would make it 0644. */
    int code = osfile_make(OSFILE_CWD, path, err);
    if (code) {
        (void)err_prefix(err, "mirror"); /* code is kept above */
        return code;
    }
    code = sql_open(&mirror->sql, "mirror", path, SQLITE_OPEN_READWRITE, err);
    if (code == 0)
        code = schema_version(&mirror->sql, &schema_mirror, &version, err);
    if (code == 0)
        code = schema_settings(&mirror->sql, err);
    if (code == 0)
        code = schema_migrate(&mirror->sql, &schema_mirror, version, err);
    if (code == 0)
        code = sql_prepare(&mirror->sql, query_mirror, QM_COUNT, mirror->statements, err);
    if (code == 0)
        code = replay_init(&mirror->replay, &mirror->sql, query_replay, err);
    if (code == 0)
        code = replay_init(&mirror->next, &mirror->sql, query_replay_next, err);
    return code;
}

static int take_cursor(struct mirror *mirror, const char *journal, struct err *err)
{
    int code = load_cursor(mirror, err);
    if (code == 0) {
        sql_bind_text(mirror->statements[QM_CURSOR_NEW], 1, journal);
        code = sql_run(&mirror->sql, mirror->statements[QM_CURSOR_NEW], err);
        if (code == 0)
            code = load_cursor(mirror, err);
    }
    if (code < 0)
        return code;
    if (strcmp(mirror->cursor.journal, journal) != 0)
        return err_set(err, ERR_CORRUPT, 0, "mirror '%s': it holds the journal '%s'",
                       mirror->sql.path, mirror->cursor.journal);
    replay_restart(&mirror->replay, mirror->cursor.tree_sum, mirror->cursor.entries);
    return mirror_load_building(mirror, err);
}

int mirror_open(const char *dir, const char *journal, struct mirror **out, struct err *err)
{
    char path[PATH_BYTES_MAX];
    if (!is_id(journal))
        return err_set(err, ERR_INVALID, 0,
                       "journal id '%.64s': it holds other than letters, digits and '-'", journal);
    int len = snprintf(path, sizeof path, "%s/%s.db", dir, journal);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, ERR_LIMIT, 0, "store '%.64s...': path too long", dir);
    struct mirror *mirror = calloc(1, sizeof *mirror);
    if (!mirror)
        return err_set(err, ERR_NOMEM, 0, "mirror '%s': no memory", path);
    int code = rowread_open(&mirror->rowread, err);
    if (code == 0)
        code = open_database(mirror, path, err);
    if (code == 0)
        code = take_cursor(mirror, journal, err);
    if (code) {
        mirror_close(mirror);
        return code;
    }
    *out = mirror;
    return 0;
}

void mirror_close(struct mirror *mirror)
{
    if (!mirror)
        return;
    replay_deinit(&mirror->replay);
    replay_deinit(&mirror->next);
    rowread_close(mirror->rowread);
    sql_finalize(mirror->statements, QM_COUNT);
    sql_close(&mirror->sql);
    free(mirror);
}

const struct mirror_cursor *mirror_cursor(const struct mirror *mirror)
{
    return &mirror->cursor;
}

/* --- applying --- */

/* A batch while it is applied; becomes the cursor when all went well. */
struct applying {
    struct mirror *mirror;
    const struct mirror_batch *batch;
    struct mirror_cursor next;
    int64_t seq; /* of the last row, first - 1 before there is one */
    int64_t rows;
    struct err *err;
};

/* Whether the batch follows, repeats or contradicts what is here. */
static int judge(struct mirror *mirror, const struct mirror_batch *batch,
                 enum mirror_outcome *outcome, struct err *err)
{
    const struct mirror_cursor *cursor = &mirror->cursor;
    *outcome = MIRROR_CONFLICT;
    if (cursor->epoch == 0) {
        if (batch->first == 1)
            *outcome = MIRROR_APPLIED;
        return 0;
    }
    if (batch->epoch != cursor->epoch)
        return 0;
    if (batch->first > 0 && batch->first - 1 == cursor->seq) {
        if (batch->prev_sum == cursor->sum)
            *outcome = MIRROR_APPLIED;
        return 0;
    }
    if (batch->first > cursor->seq || batch->last > cursor->seq)
        return 0;
    sqlite3_stmt *select = mirror->statements[QM_SUM];
    sql_bind_i64(select, 1, batch->last);
    int code = sql_row(&mirror->sql, select, err);
    if (code < 0)
        return code;
    if (code == 1) {
        if ((uint64_t)sqlite3_column_int64(select, 0) == batch->last_sum)
            *outcome = MIRROR_DUPLICATE;
        (void)sqlite3_reset(select); /* after a row: nothing to report */
    }
    return 0;
}

static int refuse(struct applying *applying, const char *why)
{
    return err_set(applying->err, ERR_INVALID, 0, "batch %lld..%lld: %s",
                   (long long)applying->batch->first, (long long)applying->batch->last, why);
}

static int check_envelope(struct applying *applying)
{
    const struct mirror_batch *batch = applying->batch;
    if (batch->epoch <= 0 || batch->first <= 0 || batch->last < batch->first)
        return refuse(applying, "its epoch or range is impossible");
    if (batch->len > MIRROR_BATCH_BYTES_MAX)
        return refuse(applying, "it has too many bytes");
    if (batch->len && batch->rows[batch->len - 1] != '\n')
        return refuse(applying, "its last row has no newline: it was cut off");
    return 0;
}

/* Rows may be missing inside (folded later), never out of order or outside. */
static int check_row(struct applying *applying, const struct change *row)
{
    const struct mirror_batch *batch = applying->batch;
    if (row->epoch && row->epoch != batch->epoch)
        return refuse(applying, "a row is of another epoch");
    if (row->seq <= applying->seq || row->seq > batch->last)
        return refuse(applying, "its rows are out of order or outside the range");
    if (applying->rows >= MIRROR_BATCH_ROWS_MAX)
        return refuse(applying, "it has too many rows");
    return 0;
}

static int apply_line(struct applying *applying, const char *line, size_t len)
{
    struct mirror *mirror = applying->mirror;
    struct change row;
    int code = rowread_parse(mirror->rowread, line, len, &row, applying->err);
    if (code == ERR_INVALID)
        (void)err_prefix(applying->err, "after row %lld", (long long)applying->seq); /* same code */
    if (code == 0)
        code = check_row(applying, &row);
    if (code == 0)
        code = replay_apply(&mirror->replay, &row, applying->err);
    if (code)
        return code;
    const char *folder = rowread_folder(mirror->rowread);
    if (*folder)
        copy_text(applying->next.folder, sizeof applying->next.folder, bytes_str(folder));
    applying->seq = row.seq;
    applying->rows++;
    sqlite3_stmt *insert = mirror->statements[QM_ROW_INSERT];
    sql_bind_i64(insert, 1, applying->batch->epoch);
    sql_bind_i64(insert, 2, row.seq);
    (void)sqlite3_bind_text(insert, 3, line, (int)len, SQLITE_STATIC); /* see sql.c */
    return sql_run(&mirror->sql, insert, applying->err);
}

int mirror_store_sum(struct mirror *mirror, int64_t seq, uint64_t sum, struct err *err)
{
    sql_bind_i64(mirror->statements[QM_SUM_INSERT], 1, seq);
    sql_bind_i64(mirror->statements[QM_SUM_INSERT], 2, (int64_t)sum);
    int code = sql_run(&mirror->sql, mirror->statements[QM_SUM_INSERT], err);
    if (code)
        return code;
    sql_bind_i64(mirror->statements[QM_SUM_PRUNE], 1, MIRROR_SUMS_KEPT);
    return sql_run(&mirror->sql, mirror->statements[QM_SUM_PRUNE], err);
}

int mirror_store_cursor(struct mirror *mirror, const struct mirror_cursor *next, struct err *err)
{
    sqlite3_stmt *update = mirror->statements[QM_CURSOR_SET];
    sql_bind_text(update, 1, next->folder);
    sql_bind_i64(update, 2, next->epoch);
    sql_bind_i64(update, 3, next->seq);
    sql_bind_i64(update, 4, (int64_t)next->sum);
    sql_bind_i64(update, 5, (int64_t)next->tree_sum);
    sql_bind_i64(update, 6, next->entries);
    sql_bind_i64(update, 7, next->batches);
    sql_bind_i64(update, 8, next->gen);
    return sql_run(&mirror->sql, update, err);
}

static int apply_rows(struct applying *applying)
{
    struct mirror *mirror = applying->mirror;
    const struct mirror_batch *batch = applying->batch;
    int code = check_envelope(applying);
    for (size_t at = 0; code == 0 && at < batch->len;) {
        const char *end = memchr(batch->rows + at, '\n', batch->len - at);
        size_t len = (size_t)(end - (batch->rows + at));
        code = apply_line(applying, batch->rows + at, len);
        at += len + 1;
    }
    if (code)
        return code;
    if (batch->has_tree_sum && batch->tree_sum != mirror->replay.tree_sum)
        return refuse(applying, "the tree that comes out is not the one it was made from");
    applying->next.epoch = batch->epoch;
    applying->next.seq = batch->last;
    applying->next.sum = batch->last_sum;
    applying->next.tree_sum = mirror->replay.tree_sum;
    applying->next.entries = mirror->replay.entries;
    applying->next.batches++;
    code = mirror_store_sum(mirror, batch->last, batch->last_sum, applying->err);
    return code ? code : mirror_store_cursor(mirror, &applying->next, applying->err);
}

int mirror_apply(struct mirror *mirror, const struct mirror_batch *batch,
                 enum mirror_outcome *outcome, struct err *err)
{
    enum mirror_outcome verdict;
    struct applying applying = {
        .mirror = mirror,
        .batch = batch,
        .next = mirror->cursor,
        .seq = batch->first > 0 ? batch->first - 1 : 0,
        .err = err,
    };
    int code = judge(mirror, batch, &verdict, err);
    if (code)
        return code;
    if (verdict != MIRROR_APPLIED) {
        *outcome = verdict;
        return 0;
    }
    code = sql_begin(&mirror->sql, err);
    if (code == 0)
        code = apply_rows(&applying);
    if (code == 0)
        code = sql_commit(&mirror->sql, err);
    if (code == 0) {
        mirror->cursor = applying.next;
    } else {
        sql_rollback(&mirror->sql);
        replay_restart(&mirror->replay, mirror->cursor.tree_sum, mirror->cursor.entries);
    }
    if (code && code != ERR_INVALID)
        return code;
    *outcome = code ? MIRROR_REFUSED : MIRROR_APPLIED;
    return 0;
}

int mirror_tree(struct mirror *mirror, int (*visit)(void *ctx, const struct reader_entry *entry),
                void *ctx, struct err *err)
{
    int code = sql_exec(&mirror->sql, "BEGIN", err);
    if (code)
        return code;
    code = treewalk(&mirror->sql, mirror->replay.statements[QP_CHILDREN], visit, ctx, err);
    sql_rollback(&mirror->sql); /* nothing was written */
    return code;
}
