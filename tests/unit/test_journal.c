/* test_journal.c: opening, the id, migrations, what is refused, what survives a kill, and
 * the views. Committing is in test_journal_commit.c, consumers in test_journal_consumer.c. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "helper_journal.h"
#include "helper_kill.h"
#include "helper_temp.h"
#include "journal_private.h"
#include "osfile.h"
#include "reserve.h"
#include "schema.h"

static void read_file(const struct box *box, const char *name, struct buf *out)
{
    buf_init(out, 64 << 20);
    assert_int_equal(osfile_read(OSFILE_CWD, box_file(box, name), 64 << 20, out, NULL), 0);
}

/* --- opening --- */

static void test_new_journal(void **state)
{
    (void)state;
    struct box box;
    char version[16];
    int64_t size = 0;
    box_open(&box);
    const struct journal_info first = *journal_info(box.journal);
    assert_int_equal(strlen(first.id), 32);
    assert_string_equal(first.folder, "docs");
    assert_true(first.epoch > INT64_C(1600000000000));
    assert_int_equal(first.last_seq, 0);
    assert_true(first.last_sum == first.floor_sum);
    assert_int_equal(first.tree_sum, 0);
    assert_false(first.indexed || first.gap_open || first.root_known || first.machine_changed);
    assert_true(temp_is_private(box_file(&box, JOURNAL_FILE)));
    assert_int_equal(osfile_size(OSFILE_CWD, box_file(&box, RESERVE_FILE), &size, NULL), 0);
    assert_int_equal(size, JOURNAL_RESERVE_BYTES);
    /* Under Wine a size is ftruncate(2)'s, which takes no blocks. */
    assert_true(temp_is_wine() ||
                temp_occupied(box_file(&box, RESERVE_FILE)) >= JOURNAL_RESERVE_BYTES);
    assert_int_equal(journal_set_root(box.journal, (struct file_id){7, UINT64_MAX}, 61267, NULL),
                     0);
    box_reopen(&box);
    const struct journal_info *again = journal_info(box.journal);
    assert_string_equal(again->id, first.id);
    assert_int_equal(again->epoch, first.epoch);
    assert_true(again->last_sum == first.last_sum);
    assert_true(again->root_known && again->root.a == 7 && again->root.b == UINT64_MAX);
    assert_int_equal(again->root_fs_type, 61267);
    assert_string_equal(box_select(&box, "PRAGMA auto_vacuum"), "2");
    assert_string_equal(box_select(&box, "PRAGMA journal_mode"), "wal");
    (void)snprintf(version, sizeof version, "%d", schema_journal.count); /* fits */
    assert_string_equal(box_select(&box, "PRAGMA user_version"), version);
    box_close(&box);
}

static void expect_untouched(struct box *box, int code)
{
    struct buf before, after;
    read_file(box, JOURNAL_FILE, &before);
    box_expect_open(box, code);
    read_file(box, JOURNAL_FILE, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_deinit(&before);
    buf_deinit(&after);
}

/* A database that an ordinary program made, in the place of ours. */
static void make_database(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    (void)remove(path); /* there may be none */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_foreign_files_are_left(void **state)
{
    (void)state;
    struct box box;
    char garbage[8192];
    box_open(&box);
    journal_close(box.journal);
    box.journal = NULL;

    make_database(box_file(&box, JOURNAL_FILE), "CREATE TABLE t(x);INSERT INTO t VALUES(1)");
    expect_untouched(&box, ERR_CORRUPT);
    make_database(box_file(&box, JOURNAL_FILE), "PRAGMA application_id=77");
    expect_untouched(&box, ERR_CORRUPT);
    memset(garbage, 'x', sizeof garbage);
    box_put_file(&box, JOURNAL_FILE, garbage, sizeof garbage);
    expect_untouched(&box, ERR_CORRUPT);

    assert_int_equal(journal_move_aside(box.dir, &box.err), 0);
    box_expect_open(&box, 0);
    box_fill(&box);
    box_check(&box);
    box_close(&box);
}

static void set_schema(struct box *box, int version)
{
    char text[64];
    (void)snprintf(text, sizeof text, "PRAGMA user_version=%d", version); /* fits */
    box_sql(box, text);
}

static void test_newer_schema_is_refused(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    journal_close(box.journal);
    box.journal = NULL;
    set_schema(&box, schema_journal.count + 1);
    expect_untouched(&box, ERR_UNSUPPORTED);
    set_schema(&box, schema_journal.count);
    box_expect_open(&box, 0);
    box_check(&box);
    box_close(&box);
}

static void test_other_folder_is_refused(void **state)
{
    (void)state;
    struct box box;
    struct journal *other = NULL;
    box_open(&box);
    journal_close(box.journal);
    box.journal = NULL;
    assert_int_equal(journal_open(box.dir, "photos", &other, &box.err), ERR_INVALID);
    assert_non_null(strstr(box.err.text, "docs"));
    box_expect_open(&box, 0);
    box_close(&box);
}

static void test_interrupted_creation(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    int64_t epoch = journal_info(box.journal)->epoch;
    journal_close(box.journal);
    box.journal = NULL;
    box_sql(&box, "DELETE FROM meta"); /* as if it had stopped after the schema */
    box_expect_open(&box, 0);
    assert_true(journal_info(box.journal)->epoch > epoch);
    box_fill(&box);
    journal_close(box.journal);
    box.journal = NULL;
    box_sql(&box, "DELETE FROM meta"); /* beside rows that is damage */
    box_expect_open(&box, ERR_CORRUPT);
    box_close(&box);
}

static void test_move_aside_begins_an_epoch(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    struct journal_info old = *journal_info(box.journal);
    journal_close(box.journal);
    box.journal = NULL;
    box_put_file(&box, JOURNAL_FILE, "broken", 6);
    box_expect_open(&box, ERR_CORRUPT);
    assert_int_equal(journal_move_aside(box.dir, &box.err), 0);
    assert_int_equal(access(box_file(&box, JOURNAL_FILE), F_OK), -1);
    box_expect_open(&box, 0);
    const struct journal_info *info = journal_info(box.journal);
    assert_string_equal(info->id, old.id);
    assert_true(info->epoch > old.epoch);
    assert_true(info->last_sum != old.last_sum);
    assert_int_equal(info->last_seq, 0);
    box_close(&box);
}

/* --- the id --- */

static void write_id(const struct box *box, const char *id, long long epoch, const char *machine)
{
    char text[256];
    int len = snprintf(text, sizeof text, "spoor-journal 1\nid %s\nepoch %lld\nmachine %s\n", id,
                       epoch, machine);
    box_put_file(box, JOURNAL_ID_FILE, text, (size_t)len);
}

static void test_epoch_grows_though_the_clock_does_not(void **state)
{
    (void)state;
    struct box box;
    long long future = 5000000000000;
    box_open(&box);
    journal_close(box.journal);
    box.journal = NULL;
    write_id(&box, "00112233445566778899aabbccddeeff", future, "unknown");
    assert_int_equal(journal_move_aside(box.dir, NULL), 0);
    box_expect_open(&box, 0);
    assert_int_equal(journal_info(box.journal)->epoch, future + 1);
    assert_string_equal(journal_info(box.journal)->id, "00112233445566778899aabbccddeeff");
    box_close(&box);
}

static void test_lost_id(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    struct journal_info old = *journal_info(box.journal);
    assert_int_equal(remove(box_file(&box, JOURNAL_ID_FILE)), 0);
    box_reopen(&box);
    assert_string_not_equal(journal_info(box.journal)->id, old.id);
    assert_int_equal(journal_info(box.journal)->epoch, old.epoch);
    assert_false(journal_info(box.journal)->machine_changed);
    /* The new file knows the epoch again. */
    journal_close(box.journal);
    box.journal = NULL;
    assert_int_equal(journal_move_aside(box.dir, NULL), 0);
    box_expect_open(&box, 0);
    assert_true(journal_info(box.journal)->epoch > old.epoch);
    box_close(&box);
}

static void test_damaged_id(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "spoor-journal 2\nid 00112233445566778899aabbccddeeff\nepoch 1\nmachine x\n",
        "spoor-journal 1\nid 00112233445566778899aabbccddeefg\nepoch 1\nmachine x\n",
        "spoor-journal 1\nid 0011\nepoch 1\nmachine x\n",
        "spoor-journal 1\nid 00112233445566778899aabbccddeeff\nepoch -1\nmachine x\n",
        "spoor-journal 1\nid 00112233445566778899aabbccddeeff\nepoch 1\nmachine x",
        "spoor-journal 1\nid 00112233445566778899aabbccddeeff\nepoch 1\nmachine x\nmore\n",
    };
    struct box box;
    box_open(&box);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        box_put_file(&box, JOURNAL_ID_FILE, texts[i], strlen(texts[i]));
        box_expect_open(&box, ERR_CORRUPT);
    }
    assert_int_equal(journal_move_aside(box.dir, &box.err), 0);
    box_expect_open(&box, 0);
    assert_string_not_equal(journal_info(box.journal)->id, "00112233445566778899aabbccddeeff");
    box_close(&box);
}

static void test_another_machine(void **state)
{
    (void)state;
    struct box box;
    char id[JOURNAL_ID_SIZE];
    box_open(&box);
    box_fill(&box);
    if (access("/etc/machine-id", R_OK) != 0) {
        box_close(&box);
        print_message("skipped: this machine has no /etc/machine-id\n");
        skip();
    }
    memcpy(id, journal_info(box.journal)->id, sizeof id);
    long long epoch = journal_info(box.journal)->epoch;
    write_id(&box, id, epoch, "unknown"); /* made where there was no id: bound now, kept */
    box_reopen(&box);
    assert_string_equal(journal_info(box.journal)->id, id);
    write_id(&box, id, epoch, "0123456789abcdef0123456789abcdef");
    box_reopen(&box);
    assert_true(journal_info(box.journal)->machine_changed);
    assert_string_not_equal(journal_info(box.journal)->id, id);
    memcpy(id, journal_info(box.journal)->id, sizeof id);
    box_reopen(&box);
    assert_false(journal_info(box.journal)->machine_changed);
    assert_string_equal(journal_info(box.journal)->id, id);
    box_check(&box);
    box_close(&box);
}

/* --- migrations --- */

static void test_migrations(void **state)
{
    (void)state;
    static const char *const good[] = {"CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y",
                                       "CREATE TABLE b(z)"};
    static const char *const bad[] = {"CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y",
                                      "CREATE TABLE b(z);SELECT nonsense FROM nowhere"};
    struct schema schema = {99, good, 1};
    struct box box;
    struct sql sql;
    int version = -1;
    int64_t objects;
    box_open(&box);
    assert_int_equal(sql_open(&sql, "test", box_file(&box, "other.db"),
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     0);
    assert_int_equal(schema_version(&sql, &schema, &version, NULL), 0);
    assert_int_equal(version, 0);
    assert_int_equal(schema_migrate(&sql, &schema, version, NULL), 0);

    schema = (struct schema){99, bad, 3}; /* 2 works, 3 fails: nothing of either stands */
    assert_int_equal(schema_version(&sql, &schema, &version, NULL), 0);
    assert_int_equal(version, 1);
    assert_int_not_equal(schema_migrate(&sql, &schema, version, &box.err), 0);
    assert_non_null(strstr(box.err.text, "schema 3"));
    assert_int_equal(schema_version(&sql, &schema, &version, NULL), 0);
    assert_int_equal(version, 1);
    assert_int_equal(sql_get_i64(&sql, "SELECT count(*) FROM sqlite_schema", &objects, NULL), 0);
    assert_int_equal(objects, 1);
    assert_int_not_equal(sql_exec(&sql, "SELECT y FROM a", NULL), 0);

    schema = (struct schema){99, good, 3};
    assert_int_equal(schema_migrate(&sql, &schema, version, NULL), 0);
    assert_int_equal(sql_exec(&sql, "INSERT INTO a(x,y) SELECT z,z FROM b", NULL), 0);
    schema.count = 2;
    assert_int_equal(schema_version(&sql, &schema, &version, NULL), ERR_UNSUPPORTED);
    schema = (struct schema){98, good, 3};
    assert_int_equal(schema_version(&sql, &schema, &version, NULL), ERR_CORRUPT);
    sql_close(&sql);
    box_close(&box);
}

/* --- faults --- */

/* Commits, and tells of each commit. */
static void commit_for_ever(const char *dir)
{
    struct journal *journal = NULL;

    if (journal_open(dir, "docs", &journal, NULL) != 0)
        return;
    for (;;) {
        struct edit edits[3];
        char names[3][32];
        int64_t seq = journal_info(journal)->last_seq;
        for (int i = 0; i < 3; i++) {
            int len = snprintf(names[i], sizeof names[i], "f%lld", (long long)seq + i);
            edits[i] = (struct edit){
                .kind = CHANGE_CREATE,
                .type = ENTRY_FILE,
                .entry = seq + 1 + i,
                .name = bytes_of(names[i], (size_t)len),
                .path = bytes_of(names[i], (size_t)len),
            };
        }
        if (journal_commit(journal, edits, 3, 1000, NULL) != 0)
            return;
        kill_tell(journal_info(journal)->last_seq);
    }
}

/* Killed anywhere: every commit that was told of is there afterwards, whole. */
static void test_kill(void **state)
{
    (void)state;
    enum { KILLS = 8 };
    struct box box;
    box_open(&box);
    journal_close(box.journal);
    box.journal = NULL;
    int64_t least = 0;
    for (int round = 0; round < KILLS; round++) {
        int64_t acked = kill_after(box.dir, 10 + 17 * round);
        box_expect_open(&box, 0);
        int64_t last = journal_info(box.journal)->last_seq;
        assert_true(acked > least && last >= acked && last % 3 == 0);
        assert_int_equal(box_load(&box), 0);
        struct reader *reader = box_reader(&box);
        int64_t count = 0;
        assert_int_equal(reader_entry_count(reader, &count, NULL), 0);
        assert_int_equal(count, last);
        reader_close(reader);
        journal_close(box.journal);
        box.journal = NULL;
        least = last;
    }
    box_close(&box);
}

static void test_damaged_last_row(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    box_sql(&box, "UPDATE change SET path=X'7a' WHERE seq=6");
    box_expect_open(&box, ERR_CORRUPT);
    box_close(&box);
}

/* Another program holds the write lock for longer than we wait (here not at all). */
static void test_busy(void **state)
{
    (void)state;
    struct box box;
    struct journal_info before;
    sqlite3 *other = NULL;
    box_open(&box);
    box_fill(&box);
    before = *journal_info(box.journal);
    assert_int_equal(sqlite3_open(box_file(&box, JOURNAL_FILE), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    box_write(&box, "d/f");
    assert_int_equal(sqlite3_busy_timeout(box.journal->sql.db, 0), SQLITE_OK);
    assert_int_equal(journal_commit(box.journal, box.edits, box.edit_count, 5, &box.err), ERR_BUSY);
    assert_memory_equal(journal_info(box.journal), &before, sizeof before);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    (void)box_commit(&box); /* busy is not final */
    box_check(&box);
    box_close(&box);
}

/* --- people --- */

static void test_views(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_create(&box, "d", ENTRY_DIR);
    box_create(&box, "d/it's\n", ENTRY_FILE);
    box_link(&box, "l", "d/\xff");
    (void)box_commit(&box);
    box_move(&box, "d/it's\n", "d/f");
    box_write(&box, "d/f");
    (void)box_commit(&box);
    assert_string_equal(
        box_select(&box, "SELECT seq||'|'||time||'|'||kind||'|'||type||'|'||path||'|'||size||'|'||"
                         "mtime||'|'||mode||'|'||id FROM v_changes WHERE seq=2"),
        "2|2026-09-21T14:13:20.123Z|create|file|d/it's\n|20|2023-11-14T22:13:20.000000002Z|0644|2");
    assert_string_equal(box_select(&box, "SELECT from_path||'>'||path FROM v_changes WHERE seq=4"),
                        "d/it's\n>d/f");
    assert_string_equal(box_select(&box, "SELECT hex(target)||mode IS NULL FROM v_changes "
                                         "WHERE seq=3"),
                        "1");
    assert_string_equal(box_select(&box, "SELECT partial||replaced||ignored FROM v_changes "
                                         "WHERE seq=5"),
                        "100");
    assert_string_equal(box_select(&box, "SELECT group_concat(path||':'||type,' ') FROM "
                                         "(SELECT * FROM v_tree ORDER BY path)"),
                        "d:directory d/f:file l:symlink");
    assert_string_equal(box_select(&box, "SELECT count(*) FROM v_gaps"), "0");
    assert_string_equal(box_select(&box, "SELECT count(*) FROM v_consumers"), "0");
    box_close(&box);
}

int main(void)
{
    kill_main(commit_for_ever);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_journal),
        cmocka_unit_test(test_foreign_files_are_left),
        cmocka_unit_test(test_newer_schema_is_refused),
        cmocka_unit_test(test_other_folder_is_refused),
        cmocka_unit_test(test_interrupted_creation),
        cmocka_unit_test(test_move_aside_begins_an_epoch),
        cmocka_unit_test(test_epoch_grows_though_the_clock_does_not),
        cmocka_unit_test(test_lost_id),
        cmocka_unit_test(test_damaged_id),
        cmocka_unit_test(test_another_machine),
        cmocka_unit_test(test_migrations),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_damaged_last_row),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
