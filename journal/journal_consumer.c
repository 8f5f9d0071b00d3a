/* journal_consumer.c: who reads the journal, how far each has come, the batch each has in
 * flight, and the purging of rows that nobody needs any more. The folder's thread. */
#include "journal.h"

#include "err.h"
#include "journal_private.h"
#include "reserve.h"

/* Free pages go back to the disk when more than one in this many pages is free, so many a call. */
#define VACUUM_SHARE       4
#define VACUUM_PAGES_CALL  "1024"
#define VACUUM_PAGES_LEAST 256

static int run(struct journal *journal, enum query_journal which, struct err *err)
{
    return sql_run(&journal->sql, journal->statements[which], err);
}

static int not_found(const struct journal *journal, const char *name, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, 0, "journal '%s': no consumer '%s'", journal->sql.path, name);
}

const char *journal_consumer_name(enum journal_consumer kind)
{
    return kind == JOURNAL_UPLOAD ? "upload" : kind == JOURNAL_READER ? "reader" : "unknown";
}

/* Where the consumer stands, and what it is. */
static int get_consumer(struct journal *journal, const char *name, int64_t *acked,
                        enum journal_consumer *kind, struct err *err)
{
    sqlite3_stmt *select = journal->statements[QJ_CONSUMER_ACKED];
    sql_bind_text(select, 1, name);
    int code = sql_row(&journal->sql, select, err);
    if (code < 0)
        return code;
    if (code == 0)
        return not_found(journal, name, err);
    *acked = sqlite3_column_int64(select, 0);
    *kind = (enum journal_consumer)sqlite3_column_int(select, 1);
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 0;
}

int journal_get_acked(struct journal *journal, const char *name, int64_t *out, struct err *err)
{
    enum journal_consumer kind; /* not asked for */
    return get_consumer(journal, name, out, &kind, err);
}

/* Number of consumers that are waited for and the smallest acknowledged seq (last_seq when there
 * are none). */
static int get_least(struct journal *journal, int64_t heard_after_wall_ms, int64_t *count,
                     int64_t *acked, struct err *err)
{
    sqlite3_stmt *select = journal->statements[QJ_CONSUMER_LEAST];
    sql_bind_i64(select, 1, heard_after_wall_ms);
    int code = sql_row(&journal->sql, select, err);
    if (code < 0)
        return code;
    *count = sqlite3_column_int64(select, 0);
    *acked = *count ? sqlite3_column_int64(select, 1) : journal->info.last_seq;
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 0;
}

/* A reader with where it begins; `since_ms` and `epoch` are 0 of an upload. */
static int insert_consumer(struct journal *journal, const char *name, int64_t acked,
                           int64_t since_ms, int64_t epoch, struct err *err)
{
    int64_t count = 0, least;
    sqlite3_stmt *insert = journal->statements[QJ_CONSUMER_INSERT];
    size_t len = strlen(name);
    if (len == 0 || len > 64)
        return err_set(err, ERR_INVALID, 0, "consumer '%.64s': a name has 1 to 64 bytes", name);
    if (acked < 0 || acked > journal->info.last_seq)
        return err_set(err, ERR_INVALID, 0,
                       "consumer '%s': cannot start at %lld, the last row is "
                       "%lld",
                       name, (long long)acked, (long long)journal->info.last_seq);
    int code = journal_begin(journal, err);
    if (code)
        return code;
    code = get_least(journal, INT64_MIN, &count, &least, err);
    if (code == 0 && count >= JOURNAL_CONSUMERS_MAX)
        code = err_set(err, ERR_LIMIT, 0, "consumer '%s': there are %d already", name,
                       JOURNAL_CONSUMERS_MAX);
    if (code == 0) {
        sql_bind_text(insert, 1, name);
        sql_bind_i64(insert, 2, acked);
        sql_bind_i64(insert, 3, epoch ? JOURNAL_READER : JOURNAL_UPLOAD);
        sql_bind_i64(insert, 4, since_ms);
        sql_bind_i64(insert, 5, epoch);
        code = run(journal, QJ_CONSUMER_INSERT, err);
    }
    return journal_end(journal, code, err);
}

int journal_consumer_add(struct journal *journal, const char *name, int64_t acked, struct err *err)
{
    int64_t known = 0;
    enum journal_consumer kind = JOURNAL_UPLOAD;
    int code = get_consumer(journal, name, &known, &kind, NULL);
    if (code == 0 && kind == JOURNAL_READER)
        return err_set(err, ERR_EXISTS, 0,
                       "upload '%s': a reader has this name; remove it with 'spoor consumer remove "
                       "%s', or name the upload otherwise",
                       name, name);
    return code == 0 ? 0 : insert_consumer(journal, name, acked, 0, 0, err);
}

static int forget_deletes(struct journal *journal, const char *consumer, int64_t from_seq,
                          int64_t before_ms, struct err *err)
{
    sqlite3_stmt *forget = journal->statements[QJ_BRAKE_FORGET];
    sql_bind_text(forget, 1, consumer);
    sql_bind_i64(forget, 2, from_seq);
    sql_bind_i64(forget, 3, before_ms);
    return run(journal, QJ_BRAKE_FORGET, err);
}

int journal_consumer_remove(struct journal *journal, const char *name, struct err *err)
{
    int code = journal_begin(journal, err);
    if (code)
        return code;
    sql_bind_text(journal->statements[QJ_BATCH_DELETE], 1, name);
    code = run(journal, QJ_BATCH_DELETE, err);
    if (code == 0)
        code = journal_drop_snapshot(journal, name, err);
    if (code == 0)
        code = forget_deletes(journal, name, 0, 0, err);
    if (code == 0) {
        sql_bind_text(journal->statements[QJ_QUARANTINE_DROP], 1, name);
        sql_bind_i64(journal->statements[QJ_QUARANTINE_DROP], 2, 0);
        code = run(journal, QJ_QUARANTINE_DROP, err);
    }
    if (code == 0) {
        sql_bind_text(journal->statements[QJ_CONSUMER_DELETE], 1, name);
        code = run(journal, QJ_CONSUMER_DELETE, err);
    }
    if (code == 0 && sqlite3_changes(journal->sql.db) == 0)
        code = not_found(journal, name, err);
    return journal_end(journal, code, err);
}

int journal_ack_rows(struct journal *journal, const char *name, int64_t seq, int64_t wall_ms,
                     struct err *err)
{
    sqlite3_stmt *ack = journal->statements[QJ_CONSUMER_ACK];
    sqlite3_stmt *covered = journal->statements[QJ_BATCH_COVERED];
    sql_bind_text(ack, 1, name);
    sql_bind_i64(ack, 2, seq);
    sql_bind_i64(ack, 3, wall_ms);
    int code = run(journal, QJ_CONSUMER_ACK, err);
    if (code)
        return code;
    code = journal_drop_snapshot(journal, name, err);
    if (code)
        return code;
    sql_bind_text(covered, 1, name);
    sql_bind_i64(covered, 2, seq);
    return run(journal, QJ_BATCH_COVERED, err);
}

int journal_ack(struct journal *journal, const char *name, int64_t seq, int64_t wall_ms,
                struct err *err)
{
    int64_t acked = 0;
    int code = journal_get_acked(journal, name, &acked, err);
    if (code)
        return code;
    if (seq < acked || seq > journal->info.last_seq)
        return err_set(err, ERR_INVALID, 0,
                       "consumer '%s': cannot acknowledge %lld, it stands at %lld of %lld", name,
                       (long long)seq, (long long)acked, (long long)journal->info.last_seq);
    for (bool again = false;; again = true) {
        code = journal_begin(journal, err);
        if (code == 0)
            code = journal_ack_rows(journal, name, seq, wall_ms, err);
        if (code == 0)
            code = sql_commit(&journal->sql, err);
        if (code != ERR_FULL || again || !reserve_release(journal->dirfd))
            break;
        journal->reserve_gone = true;
        /* What frees the disk in the end is that acknowledged rows are purged: so the space kept
         * back is for this. After SQLITE_FULL and a rollback nothing half done is left behind. */
        sql_rollback(&journal->sql);
    }
    return code ? journal_end(journal, code, err) : 0;
}

int journal_reader_do(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                      struct err *err)
{
    int64_t acked = 0;
    enum journal_consumer kind = JOURNAL_READER;
    int code = get_consumer(journal, order->consumer, &acked, &kind, NULL);
    if (code && code != ERR_NOTFOUND)
        return get_consumer(journal, order->consumer, &acked, &kind, err); /* for the words */
    if (order->what == JOURNAL_READER_ADD && code == 0)
        return err_set(err, ERR_EXISTS, 0, "reader '%s': there is %s of that name already",
                       order->consumer, kind == JOURNAL_READER ? "one" : "an upload");
    if (order->what == JOURNAL_READER_ADD)
        return insert_consumer(journal, order->consumer, journal->info.floor_seq, wall_ms,
                               order->value ? order->value : journal->info.epoch, err);
    if (code || kind != JOURNAL_READER)
        return err_set(err, ERR_NOTFOUND, 0, "there is no reader '%s'%s", order->consumer,
                       code ? "" : ": it is an upload");
    return order->what == JOURNAL_READER_REMOVE
               ? journal_consumer_remove(journal, order->consumer, err)
               : journal_ack(journal, order->consumer, order->value, wall_ms, err);
}

int journal_consumer_error(struct journal *journal, const char *name, const char *text,
                           int64_t wall_ms, struct err *err)
{
    sqlite3_stmt *update = journal->statements[QJ_CONSUMER_ERROR];
    int code = journal_begin(journal, err);
    if (code)
        return code;
    sql_bind_text(update, 1, name);
    sql_bind_text(update, 2, text);
    sql_bind_i64(update, 3, *text ? wall_ms : 0);
    code = run(journal, QJ_CONSUMER_ERROR, err);
    if (code == 0 && sqlite3_changes(journal->sql.db) == 0)
        code = not_found(journal, name, err);
    return journal_end(journal, code, err);
}

/* A batch of rows goes on from what is acknowledged, a part from the parts that are. */
static int check_batch(struct journal *journal, const char *consumer,
                       const struct journal_batch *batch, struct err *err)
{
    int64_t acked = 0, last = journal->info.last_seq;
    int code = journal_get_acked(journal, consumer, &acked, err);
    if (code == 0 && batch->gen) {
        struct journal_snapshot snapshot = {0};
        code = journal_get_snapshot(journal, consumer, &snapshot, err);
        acked = snapshot.sent;
        last =
            snapshot.gen == batch->gen && batch->part == snapshot.parts + 1 ? snapshot.entries : 0;
    }
    if (code)
        return code;
    if (batch->first <= acked || batch->last < batch->first || batch->last > last)
        return err_set(err, ERR_INVALID, 0,
                       "batch %lld..%lld of consumer '%s': not rows beyond what is "
                       "acknowledged (%lld of %lld)",
                       (long long)batch->first, (long long)batch->last, consumer, (long long)acked,
                       (long long)last);
    return 0;
}

/* What a batch takes from the server counts from here on; an earlier one that was formed of the
 * same rows and not sent does no longer. */
static int count_deletes(struct journal *journal, const char *consumer,
                         const struct journal_batch *batch, struct err *err)
{
    sqlite3_stmt *add = journal->statements[QJ_BRAKE_ADD];
    if (batch->gen)
        return 0;
    int code = forget_deletes(journal, consumer, batch->first,
                              batch->time_ms - JOURNAL_BRAKE_KEPT_MS, err);
    if (code || batch->deletes == 0)
        return code;
    sql_bind_text(add, 1, consumer);
    sql_bind_i64(add, 2, batch->last);
    sql_bind_i64(add, 3, batch->time_ms);
    sql_bind_i64(add, 4, batch->deletes);
    return run(journal, QJ_BRAKE_ADD, err);
}

int journal_hold(struct journal *journal, const char *name, int64_t held, int64_t released,
                 struct err *err)
{
    sqlite3_stmt *hold = journal->statements[QJ_CONSUMER_HOLD];
    int code = journal_begin(journal, err);
    if (code)
        return code;
    sql_bind_text(hold, 1, name);
    sql_bind_i64(hold, 2, held);
    sql_bind_i64(hold, 3, released);
    code = run(journal, QJ_CONSUMER_HOLD, err);
    if (code == 0 && sqlite3_changes(journal->sql.db) == 0)
        code = not_found(journal, name, err);
    if (code == 0 && !held)
        code = forget_deletes(journal, name, 0, 0, err);
    return journal_end(journal, code, err);
}

int journal_batch_store(struct journal *journal, const char *consumer,
                        const struct journal_batch *batch, struct err *err)
{
    sqlite3_stmt *store = journal->statements[QJ_BATCH_STORE];
    int code = check_batch(journal, consumer, batch, err);
    if (code == 0)
        code = journal_begin(journal, err);
    if (code)
        return code;
    code = count_deletes(journal, consumer, batch, err);
    if (code)
        return journal_end(journal, code, err);
    sql_bind_text(store, 1, consumer);
    sql_bind_i64(store, 2, batch->epoch);
    sql_bind_i64(store, 3, batch->first);
    sql_bind_i64(store, 4, batch->last);
    sql_bind_i64(store, 5, (int64_t)batch->prev_sum);
    sql_bind_i64(store, 6, (int64_t)batch->last_sum);
    sql_bind_i64(store, 7, batch->rows);
    sql_bind_i64(store, 8, batch->gzip);
    sql_bind_i64(store, 9, batch->newest);
    sql_bind_i64(store, 10, (int64_t)batch->tree_sum);
    sql_bind_blob(store, 11, bytes_of((const char *)batch->digest, sizeof batch->digest));
    if (batch->body.len)
        sql_bind_blob(store, 12, batch->body);
    else /* its rows come to nothing; the acknowledgement is wanted all the same */
        (void)sqlite3_bind_zeroblob(store, 12,
                                    0); /* fails as the binds above: for want of memory */
    sql_bind_i64(store, 13, batch->gen);
    sql_bind_i64(store, 14, batch->part);
    return journal_end(journal, run(journal, QJ_BATCH_STORE, err), err);
}

/* The last row that may go: of the next max_rows, all before the first that is too young (the wall
 * clock may have gone back, so age is no order) or that a consumer wants, and what is beyond the
 * limit. */
static int find_purgeable(struct journal *journal, const struct journal_keep *keep,
                          int64_t max_rows, int64_t *out, struct err *err)
{
    const struct journal_info *info = &journal->info;
    sqlite3_stmt *younger = journal->statements[QJ_CHANGE_YOUNGER];
    int64_t count, upto;
    int64_t beyond = keep->rows_max ? info->last_seq - keep->rows_max : 0;
    int code = get_least(journal, keep->heard_after_wall_ms, &count, &upto, err);
    if (code)
        return code;
    if (max_rows < beyond - info->floor_seq)
        beyond = info->floor_seq + max_rows;
    if (max_rows < upto - info->floor_seq)
        upto = info->floor_seq + max_rows;
    sql_bind_i64(younger, 1, info->floor_seq);
    sql_bind_i64(younger, 2, upto);
    sql_bind_i64(younger, 3, keep->after_wall_ms);
    code = sql_row(&journal->sql, younger, err);
    if (code < 0)
        return code;
    if (code == 1) {
        upto = sqlite3_column_int64(younger, 0) - 1;
        (void)sqlite3_reset(younger); /* after a row: nothing to report */
    }
    *out = upto > beyond ? upto : beyond;
    return 0;
}

static int purge_rows(struct journal *journal, int64_t upto, uint64_t *sum, struct err *err)
{
    sqlite3_stmt *select = journal->statements[QJ_CHANGE_SUM];
    sql_bind_i64(select, 1, upto);
    int code = sql_row(&journal->sql, select, err);
    if (code < 0)
        return code;
    if (code == 0)
        return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", journal->sql.path,
                       (long long)upto);
    *sum = (uint64_t)sqlite3_column_int64(select, 0);
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    sql_bind_i64(journal->statements[QJ_META_FLOOR], 1, upto);
    sql_bind_i64(journal->statements[QJ_META_FLOOR], 2, (int64_t)*sum);
    code = run(journal, QJ_META_FLOOR, err);
    if (code)
        return code;
    sql_bind_i64(journal->statements[QJ_CHANGE_DELETE], 1, upto);
    return run(journal, QJ_CHANGE_DELETE, err);
}

/* In a transaction of its own, by a statement that is stepped to its end: a single step frees a
 * single page (as measured). */
static int give_back_pages(struct journal *journal, struct err *err)
{
    int64_t free_pages = 0, pages = 0;
    int code = sql_get_i64(&journal->sql, "PRAGMA freelist_count", &free_pages, err);
    if (code == 0)
        code = sql_get_i64(&journal->sql, "PRAGMA page_count", &pages, err);
    if (code || free_pages < VACUUM_PAGES_LEAST || free_pages < pages / VACUUM_SHARE)
        return code;
    code = journal_begin(journal, err);
    if (code)
        return code;
    code = sql_exec(&journal->sql, "PRAGMA incremental_vacuum(" VACUUM_PAGES_CALL ")", err);
    return journal_end(journal, code, err);
}

int journal_purge(struct journal *journal, const struct journal_keep *keep, int64_t max_rows,
                  int64_t *purged, struct err *err)
{
    int64_t floor = journal->info.floor_seq, upto;
    uint64_t sum = 0;
    int code = find_purgeable(journal, keep, max_rows, &upto, err);
    if (code)
        return code;
    if (upto > floor) {
        code = journal_begin(journal, err);
        if (code)
            return code;
        code = journal_end(journal, purge_rows(journal, upto, &sum, err), err);
        if (code)
            return code;
        journal->info.floor_seq = upto;
        journal->info.floor_sum = sum;
    }
    *purged = upto > floor ? upto - floor : 0;
    return give_back_pages(journal, err);
}
