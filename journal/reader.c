/* reader.c: a read-only connection to a journal: state, rows, consumers. Trees and cursors are
 * in reader_tree.c. The thread that opened it. */
#include "reader.h"

#include "buf.h"
#include "err.h"
#include "journal_id.h"
#include "osfile.h"
#include "reader_private.h"
#include "reserve.h"
#include "schema.h"
#include "sums.h"

#define PATH_BYTES_MAX 4096 /* of the state directory */

int reader_begin(struct reader *reader, bool *mine, struct err *err)
{
    *mine = sqlite3_get_autocommit(reader->sql.db) != 0;
    return *mine ? sql_exec(&reader->sql, "BEGIN", err) : 0;
}

void reader_end(struct reader *reader, bool mine)
{
    if (mine)
        sql_rollback(&reader->sql);
}

static int no_journal(const char *path, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, 0, "journal '%s': there is none yet", path);
}

/* A rollback journal beside the file is as old as the file: in WAL mode, which is the first that is
 * set, there is none. To play it back is a write (https://www.sqlite.org/rescode.html, 776). */
static bool is_half_made(const struct reader *reader)
{
    return sqlite3_extended_errcode(reader->sql.db) == SQLITE_READONLY_ROLLBACK;
}

static int open_database(struct reader *reader, const char *dir, struct err *err)
{
    char path[PATH_BYTES_MAX];
    int version;
    int len = snprintf(path, sizeof path, "%s/%s", dir, JOURNAL_FILE);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, ERR_LIMIT, 0, "state directory '%.64s...': path too long", dir);
    int code = osfile_exists(reader->dirfd, JOURNAL_FILE, err);
    if (code == 0)
        return no_journal(path, err);
    if (code < 0) {
        (void)err_prefix(err, "journal '%s'", path); /* code is kept above */
        return code;
    }
    code = reserve_check_map(reader->dirfd, err);
    if (code == 0)
        code = sql_open(&reader->sql, "journal", path, SQLITE_OPEN_READONLY, err);
    if (code == 0)
        code = schema_version(&reader->sql, &schema_journal, &version, err);
    if (code && reader->sql.db && is_half_made(reader))
        return err_set(err, ERR_NOTFOUND, 0,
                       "journal '%s': there is none yet: its making was cut short, and nothing was "
                       "journaled; the daemon makes it anew when it starts",
                       path);
    if (code == 0 && version == 0)
        return no_journal(path, err);
    if (code == 0 && version < schema_journal.count)
        return err_set(
            err, ERR_UNSUPPORTED, 0,
            "journal '%s': written by an older spoor (schema %d, this one reads %d); the "
            "daemon brings it up to date: restart it",
            path, version, schema_journal.count);
    if (code == 0)
        code = sql_exec(&reader->sql,
                        "PRAGMA cache_size=-1024;PRAGMA mmap_size=0;PRAGMA query_only=ON", err);
    if (code == 0)
        code = sql_prepare(&reader->sql, query_reader, QR_COUNT, reader->statements, err);
    return code;
}

int reader_open(const char *dir, struct reader **out, struct err *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(err, ERR_NOMEM, 0, "journal in '%s': no memory", dir);
    reader->dirfd = osfile_open_dir(dir, err);
    int code = reader->dirfd < 0 ? reader->dirfd : open_database(reader, dir, err);
    if (code) {
        reader_close(reader);
        return code;
    }
    *out = reader;
    return 0;
}

void reader_close(struct reader *reader)
{
    if (!reader)
        return;
    sql_finalize(reader->statements, QR_COUNT);
    sql_close(&reader->sql);
    if (reader->dirfd >= 0)
        (void)close(reader->dirfd); /* a directory: nothing to lose */
    free(reader);
}

/* Everything but the id, which is in a file of its own. */
static int read_state(struct reader *reader, struct journal_info *out, struct err *err)
{
    int64_t entries;
    sqlite3_stmt *select = reader->statements[QR_INFO];
    int code = sql_row(&reader->sql, select, err);
    if (code < 0)
        return code;
    if (code == 0) /* between the schema's commit and the first row's */
        return no_journal(reader->sql.path, err);
    query_read_info(select, out, &entries);
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 0;
}

int reader_info(struct reader *reader, struct journal_info *out, struct err *err)
{
    struct journal_info info;
    struct journal_id id;
    int code = journal_id_read(reader->dirfd, &id, err);
    if (code == 0)
        code = read_state(reader, &info, err);
    if (code)
        return code;
    memcpy(info.id, id.id, sizeof info.id);
    *out = info;
    return 0;
}

/* Number of entries and the chain's seed. */
static int read_meta(struct reader *reader, int64_t *entries, uint64_t *nonce, struct err *err)
{
    sqlite3_stmt *select = reader->statements[QR_META];
    int code = sql_row(&reader->sql, select, err);
    if (code < 0)
        return code;
    if (code == 0)
        return no_journal(reader->sql.path, err);
    *entries = sqlite3_column_int64(select, 0);
    *nonce = (uint64_t)sqlite3_column_int64(select, 1);
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 0;
}

int reader_entry_count(struct reader *reader, int64_t *out, struct err *err)
{
    uint64_t nonce;
    return read_meta(reader, out, &nonce, err);
}

static int find_sum(struct reader *reader, int64_t seq, uint64_t *out, struct err *err)
{
    struct journal_info info = {0};
    int64_t entries; /* not asked for */
    if (seq == 0)
        return read_meta(reader, &entries, out, err);
    sqlite3_stmt *select = reader->statements[QR_SUM];
    sql_bind_i64(select, 1, seq);
    int code = sql_row(&reader->sql, select, err);
    if (code < 0)
        return code;
    if (code == 1) {
        *out = (uint64_t)sqlite3_column_int64(select, 0);
        (void)sqlite3_reset(select); /* after a row: nothing to report */
        return 0;
    }
    code = read_state(reader, &info, err);
    if (code == 0 && seq != info.floor_seq)
        return err_set(err, ERR_NOTFOUND, 0, "journal '%s': it has no row %lld (rows %lld to %lld)",
                       reader->sql.path, (long long)seq, (long long)info.floor_seq + 1,
                       (long long)info.last_seq);
    if (code == 0)
        *out = info.floor_sum;
    return code;
}

int reader_sum(struct reader *reader, int64_t seq, uint64_t *out, struct err *err)
{
    bool mine;
    int code = reader_begin(reader, &mine, err);
    if (code)
        return code;
    code = find_sum(reader, seq, out, err);
    reader_end(reader, mine);
    return code;
}

static bool is_wanted(const struct reader_range *range, const struct change *change)
{
    if (change->time_ms < range->since_ms || change->time_ms > range->until_ms)
        return false;
    return bytes_path_is_within(change->path, range->below) ||
           bytes_path_is_within(change->from, range->below);
}

/* Where the chain stands while rows are read. */
struct chain {
    int64_t seq;
    uint64_t sum;
};

static int check_row(const struct reader *reader, struct chain *chain, const struct change *change,
                     struct err *err)
{
    chain->seq++;
    if (change->seq != chain->seq)
        return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", reader->sql.path,
                       (long long)chain->seq);
    chain->sum = sums_row(chain->sum, change);
    if (chain->sum != change->sum)
        return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld does not fit its checksum",
                       reader->sql.path, (long long)change->seq);
    return 0;
}

/* Backwards each row's own predecessor is asked for: one more descent a row. */
static int check_backwards(struct reader *reader, int64_t seq, const struct change *change,
                           struct err *err)
{
    struct chain chain = {.seq = change->seq - 1};
    if (change->seq != seq)
        return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", reader->sql.path,
                       (long long)seq);
    int code = find_sum(reader, chain.seq, &chain.sum, err);
    if (code == ERR_NOTFOUND)
        code = err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", reader->sql.path,
                       (long long)chain.seq);
    return code ? code : check_row(reader, &chain, change, err);
}

static int read_rows(struct reader *reader, const struct reader_range *range, struct chain *chain,
                     int64_t last, int (*visit)(void *ctx, const struct change *change), void *ctx,
                     struct err *err)
{
    struct change change;
    sqlite3_stmt *select = reader->statements[range->reverse ? QR_ROWS_REVERSE : QR_ROWS];
    bool verify = range->verify;
    int64_t next = last; /* backwards */
    int code;
    sql_bind_i64(select, 1, chain->seq + 1);
    sql_bind_i64(select, 2, last);
    while ((code = sql_row(&reader->sql, select, err)) == 1) {
        query_read_change(select, &change);
        if (verify && range->reverse)
            code = check_backwards(reader, next--, &change, err);
        else
            code = verify ? check_row(reader, chain, &change, err) : 0;
        if (code == 0 && is_wanted(range, &change))
            code = visit(ctx, &change);
        if (code)
            break;
    }
    (void)sqlite3_reset(select); /* an early end: nothing to report */
    int64_t missing = range->reverse ? next : chain->seq + 1;
    if (code == 0 && verify && missing > chain->seq && missing <= last)
        code = err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", reader->sql.path,
                       (long long)missing);
    return code;
}

int reader_rows(struct reader *reader, const struct reader_range *range,
                int (*visit)(void *ctx, const struct change *change), void *ctx, struct err *err)
{
    struct journal_info info;
    struct chain chain = {0};
    bool mine;
    int code = reader_begin(reader, &mine, err);
    if (code)
        return code;
    code = read_state(reader, &info, err);
    if (code == 0) {
        int64_t last = range->last < info.last_seq ? range->last : info.last_seq;
        chain.seq = (range->first > info.floor_seq ? range->first - 1 : info.floor_seq);
        if (range->verify && chain.seq < last)
            code = find_sum(reader, chain.seq, &chain.sum, err);
        if (code == 0 && chain.seq < last)
            code = read_rows(reader, range, &chain, last, visit, ctx, err);
    }
    reader_end(reader, mine);
    return code;
}

static void copy_text(char *out, size_t size, struct bytes text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len)
        memcpy(out, text.at, len);
    out[len] = '\0';
}

int reader_consumers(struct reader *reader,
                     int (*visit)(void *ctx, const struct reader_consumer *consumer), void *ctx,
                     struct err *err)
{
    struct reader_consumer consumer;
    sqlite3_stmt *select = reader->statements[QR_CONSUMERS];
    int code;
    while ((code = sql_row(&reader->sql, select, err)) == 1) {
        consumer = (struct reader_consumer){
            .acked = sqlite3_column_int64(select, 1),
            .acked_ms = sqlite3_column_int64(select, 2),
            .oldest_pending_ms = sqlite3_column_int64(select, 3),
            .error_ms = sqlite3_column_int64(select, 5),
            .batch_first = sqlite3_column_int64(select, 6),
            .batch_last = sqlite3_column_int64(select, 7),
            .held = sqlite3_column_int64(select, 10),
            .released = sqlite3_column_int64(select, 11),
            .quarantined = sqlite3_column_int64(select, 14),
            .retries = sqlite3_column_int64(select, 15),
            .snapshot_entries = -1,
            .kind = (enum journal_consumer)sqlite3_column_int(select, 12),
            .heard_ms = sqlite3_column_int64(select, 13),
            .epoch = sqlite3_column_int64(select, 16),
        };
        if (consumer.acked_ms > consumer.heard_ms)
            consumer.heard_ms = consumer.acked_ms;
        if (sqlite3_column_type(select, 8) != SQLITE_NULL) {
            consumer.snapshot_entries = sqlite3_column_int64(select, 8);
            consumer.snapshot_sent = sqlite3_column_int64(select, 9);
        }
        copy_text(consumer.name, sizeof consumer.name, sql_column_bytes(select, 0));
        copy_text(consumer.error, sizeof consumer.error, sql_column_bytes(select, 4));
        code = visit(ctx, &consumer);
        if (code)
            break;
    }
    (void)sqlite3_reset(select); /* an early end: nothing to report */
    return code;
}

int reader_quarantine(struct reader *reader, const char *consumer,
                      int (*visit)(void *ctx, const struct reader_quarantined *row), void *ctx,
                      struct err *err)
{
    sqlite3_stmt *select = reader->statements[QR_QUARANTINE];
    int code;
    sql_bind_text(select, 1, consumer);
    while ((code = sql_row(&reader->sql, select, err)) == 1) {
        struct bytes digest = sql_column_bytes(select, 6);
        struct reader_quarantined row = {
            .batch = {.epoch = sqlite3_column_int64(select, 0),
                      .first = sqlite3_column_int64(select, 1),
                      .last = sqlite3_column_int64(select, 2),
                      .prev_sum = (uint64_t)sqlite3_column_int64(select, 3),
                      .last_sum = (uint64_t)sqlite3_column_int64(select, 4),
                      .rows = 1,
                      .gzip = sqlite3_column_int(select, 5) != 0,
                      .body = sql_column_bytes(select, 7)},
            .time_ms = sqlite3_column_int64(select, 8),
            .status = sqlite3_column_int(select, 9),
            .answer = sql_column_bytes(select, 10),
            .retry = sqlite3_column_int(select, 11) != 0,
        };
        if (digest.len == sizeof row.batch.digest)
            memcpy(row.batch.digest, digest.at, digest.len);
        code = visit(ctx, &row);
        if (code)
            break;
    }
    (void)sqlite3_reset(select); /* an early end: nothing to report */
    return code;
}

int reader_brake(struct reader *reader, const char *consumer, int64_t since_ms, int64_t *out,
                 struct err *err)
{
    sqlite3_stmt *select = reader->statements[QR_BRAKE];
    sql_bind_text(select, 1, consumer);
    sql_bind_i64(select, 2, since_ms);
    int code = sql_row(&reader->sql, select, err);
    if (code < 0)
        return code;
    *out = code ? sqlite3_column_int64(select, 0) : 0;
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 0;
}

int reader_batch(struct reader *reader, const char *consumer, struct journal_batch *out,
                 struct buf *body, struct err *err)
{
    sqlite3_stmt *select = reader->statements[QR_BATCH];
    size_t start = body->len;
    sql_bind_text(select, 1, consumer);
    int code = sql_row(&reader->sql, select, err);
    if (code < 0)
        return code;
    if (code == 0)
        return err_set(err, ERR_NOTFOUND, 0, "consumer '%s': no batch is in flight", consumer);
    struct journal_batch batch = {
        .epoch = sqlite3_column_int64(select, 0),
        .first = sqlite3_column_int64(select, 1),
        .last = sqlite3_column_int64(select, 2),
        .prev_sum = (uint64_t)sqlite3_column_int64(select, 3),
        .last_sum = (uint64_t)sqlite3_column_int64(select, 4),
        .rows = sqlite3_column_int64(select, 5),
        .gzip = sqlite3_column_int(select, 6) != 0,
        .newest = sqlite3_column_int(select, 7) != 0,
        .tree_sum = (uint64_t)sqlite3_column_int64(select, 8),
        .gen = sqlite3_column_int64(select, 11),
        .part = sqlite3_column_int64(select, 12),
    };
    struct bytes digest = sql_column_bytes(select, 9);
    struct bytes stored = sql_column_bytes(select, 10);
    code = digest.len == sizeof batch.digest
               ? 0
               : err_set(err, ERR_CORRUPT, 0, "batch of consumer '%s': its digest is damaged",
                         consumer);
    if (code == 0) {
        memcpy(batch.digest, digest.at, digest.len);
        buf_add(body, stored.at, stored.len);
        if (!buf_ok(body))
            code = err_set(err, ERR_NOMEM, 0, "batch of consumer '%s': no memory", consumer);
    }
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    if (code == 0) {
        batch.body = bytes_of(body->data + start, body->len - start);
        *out = batch;
    }
    return code;
}

int reader_snapshot(struct reader *reader, const char *consumer, struct journal_snapshot *out,
                    struct err *err)
{
    return query_snapshot(&reader->sql, reader->statements[QR_SNAPSHOT], consumer, out, err);
}

int reader_snapshot_rows(struct reader *reader, const struct journal_snapshot *snapshot,
                         int64_t sent, int (*visit)(void *ctx, const struct change *change),
                         void *ctx, struct err *err)
{
    sqlite3_stmt *select = reader->statements[QR_SNAPSHOT_ENTRIES];
    int code;
    sql_bind_i64(select, 1, snapshot->first + sent);
    sql_bind_i64(select, 2, snapshot->first + snapshot->entries);
    while ((code = sql_row(&reader->sql, select, err)) == 1) {
        struct change row = {
            .seq = sqlite3_column_int64(select, 1), /* of the row that created it: its id */
            .epoch = snapshot->epoch,
            .time_ms = snapshot->time_ms,
            .kind = CHANGE_CREATE,
            .path = sql_column_bytes(select, 0),
            .entry = sqlite3_column_int64(select, 1),
            .type = (enum entry_type)sqlite3_column_int(select, 2),
            .attrs =
                {
                    .mode = (uint32_t)sqlite3_column_int64(select, 3),
                    .size = sqlite3_column_int64(select, 4),
                    .mtime_ns = sqlite3_column_int64(select, 5),
                    .target = sql_column_bytes(select, 6),
                },
        };
        code = visit(ctx, &row);
        if (code)
            break;
    }
    (void)sqlite3_reset(select); /* an early end: nothing to report */
    return code;
}
