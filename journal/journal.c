/* journal.c: opening and closing a folder's journal, its one meta row, gaps, and the
 * transaction frame the rest uses. Edits are in journal_commit.c, loading the tree in
 * journal_load.c, consumers and purging in journal_consumer.c. The folder's thread. */
#include "journal.h"

#include "clock.h"
#include "err.h"
#include "journal_id.h"
#include "journal_mark.h"
#include "journal_private.h"
#include "osfile.h"
#include "reserve.h"
#include "schema.h"
#include "sums.h"

#define PATH_BYTES_MAX 4096 /* of the state directory */

int journal_begin(struct journal *journal, struct err *err)
{
    if (journal->failed)
        return err_set(err, journal->failed, 0,
                       "journal '%s': a write failed before; it must be opened again",
                       journal->sql.path);
    return sql_begin(&journal->sql, err);
}

int journal_end(struct journal *journal, int code, struct err *err)
{
    if (code == 0)
        code = sql_commit(&journal->sql, err);
    if (code == 0) {
        if (journal->reserve_gone) /* space may have returned */
            journal->reserve_gone = !reserve_make(journal->dirfd);
        return 0;
    }
    sql_rollback(&journal->sql);
    if (code == ERR_IO || code == ERR_FULL || code == ERR_CORRUPT)
        journal->failed = code;
    return code;
}

void journal_note(const struct journal *journal)
{
    const struct journal_info *info = &journal->info;
    const struct journal_mark mark = {info->epoch, info->last_seq, info->last_sum};
    journal_mark_write(journal->mark, &mark);
}

int journal_append(struct journal *journal, struct change *change, int64_t wall_ms, int64_t *seq,
                   uint64_t *sum, struct err *err)
{
    change->seq = *seq + 1;
    change->epoch = journal->info.epoch;
    change->time_ms = wall_ms;
    change->sum = sums_row(*sum, change);
    sqlite3_stmt *insert = journal->statements[QJ_CHANGE_INSERT];
    query_bind_change(insert, change);
    int code = sql_run(&journal->sql, insert, err);
    if (code == ERR_EXISTS)
        code = err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is there already",
                       journal->sql.path, (long long)change->seq);
    if (code == 0) {
        *seq = change->seq;
        *sum = change->sum;
    }
    return code;
}

/* Reads the meta row. Returns 1 when there is one, 0 when not. */
static int load_info(struct journal *journal, struct journal_info *info, int64_t *entries,
                     struct err *err)
{
    sqlite3_stmt *select = journal->statements[QJ_INFO];
    int code = sql_row(&journal->sql, select, err);
    if (code == 1) {
        query_read_info(select, info, entries);
        (void)sqlite3_reset(select); /* after a row: nothing to report */
    }
    return code;
}

/* The first row of a database's life: its epoch is written to the id file first, so that no later
 * database can get the same or a lower one. */
static int begin_epoch(struct journal *journal, const char *folder, struct journal_id *id,
                       struct err *err)
{
    int64_t rows = 0, now_ms = clock_wall_ms();
    uint64_t nonce = 0;
    int code = sql_get_i64(&journal->sql,
                           "SELECT (SELECT count(*) FROM change)+(SELECT count(*) FROM entry)",
                           &rows, err);
    if (code == 0 && rows != 0)
        code = err_set(err, ERR_CORRUPT, 0, "journal '%s': its meta row is missing",
                       journal->sql.path);
    if (code == 0)
        code = osfile_random(&nonce, sizeof nonce, err);
    if (code)
        return code;
    id->epoch = now_ms > id->epoch ? now_ms : id->epoch + 1;
    code = journal_id_write(journal->dirfd, id, err);
    if (code)
        return code;
    sqlite3_stmt *insert = journal->statements[QJ_META_NEW];
    sql_bind_text(insert, 1, folder);
    sql_bind_i64(insert, 2, id->epoch);
    sql_bind_i64(insert, 3, (int64_t)nonce);
    return sql_run(&journal->sql, insert, err);
}

static int get_sum(struct journal *journal, int64_t seq, uint64_t *out, struct err *err)
{
    sqlite3_stmt *select = journal->statements[QJ_CHANGE_SUM];
    sql_bind_i64(select, 1, seq);
    int code = sql_row(&journal->sql, select, err);
    if (code == 1) {
        *out = (uint64_t)sqlite3_column_int64(select, 0);
        (void)sqlite3_reset(select); /* after a row: nothing to report */
        return 0;
    }
    if (code == 0)
        code = err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld is missing", journal->sql.path,
                       (long long)seq);
    return code;
}

/* What can be known cheaply: the newest row fits the one before it. All other rows are checked
 * when they are read, the tree table when it is loaded. */
static int check_last_row(struct journal *journal, const struct journal_info *info, struct err *err)
{
    struct change last = {0};
    uint64_t prev = info->floor_sum;
    if (info->last_seq == info->floor_seq)
        return 0;
    sqlite3_stmt *before = journal->statements[QJ_CHANGE_SUM];
    sqlite3_stmt *select = journal->statements[QJ_CHANGE_AT];
    sql_bind_i64(before, 1, info->last_seq - 1);
    int code = sql_row(&journal->sql, before, err);
    if (code < 0)
        return code;
    bool found = code == 1;
    if (found) {
        prev = (uint64_t)sqlite3_column_int64(before, 0);
        (void)sqlite3_reset(before); /* after a row: nothing to report */
    }
    sql_bind_i64(select, 1, info->last_seq);
    code = sql_row(&journal->sql, select, err);
    if (code < 0)
        return code;
    query_read_change(select, &last);
    bool fits = (found || info->last_seq == info->floor_seq + 1) && last.epoch <= info->epoch &&
                sums_row(prev, &last) == last.sum;
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    if (fits)
        return 0;
    return err_set(err, ERR_CORRUPT, 0, "journal '%s': row %lld does not fit its checksum",
                   journal->sql.path, (long long)info->last_seq);
}

/* Takes the meta row over into journal->info, together with the id. */
static int take_info(struct journal *journal, const char *folder, struct journal_id *id,
                     struct err *err)
{
    struct journal_info info = {0};
    int64_t entries = 0;
    int code = load_info(journal, &info, &entries, err);
    if (code == 0)
        code = begin_epoch(journal, folder, id, err);
    if (code == 0)
        code = load_info(journal, &info, &entries, err);
    if (code < 0)
        return code;
    if (code == 0 || strcmp(info.folder, folder) != 0)
        return err_set(err, ERR_INVALID, 0,
                       "journal '%s': it belongs to the folder '%s', not to '%s'; give each "
                       "folder a state directory of its own",
                       journal->sql.path, code ? info.folder : "", folder);
    code = check_last_row(journal, &info, err);
    if (code == 0 && info.epoch > id->epoch) { /* the id file was lost: it learns the epoch */
        id->epoch = info.epoch;
        code = journal_id_write(journal->dirfd, id, err);
    }
    if (code)
        return code;
    memcpy(info.id, id->id, sizeof info.id);
    info.machine_changed = id->machine_changed;
    journal->info = info;
    journal->entries = entries;
    return 0;
}

/* Are rows gone that had been committed? Then what comes next must not go by their numbers in this
 * epoch, for servers may have them. Likewise when a later epoch had begun already: the database is
 * an older copy of itself. */
static int check_mark(struct journal *journal, const struct journal_id *id, struct err *err)
{
    const struct journal_info *info = &journal->info;
    struct journal_mark mark;
    bool gone = id->epoch > info->epoch;
    int code = 0;
    journal->mark = osfile_open(journal->dirfd, JOURNAL_MARK_FILE, err);
    if (journal->mark < 0)
        return journal->mark;
    if (!gone && journal_mark_read(journal->mark, &mark) && mark.epoch == info->epoch) {
        uint64_t sum = mark.seq == info->floor_seq ? info->floor_sum : mark.sum;
        if (mark.seq > info->floor_seq && mark.seq <= info->last_seq)
            code = get_sum(journal, mark.seq, &sum, err);
        gone = mark.seq > info->last_seq || sum != mark.sum;
    }
    if (code == 0 && gone)
        code = journal_new_epoch(journal, 0, err);
    if (code == 0) {
        journal->info.rolled_back = gone;
        journal_note(journal);
    }
    return code;
}

static int open_database(struct journal *journal, const char *dir, struct err *err)
{
    char path[PATH_BYTES_MAX];
    int version;
    int len = snprintf(path, sizeof path, "%s/%s", dir, JOURNAL_FILE);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, ERR_LIMIT, 0, "state directory '%.64s...': path too long", dir);
    /* SQLite gives -wal and -shm the database's mode; it would itself create it 0644. */
    int code = osfile_make(journal->dirfd, JOURNAL_FILE, err);
    if (code) {
        (void)err_prefix(err, "journal '%s'", path); /* code is kept above */
        return code;
    }
    code = sql_open(&journal->sql, "journal", path, SQLITE_OPEN_READWRITE, err);
    if (code == 0)
        code = schema_version(&journal->sql, &schema_journal, &version, err);
    if (code == 0)
        code = schema_settings(&journal->sql, err);
    if (code == 0)
        code = schema_migrate(&journal->sql, &schema_journal, version, err);
    if (code == 0)
        code = sql_prepare(&journal->sql, query_journal, QJ_COUNT, journal->statements, err);
    return code;
}

int journal_open(const char *dir, const char *folder, struct journal **out, struct err *err)
{
    struct journal_id id = {0};
    if (strlen(folder) >= sizeof((struct journal_info *)0)->folder)
        return err_set(err, ERR_LIMIT, 0, "folder name '%s': longer than 64 bytes", folder);
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return err_set(err, ERR_NOMEM, 0, "journal in '%s': no memory", dir);
    journal->mark = -1;
    journal->dirfd = osfile_open_dir(dir, err);
    int code = journal->dirfd < 0 ? journal->dirfd : 0;
    if (code)
        goto out;
    reserve_before_open(journal->dirfd);
    code = reserve_check_map(journal->dirfd, err);
    if (code == 0)
        code = journal_id_obtain(journal->dirfd, &id, err);
    if (code == 0)
        code = open_database(journal, dir, err);
    if (code == 0)
        code = take_info(journal, folder, &id, err);
    if (code == 0)
        code = check_mark(journal, &id, err);
    if (code == 0)
        journal->reserve_gone = !reserve_make(journal->dirfd);
out:
    if (code) {
        journal_close(journal);
        return code;
    }
    *out = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    sql_finalize(journal->statements, QJ_COUNT);
    if (journal->sql.db && journal->failed)
        /* Closing the last connection checkpoints. After a failed sync the log must stay for the
         * next open to recover from: what this process sees in it may not be on the disk. */
        (void)sqlite3_db_config(journal->sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    else if (journal->sql.db)
        /* Beside a reader nothing is last, so by hand; what it leaves is done at the next open. */
        (void)sqlite3_wal_checkpoint_v2(journal->sql.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                        NULL);
    sql_close(&journal->sql);
    if (journal->mark >= 0)
        (void)close(journal->mark); /* a mark that is lost only promises less */
    if (journal->dirfd >= 0)
        (void)close(journal->dirfd); /* a directory: nothing to lose */
    free(journal);
}

int journal_move_aside(const char *dir, struct err *err)
{
    /* The database first: should the machine stop in between, SQLite drops a log that stands
     * beside an absent database, but would replay a wrong one into a new database. */
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct journal_id id;
    char stamp[CLOCK_TEXT_SIZE], from[64], to[128];
    int dirfd = osfile_open_dir(dir, err);
    int code = dirfd < 0 ? dirfd : 0;
    for (size_t i = 0; code == 0 && i + 1 < ARRAY_LEN(suffixes); i++) { /* -shm holds nothing */
        (void)snprintf(from, sizeof from, "%s%s", JOURNAL_FILE, suffixes[i]); /* fits */
        /* SQLite calls a read that fails with EIO a malformed file (its unix VFS gives
         * SQLITE_IOERR_CORRUPTFS, of which the statement makes SQLITE_CORRUPT), and a disk that
         * fails today is no reason to give up the journal on it. */
        code = osfile_check_readable(dirfd, from, err);
    }
    clock_format_ms(clock_wall_ms(), stamp);
    for (char *colon = stamp; (colon = strchr(colon, ':')) != NULL;)
        *colon = '-'; /* no file system minds that */
    for (size_t i = 0; code == 0 && i < ARRAY_LEN(suffixes); i++) {
        (void)snprintf(from, sizeof from, "%s%s", JOURNAL_FILE, suffixes[i]); /* both fit */
        (void)snprintf(to, sizeof to, "%s.corrupt-%s%s", JOURNAL_FILE, stamp, suffixes[i]);
        code = osfile_move_aside(dirfd, from, to, err);
    }
    if (code == 0 && journal_id_read(dirfd, &id, NULL) == ERR_CORRUPT) {
        (void)snprintf(to, sizeof to, "%s.corrupt-%s", JOURNAL_ID_FILE, stamp); /* fits */
        code = osfile_move_aside(dirfd, JOURNAL_ID_FILE, to, err);
    }
    if (code == 0)
        code = osfile_sync_dir(dirfd, dir, err);
    if (dirfd >= 0)
        (void)close(dirfd); /* a directory: nothing to lose */
    return code;
}

const struct journal_info *journal_info(const struct journal *journal)
{
    return &journal->info;
}

int journal_gap(struct journal *journal, bool open, uint32_t reason, int64_t wall_ms,
                struct err *err)
{
    int64_t seq = journal->info.last_seq;
    uint64_t sum = journal->info.last_sum;
    struct change row = {
        .kind = CHANGE_GAP,
        .flags = (reason & (CHANGE_OVERFLOW | CHANGE_INTERNAL | CHANGE_ROOT_LOST)) | CHANGE_END |
                 (open ? CHANGE_GAP_OPEN : 0u),
    };
    if (journal->info.gap_open == open)
        return 0;
    int code = journal_begin(journal, err);
    if (code)
        return code;
    code = journal_append(journal, &row, wall_ms, &seq, &sum, err);
    if (code == 0) {
        sql_bind_i64(journal->statements[QJ_META_GAP], 1, open);
        code = sql_run(&journal->sql, journal->statements[QJ_META_GAP], err);
    }
    code = journal_end(journal, code, err);
    if (code == 0) {
        journal->info.last_seq = seq;
        journal->info.last_sum = sum;
        journal->info.gap_open = open;
        journal_note(journal);
    }
    return code;
}

int journal_set_indexed(struct journal *journal, struct err *err)
{
    if (journal->info.indexed)
        return 0;
    int code = journal_begin(journal, err);
    if (code)
        return code;
    /* Made now and kept from now on: made with the first rows it would cost more than the whole
     * first index (inode numbers come at random); without it renames and hard links are not
     * found (RULES 31). */
    code = sql_exec(&journal->sql, "CREATE INDEX IF NOT EXISTS entry_by_file ON entry(ino)", err);
    if (code == 0)
        code = sql_run(&journal->sql, journal->statements[QJ_META_INDEXED], err);
    code = journal_end(journal, code, err);
    if (code == 0)
        journal->info.indexed = true;
    return code;
}

int journal_set_root(struct journal *journal, struct file_id root, int64_t fs_type, struct err *err)
{
    sqlite3_stmt *update = journal->statements[QJ_META_ROOT];
    int code = journal_begin(journal, err);
    if (code)
        return code;
    sql_bind_i64(update, 1, (int64_t)root.a);
    sql_bind_i64(update, 2, (int64_t)root.b);
    sql_bind_i64(update, 3, fs_type);
    code = journal_end(journal, sql_run(&journal->sql, update, err), err);
    if (code == 0) {
        journal->info.root = root;
        journal->info.root_fs_type = fs_type;
        journal->info.root_known = true;
    }
    return code;
}

int journal_checkpoint(struct journal *journal, struct err *err)
{
    if (journal->failed)
        return journal_begin(journal, err); /* says why */
    int rc =
        sqlite3_wal_checkpoint_v2(journal->sql.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    /* BUSY: another connection checkpoints at this moment, which does as well. */
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
        return journal_end(journal, sql_fail(&journal->sql, rc, err), err);
    return 0;
}

int64_t journal_wal_bytes(const struct journal *journal)
{
    int64_t bytes = 0;
    /* What cannot be looked at shows in the next commit; this is a gauge. */
    (void)osfile_size(journal->dirfd, JOURNAL_FILE "-wal", &bytes, NULL);
    return bytes;
}
