/* journal_quarantine.c: rows that a server of a log refuses for good, set aside so that the rest
 * flows: each as the batch that was sent, so that a later try sends the same bytes. Replicas have
 * none: they can do without no row (RULES 16). The folder's thread. */
#include "err.h"
#include "journal_private.h"

static int run(struct journal *journal, enum query_journal which, struct err *err)
{
    return sql_run(&journal->sql, journal->statements[which], err);
}

static int check_room(struct journal *journal, const char *consumer, struct err *err)
{
    sqlite3_stmt *count = journal->statements[QJ_QUARANTINE_COUNT];
    sql_bind_text(count, 1, consumer);
    int code = sql_row(&journal->sql, count, err);
    if (code < 0)
        return code;
    bool full = code == 1 && sqlite3_column_int64(count, 0) >= JOURNAL_QUARANTINE_MAX;
    (void)sqlite3_reset(count); /* after a row: nothing to report */
    return full ? err_set(err, ERR_LIMIT, 0,
                          "consumer '%s': %d rows are in quarantine, and no more are set aside; "
                          "see 'spoor quarantine list'",
                          consumer, JOURNAL_QUARANTINE_MAX)
                : 0;
}

static int set_aside(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                     struct err *err)
{
    sqlite3_stmt *add = journal->statements[QJ_QUARANTINE_ADD];
    int code = check_room(journal, order->consumer, err);
    if (code)
        return code;
    sql_bind_text(add, 1, order->consumer);
    sql_bind_i64(add, 2, wall_ms);
    sql_bind_i64(add, 3, order->status);
    sql_bind_text(add, 4, order->text);
    code = run(journal, QJ_QUARANTINE_ADD, err);
    if (code == 0 && sqlite3_changes(journal->sql.db) == 0)
        code =
            err_set(err, ERR_NOTFOUND, 0, "consumer '%s': no batch is in flight", order->consumer);
    return code ? code : journal_ack_rows(journal, order->consumer, order->value, wall_ms, err);
}

static int refused_again(struct journal *journal, const struct journal_order *order,
                         int64_t wall_ms, struct err *err)
{
    sqlite3_stmt *update = journal->statements[QJ_QUARANTINE_REFUSED];
    sql_bind_text(update, 1, order->consumer);
    sql_bind_i64(update, 2, order->value);
    sql_bind_i64(update, 3, wall_ms);
    sql_bind_i64(update, 4, order->status);
    sql_bind_text(update, 5, order->text);
    return run(journal, QJ_QUARANTINE_REFUSED, err);
}

/* ERR_NOTFOUND when a row was named that is not there. */
static int change_rows(struct journal *journal, enum query_journal which,
                       const struct journal_order *order, struct err *err)
{
    sql_bind_text(journal->statements[which], 1, order->consumer);
    sql_bind_i64(journal->statements[which], 2, order->value);
    int code = run(journal, which, err);
    if (code == 0 && order->value && sqlite3_changes(journal->sql.db) == 0)
        code = err_set(err, ERR_NOTFOUND, 0, "consumer '%s': row %lld is not in quarantine",
                       order->consumer, (long long)order->value);
    return code;
}

int journal_quarantine(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                       struct err *err)
{
    int code = journal_begin(journal, err);
    if (code)
        return code;
    if (order->what == JOURNAL_QUARANTINE)
        code = set_aside(journal, order, wall_ms, err);
    else if (order->what == JOURNAL_REFUSED)
        code = refused_again(journal, order, wall_ms, err);
    else if (order->what == JOURNAL_RETRY)
        code = change_rows(journal, QJ_QUARANTINE_RETRY, order, err);
    else
        code = change_rows(journal, QJ_QUARANTINE_DROP, order, err);
    return journal_end(journal, code, err);
}
