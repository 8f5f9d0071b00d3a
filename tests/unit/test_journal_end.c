/* test_journal_end.c: a journal whose end was lost, or is another than it was, is noticed when it
 * is opened, and begins an epoch. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "helper_journal.h"
#include "journal_mark.h"
#include "osfile.h"

/* --- a journal whose end is gone --- */

static void read_all(struct box *box, struct buf *out)
{
    int dir = osfile_open_dir(box->dir, NULL);
    buf_init(out, 64 << 20);
    assert_int_equal(osfile_read(dir, JOURNAL_FILE, 64 << 20, out, NULL), 0);
    (void)close(dir);
}

/* The database becomes what it was. */
static void put_back(struct box *box, const struct buf *was)
{
    box_put_file(box, JOURNAL_FILE, was->data, was->len);
    (void)unlink(box_file(box, JOURNAL_FILE "-wal"));
    (void)unlink(box_file(box, JOURNAL_FILE "-shm"));
}

static void lose_the_end(struct box *box, struct buf *was)
{
    box_open(box);
    box_fill(box);
    journal_close(box->journal); /* nothing is left in the log */
    box->journal = NULL;
    read_all(box, was);
    box_expect_open(box, 0);
    assert_int_equal(journal_gap(box->journal, true, CHANGE_OVERFLOW, 1, NULL), 0);
    journal_close(box->journal);
    box->journal = NULL;
}

static void a_lost_end_begins_an_epoch(void **state)
{
    (void)state;
    struct box box;
    struct buf was;
    lose_the_end(&box, &was);
    box_expect_open(&box, 0); /* all is there */
    assert_false(journal_info(box.journal)->rolled_back);
    int64_t epoch = journal_info(box.journal)->epoch;
    journal_close(box.journal);
    box.journal = NULL;
    put_back(&box, &was);
    box_expect_open(&box, 0);
    assert_true(journal_info(box.journal)->rolled_back);
    assert_true(journal_info(box.journal)->epoch > epoch);
    assert_int_equal(journal_info(box.journal)->epoch_seq, 6);
    box_check(&box);
    box_reopen(&box); /* once */
    assert_false(journal_info(box.journal)->rolled_back);
    /* The same database once more: the id file knows a later epoch. */
    journal_close(box.journal);
    box.journal = NULL;
    (void)unlink(box_file(&box, JOURNAL_MARK_FILE));
    put_back(&box, &was);
    box_expect_open(&box, 0);
    assert_true(journal_info(box.journal)->rolled_back);
    buf_deinit(&was);
    box_close(&box);
}

/* Other rows under the numbers that were lost: told by their sums. */
static void another_end_begins_an_epoch(void **state)
{
    (void)state;
    struct box box;
    struct buf was, mark;
    lose_the_end(&box, &was);
    int dir = osfile_open_dir(box.dir, NULL);
    buf_init(&mark, 4096);
    assert_int_equal(osfile_read(dir, JOURNAL_MARK_FILE, 4096, &mark, NULL), 0);
    (void)close(dir);
    put_back(&box, &was);
    (void)unlink(box_file(&box, JOURNAL_MARK_FILE));
    box_expect_open(&box, 0);
    assert_int_equal(journal_gap(box.journal, true, CHANGE_INTERNAL, 2, NULL), 0);
    assert_int_equal(journal_gap(box.journal, false, 0, 2, NULL), 0);
    journal_close(box.journal);
    box.journal = NULL;
    box_put_file(&box, JOURNAL_MARK_FILE, mark.data, mark.len);
    box_expect_open(&box, 0);
    assert_true(journal_info(box.journal)->rolled_back);
    buf_deinit(&was);
    buf_deinit(&mark);
    box_close(&box);
}

/* A mark that is damaged or torn says nothing. */
static void write_at(int fd, const char *bytes, size_t len, ssize_t at)
{
    assert_int_equal(lseek(fd, at, SEEK_SET), at);
    assert_int_equal(write(fd, bytes, len), len);
}

static void a_damaged_mark_is_none(void **state)
{
    (void)state;
    const struct journal_mark mark = {1795420800123, 4711, UINT64_C(0xfedcba9876543210)};
    struct journal_mark found = {0};
    struct box box;
    char line[128];
    box_open(&box);
    int fd = osfile_open(OSFILE_CWD, box_file(&box, "mark"), NULL);
    assert_true(fd >= 0);
    assert_false(journal_mark_read(fd, &found));
    journal_mark_write(fd, &mark);
    assert_true(journal_mark_read(fd, &found));
    assert_memory_equal(&found, &mark, sizeof mark);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    ssize_t len = read(fd, line, sizeof line);
    assert_true(len > 0);
    for (ssize_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            char byte = (char)(line[at] ^ (1 << bit));
            write_at(fd, &byte, 1, at);
            if (journal_mark_read(fd, &found))
                fail_msg("not noticed: bit %d of byte %d", bit, (int)at);
            write_at(fd, &line[at], 1, at);
        }
    for (ssize_t cut = 0; cut < len; cut++) {
        assert_int_equal(ftruncate(fd, cut), 0);
        assert_false(journal_mark_read(fd, &found));
        write_at(fd, line, (size_t)len, 0);
    }
    (void)close(fd);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_end_begins_an_epoch),
        cmocka_unit_test(another_end_begins_an_epoch),
        cmocka_unit_test(a_damaged_mark_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
