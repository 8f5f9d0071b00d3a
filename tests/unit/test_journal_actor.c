/* test_journal_actor.c: who did it, in the journal: kept, told, covered by the row's sum; and a
 * journal of the schema before it, brought up to date where it stands. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "helper_journal.h"
#include "osfile.h"
#include "schema.h"
#include "sql.h"

static int keep_row(void *ctx, const struct change *change)
{
    struct change *rows = ctx;
    rows[change->seq] = *change; /* its bytes are not looked at afterwards */
    return 0;
}

/* Rows by number, from 1 on, the chain checked; the code of that. */
static int read_rows(struct box *box, struct change *rows)
{
    struct reader *reader = box_reader(box);
    struct reader_range range = {
        .first = 1, .last = INT64_MAX, .until_ms = INT64_MAX, .verify = true};
    int code = reader_rows(reader, &range, keep_row, rows, &box->err);
    reader_close(reader);
    return code;
}

static void create_by(struct box *box, const char *path, int32_t pid, const char *program)
{
    box_create(box, path, ENTRY_FILE);
    struct actor *actor = &box->edits[box->edit_count - 1].actor;
    actor->pid = pid;
    (void)snprintf(actor->program, sizeof actor->program, "%s", program);
}

static void test_kept(void **state)
{
    (void)state;
    struct box box;
    struct change rows[8];
    box_open(&box);
    create_by(&box, "a", 4242, "vim");
    create_by(&box, "b", 4242, "fifteen letters");
    create_by(&box, "c", INT32_MAX, "");
    create_by(&box, "d", 0, "");
    assert_int_equal(box_commit(&box), 4);
    box_reopen(&box); /* which checks the last row */
    assert_int_equal(read_rows(&box, rows), 0);
    assert_int_equal(rows[1].actor.pid, 4242);
    assert_string_equal(rows[1].actor.program, "vim");
    assert_string_equal(rows[2].actor.program, "fifteen letters");
    assert_int_equal(rows[3].actor.pid, INT32_MAX);
    assert_string_equal(rows[3].actor.program, "");
    assert_int_equal(rows[4].actor.pid, 0);
    assert_string_equal(box_select(&box, "SELECT program||pid FROM v_changes WHERE seq=1"),
                        "vim4242");
    assert_string_equal(box_select(&box, "SELECT pid IS NULL AND program IS NULL FROM v_changes"
                                         " WHERE seq=4"),
                        "1");
    assert_string_equal(box_select(&box, "SELECT program IS NULL FROM change WHERE seq=3"), "1");
    box_check(&box);
    box_close(&box);
}

static void test_covered_by_the_sum(void **state)
{
    (void)state;
    static const char *const damage[] = {
        "UPDATE change SET pid=4243 WHERE seq=2",
        "UPDATE change SET pid=NULL WHERE seq=2",
        "UPDATE change SET program=X'56696d' WHERE seq=2",
        "UPDATE change SET program=NULL WHERE seq=2",
        "UPDATE change SET program=CAST(program||'aaaaaaaaaaaaaaaa' AS BLOB) WHERE seq=2",
        "UPDATE change SET pid=1 WHERE seq=1",
    };
    struct box box;
    struct change rows[8];
    box_open(&box);
    create_by(&box, "a", 0, "");
    create_by(&box, "b", 4242, "vim");
    create_by(&box, "c", 0, "");
    (void)box_commit(&box); /* 3 */
    assert_int_equal(read_rows(&box, rows), 0);
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        box_sql(&box, "CREATE TABLE kept AS SELECT seq,pid,program FROM change");
        box_sql(&box, damage[i]);
        assert_int_equal(read_rows(&box, rows), ERR_CORRUPT);
        box_sql(&box, "UPDATE change SET (pid,program)=(SELECT pid,program FROM kept"
                      " WHERE kept.seq=change.seq);DROP TABLE kept");
        assert_int_equal(read_rows(&box, rows), 0);
    }
    box_close(&box);
}

/* The first version's file, as it wrote it, in the place of the box's own. */
static void put_first_schema(struct box *box)
{
    struct buf text;
    struct sql sql = {0};
    buf_init(&text, 1 << 20);
    journal_close(box->journal);
    box->journal = NULL;
    assert_int_equal(journal_move_aside(box->dir, &box->err), 0);
    int dirfd = osfile_open_dir(SOURCE_DIR "/tests/unit", &box->err);
    assert_true(dirfd >= 0);
    assert_int_equal(osfile_read(dirfd, "schema_journal_1.sql", 1 << 20, &text, &box->err), 0);
    (void)close(dirfd); /* it was only read */
    assert_int_equal(sql_open(&sql, "journal", box_file(box, JOURNAL_FILE),
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     0);
    assert_int_equal(sql_exec(&sql, text.data, &box->err), 0);
    assert_int_equal(sql_exec(&sql, "INSERT INTO consumer VALUES('up',6,1,'',0)", &box->err), 0);
    sql_close(&sql);
    buf_deinit(&text);
}

static void test_first_schema_is_brought_up_to_date(void **state)
{
    (void)state;
    struct box box;
    struct change rows[16];
    struct reader *reader = NULL;
    box_open(&box);
    put_first_schema(&box);
    /* Whoever only reads cannot do it, and says who does. */
    assert_int_equal(reader_open(box.dir, &reader, &box.err), ERR_UNSUPPORTED);
    assert_non_null(strstr(box.err.text, "written by an older spoor (schema 1"));
    box_expect_open(&box, 0);
    assert_int_equal(journal_info(box.journal)->last_seq, 6);
    assert_int_equal(read_rows(&box, rows), 0); /* the sums of old rows hold */
    assert_int_equal(rows[6].actor.pid, 0);
    assert_int_equal(rows[4].kind, CHANGE_MOVE);
    assert_int_equal(box_load(&box), 0);
    assert_string_equal(box_select(&box, "SELECT kind||path FROM v_pending UNION SELECT "
                                         "kind||path||ifnull(pid,'-') FROM v_changes WHERE seq=1"),
                        "created-");
    /* Whoever was registered then was an upload. */
    assert_string_equal(box_select(&box, "SELECT name||acked||kind FROM v_consumers"), "up6upload");
    /* And rows with an actor follow. */
    struct edit edit = {.kind = CHANGE_CREATE,
                        .type = ENTRY_DIR,
                        .entry = 7,
                        .name = bytes_str("new"),
                        .path = bytes_str("new"),
                        .attrs = {.mode = 0700},
                        .actor = {77, "mkdir"}};
    assert_int_equal(journal_commit(box.journal, &edit, 1, 1, &box.err), 0);
    box_reopen(&box);
    assert_int_equal(read_rows(&box, rows), 0);
    assert_string_equal(rows[7].actor.program, "mkdir");
    assert_int_equal(box_load(&box), 0);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_covered_by_the_sum),
        cmocka_unit_test(test_first_schema_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
