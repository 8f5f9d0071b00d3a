/* journal_resync.c: how a consumer's server gets to stand where the journal does again: by rows
 * from further back, by a copy of the tree, or under another epoch or id; and the reading of
 * everything, for when somebody met damage. The folder's thread. */
#include "journal.h"

#include "clock.h"
#include "err.h"
#include "journal_id.h"
#include "journal_private.h"
#include "reader.h"
#include "sums.h"

static int run(struct journal *journal, enum query_journal which, struct err *err)
{
    return sql_run(&journal->sql, journal->statements[which], err);
}

/* Runs a statement whose one parameter is the consumer. */
static int run_for(struct journal *journal, enum query_journal which, const char *consumer,
                   struct err *err)
{
    sql_bind_text(journal->statements[which], 1, consumer);
    return run(journal, which, err);
}

int journal_get_snapshot(struct journal *journal, const char *consumer,
                         struct journal_snapshot *out, struct err *err)
{
    return query_snapshot(&journal->sql, journal->statements[QJ_SNAPSHOT], consumer, out, err);
}

int journal_drop_snapshot(struct journal *journal, const char *consumer, struct err *err)
{
    struct journal_snapshot snapshot = {0};
    int code = journal_get_snapshot(journal, consumer, &snapshot, err);
    if (code)
        return code == ERR_NOTFOUND ? 0 : code;
    sqlite3_stmt *entries = journal->statements[QJ_SNAPSHOT_DELETE_ENTRIES];
    sql_bind_i64(entries, 1, snapshot.first);
    sql_bind_i64(entries, 2, snapshot.first + snapshot.entries);
    code = run(journal, QJ_SNAPSHOT_DELETE_ENTRIES, err);
    return code ? code : run_for(journal, QJ_SNAPSHOT_DELETE, consumer, err);
}

/* --- rewinding --- */

static int set_acked(struct journal *journal, const char *consumer, int64_t seq, struct err *err)
{
    int code = journal_drop_snapshot(journal, consumer, err);
    if (code == 0)
        code = run_for(journal, QJ_BATCH_DELETE, consumer, err);
    if (code)
        return code;
    sql_bind_i64(journal->statements[QJ_CONSUMER_REWIND], 2, seq);
    return run_for(journal, QJ_CONSUMER_REWIND, consumer, err);
}

static int rewind_to(struct journal *journal, const char *consumer, int64_t seq, struct err *err)
{
    const struct journal_info *info = &journal->info;
    int64_t acked;
    int code = journal_get_acked(journal, consumer, &acked, err);
    if (code)
        return code;
    if (seq < info->floor_seq || seq > info->last_seq)
        return err_set(err, ERR_INVALID, 0,
                       "consumer '%s': cannot begin again after row %lld, there are rows %lld to "
                       "%lld",
                       consumer, (long long)seq, (long long)info->floor_seq + 1,
                       (long long)info->last_seq);
    code = journal_begin(journal, err);
    return code ? code : journal_end(journal, set_acked(journal, consumer, seq, err), err);
}

/* --- snapshots --- */

static int copy_tree(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                     struct err *err)
{
    const struct journal_info *info = &journal->info;
    sqlite3_stmt *copy = journal->statements[QJ_SNAPSHOT_COPY];
    sqlite3_stmt *insert = journal->statements[QJ_SNAPSHOT_INSERT];
    int code = set_acked(journal, order->consumer, 0, err);
    if (code)
        return code;
    sql_bind_i64(copy, 1, journal->entries + 1);
    code = run(journal, QJ_SNAPSHOT_COPY, err);
    if (code)
        return code;
    int64_t copied = journal->entries ? sqlite3_changes64(journal->sql.db) : 0;
    if (copied != journal->entries)
        return err_set(err, ERR_CORRUPT, 0,
                       "tree table of '%s': %lld of its %lld entries hang in its root",
                       journal->sql.path, (long long)copied, (long long)journal->entries);
    /* Without AUTOINCREMENT the numbers go on from the largest there is: without a hole. */
    int64_t last = copied ? sqlite3_last_insert_rowid(journal->sql.db) : 0;
    sql_bind_text(insert, 1, order->consumer);
    sql_bind_i64(insert, 2, order->value);
    sql_bind_i64(insert, 3, info->epoch);
    sql_bind_i64(insert, 4, info->last_seq);
    sql_bind_i64(insert, 5, (int64_t)info->last_sum);
    sql_bind_i64(insert, 6, (int64_t)info->tree_sum);
    sql_bind_i64(insert, 7, copied);
    sql_bind_i64(insert, 8, wall_ms);
    sql_bind_i64(insert, 9, last - copied + 1);
    return run(journal, QJ_SNAPSHOT_INSERT, err);
}

static int begin_snapshot(struct journal *journal, const struct journal_order *order,
                          int64_t wall_ms, struct err *err)
{
    int64_t acked;
    int code = journal_get_acked(journal, order->consumer, &acked, err);
    if (code)
        return code;
    if (!journal->info.indexed || order->value <= 0)
        return err_set(err, ERR_INVALID, 0,
                       "consumer '%s': no snapshot before the first index is complete",
                       order->consumer);
    code = journal_begin(journal, err);
    if (code)
        return code;
    code = copy_tree(journal, order, wall_ms, err);
    if (code == ERR_FULL) {
        /* Only the copy found no room: what is journaled is whole, and a connection that met
         * SQLITE_FULL is as good as before once it has rolled back. */
        sql_rollback(&journal->sql);
        return code;
    }
    return journal_end(journal, code, err);
}

/* The entries of the stored part are the server's. */
static int take_part(struct journal *journal, const struct journal_order *order, struct err *err)
{
    struct journal_snapshot snapshot = {0};
    sqlite3_stmt *stored = journal->statements[QJ_BATCH_PART];
    int code = journal_get_snapshot(journal, order->consumer, &snapshot, err);
    if (code)
        return code;
    sql_bind_text(stored, 1, order->consumer);
    sql_bind_i64(stored, 2, snapshot.gen);
    sql_bind_i64(stored, 3, order->value);
    code = sql_row(&journal->sql, stored, err);
    if (code < 0)
        return code;
    if (code == 0 || order->value != snapshot.parts + 1) {
        (void)sqlite3_reset(stored); /* the message below says it */
        return err_set(err, ERR_INVALID, 0, "consumer '%s': part %lld is not in flight",
                       order->consumer, (long long)order->value);
    }
    int64_t sent = sqlite3_column_int64(stored, 0);
    (void)sqlite3_reset(stored); /* after a row: nothing to report */
    code = journal_begin(journal, err);
    if (code)
        return code;
    sql_bind_i64(journal->statements[QJ_SNAPSHOT_PART], 2, order->value);
    sql_bind_i64(journal->statements[QJ_SNAPSHOT_PART], 3, sent);
    code = run_for(journal, QJ_SNAPSHOT_PART, order->consumer, err);
    if (code == 0)
        code = run_for(journal, QJ_BATCH_DELETE, order->consumer, err);
    return journal_end(journal, code, err);
}

/* --- another history, another name --- */

/* The id file first, as when a database is begun: should the machine stop in between, the next open
 * finds an epoch in it that the database has not reached, and takes a new one again. */
int journal_new_epoch(struct journal *journal, int64_t above, struct err *err)
{
    struct journal_id id;
    int64_t now_ms = clock_wall_ms();
    int code = journal_id_read(journal->dirfd, &id, err);
    if (code)
        return code;
    int64_t least = id.epoch > journal->info.epoch ? id.epoch : journal->info.epoch;
    least = above > least ? above : least;
    if (least >= INT64_MAX - 1)
        return err_set(err, ERR_LIMIT, 0, "journal '%s': no epoch is left above %lld",
                       journal->sql.path, (long long)least);
    id.epoch = now_ms > least ? now_ms : least + 1;
    code = journal_id_write(journal->dirfd, &id, err);
    if (code == 0)
        code = journal_begin(journal, err);
    if (code)
        return code;
    sql_bind_i64(journal->statements[QJ_META_EPOCH], 1, id.epoch);
    sql_bind_i64(journal->statements[QJ_META_EPOCH], 2, journal->info.last_seq);
    code = journal_end(journal, run(journal, QJ_META_EPOCH, err), err);
    if (code)
        return code;
    journal->info.epoch = id.epoch;
    journal->info.epoch_seq = journal->info.last_seq;
    journal_note(journal);
    return 0;
}

static int take_new_id(struct journal *journal, struct err *err)
{
    struct journal_id id;
    int code = journal_id_read(journal->dirfd, &id, err);
    if (code == 0)
        code = journal_id_renew(journal->dirfd, &id, err);
    if (code == 0)
        memcpy(journal->info.id, id.id, sizeof id.id);
    return code;
}

/* --- reading everything --- */

static int check_pages(struct journal *journal, struct err *err)
{
    const char *text = "PRAGMA quick_check(1)";
    sqlite3_stmt *check = NULL;
    int code = sql_prepare(&journal->sql, &text, 1, &check, err);
    if (code == 0)
        code = sql_row(&journal->sql, check, err);
    if (code == 1) {
        struct bytes said = sql_column_bytes(check, 0);
        code = bytes_equal(said, bytes_str("ok"))
                   ? 0
                   : err_set(err, ERR_CORRUPT, 0, "journal '%s': %.*s", journal->sql.path,
                             (int)(said.len < 200 ? said.len : 200), said.len ? said.at : "");
    }
    sql_finalize(&check, 1);
    return code;
}

static int check_chain(struct journal *journal, struct err *err)
{
    const struct journal_info *info = &journal->info;
    sqlite3_stmt *all = journal->statements[QJ_CHANGE_ALL];
    struct change row;
    int64_t seq = info->floor_seq;
    uint64_t sum = info->floor_sum;
    int code;
    while ((code = sql_row(&journal->sql, all, err)) == 1) {
        query_read_change(all, &row);
        sum = sums_row(sum, &row);
        if (row.seq != ++seq || row.sum != sum)
            break;
    }
    (void)sqlite3_reset(all); /* an early end: nothing to report */
    if (code == 1)
        return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld does not fit its checksum",
                       journal->sql.path, (long long)seq);
    if (code == 0 && seq != info->last_seq)
        return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", journal->sql.path,
                       (long long)seq + 1);
    return code;
}

static int check_tree(struct journal *journal, struct err *err)
{
    struct reader_entry row;
    sqlite3_stmt *all = journal->statements[QJ_ENTRY_ALL];
    uint64_t sum = 0;
    int64_t rows = 0;
    int code;
    while ((code = sql_row(&journal->sql, all, err)) == 1) {
        query_read_entry(all, &row);
        sum += sums_entry(row.id, row.parent, row.name, row.type, &row.attrs);
        rows++;
    }
    if (code == 0 && (sum != journal->info.tree_sum || rows != journal->entries))
        code = err_set(err, ERR_CORRUPT, 0,
                       "tree table of '%s': its checksum does not hold (%lld of %lld entries)",
                       journal->sql.path, (long long)rows, (long long)journal->entries);
    return code;
}

int journal_check(struct journal *journal, struct err *err)
{
    int code = check_pages(journal, err);
    if (code == 0)
        code = check_chain(journal, err);
    return code ? code : check_tree(journal, err);
}

int journal_resync(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                   struct err *err)
{
    switch (order->what) {
    case JOURNAL_REWIND:
        return rewind_to(journal, order->consumer, order->value, err);
    case JOURNAL_SNAPSHOT:
        return begin_snapshot(journal, order, wall_ms, err);
    case JOURNAL_PART:
        return take_part(journal, order, err);
    case JOURNAL_QUARANTINE:
    case JOURNAL_RETRY:
    case JOURNAL_REFUSED:
    case JOURNAL_DROP:
        return journal_quarantine(journal, order, wall_ms, err);
    case JOURNAL_HOLD:
        return journal_hold(journal, order->consumer, order->value, 0, err);
    case JOURNAL_RELEASE:
        return journal_hold(journal, order->consumer, 0, journal->info.last_seq, err);
    case JOURNAL_NEW_EPOCH:
        return journal_new_epoch(journal, order->value, err);
    case JOURNAL_NEW_ID:
        return take_new_id(journal, err);
    case JOURNAL_CHECK:
        return journal_check(journal, err);
    case JOURNAL_READER_ADD:
    case JOURNAL_READER_ACK:
    case JOURNAL_READER_REMOVE:
        return journal_reader_do(journal, order, wall_ms, err);
    }
    return err_set(err, ERR_INVALID, 0, "journal '%s': unknown order", journal->sql.path);
}
