/* test_folder.c: a folder whole, on a real directory and a real kernel, stepped by hand: what its
 * loop does when the dirty set is full, and when events are lost again before the scan for the last
 * loss is through. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "config.h"
#include "folder_private.h"
#include "helper_temp.h"
#include "reader.h"

enum { STEPS_MAX = 1000, GAPS_MAX = 16 };

struct fixture {
    struct temp_dir temp;
    struct config_folder config;
    struct folder *folder;
    struct err err;
    uint32_t gaps[GAPS_MAX]; /* flags of the gap rows */
    int gap_count;
    int64_t rows;
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
    assert_int_equal(reader_open(folder_dir(f->folder), &reader, &f->err), 0);
    assert_int_equal(reader_rows(reader, &range, note_row, f, &f->err), 0);
    reader_close(reader);
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
    pthread_mutex_lock(&f->folder->lock);
    folder_lost_locked(f->folder, CHANGE_OVERFLOW);
    pthread_mutex_unlock(&f->folder->lock);
    f->folder->scan_not_before_ns = clock_mono_ns() + CLOCK_NS_PER_S * 1000;
    (void)folder_step(f->folder); /* opens the gap; the scan must wait */
    assert_true(f->folder->needs_scan);
    pthread_mutex_lock(&f->folder->lock);
    folder_lost_locked(f->folder, CHANGE_OVERFLOW | CHANGE_INTERNAL);
    pthread_mutex_unlock(&f->folder->lock);
    (void)folder_step(f->folder);
    f->folder->scan_not_before_ns = 0;
    come_to_rest(f);
    read_rows(f);
    check_closed(f, CHANGE_OVERFLOW);
    assert_int_equal(f->rows, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full_dirty_set_is_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_within_a_gap, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
