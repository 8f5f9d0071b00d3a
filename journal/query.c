/* query.c: see query.h. Column orders here and the readers below belong together. */
#include "query.h"

#include "err.h"
#include "journal.h"
#include "reader.h"
#include "sql.h"

#define ENTRY_COLUMNS "parent,name,id,type,mode,size,mtime,target,ctime,ino,btime"
#define NODE_COLUMNS  "parent,name,id,type,mode,size,mtime,target,0,0,0"
#define CHANGE_COLUMNS                                                                             \
    "seq,epoch,time,entry,kind,type,flags,path,from_path,size,mtime,mode,target,ino,btime,"        \
    "entries,other,sum,pid,program"
/* One statement, so one snapshot: the newest row, else the floor, is `last`. */
#define INFO_TEXT                                                                                  \
    "SELECT folder,epoch,floor_seq,floor_sum,tree_sum,entries,indexed,gap_open,root_ino,"          \
    "root_btime,root_fs_type,(SELECT seq FROM change ORDER BY seq DESC LIMIT 1),"                  \
    "(SELECT sum FROM change ORDER BY seq DESC LIMIT 1),epoch_seq FROM meta"
#define SNAPSHOT_TEXT                                                                              \
    "SELECT gen,epoch,seq,sum,tree_sum,entries,time,first,parts,sent FROM snapshot"                \
    " WHERE consumer=?1"
/* Every directory at or below ?1. UNION, not UNION ALL: a cycle, which only corruption could
 * make, ends. */
#define BELOW(table)                                                                               \
    "WITH RECURSIVE d(id) AS (VALUES(?1) UNION SELECT e.id FROM d CROSS JOIN " table               \
    " e ON e.parent=d.id WHERE e.type=2)"

const char *const query_journal[QJ_COUNT] = {
    [QJ_INFO] = INFO_TEXT,
    [QJ_META_NEW] = "INSERT INTO meta(one,folder,epoch,nonce,floor_seq,floor_sum,tree_sum,entries,"
                    "indexed,gap_open) VALUES(1,?1,?2,?3,0,?3,0,0,0,0)",
    [QJ_META_TREE] = "UPDATE meta SET tree_sum=?1,entries=?2",
    [QJ_META_FLOOR] = "UPDATE meta SET floor_seq=?1,floor_sum=?2",
    [QJ_META_GAP] = "UPDATE meta SET gap_open=?1",
    [QJ_META_INDEXED] = "UPDATE meta SET indexed=1",
    [QJ_META_ROOT] = "UPDATE meta SET root_ino=?1,root_btime=?2,root_fs_type=?3",
    [QJ_META_EPOCH] = "UPDATE meta SET epoch=?1,epoch_seq=?2",
    [QJ_ENTRY_AT] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent=?1 AND name=?2",
    [QJ_ENTRY_BY_FILE] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE ino=?1 AND btime=?2",
    [QJ_ENTRY_BY_NUMBER] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE ino=?1",
    [QJ_ENTRY_CHILDREN] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent=?1 ORDER BY name",
    [QJ_ENTRY_INSERT] = "INSERT INTO entry(" ENTRY_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,"
                        "?10,?11)",
    /* ino is left out where it stays: naming it would rewrite its index entry. */
    [QJ_ENTRY_SET] = "UPDATE entry SET mode=?3,size=?4,mtime=?5,target=?6,ctime=?7"
                     " WHERE parent=?1 AND name=?2",
    [QJ_ENTRY_SET_FILE] = "UPDATE entry SET mode=?3,size=?4,mtime=?5,target=?6,ctime=?7,ino=?8,"
                          "btime=?9 WHERE parent=?1 AND name=?2",
    [QJ_ENTRY_TOUCH] = "UPDATE entry SET ctime=?4,ino=?5,btime=?6"
                       " WHERE parent=?1 AND name=?2 AND id=?3",
    [QJ_ENTRY_MOVE] = "UPDATE entry SET parent=?3,name=?4,ctime=?5,ino=?6,btime=?7"
                      " WHERE parent=?1 AND name=?2",
    [QJ_ENTRY_PLACE] = "UPDATE entry SET parent=?3,name=?4 WHERE parent=?1 AND name=?2",
    [QJ_ENTRY_DELETE] = "DELETE FROM entry WHERE parent=?1 AND name=?2",
    [QJ_ENTRY_BELOW] = BELOW("entry") "SELECT parent,name,e.id,type,mode,size,mtime,target,ctime,"
                                      "ino,btime FROM d CROSS JOIN entry e ON e.parent=d.id",
    [QJ_ENTRY_DELETE_BELOW] = BELOW("entry") "DELETE FROM entry WHERE parent IN (SELECT id FROM d)",
    [QJ_ENTRY_ALL] = "SELECT " ENTRY_COLUMNS " FROM entry ORDER BY parent,name",
    [QJ_CHANGE_INSERT] = "INSERT INTO change(" CHANGE_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
                         "?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
    [QJ_CHANGE_AT] = "SELECT " CHANGE_COLUMNS " FROM change WHERE seq=?1",
    [QJ_CHANGE_ALL] = "SELECT " CHANGE_COLUMNS " FROM change ORDER BY seq",
    [QJ_CHANGE_SUM] = "SELECT sum FROM change WHERE seq=?1",
    [QJ_CHANGE_YOUNGER] = "SELECT seq FROM change WHERE seq>?1 AND seq<=?2 AND time>=?3"
                          " ORDER BY seq LIMIT 1",
    [QJ_CHANGE_DELETE] = "DELETE FROM change WHERE seq<=?1",
    [QJ_CONSUMER_INSERT] = "INSERT INTO consumer(name,acked,acked_ms,error,error_ms,kind,since_ms,"
                           "epoch) VALUES(?1,?2,0,'',0,?3,?4,?5)",
    [QJ_CONSUMER_DELETE] = "DELETE FROM consumer WHERE name=?1",
    [QJ_CONSUMER_ACKED] = "SELECT acked,kind FROM consumer WHERE name=?1",
    [QJ_CONSUMER_ACK] = "UPDATE consumer SET acked=?2,acked_ms=?3,"
                        "epoch=(SELECT epoch FROM meta) WHERE name=?1",
    [QJ_CONSUMER_ERROR] = "UPDATE consumer SET error=?2,error_ms=?3 WHERE name=?1",
    /* What comes before a snapshot is not wanted any more, what comes after it is. A reader counts
     * that was heard of since ?1 or has nothing waiting from before, unless it lost rows already:
     * else the youngest of them would be kept for it for ever. */
    [QJ_CONSUMER_LEAST] =
        "SELECT count(*),min(coalesce(s.seq,c.acked)) FROM consumer c"
        " LEFT JOIN snapshot s ON s.consumer=c.name"
        " WHERE c.kind=1 OR max(c.acked_ms,c.since_ms)>=?1"
        " OR (c.acked>=(SELECT floor_seq FROM meta)"
        " AND (SELECT time FROM change WHERE seq>c.acked ORDER BY seq LIMIT 1)>=?1)",
    [QJ_BATCH_STORE] = "INSERT OR REPLACE INTO batch(consumer,epoch,first,last,prev_sum,last_sum,"
                       "rows,gzip,newest,tree_sum,digest,body,gen,part)"
                       " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    [QJ_BATCH_COVERED] = "DELETE FROM batch WHERE consumer=?1 AND (last<=?2 OR gen!=0)",
    [QJ_BATCH_DELETE] = "DELETE FROM batch WHERE consumer=?1",
    [QJ_BATCH_PART] = "SELECT last FROM batch WHERE consumer=?1 AND gen=?2 AND part=?3",
    [QJ_CONSUMER_HOLD] = "UPDATE consumer SET held=?2,released=max(released,?3) WHERE name=?1",
    [QJ_BRAKE_ADD] = "INSERT INTO brake(consumer,last,time,entries) VALUES(?1,?2,?3,?4)",
    [QJ_BRAKE_FORGET] = "DELETE FROM brake WHERE consumer=?1 AND (last>=?2 OR time<?3)",
    [QJ_QUARANTINE_COUNT] = "SELECT count(*) FROM quarantine WHERE consumer=?1",
    [QJ_QUARANTINE_ADD] = "INSERT OR REPLACE INTO quarantine(consumer,epoch,first,last,prev_sum,"
                          "last_sum,gzip,digest,body,time,status,answer,retry) SELECT consumer,"
                          "epoch,first,last,prev_sum,last_sum,gzip,digest,body,?2,?3,?4,0 FROM "
                          "batch WHERE consumer=?1",
    /* ?2 is a row, or 0 for all */
    [QJ_QUARANTINE_RETRY] =
        "UPDATE quarantine SET retry=1 WHERE consumer=?1 AND (?2=0 OR ?2 BETWEEN first AND last)",
    [QJ_QUARANTINE_REFUSED] =
        "UPDATE quarantine SET retry=0,time=?3,status=?4,answer=?5 WHERE consumer=?1 AND last=?2",
    [QJ_QUARANTINE_DROP] =
        "DELETE FROM quarantine WHERE consumer=?1 AND (?2=0 OR ?2 BETWEEN first AND last)",
    [QJ_CONSUMER_REWIND] = "UPDATE consumer SET acked=?2 WHERE name=?1",
    [QJ_SNAPSHOT] = SNAPSHOT_TEXT,
    [QJ_SNAPSHOT_INSERT] = "INSERT INTO snapshot(consumer,gen,epoch,seq,sum,tree_sum,entries,time,"
                           "first,parts,sent) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,0,0)",
    /* A level at a time: the queue of a recursive query is first in, first out. LIMIT, because a
     * ring of directories, which only corruption could make, would have no end. */
    [QJ_SNAPSHOT_COPY] =
        "INSERT INTO snapshot_entry(path,id,type,mode,size,mtime,target)"
        " WITH RECURSIVE d(id,prefix) AS (SELECT 0,x'' UNION ALL"
        " SELECT e.id,CAST(d.prefix||e.name||'/' AS BLOB) FROM d CROSS JOIN entry e"
        " ON e.parent=d.id WHERE e.type=2)"
        " SELECT CAST(d.prefix||e.name AS BLOB),e.id,type,mode,size,mtime,target"
        " FROM d CROSS JOIN entry e ON e.parent=d.id LIMIT ?1",
    [QJ_SNAPSHOT_PART] = "UPDATE snapshot SET parts=?2,sent=?3 WHERE consumer=?1",
    [QJ_SNAPSHOT_DELETE] = "DELETE FROM snapshot WHERE consumer=?1",
    [QJ_SNAPSHOT_DELETE_ENTRIES] = "DELETE FROM snapshot_entry WHERE n>=?1 AND n<?2",
};

const char *const query_reader[QR_COUNT] = {
    [QR_INFO] = INFO_TEXT,
    [QR_META] = "SELECT entries,nonce FROM meta",
    [QR_ROWS] = "SELECT " CHANGE_COLUMNS " FROM change WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
    [QR_ROWS_REVERSE] = "SELECT " CHANGE_COLUMNS " FROM change WHERE seq BETWEEN ?1 AND ?2"
                        " ORDER BY seq DESC",
    [QR_SUM] = "SELECT sum FROM change WHERE seq=?1",
    [QR_CONSUMERS] = "SELECT name,acked,acked_ms,(SELECT time FROM change WHERE seq>acked"
                     " ORDER BY seq LIMIT 1),error,error_ms,b.first,b.last,s.entries,s.sent"
                     ",held,released,kind,since_ms"
                     ",(SELECT count(*) FROM quarantine WHERE consumer=c.name)"
                     ",(SELECT count(*) FROM quarantine WHERE consumer=c.name AND retry=1)"
                     ",c.epoch"
                     " FROM consumer c LEFT JOIN batch b ON b.consumer=c.name"
                     " LEFT JOIN snapshot s ON s.consumer=c.name ORDER BY name",
    [QR_BRAKE] = "SELECT coalesce(sum(entries),0) FROM brake WHERE consumer=?1 AND time>=?2"
                 " AND last<=(SELECT acked FROM consumer WHERE name=?1)",
    [QR_QUARANTINE] = "SELECT epoch,first,last,prev_sum,last_sum,gzip,digest,body,time,status,"
                      "answer,retry FROM quarantine WHERE consumer=?1 ORDER BY epoch,last",
    [QR_BATCH] = "SELECT epoch,first,last,prev_sum,last_sum,rows,gzip,newest,tree_sum,digest,body"
                 ",gen,part FROM batch WHERE consumer=?1",
    [QR_SNAPSHOT] = SNAPSHOT_TEXT,
    [QR_SNAPSHOT_ENTRIES] = "SELECT path,id,type,mode,size,mtime,target FROM snapshot_entry"
                            " WHERE n>=?1 AND n<?2 ORDER BY n",
    [QR_CHILDREN] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent=?1 AND name>?2 ORDER BY name",
};

const char query_cursor[] =
    "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent BETWEEN ?1 AND ?2 ORDER BY parent,name";

/* The tree that is shown, or the one that is being built beside it. */
#define REPLAY_TEXTS(table)                                                                        \
    {                                                                                              \
        [QP_AT] = "SELECT " NODE_COLUMNS " FROM " table " WHERE parent=?1 AND name=?2",            \
        [QP_INSERT] = "INSERT INTO " table "(parent,name,id,type,mode,size,mtime,target)"          \
                      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",                                          \
        [QP_SET] = "UPDATE " table " SET mode=?3,size=?4,mtime=?5,target=?6"                       \
                   " WHERE parent=?1 AND name=?2",                                                 \
        [QP_PLACE] = "UPDATE " table " SET parent=?3,name=?4 WHERE parent=?1 AND name=?2",         \
        [QP_DELETE] = "DELETE FROM " table " WHERE parent=?1 AND name=?2",                         \
        [QP_BELOW] = BELOW(table) "SELECT parent,name,e.id,type,mode,size,mtime,target,0,0,0"      \
                                  " FROM d CROSS JOIN " table " e ON e.parent=d.id",               \
        [QP_DELETE_BELOW] =                                                                        \
            BELOW(table) "DELETE FROM " table " WHERE parent IN (SELECT id FROM d)",               \
        [QP_CHILDREN] =                                                                            \
            "SELECT " NODE_COLUMNS " FROM " table " WHERE parent=?1 AND name>?2 ORDER BY name",    \
    }

const char *const query_replay[QP_COUNT] = REPLAY_TEXTS("node");
const char *const query_replay_next[QP_COUNT] = REPLAY_TEXTS("node_next");

const char *const query_mirror[QM_COUNT] = {
    [QM_CURSOR] = "SELECT journal,folder,epoch,seq,sum,tree_sum,entries,batches,gen FROM cursor",
    [QM_CURSOR_NEW] = "INSERT INTO cursor VALUES(1,?1,'',0,0,0,0,0,0,0)",
    [QM_CURSOR_SET] = "UPDATE cursor SET folder=?1,epoch=?2,seq=?3,sum=?4,tree_sum=?5,entries=?6,"
                      "batches=?7,gen=?8",
    [QM_BUILDING] = "SELECT gen,parts,tree_sum,entries FROM building",
    [QM_BUILDING_SET] = "INSERT OR REPLACE INTO building(one,gen,parts,tree_sum,entries)"
                        " VALUES(1,?1,?2,?3,?4)",
    [QM_ROW_FORGET] = "DELETE FROM change WHERE epoch=?1 AND seq>?2",
    [QM_SUM] = "SELECT sum FROM sums WHERE seq=?1",
    [QM_SUM_INSERT] = "INSERT INTO sums(seq,sum) VALUES(?1,?2)",
    [QM_SUM_PRUNE] = "DELETE FROM sums WHERE seq<="
                     "(SELECT seq FROM sums ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
    [QM_ROW_INSERT] = "INSERT INTO change(epoch,seq,json) VALUES(?1,?2,?3)",
};

const char query_json_each[] = "SELECT key,type,value FROM json_each(?1)";
const char query_json_get[] = "SELECT json_type(?1,?2),json_extract(?1,?2)";

void query_read_entry(sqlite3_stmt *statement, struct reader_entry *out)
{
    *out = (struct reader_entry){
        .parent = sqlite3_column_int64(statement, 0),
        .name = sql_column_bytes(statement, 1),
        .id = sqlite3_column_int64(statement, 2),
        .type = (enum entry_type)sqlite3_column_int(statement, 3),
        .attrs =
            {
                .mode = (uint32_t)sqlite3_column_int64(statement, 4),
                .size = sqlite3_column_int64(statement, 5),
                .mtime_ns = sqlite3_column_int64(statement, 6),
                .target = sql_column_bytes(statement, 7),
                .ctime_ns = sqlite3_column_int64(statement, 8),
            },
        .file =
            {
                .a = (uint64_t)sqlite3_column_int64(statement, 9),
                .b = (uint64_t)sqlite3_column_int64(statement, 10),
            },
    };
}

void query_read_change(sqlite3_stmt *statement, struct change *out)
{
    *out = (struct change){
        .seq = sqlite3_column_int64(statement, 0),
        .epoch = sqlite3_column_int64(statement, 1),
        .time_ms = sqlite3_column_int64(statement, 2),
        .entry = sqlite3_column_int64(statement, 3),
        .kind = (enum change_kind)sqlite3_column_int(statement, 4),
        .type = (enum entry_type)sqlite3_column_int(statement, 5),
        .flags = (uint32_t)sqlite3_column_int64(statement, 6),
        .path = sql_column_bytes(statement, 7),
        .from = sql_column_bytes(statement, 8),
        .attrs =
            {
                .size = sqlite3_column_int64(statement, 9),
                .mtime_ns = sqlite3_column_int64(statement, 10),
                .mode = (uint32_t)sqlite3_column_int64(statement, 11),
                .target = sql_column_bytes(statement, 12),
            },
        .file =
            {
                .a = (uint64_t)sqlite3_column_int64(statement, 13),
                .b = (uint64_t)sqlite3_column_int64(statement, 14),
            },
        .entries = sqlite3_column_int64(statement, 15),
        .other = sqlite3_column_int64(statement, 16),
        .sum = (uint64_t)sqlite3_column_int64(statement, 17),
        .actor = {.pid = sqlite3_column_int(statement, 18)},
    };
    struct bytes program = sql_column_bytes(statement, 19);
    /* A longer one was not written by us; cut, it does not fit the row's sum. */
    if (program.len > 0)
        memcpy(out->actor.program, program.at,
               program.len < ACTOR_PROGRAM_SIZE ? program.len : ACTOR_PROGRAM_SIZE - 1);
}

/* A number that people should see as absent when it does not apply. */
static void bind_if(sqlite3_stmt *statement, int index, bool applies, int64_t value)
{
    if (applies)
        sql_bind_i64(statement, index, value);
    else
        sql_bind_null(statement, index);
}

void query_bind_change(sqlite3_stmt *statement, const struct change *change)
{
    bool is_file = change->type == ENTRY_FILE;
    bool has_mode = change->type != ENTRY_SYMLINK && change->type != ENTRY_NONE;
    bool has_id = change->type != ENTRY_NONE;
    sql_bind_i64(statement, 1, change->seq);
    sql_bind_i64(statement, 2, change->epoch);
    sql_bind_i64(statement, 3, change->time_ms);
    sql_bind_i64(statement, 4, change->entry);
    sql_bind_i64(statement, 5, change->kind);
    sql_bind_i64(statement, 6, change->type);
    sql_bind_i64(statement, 7, change->flags);
    sql_bind_blob(statement, 8, change->path);
    sql_bind_blob(statement, 9, change->from);
    bind_if(statement, 10, is_file, change->attrs.size);
    bind_if(statement, 11, is_file, change->attrs.mtime_ns);
    bind_if(statement, 12, has_mode, change->attrs.mode);
    sql_bind_blob(statement, 13, change->attrs.target);
    bind_if(statement, 14, has_id, (int64_t)change->file.a);
    bind_if(statement, 15, has_id, (int64_t)change->file.b);
    bind_if(statement, 16, change->entries != 0, change->entries);
    bind_if(statement, 17, change->other != 0, change->other);
    sql_bind_i64(statement, 18, (int64_t)change->sum);
    bind_if(statement, 19, change->actor.pid != 0, change->actor.pid);
    sql_bind_blob(statement, 20, bytes_str(change->actor.program));
}

void query_read_info(sqlite3_stmt *statement, struct journal_info *out, int64_t *entries)
{
    struct bytes folder = sql_column_bytes(statement, 0);
    *out = (struct journal_info){
        .epoch = sqlite3_column_int64(statement, 1),
        .floor_seq = sqlite3_column_int64(statement, 2),
        .floor_sum = (uint64_t)sqlite3_column_int64(statement, 3),
        .tree_sum = (uint64_t)sqlite3_column_int64(statement, 4),
        .indexed = sqlite3_column_int(statement, 6) != 0,
        .gap_open = sqlite3_column_int(statement, 7) != 0,
        .root_known = sqlite3_column_type(statement, 8) != SQLITE_NULL,
        .root =
            {
                .a = (uint64_t)sqlite3_column_int64(statement, 8),
                .b = (uint64_t)sqlite3_column_int64(statement, 9),
            },
        .root_fs_type = sqlite3_column_int64(statement, 10),
    };
    out->epoch_seq = sqlite3_column_int64(statement, 13);
    *entries = sqlite3_column_int64(statement, 5);
    size_t len = folder.len < sizeof out->folder - 1 ? folder.len : sizeof out->folder - 1;
    if (len)
        memcpy(out->folder, folder.at, len);
    bool has_rows = sqlite3_column_type(statement, 11) != SQLITE_NULL;
    out->last_seq = has_rows ? sqlite3_column_int64(statement, 11) : out->floor_seq;
    out->last_sum = has_rows ? (uint64_t)sqlite3_column_int64(statement, 12) : out->floor_sum;
}

int query_snapshot(const struct sql *sql, sqlite3_stmt *statement, const char *consumer,
                   struct journal_snapshot *out, struct err *err)
{
    sql_bind_text(statement, 1, consumer);
    int code = sql_row(sql, statement, err);
    if (code < 0)
        return code;
    if (code == 0)
        return err_set(err, ERR_NOTFOUND, 0, "consumer '%s': it gets no snapshot", consumer);
    *out = (struct journal_snapshot){
        .gen = sqlite3_column_int64(statement, 0),
        .epoch = sqlite3_column_int64(statement, 1),
        .seq = sqlite3_column_int64(statement, 2),
        .sum = (uint64_t)sqlite3_column_int64(statement, 3),
        .tree_sum = (uint64_t)sqlite3_column_int64(statement, 4),
        .entries = sqlite3_column_int64(statement, 5),
        .time_ms = sqlite3_column_int64(statement, 6),
        .first = sqlite3_column_int64(statement, 7),
        .parts = sqlite3_column_int64(statement, 8),
        .sent = sqlite3_column_int64(statement, 9),
    };
    (void)sqlite3_reset(statement); /* after a row: nothing to report */
    return 0;
}
