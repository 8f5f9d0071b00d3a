/* test_folder.c: a folder whole, on a real directory and a real kernel, stepped by hand: what its
 * loop does when the dirty set is full, when events are lost again before the gap for the last loss
 * is closed, when the kernel drops a watch, when the root is another, when a directory cannot be
 * listed, and when a rule file comes with what it hides. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "clock.h"
#include "config.h"
#include "folder_private.h"
#include "helper_temp.h"
#include "reader.h"
#include "wake.h"
#include "watch_inotify.h"

enum { STEPS_MAX = 1000, GAPS_MAX = 16, TEXT_SIZE = 512 };

struct fixture {
    struct temp_dir temp;
    struct config_folder config;
    struct folder *folder;
    struct err err;
    uint32_t gaps[GAPS_MAX]; /* flags of the gap rows */
    int gap_count;
    int64_t rows;
    char text[TEXT_SIZE]; /* kinds and paths of the first rows */
};

static void changed(void *ctx)
{
    (void)ctx;
}

static char *path_of(const struct fixture *f, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->temp.path, name);
    return strdup(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    temp_dir_open(&f->temp);
    temp_mkdir(&f->temp, "docs");
    f->config = (struct config_folder){.name = (char *)"docs",
                                       .path = path_of(f, "docs"),
                                       .settle_ns = 1,
                                       .max_delay_ns = CLOCK_NS_PER_S,
                                       .partial_max_ns = CLOCK_NS_PER_S,
                                       .poll_interval_ns = 60 * CLOCK_NS_PER_S,
                                       .retention_forever = true,
                                       .scan_threads = 1,
                                       .backend = CONFIG_BACKEND_INOTIFY};
    const struct folder_notify notify = {NULL, changed};
    char *dir = path_of(f, "state");
    assert_int_equal(folder_open(&f->config, dir, &notify, &f->folder, &f->err), 0);
    free(dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    folder_end(f->folder);
    folder_close(f->folder);
    free(f->config.path);
    temp_dir_close(&f->temp);
    free(f);
    return 0;
}

/* Until nothing more is due before long; scans after losses keep a distance of some time. */
static void come_to_rest(struct fixture *f)
{
    int steps = 0;
    for (;;) {
        assert_true(steps++ < STEPS_MAX);
        assert_int_equal(watch_drain(f->folder->watch, &f->err), 0);
        if (folder_step(f->folder)) {
            continue;
        }
        int64_t due = folder_due(f->folder);
        if (due > clock_mono_ns() + CLOCK_NS_PER_S * 10) {
            return;
        }
        f->folder->scan_not_before_ns = 0; /* now, instead of after the rest */
    }
}

static int note_row(void *ctx, const struct change *row)
{
    struct fixture *f = ctx;
    size_t len = strlen(f->text);
    (void)snprintf(f->text + len, sizeof f->text - len, "%s%s%s%.*s", f->rows ? ", " : "",
                   change_kind_name(row->kind), row->path.len ? " " : "", (int)row->path.len,
                   row->path.len ? row->path.at : "");
    f->rows++;
    if (row->kind == CHANGE_GAP) {
        assert_true(f->gap_count < GAPS_MAX);
        f->gaps[f->gap_count++] = row->flags;
    }
    return 0;
}

static void read_rows(struct fixture *f)
{
    struct reader *reader = NULL;
    struct reader_range range = {
        .first = 1, .last = INT64_MAX, .verify = true, .until_ms = INT64_MAX};
    f->rows = f->gap_count = 0;
    f->text[0] = '\0';
    assert_int_equal(reader_open(folder_dir(f->folder), &reader, &f->err), 0);
    assert_int_equal(reader_rows(reader, &range, note_row, f, &f->err), 0);
    reader_close(reader);
}

/* All rows there are, by kind and path. */
static void expect_rows(struct fixture *f, const char *expected)
{
    read_rows(f);
    assert_string_equal(f->text, expected);
}

static struct entry *dir_at_root(const struct fixture *f, const char *name)
{
    struct tree *tree = f->folder->tree;
    struct entry *dir = tree_find(tree, tree_root(tree), bytes_str(name));
    assert_non_null(dir);
    return dir;
}

static void lose(struct fixture *f, uint32_t reason)
{
    pthread_mutex_lock(&f->folder->lock);
    folder_lost_locked(f->folder, reason);
    pthread_mutex_unlock(&f->folder->lock);
}

/* Its events are among those that are lost, as all that is dirty. */
static void write_unseen(struct fixture *f, const char *path)
{
    temp_write(&f->temp, path, "1");
    assert_int_equal(watch_drain(f->folder->watch, &f->err), 0);
    settle_clear(f->folder->settle);
}

/* As much as can be done at once, which may leave something for later. */
static void step_on(struct fixture *f)
{
    int steps = 0;
    while (folder_step(f->folder)) {
        assert_true(steps++ < STEPS_MAX);
    }
}

static void check_closed(const struct fixture *f, uint32_t reason)
{
    assert_int_equal(f->gap_count, 2);
    assert_true(f->gaps[0] & CHANGE_GAP_OPEN);
    assert_true(f->gaps[0] & reason);
    assert_false(f->gaps[1] & CHANGE_GAP_OPEN);
}

/* As many names as it holds, each in a directory of its own, and no room for their directories: the
 * next hint makes it an internal gap, and the scan finds what was forgotten. */
static void test_full_dirty_set_is_a_gap(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "docs/first", "1");
    come_to_rest(f);
    read_rows(f);
    assert_int_equal(f->rows, 1);
    struct settle *settle = f->folder->settle;
    int64_t now = clock_mono_ns() + CLOCK_NS_PER_S * 1000; /* not due before the hint comes */
    for (uint64_t i = 0; i < SETTLE_NAMES_MAX; i++) {
        struct file_id dir = {1000000 + i, 1};
        assert_true(settle_mark_name(settle, dir, bytes_str("n"), HINT_NAME, NULL, now));
    }
    struct settle_mark mark = {.dir = {999999, 1}, .due_ns = now};
    assert_true(settle_mark_dir(settle, &mark));
    temp_write(&f->temp, "docs/second", "2");
    come_to_rest(f);
    read_rows(f);
    check_closed(f, CHANGE_INTERNAL);
    assert_int_equal(f->rows, 4);
    assert_int_equal(settle_name_count(settle) + settle_dir_count(settle), 0);
}

/* Lost once more while the gap is open: no second row, only another scan before it closes. */
static void test_loss_within_a_gap(void **state)
{
    struct fixture *f = *state;
    come_to_rest(f);
    lose(f, CHANGE_OVERFLOW);
    f->folder->scan_not_before_ns = clock_mono_ns() + CLOCK_NS_PER_S * 1000;
    (void)folder_step(f->folder); /* opens the gap; the scan must wait */
    assert_true(f->folder->needs_scan);
    lose(f, CHANGE_OVERFLOW | CHANGE_INTERNAL);
    (void)folder_step(f->folder);
    f->folder->scan_not_before_ns = 0;
    come_to_rest(f);
    read_rows(f);
    check_closed(f, CHANGE_OVERFLOW);
    assert_int_equal(f->rows, 2);
}

/* A name that is dirty since before the scan and not due: nothing makes it due but the test. */
static void mark_undecided(struct fixture *f)
{
    const struct settle_name name = {.dir = tree_root(f->folder->tree)->file,
                                     .name = bytes_str("undecided"),
                                     .hints = HINT_NAME};
    int64_t never = clock_mono_ns() + CLOCK_NS_PER_S * 1000;
    assert_true(settle_put_back(f->folder->settle, &name, never));
}

/* A sync waits for what was there before it, and not for what somebody who goes on working does
 * meanwhile: else it would never end (RULES 28). */
static void test_sync_leaves_what_is_younger(void **state)
{
    struct fixture *f = *state;
    uint64_t ticket = 0;
    int64_t seq = 0;
    come_to_rest(f);
    temp_write(&f->temp, "docs/before", "1");
    assert_int_equal(folder_sync_start(f->folder, &ticket, &f->err), 0);
    assert_int_equal(watch_drain(f->folder->watch, &f->err), 0);
    for (int i = 0; i < 10 && folder_sync_done(f->folder, ticket, &seq, &f->err) == 0; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "younger%d", i);
        struct settle_name name = {.dir = tree_root(f->folder->tree)->file,
                                   .name = bytes_str(text),
                                   .hints = HINT_NAME,
                                   .first_ns = clock_mono_ns() + 1};
        int64_t never = name.first_ns + CLOCK_NS_PER_S * 1000;
        assert_true(settle_put_back(f->folder->settle, &name, never));
        (void)folder_step(f->folder);
    }
    assert_int_equal(folder_sync_done(f->folder, ticket, &seq, &f->err), 1);
    assert_int_equal(seq, 1);
    expect_rows(f, "create before");
}

static void decide(struct fixture *f)
{
    settle_hurry(f->folder->settle, clock_mono_ns());
    come_to_rest(f);
}

/* The gap is open until all that was dirty before its scan ended is decided (RULES 22). */
static void test_gap_waits_for_names(void **state)
{
    struct fixture *f = *state;
    come_to_rest(f);
    mark_undecided(f);
    lose(f, CHANGE_OVERFLOW);
    come_to_rest(f);
    assert_false(f->folder->needs_scan);
    expect_rows(f, "gap");
    decide(f);
    read_rows(f);
    check_closed(f, CHANGE_OVERFLOW);
}

/* Lost once more after the scan, before the gap is closed: what that loss hid is found by another
 * scan (RULES 22). */
static void test_loss_after_the_scan(void **state)
{
    struct fixture *f = *state;
    come_to_rest(f);
    mark_undecided(f);
    lose(f, CHANGE_OVERFLOW);
    come_to_rest(f);
    expect_rows(f, "gap");
    write_unseen(f, "docs/hidden");
    lose(f, CHANGE_OVERFLOW);
    come_to_rest(f);
    expect_rows(f, "gap, create hidden, gap");
    check_closed(f, CHANGE_OVERFLOW);
}

/* As the kernel does when a file system is unmounted, or before a directory dies. This one lives:
 * though no record names it, it is listed, and watched again (RULES 5). */
static void test_dropped_watch(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "docs/d");
    come_to_rest(f);
    const struct watch_inotify *inotify = (const struct watch_inotify *)f->folder->watch;
    const struct entry *dir = dir_at_root(f, "d");
    assert_int_equal(inotify_rm_watch(inotify->queue.fd, dir->watch), 0);
    temp_write(&f->temp, "docs/d/unseen", "1");
    come_to_rest(f);
    expect_rows(f, "create d, create d/unseen");
    assert_true(dir->watch >= 0);
    temp_write(&f->temp, "docs/d/seen", "1");
    come_to_rest(f);
    expect_rows(f, "create d, create d/unseen, create d/seen");
}

/* Another directory stands at the folder's path, and the record that says so is not read yet: a
 * round does not take its emptiness for that of the folder (RULES 26). */
static void test_round_compares_the_root(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "docs/first", "1");
    come_to_rest(f);
    temp_rename(&f->temp, "docs", "away");
    temp_mkdir(&f->temp, "docs");
    assert_true(settle_mark_name(f->folder->settle, tree_root(f->folder->tree)->file,
                                 bytes_str("first"), HINT_NAME, NULL, 0));
    step_on(f);
    assert_true(f->folder->root_lost);
    expect_rows(f, "create first, gap");
    temp_remove(&f->temp, "docs");
    temp_rename(&f->temp, "away", "docs");
    f->folder->retry_ns = 0;
    come_to_rest(f);
    expect_rows(f, "create first, gap, gap");
    check_closed(f, CHANGE_ROOT_LOST);
}

/* Where sync cannot make its file it is a comparison, begun after the call, and no gap: even what
 * no event told of is there (RULES 28). */
static void test_sync_without_barrier(void **state)
{
    struct fixture *f = *state;
    uint64_t ticket = 0;
    int64_t seq = 0;
    temp_remove(&f->temp, "state/docs/barrier");
    for (int gone = 0; gone < 2; gone++) { /* not noticed yet; known */
        come_to_rest(f);
        write_unseen(f, gone ? "docs/two" : "docs/one");
        f->folder->scan_not_before_ns = clock_mono_ns() + CLOCK_NS_PER_S * 1000;
        assert_int_equal(folder_sync_start(f->folder, &ticket, &f->err), 0);
        assert_int_equal(folder_due(f->folder), 0);
        step_on(f);
        assert_int_equal(folder_sync_done(f->folder, ticket, &seq, &f->err), 0);
        f->folder->scan_not_before_ns = 0;
        come_to_rest(f);
        assert_int_equal(folder_sync_done(f->folder, ticket, &seq, &f->err), 1);
        assert_int_equal(seq, gone + 1);
    }
    expect_rows(f, "create one, create two");
}

static enum disk_answer fail_to_list(void *ctx, struct disk_dir *dir, struct buf *names, int *os)
{
    (void)ctx;
    (void)dir;
    (void)names;
    *os = EIO;
    return DISK_UNKNOWN;
}

/* What cannot be listed is not empty (RULES 1), neither for a round nor for a scan; and it is
 * listed when it can be. */
static void test_listing_fails(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "docs/d");
    temp_write(&f->temp, "docs/d/file", "1");
    come_to_rest(f);
    const struct disk_ops *ops = f->folder->disk.ops;
    struct disk_ops failing = *ops;
    failing.list = fail_to_list;
    const struct settle_mark mark = {.dir = dir_at_root(f, "d")->file, .deep = true};
    assert_true(settle_mark_dir(f->folder->settle, &mark));
    f->folder->disk.ops = &failing;
    step_on(f);
    assert_int_equal(settle_dir_count(f->folder->settle), 1);
    expect_rows(f, "create d, create d/file");
    write_unseen(f, "docs/d/hidden");
    lose(f, CHANGE_OVERFLOW);
    f->folder->scan_not_before_ns = 0;
    step_on(f);
    assert_false(f->folder->needs_scan);
    f->folder->disk.ops = ops;
    decide(f);
    expect_rows(f, "create d, create d/file, gap, gap, create d/hidden");
    check_closed(f, CHANGE_OVERFLOW);
}

/* A disk, and what it loses the next time that something is listed or read. */
static struct going {
    const struct disk_ops *ops;
    struct fixture *f;
    const char *path; /* NULL: nothing more */
} going;

static void let_go(void)
{
    temp_remove(&going.f->temp, going.path);
    going.path = NULL;
}

static enum disk_answer list_what_goes(void *ctx, struct disk_dir *dir, struct buf *names, int *os)
{
    if (going.path) {
        let_go();
    }
    return going.ops->list(ctx, dir, names, os);
}

static enum disk_answer read_what_goes(void *ctx, struct disk_dir *dir, struct bytes name,
                                       size_t limit, struct buf *out, int *os)
{
    let_go();
    return going.ops->read_file(ctx, dir, name, limit, out, os);
}

/* `path` is there when the round finds it and gone when it is opened or read: that is no trouble,
 * and its name is looked at again. */
static void check_going(struct fixture *f, const char *path, const char *rows)
{
    const struct disk_ops *ops = f->folder->disk.ops;
    struct disk_ops losing = *ops;
    losing.list = list_what_goes;
    losing.read_file = read_what_goes;
    going = (struct going){ops, f, path};
    f->folder->disk.ops = &losing;
    step_on(f);
    assert_null(going.path);
    f->folder->disk.ops = ops;
    come_to_rest(f);
    expect_rows(f, rows);
    assert_string_equal(f->folder->status.trouble, "");
}

static void test_gone_while_listed(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "docs/known");
    come_to_rest(f);
    const struct settle_mark mark = {.dir = dir_at_root(f, "known")->file, .deep = true};
    assert_true(settle_mark_dir(f->folder->settle, &mark));
    check_going(f, "docs/known", "create known, delete known");
    temp_mkdir(&f->temp, "docs/new");
    assert_int_equal(watch_drain(f->folder->watch, &f->err), 0);
    check_going(f, "docs/new", "create known, delete known, create new, delete new");
}

static void test_rules_gone_while_read(void **state)
{
    struct fixture *f = *state;
    come_to_rest(f);
    temp_write(&f->temp, "docs/.spoorignore", "*.tmp\n");
    temp_write(&f->temp, "docs/a.tmp", "1");
    assert_int_equal(watch_drain(f->folder->watch, &f->err), 0);
    check_going(f, "docs/.spoorignore", "create .spoorignore, create a.tmp, delete .spoorignore");
}

/* A rule file is looked at before the other names of its round, whatever they are called, and its
 * row is the first (RULES 12). */
static void test_rule_file_first(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "docs/+known.tmp", "1");
    come_to_rest(f);
    temp_write(&f->temp, "docs/+new.tmp", "1");
    temp_write(&f->temp, "docs/.spoorignore", "*.tmp\n");
    temp_write(&f->temp, "docs/+known.tmp", "2");
    come_to_rest(f);
    expect_rows(f, "create +known.tmp, create .spoorignore, delete +known.tmp");
}

/* An errand is served by a step, its outcome told and its sender woken; one that nobody serves any
 * more is refused, and outlives its folder. */
static void test_errands(void **state)
{
    struct fixture *f = *state;
    struct wake wake;
    struct folder_errand *errand = NULL;
    const struct journal_order add = {.what = JOURNAL_READER_ADD, .consumer = "me"};
    int rc = 1;
    assert_int_equal(wake_open(&wake, &f->err), 0);
    come_to_rest(f);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(folder_send(f->folder, &add, &wake, &errand, &f->err), 0);
        assert_false(folder_errand_done(errand, &rc, &f->err));
        assert_int_equal(folder_due(f->folder), 0);
        (void)folder_step(f->folder);
        assert_true(wake_clear(&wake));
        assert_true(folder_errand_done(errand, &rc, &f->err));
        assert_int_equal(rc, turn == 0 ? 0 : ERR_EXISTS);
        folder_errand_free(errand);
    }
    assert_non_null(strstr(f->err.text, "'me'"));
    assert_int_equal(folder_send(f->folder, &add, &wake, &errand, &f->err), 0);
    folder_end(f->folder);
    assert_true(folder_errand_done(errand, &rc, &f->err));
    assert_int_equal(rc, ERR_CANCELLED);
    folder_errand_free(errand);
    assert_int_equal(folder_send(f->folder, &add, &wake, &errand, &f->err), ERR_CANCELLED);
    wake_close(&wake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full_dirty_set_is_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_within_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gap_waits_for_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_after_the_scan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round_compares_the_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sync_leaves_what_is_younger, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sync_without_barrier, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_while_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules_gone_while_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rule_file_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errands, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
