/* query.h: every statement of the room, by name, and the layouts of the rows they give.
 *
 * Each set is prepared once for a connection (sql_prepare) and kept. Parameters are
 * numbered in the comments of query.c. One thread a connection. */
#ifndef SPOOR_QUERY_H
#define SPOOR_QUERY_H

#include <sqlite3.h>

#include "change.h"

struct err;
struct journal_info;
struct journal_snapshot;
struct reader_entry;
struct sql;

/* The writer's statements (journal*.c). */
enum query_journal {
    QJ_INFO,
    QJ_META_NEW,
    QJ_META_TREE,
    QJ_META_FLOOR,
    QJ_META_GAP,
    QJ_META_INDEXED,
    QJ_META_ROOT,
    QJ_META_EPOCH,
    QJ_ENTRY_AT,
    QJ_ENTRY_BY_FILE,
    QJ_ENTRY_BY_NUMBER,
    QJ_ENTRY_CHILDREN,
    QJ_ENTRY_INSERT,
    QJ_ENTRY_SET,
    QJ_ENTRY_SET_FILE,
    QJ_ENTRY_TOUCH,
    QJ_ENTRY_MOVE,
    QJ_ENTRY_PLACE,
    QJ_ENTRY_DELETE,
    QJ_ENTRY_BELOW,
    QJ_ENTRY_DELETE_BELOW,
    QJ_ENTRY_ALL,
    QJ_CHANGE_INSERT,
    QJ_CHANGE_AT,
    QJ_CHANGE_ALL,
    QJ_CHANGE_SUM,
    QJ_CHANGE_YOUNGER,
    QJ_CHANGE_DELETE,
    QJ_CONSUMER_INSERT,
    QJ_CONSUMER_DELETE,
    QJ_CONSUMER_ACKED,
    QJ_CONSUMER_ACK,
    QJ_CONSUMER_ERROR,
    QJ_CONSUMER_LEAST,
    QJ_BATCH_STORE,
    QJ_BATCH_COVERED,
    QJ_BATCH_DELETE,
    QJ_BATCH_PART,
    QJ_CONSUMER_REWIND,
    QJ_CONSUMER_HOLD,
    QJ_BRAKE_ADD,
    QJ_BRAKE_FORGET,
    QJ_QUARANTINE_COUNT,
    QJ_QUARANTINE_ADD,
    QJ_QUARANTINE_RETRY,
    QJ_QUARANTINE_REFUSED,
    QJ_QUARANTINE_DROP,
    QJ_SNAPSHOT,
    QJ_SNAPSHOT_INSERT,
    QJ_SNAPSHOT_COPY,
    QJ_SNAPSHOT_PART,
    QJ_SNAPSHOT_DELETE,
    QJ_SNAPSHOT_DELETE_ENTRIES,
    QJ_COUNT,
};
extern const char *const query_journal[QJ_COUNT];

/* The readers' (reader*.c). */
enum query_reader {
    QR_INFO,
    QR_META,
    QR_ROWS,
    QR_ROWS_REVERSE,
    QR_SUM,
    QR_CONSUMERS,
    QR_BRAKE,
    QR_QUARANTINE,
    QR_BATCH,
    QR_SNAPSHOT,
    QR_SNAPSHOT_ENTRIES,
    QR_CHILDREN,
    QR_COUNT,
};
extern const char *const query_reader[QR_COUNT];
extern const char query_cursor[]; /* a scan worker's own: rows as query_read_entry() */

/* Replaying rows into `node` (replay.c). */
enum query_replay {
    QP_AT,
    QP_INSERT,
    QP_SET,
    QP_PLACE,
    QP_DELETE,
    QP_BELOW,
    QP_DELETE_BELOW,
    QP_CHILDREN,
    QP_COUNT,
};
extern const char *const query_replay[QP_COUNT];
extern const char *const query_replay_next[QP_COUNT]; /* into `node_next` */

/* The mirror's cursor and rows (mirror.c). */
enum query_mirror {
    QM_CURSOR,
    QM_CURSOR_NEW,
    QM_CURSOR_SET,
    QM_SUM,
    QM_SUM_INSERT,
    QM_SUM_PRUNE,
    QM_ROW_INSERT,
    QM_BUILDING,
    QM_BUILDING_SET,
    QM_ROW_FORGET,
    QM_COUNT,
};
extern const char *const query_mirror[QM_COUNT];

/* JSON (rowread.c, reader_json.c). */
extern const char query_json_each[]; /* ?1 text: key, type, value of each member */
extern const char query_json_get[];  /* ?1 text, ?2 path: type, value */

/* Reads the row that stands, in the layout of all statements named ENTRY, CHILDREN and the cursor;
 * bytes live until the next step; `path` is empty. */
void query_read_entry(sqlite3_stmt *statement, struct reader_entry *out);
/* The same for rows of `change`. */
void query_read_change(sqlite3_stmt *statement, struct change *out);
/* Binds a whole row for QJ_CHANGE_INSERT: what does not belong to the type is NULL. */
void query_bind_change(sqlite3_stmt *statement, const struct change *change);
/* Runs QJ_SNAPSHOT or QR_SNAPSHOT. ERR_NOTFOUND: none is on its way to this consumer. */
int query_snapshot(const struct sql *sql, sqlite3_stmt *statement, const char *consumer,
                   struct journal_snapshot *out, struct err *err);
/* Fills all but id and its flag from QJ_INFO or QR_INFO; *entries is the tree's count. */
void query_read_info(sqlite3_stmt *statement, struct journal_info *out, int64_t *entries);

#endif
