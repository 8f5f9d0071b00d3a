/* test_reader.c: opening a journal beside its writer, and its rows with their checks and filters.
 */
#include "reader.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "helper_journal.h"
#include "sums.h"

/* The seqs that a walk gave, as text. */
struct seen {
    char text[512];
    size_t len;
    int stop_at; /* visits, 0 never */
    int visits;
};

static int see(void *ctx, const struct change *change)
{
    struct seen *seen = ctx;
    seen->len += (size_t)snprintf(seen->text + seen->len, sizeof seen->text - seen->len, "%s%lld",
                                  seen->len ? "," : "", (long long)change->seq);
    return ++seen->visits == seen->stop_at ? 42 : 0;
}

static void expect_rows(struct reader *reader, struct reader_range range, const char *want)
{
    struct seen seen = {0};
    struct err err = {0};
    if (range.until_ms == 0)
        range.until_ms = INT64_MAX;
    if (reader_rows(reader, &range, see, &seen, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(seen.text, want);
}

static void test_open(void **state)
{
    (void)state;
    struct box box;
    struct reader *reader = NULL;
    box_open(&box);
    journal_close(box.journal);
    box.journal = NULL;
    reader = box_reader(&box); /* the daemon is down */
    struct journal_info info;
    assert_int_equal(reader_info(reader, &info, NULL), 0);
    assert_int_equal(info.last_seq, 0);
    assert_string_equal(info.folder, "docs");
    reader_close(reader);
    box_sql(&box, "PRAGMA user_version=1000");
    assert_int_equal(reader_open(box.dir, &reader, &box.err), ERR_UNSUPPORTED);
    box_sql(&box, "PRAGMA application_id=7");
    assert_int_equal(reader_open(box.dir, &reader, &box.err), ERR_CORRUPT);
    box_put_file(&box, JOURNAL_FILE, "", 0);
    (void)remove(box_file(&box, JOURNAL_FILE "-wal")); /* there may be none */
    assert_int_equal(reader_open(box.dir, &reader, &box.err), ERR_NOTFOUND);
    assert_int_equal(remove(box_file(&box, JOURNAL_FILE)), 0);
    assert_int_equal(reader_open(box.dir, &reader, &box.err), ERR_NOTFOUND);
    assert_int_equal(reader_open("/tmp/spoor-no-such-directory", &reader, &box.err), ERR_NOTFOUND);
    box_close(&box);
}

static size_t read_file(const char *path, void *out, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(out, 1, size, file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(len, 1, size - 1);
    return len;
}

/* Whoever made the file was killed before it was in WAL mode: a reader, who may not undo it, says
 * what is so; the daemon begins anew. */
static void test_half_made(void **state)
{
    (void)state;
    static char database[1 << 20], undo[1 << 20];
    struct box box;
    struct reader *reader = NULL;
    sqlite3 *db = NULL;
    box_open(&box);
    journal_close(box.journal);
    box.journal = NULL;
    box_put_file(&box, JOURNAL_FILE, "", 0);
    assert_int_equal(sqlite3_open(box_file(&box, JOURNAL_FILE), &db), SQLITE_OK);
    /* So much that pages go to the file before the end. */
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA cache_size=1;BEGIN;CREATE TABLE t(x);"
                                  "INSERT INTO t VALUES(zeroblob(200000))",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    size_t database_len = read_file(box_file(&box, JOURNAL_FILE), database, sizeof database);
    size_t undo_len = read_file(box_file(&box, JOURNAL_FILE "-journal"), undo, sizeof undo);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    box_put_file(&box, JOURNAL_FILE, database, database_len);
    box_put_file(&box, JOURNAL_FILE "-journal", undo, undo_len);
    assert_int_equal(reader_open(box.dir, &reader, &box.err), ERR_NOTFOUND);
    assert_non_null(strstr(box.err.text, "its making was cut short"));
    box_expect_open(&box, 0);
    reader_close(box_reader(&box));
    box_close(&box);
}

struct opener {
    const char *dir;
    atomic_bool made;
    int wrong; /* of the reader, 0 so far */
    struct err err;
};

static void *open_again_and_again(void *arg)
{
    struct opener *opener = arg;
    bool last = false;
    while (!last && opener->wrong == 0) {
        struct reader *reader = NULL;
        last = atomic_load(&opener->made);
        int code = reader_open(opener->dir, &reader, &opener->err);
        if (code != 0 && code != ERR_BUSY && (last || code != ERR_NOTFOUND))
            opener->wrong = code;
        reader_close(reader);
    }
    return NULL;
}

/* A reader beside a journal that is being made finds none, or all of it: never a part, for which it
 * would say that it is another program's, or an older version's. */
static void test_while_it_is_made(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        struct box box;
        struct opener opener = {0};
        pthread_t thread;
        box_open(&box);
        journal_close(box.journal);
        box.journal = NULL;
        assert_int_equal(remove(box_file(&box, JOURNAL_FILE)), 0);
        opener.dir = box.dir;
        assert_int_equal(pthread_create(&thread, NULL, open_again_and_again, &opener), 0);
        box_expect_open(&box, 0);
        atomic_store(&opener.made, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (opener.wrong)
            fail_msg("journal %d: %s", i, opener.err.text);
        box_close(&box);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    box_move(&box, "d/e", "e"); /* 7 */
    box_write(&box, "d/f");     /* 8, one second later */
    (void)box_commit(&box);
    struct reader *reader = box_reader(&box);
    int64_t first_ms = box.wall_ms - 2000;
    expect_rows(reader, (struct reader_range){.first = 1, .last = 8, .verify = true},
                "1,2,3,4,5,6,7,8");
    expect_rows(reader, (struct reader_range){.first = 0, .last = INT64_MAX}, "1,2,3,4,5,6,7,8");
    expect_rows(reader, (struct reader_range){.first = 3, .last = 4, .verify = true}, "3,4");
    expect_rows(reader, (struct reader_range){.first = 9, .last = 20, .verify = true}, "");
    expect_rows(reader, (struct reader_range){.first = 5, .last = 4, .verify = true}, "");
    expect_rows(reader, (struct reader_range){.first = 2, .last = 4, .reverse = true}, "4,3,2");
    expect_rows(
        reader,
        (struct reader_range){.first = 1, .last = 8, .below = bytes_str("d"), .verify = true},
        "1,2,3,4,7,8");
    expect_rows(reader, (struct reader_range){.first = 1, .last = 8, .below = bytes_str("e")}, "7");
    expect_rows(reader, (struct reader_range){.first = 1, .last = 8, .below = bytes_str("d/e")},
                "3,4,7");
    expect_rows(reader, (struct reader_range){.first = 1, .last = 8, .below = bytes_str("fif")},
                "");
    expect_rows(reader, (struct reader_range){.first = 1, .last = 8, .since_ms = first_ms + 1},
                "7,8");
    expect_rows(
        reader,
        (struct reader_range){.first = 1, .last = 8, .since_ms = first_ms, .until_ms = first_ms},
        "1,2,3,4,5,6");
    struct seen seen = {.stop_at = 3};
    struct reader_range all = {.first = 1, .last = 8, .until_ms = INT64_MAX};
    assert_int_equal(reader_rows(reader, &all, see, &seen, NULL), 42);
    assert_string_equal(seen.text, "1,2,3");
    /* Nothing is held between calls: what is written now is seen now. */
    box_write(&box, "d/f");
    (void)box_commit(&box);
    expect_rows(reader, (struct reader_range){.first = 9, .last = 9, .verify = true}, "9");
    reader_close(reader);
    box_close(&box);
}

/* The writer goes on while a walk is under way: the walk sees one state. */
struct writing {
    struct box *box;
    int rows;
};

static int write_meanwhile(void *ctx, const struct change *change)
{
    struct writing *writing = ctx;
    (void)change;
    writing->rows++;
    box_write(writing->box, "d/f");
    (void)box_commit(writing->box);
    return 0;
}

static void test_snapshot(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    struct reader *reader = box_reader(&box);
    struct writing writing = {.box = &box};
    struct reader_range all = {
        .first = 1, .last = INT64_MAX, .verify = true, .until_ms = INT64_MAX};
    assert_int_equal(reader_rows(reader, &all, write_meanwhile, &writing, NULL), 0);
    assert_int_equal(writing.rows, 6);
    assert_int_equal(journal_info(box.journal)->last_seq, 12);
    reader_close(reader);
    box_close(&box);
}

/* Every stored field of a row is under the chain. */
static void test_damaged_rows_are_noticed(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "epoch=epoch+1", "time=time+1",  "entry=entry+1",   "kind=2",        "type=4",
        "flags=1",       "path=X'78'",   "from_path=X'78'", "size=size+1",   "mtime=mtime+1",
        "mode=mode|64",  "target=X'78'", "ino=ino+1",       "btime=btime+1", "entries=1",
        "other=1",       "sum=sum+1",    "seq=40",
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct box box;
        struct err err = {0};
        char text[128];
        box_open(&box);
        box_fill(&box);
        box_write(&box, "d/f");
        (void)box_commit(&box);
        (void)snprintf(text, sizeof text, "UPDATE change SET %s WHERE seq=4",
                       damages[i]); /* fits */
        box_sql(&box, text);
        struct reader *reader = box_reader(&box);
        struct seen seen = {0};
        struct reader_range all = {.first = 2, .last = 7, .verify = true, .until_ms = INT64_MAX};
        if (reader_rows(reader, &all, see, &seen, &err) != ERR_CORRUPT)
            fail_msg("not noticed: %s", damages[i]);
        assert_non_null(strstr(err.text, "row 4"));
        assert_string_equal(seen.text, "2,3"); /* nothing from the damage on is given out */
        seen = (struct seen){0};
        all.reverse = true;
        if (reader_rows(reader, &all, see, &seen, &err) != ERR_CORRUPT)
            fail_msg("not noticed backwards: %s", damages[i]);
        assert_null(strstr(seen.text, "4"));
        reader_close(reader);
        box_close(&box);
    }
}

static void test_missing_rows_are_noticed(void **state)
{
    (void)state;
    static const char *const damages[] = {"DELETE FROM change WHERE seq=3",
                                          "DELETE FROM change WHERE seq<=3"};
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct box box;
        box_open(&box);
        box_fill(&box);
        struct reader *reader = box_reader(&box);
        box_sql(&box, damages[i]);
        struct seen seen = {0};
        struct reader_range all = {.first = 1, .last = 6, .verify = true, .until_ms = INT64_MAX};
        assert_int_equal(reader_rows(reader, &all, see, &seen, NULL), ERR_CORRUPT);
        all.reverse = true;
        assert_int_equal(reader_rows(reader, &all, see, &seen, NULL), ERR_CORRUPT);
        reader_close(reader);
        box_close(&box);
    }
}

/* Two rows cannot change places, nor a row be taken into another journal: the chain goes on from
 * what was before, and begins with a random nonce. */
static void test_chain(void **state)
{
    (void)state;
    struct box one, two;
    box_open(&one);
    box_open(&two);
    two.wall_ms = one.wall_ms;
    assert_true(journal_info(one.journal)->last_sum != journal_info(two.journal)->last_sum);
    struct change row = {.seq = 1, .kind = CHANGE_CREATE, .path = bytes_str("ab")};
    struct change other = {.seq = 1, .kind = CHANGE_CREATE, .from = bytes_str("ab")};
    assert_true(sums_row(1, &row) != sums_row(2, &row));
    assert_true(sums_row(1, &row) != sums_row(1, &other));
    box_close(&one);
    box_close(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_half_made),
        cmocka_unit_test(test_while_it_is_made),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_damaged_rows_are_noticed),
        cmocka_unit_test(test_missing_rows_are_noticed),
        cmocka_unit_test(test_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
