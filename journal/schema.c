/* schema.c: see schema.h. Why the tables look like this: `entry` is keyed by (parent, name)
 * so that a scan appends and a look is one descent, and has no other index until the first
 * index is complete, since an index on inode numbers alone costs as much as all the rest;
 * `change` has its integer key and nothing else, since an index on paths costs a factor of
 * 18 at insert and a scan of the table costs 0.06 us a row. Names are bytes: BLOB. */
#include "schema.h"

#include "err.h"
#include "sql.h"

/* Milliseconds and nanoseconds as RFC 3339; the fraction is floored, also before 1970. */
#define TIME_MS(column)                                                                            \
    "strftime('%Y-%m-%dT%H:%M:%S'," column "/1000,'unixepoch')"                                    \
    "||printf('.%03dZ'," column "%1000)"
#define NS_PART(column) "((" column "%1000000000+1000000000)%1000000000)"
#define TIME_NS(column)                                                                            \
    "strftime('%Y-%m-%dT%H:%M:%S',(" column                                                        \
    "-" NS_PART(column) ")/1000000000,'unixepoch')"                                                \
                        "||printf('.%09dZ'," NS_PART(column) ")"
#define TYPE_NAME                                                                                  \
    "CASE type WHEN 1 THEN 'file' WHEN 2 THEN 'directory' WHEN 3 THEN 'symlink'"                   \
    " WHEN 4 THEN 'other' END"
#define KIND_NAME                                                                                  \
    "CASE kind WHEN 1 THEN 'create' WHEN 2 THEN 'modify' WHEN 3 THEN 'attrib' WHEN 4 THEN 'move'"  \
    " WHEN 5 THEN 'exchange' WHEN 6 THEN 'delete' WHEN 7 THEN 'gap' END"
#define REASON_NAME                                                                                \
    "CASE WHEN flags&64 THEN 'overflow' WHEN flags&128 THEN 'internal'"                            \
    " WHEN flags&256 THEN 'root-lost' END"
#define GAP_STATE "CASE WHEN flags&32 THEN 'open' ELSE 'closed' END"

/* People read these columns: later steps add some and take none away. */
#define VIEW_CHANGES(more)                                                                         \
    "CREATE VIEW v_changes AS SELECT seq," TIME_MS(                                                \
        "time") " AS time," KIND_NAME " AS kind," TYPE_NAME                                        \
                " AS type, CAST(path AS TEXT) AS path, CAST(from_path AS TEXT) AS from_path, "     \
                "size,"                                                                            \
                " CASE WHEN mtime IS NOT NULL THEN " TIME_NS(                                      \
                    "mtime") " END AS mtime,"                                                      \
                             " CASE WHEN mode IS NOT NULL THEN printf('%04o',mode) END AS mode,"   \
                             " CAST(target AS TEXT) AS target, entries, entry AS id, other,"       \
                             " flags&1 AS partial, flags>>1&1 AS replaced, flags>>4&1 AS ignored," \
                             " CASE WHEN kind=7 THEN " GAP_STATE " END AS state, " REASON_NAME     \
                             " AS reason, epoch" more " FROM change;"
#define VIEW_PENDING(which)                                                                        \
    "CREATE VIEW v_pending AS SELECT * FROM v_changes"                                             \
    " WHERE seq>(SELECT min(acked) FROM consumer" which ");"
#define VIEW_CONSUMERS(more)                                                                       \
    "CREATE VIEW v_consumers AS SELECT c.name AS name, c.acked AS acked,"                          \
    " CASE WHEN c.acked_ms THEN " TIME_MS(                                                         \
        "c.acked_ms") " END AS acked_time,"                                                        \
                      " max((SELECT floor_seq FROM meta),(SELECT coalesce(max(seq),0) FROM "       \
                      "change))-c.acked"                                                           \
                      " AS pending,"                                                               \
                      " (SELECT " TIME_MS(                                                         \
                          "time") " FROM change WHERE seq>c.acked ORDER BY seq LIMIT 1)"           \
                                  " AS oldest_pending,"                                            \
                                  " b.first AS batch_first, b.last AS batch_last, "                \
                                  "nullif(c.error,'') AS error,"                                   \
                                  " CASE WHEN c.error_ms THEN " TIME_MS(                           \
                                      "c.error_ms") " END AS error_time" more                      \
                                                    " FROM consumer c LEFT JOIN batch b ON "       \
                                                    "b.consumer=c.name;"

static const char journal_1[] =
    /* One row. The root directory is id 0 and has no row in `entry`; its identity is here. */
    "CREATE TABLE meta("
    " one INTEGER PRIMARY KEY CHECK(one=1),"
    " folder TEXT NOT NULL,"
    " epoch INTEGER NOT NULL,"     /* wall ms at which this database was begun */
    " nonce INTEGER NOT NULL,"     /* random seed of the chain */
    " floor_seq INTEGER NOT NULL," /* rows up to here are purged */
    " floor_sum INTEGER NOT NULL," /* sum of that row, at first the nonce */
    " tree_sum INTEGER NOT NULL,"  /* sum mod 2^64 over entry */
    " entries INTEGER NOT NULL,"   /* rows in entry */
    " indexed INTEGER NOT NULL,"   /* 1: the first index is complete */
    " gap_open INTEGER NOT NULL,"  /* 1: an open gap row has no closing row yet */
    " root_ino INTEGER, root_btime INTEGER, root_fs_type INTEGER"
    ") STRICT;"
    "CREATE TABLE entry("
    " parent INTEGER NOT NULL," /* id of the directory, 0 the root */
    " name BLOB NOT NULL,"
    " id INTEGER NOT NULL,"   /* seq of the row that created it: never used again */
    " type INTEGER NOT NULL," /* 1 file, 2 directory, 3 symlink, 4 other */
    " mode INTEGER NOT NULL,"
    " size INTEGER NOT NULL,"
    " mtime INTEGER NOT NULL,"                       /* ns */
    " ctime INTEGER NOT NULL,"                       /* ns; kept to see changes, never journaled */
    " ino INTEGER NOT NULL, btime INTEGER NOT NULL," /* identity; Windows: the 128-bit id */
    " target BLOB,"
    " PRIMARY KEY(parent,name)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE change("
    " seq INTEGER PRIMARY KEY,"
    " epoch INTEGER NOT NULL,"
    " time INTEGER NOT NULL," /* wall ms of the commit */
    " entry INTEGER NOT NULL,"
    " kind INTEGER NOT NULL," /* 1 create 2 modify 3 attrib 4 move 5 exchange 6 delete 7 gap */
    " type INTEGER NOT NULL,"
    " flags INTEGER NOT NULL," /* enum change_flag */
    " path BLOB, from_path BLOB,"
    " size INTEGER, mtime INTEGER, mode INTEGER, target BLOB,"
    " ino INTEGER, btime INTEGER,"
    " entries INTEGER,"     /* delete, move of a directory: entries below it */
    " other INTEGER,"       /* exchange: the other entry; move: the one replaced */
    " sum INTEGER NOT NULL" /* chained over all rows since the nonce */
    ") STRICT;"
    "CREATE TABLE consumer("
    " name TEXT PRIMARY KEY,"
    " acked INTEGER NOT NULL,"
    " acked_ms INTEGER NOT NULL,"
    " error TEXT NOT NULL, error_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE batch(" /* the one in flight of a consumer, bytes and all */
    " consumer TEXT PRIMARY KEY,"
    " epoch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
    " prev_sum INTEGER NOT NULL, last_sum INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " gzip INTEGER NOT NULL, newest INTEGER NOT NULL, tree_sum INTEGER NOT NULL,"
    " digest BLOB NOT NULL, body BLOB NOT NULL"
    ") STRICT;" VIEW_CHANGES("") VIEW_PENDING("")
        VIEW_CONSUMERS("") "CREATE VIEW v_gaps "
                           "AS SELECT "
                           "seq," TIME_MS("time") " AS "
                                                  "time"
                                                  "," GAP_STATE " AS "
                                                  "state"
                                                  "," REASON_NAME " AS "
                                                  "reason "
                                                  "FROM "
                                                  "change "
                                                  "WHERE "
                                                  "kind=7;"
                                                  "CREATE "
                                                  "VIEW "
                                                  "v_tree "
                                                  "AS WITH "
                                                  "RECURSIVE"
                                                  " d(id,"
                                                  "path) AS "
                                                  "(SELECT "
                                                  "0,'' "
                                                  "UNION ALL"
                                                  " SELECT "
                                                  "e.id, "
                                                  "d.path||"
                                                  "CAST(e."
                                                  "name AS "
                                                  "TEXT)||'/"
                                                  "' FROM d "
                                                  "CROSS "
                                                  "JOIN "
                                                  "entry e "
                                                  "ON "
                                                  "e.parent="
                                                  "d.id"
                                                  " WHERE "
                                                  "e.type=2)"
                                                  " SELECT "
                                                  "d.path||"
                                                  "CAST(e."
                                                  "name AS "
                                                  "TEXT) AS "
                                                  "path"
                                                  "," TYPE_NAME " AS type,"
                                                  " CASE "
                                                  "WHEN "
                                                  "type=1 "
                                                  "THEN "
                                                  "size END "
                                                  "AS size,"
                                                  " CASE "
                                                  "WHEN "
                                                  "type=1 "
                                                  "THEN"
                                                  " " TIME_NS("mtim"
                                                              "e") " END AS mtime,"
                                                                   " CASE WHEN type!=3 THEN "
                                                                   "printf('%04o',mode) END "
                                                                   "AS mode,"
                                                                   " CAST(target AS TEXT) AS "
                                                                   "target, e.id AS id, "
                                                                   "e.parent AS parent, "
                                                                   "e.ino AS ino"
                                                                   " FROM d CROSS JOIN entry "
                                                                   "e ON e.parent=d.id;";

/* Who did it: absent where that is not known, as in every row until then, whose sums stay valid. */
static const char journal_2[] = "ALTER TABLE change ADD COLUMN pid INTEGER;"
                                "ALTER TABLE change ADD COLUMN program BLOB;"
                                "DROP VIEW v_pending; DROP VIEW v_changes;" VIEW_CHANGES(
                                    ", pid, CAST(program AS TEXT) AS program") VIEW_PENDING("");

static const char journal_3[] =
    /* Rows after this one are of the present epoch; before it lies what was when the journal was
     * given another (a fork, a rolled-back file). */
    "ALTER TABLE meta ADD COLUMN epoch_seq INTEGER NOT NULL DEFAULT 0;"
    /* In flight is a part of a snapshot: its generation and number; first and last then count the
     * snapshot's entries. 0: rows. */
    "ALTER TABLE batch ADD COLUMN gen INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE batch ADD COLUMN part INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE snapshot(" /* the tree at row `seq`, on its way to one consumer */
    " consumer TEXT PRIMARY KEY,"
    " gen INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " tree_sum INTEGER NOT NULL, entries INTEGER NOT NULL, time INTEGER NOT NULL,"
    " first INTEGER NOT NULL,"                       /* n of its first entry */
    " parts INTEGER NOT NULL, sent INTEGER NOT NULL" /* acknowledged: parts, entries in them */
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE snapshot_entry(" /* of all snapshots, parents before what they hold */
    " n INTEGER PRIMARY KEY, path BLOB NOT NULL,"
    " id INTEGER NOT NULL, type INTEGER NOT NULL, mode INTEGER NOT NULL, size INTEGER NOT NULL,"
    " mtime INTEGER NOT NULL, target BLOB"
    ") STRICT;";

static const char journal_4[] =
    /* Not 0: the mass-delete brake holds this consumer at that row. Rows up to `released` may go.
     */
    "ALTER TABLE consumer ADD COLUMN held INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE consumer ADD COLUMN released INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE brake(" /* entries deleted by the batches of late */
    " consumer TEXT NOT NULL, last INTEGER NOT NULL, time INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, PRIMARY KEY(consumer,last)"
    ") STRICT, WITHOUT ROWID;";

static const char journal_5[] =
    /* enum journal_consumer; when a reader was added. */
    "ALTER TABLE consumer ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE consumer ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;"
    "DROP VIEW v_pending; DROP VIEW v_consumers;"
    /* What servers wait for: a reader that is slow is no fault of the delivery. */
    VIEW_PENDING(" WHERE kind=1")
        VIEW_CONSUMERS(", CASE c.kind WHEN 1 THEN 'upload' WHEN 2 THEN 'reader' END AS kind");

static const char journal_6[] =
    "CREATE TABLE quarantine(" /* rows that a log refused for good, each as the batch that was sent
                                */
    " consumer TEXT NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, prev_sum INTEGER NOT NULL, last_sum INTEGER NOT NULL,"
    " gzip INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL,"
    " time INTEGER NOT NULL, status INTEGER NOT NULL, answer TEXT NOT NULL," /* of the refusal */
    " retry INTEGER NOT NULL," /* 1: to be sent once more */
    " PRIMARY KEY(consumer,epoch,last)"
    ") STRICT, WITHOUT ROWID;";

/* Of a reader: the epoch whose rows it has. */
static const char journal_7[] = "ALTER TABLE consumer ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
                                "UPDATE consumer SET epoch=(SELECT epoch FROM meta);";

static const char *const journal_steps[] = {journal_1, journal_2, journal_3, journal_4,
                                            journal_5, journal_6, journal_7};

const struct schema schema_journal = {SCHEMA_JOURNAL_ID, journal_steps, ARRAY_LEN(journal_steps)};

#define MIRROR_VIEW                                                                                \
    "CREATE VIEW v_tree AS WITH RECURSIVE d(id,path) AS (SELECT 0,'' UNION ALL"                    \
    " SELECT e.id, d.path||CAST(e.name AS TEXT)||'/' FROM d CROSS JOIN node e ON e.parent=d.id"    \
    " WHERE e.type=2)"                                                                             \
    " SELECT d.path||CAST(e.name AS TEXT) AS path," TYPE_NAME " AS type,"                          \
    " CASE WHEN type=1 THEN size END AS size,"                                                     \
    " CASE WHEN type=1 THEN " TIME_NS(                                                             \
        "mtime") " END AS mtime,"                                                                  \
                 " CASE WHEN type!=3 THEN printf('%04o',mode) END AS mode,"                        \
                 " CAST(target AS TEXT) AS target, e.id AS id, e.parent AS parent"                 \
                 " FROM d CROSS JOIN node e ON e.parent=d.id;"

static const char mirror_1[] =
    "CREATE TABLE cursor("
    " one INTEGER PRIMARY KEY CHECK(one=1),"
    " journal TEXT NOT NULL, folder TEXT NOT NULL,"
    " epoch INTEGER NOT NULL, seq INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " tree_sum INTEGER NOT NULL, entries INTEGER NOT NULL, batches INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE sums(seq INTEGER PRIMARY KEY, sum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE change("
    " epoch INTEGER NOT NULL, seq INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY(epoch,seq)"
    ") STRICT, WITHOUT ROWID;" SCHEMA_NODE_TABLE("node") MIRROR_VIEW;

/* A snapshot is built in node_next, beside the tree that is shown. */
static const char mirror_2[] =
    "ALTER TABLE cursor ADD COLUMN gen INTEGER NOT NULL DEFAULT 0;" /* the snapshot taken last */
    "CREATE TABLE building("                                        /* the one being received */
    " one INTEGER PRIMARY KEY CHECK(one=1),"
    " gen INTEGER NOT NULL, parts INTEGER NOT NULL, tree_sum INTEGER NOT NULL,"
    " entries INTEGER NOT NULL) STRICT;" SCHEMA_NODE_TABLE("node_next");

static const char *const mirror_steps[] = {mirror_1, mirror_2};

/* The view first: a table that a view names cannot be renamed away under it. */
const char schema_mirror_switch[] =
    "DROP VIEW v_tree;DROP TABLE node;ALTER TABLE node_next RENAME TO node;"
    "DELETE FROM building;" SCHEMA_NODE_TABLE("node_next") MIRROR_VIEW;

const struct schema schema_mirror = {SCHEMA_MIRROR_ID, mirror_steps, ARRAY_LEN(mirror_steps)};

/* By one statement, for they belong together: another connection may be making the file. */
static int read_numbers(const struct sql *sql, int64_t *id, int64_t *found, int64_t *objects,
                        struct err *err)
{
    static const char *const text[] = {
        "SELECT application_id,user_version,(SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_application_id,pragma_user_version"};
    sqlite3_stmt *select = NULL;
    int code = sql_prepare(sql, text, 1, &select, err);
    if (code == 0)
        code = sql_row(sql, select, err);
    if (code > 0) {
        *id = sqlite3_column_int64(select, 0);
        *found = sqlite3_column_int64(select, 1);
        *objects = sqlite3_column_int64(select, 2);
        code = 0;
    }
    sql_finalize(&select, 1);
    return code;
}

int schema_version(const struct sql *sql, const struct schema *schema, int *version,
                   struct err *err)
{
    int64_t id = 0, found = 0, objects = 0;
    int code = read_numbers(sql, &id, &found, &objects, err);
    if (code)
        return code;
    bool empty = id == 0 && found == 0 && objects == 0;
    if (!empty && id != schema->application_id)
        return err_set(err, ERR_CORRUPT, 0,
                       "%s '%s': the file is another program's (application id 0x%llx); move it "
                       "away",
                       sql->what, sql->path, (unsigned long long)id);
    if (found > schema->count)
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "%s '%s': written by a newer spoor (schema %lld, this one knows %d); "
                       "install that version again",
                       sql->what, sql->path, (long long)found, schema->count);
    if (found < 0 || (!empty && found == 0))
        return err_set(err, ERR_CORRUPT, 0, "%s '%s': schema %lld does not exist", sql->what,
                       sql->path, (long long)found);
    *version = (int)found;
    return 0;
}

/* Both numbers lie in the database header and are part of the transaction. */
static int set_numbers(const struct sql *sql, const struct schema *schema, int version,
                       struct err *err)
{
    char text[96];
    (void)snprintf(text, sizeof text, "PRAGMA application_id=%d;PRAGMA user_version=%d",
                   (int)schema->application_id, version); /* bounded by the size */
    return sql_exec(sql, text, err);
}

int schema_migrate(const struct sql *sql, const struct schema *schema, int version, struct err *err)
{
    int step = version;
    if (version == schema->count)
        return 0;
    int code = sql_begin(sql, err);
    for (; code == 0 && step < schema->count; step++)
        code = sql_exec(sql, schema->steps[step], err);
    if (code == 0)
        code = set_numbers(sql, schema, schema->count, err);
    if (code == 0)
        code = sql_commit(sql, err);
    if (code) {
        sql_rollback(sql);
        (void)err_prefix(err, "cannot bring to schema %d", step); /* same code */
    }
    return code;
}

int schema_settings(const struct sql *sql, struct err *err)
{
    /* page_size and auto_vacuum act on an empty file only. WAL with FULL: an acknowledged commit
     * survives power loss (measured: NORMAL lost 768 rows). Caches and mmap buy nothing here and
     * cost memory. A checkpoint every 2000 pages keeps commits short and the log below 16 MB. */
    return sql_exec(sql,
                    "PRAGMA page_size=4096;PRAGMA auto_vacuum=INCREMENTAL;"
                    "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA cache_size=-2048;"
                    "PRAGMA mmap_size=0;PRAGMA wal_autocheckpoint=2000;"
                    "PRAGMA journal_size_limit=16777216;PRAGMA temp_store=FILE;"
                    "PRAGMA foreign_keys=OFF",
                    err);
}
