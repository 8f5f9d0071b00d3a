/* test_whole_folder.c: a folder with its threads on the real kernel and the real disk of whatever
 * system this is: what users do becomes the rows that the manual says, while it runs and while it
 * does not. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "folder.h"
#include "helper_temp.h"
#include "reader.h"
#include "wake.h"

#define WAIT_NS (60 * CLOCK_NS_PER_S)

struct fixture {
    struct temp_dir temp;
    struct config_folder config;
    struct wake wake;
    struct folder *folder;
    struct err err;
    char path[192], state[192];
    int64_t read; /* rows up to here were checked */
    struct buf rows;
};

static void changed(void *ctx)
{
    wake_set(ctx);
}

static void start(struct fixture *f)
{
    const struct folder_notify notify = {&f->wake, changed};
    if (folder_open(&f->config, f->state, &notify, &f->folder, &f->err) != 0 ||
        folder_start(f->folder, &f->err) != 0)
        fail_msg("%s", f->err.text);
}

static void stop(struct fixture *f)
{
    folder_stop(f->folder);
    folder_close(f->folder);
    f->folder = NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    temp_dir_open(&f->temp);
    temp_mkdir(&f->temp, "docs");
    (void)snprintf(f->path, sizeof f->path, "%s/docs", f->temp.path);    /* fits */
    (void)snprintf(f->state, sizeof f->state, "%s/state", f->temp.path); /* fits */
    f->config = (struct config_folder){
        .name = (char *)"docs",
        .path = f->path,
        .settle_ns = 20 * CLOCK_NS_PER_MS,
        .max_delay_ns = CLOCK_NS_PER_S,
        .partial_max_ns = CLOCK_NS_PER_S,
        .poll_interval_ns = 60 * CLOCK_NS_PER_S,
        .retention_forever = true,
        .scan_threads = 1,
        .backend = CONFIG_BACKEND_AUTO,
    };
    buf_init(&f->rows, 1 << 20);
    assert_int_equal(wake_open(&f->wake, &f->err), 0);
    start(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->folder)
        stop(f);
    wake_close(&f->wake);
    buf_deinit(&f->rows);
    temp_dir_close(&f->temp);
    free(f);
    return 0;
}

/* Until all that happened before is journaled. */
static void sync_folder(struct fixture *f)
{
    int64_t deadline = clock_mono_ns() + WAIT_NS, seq;
    uint64_t ticket = 0;
    int done = folder_sync_start(f->folder, &ticket, &f->err);
    while (done == 0 && (done = folder_sync_done(f->folder, ticket, &seq, &f->err)) == 0) {
        struct folder_status status;
        folder_get_status(f->folder, &status);
        if (!wake_wait(&f->wake, deadline))
            fail_msg("no end in time: %s, %s, %s", folder_state_name(status.state), status.error,
                     status.trouble);
    }
    if (done < 0)
        fail_msg("%s", f->err.text);
}

static int add_row(void *ctx, const struct change *row)
{
    struct fixture *f = ctx;
    buf_addf(&f->rows, "%s ", change_kind_name(row->kind));
    if (row->kind == CHANGE_MOVE) {
        buf_add(&f->rows, row->from.at, row->from.len);
        buf_add_str(&f->rows, " -> ");
    }
    if (row->path.len)
        buf_add(&f->rows, row->path.at, row->path.len);
    buf_add_char(&f->rows, '\n');
    f->read = row->seq;
    return 0;
}

/* The rows since the last call are these. */
static void expect(struct fixture *f, const char *rows)
{
    struct reader *reader = NULL;
    sync_folder(f);
    struct reader_range range = {
        .first = f->read + 1, .last = INT64_MAX, .verify = true, .until_ms = INT64_MAX};
    buf_reset(&f->rows);
    assert_int_equal(reader_open(folder_dir(f->folder), &reader, &f->err), 0);
    assert_int_equal(reader_rows(reader, &range, add_row, f, &f->err), 0);
    reader_close(reader);
    assert_true(buf_ok(&f->rows));
    assert_string_equal(f->rows.data ? f->rows.data : "", rows);
}

static void test_at_work(void **state)
{
    struct fixture *f = *state;
    expect(f, "");
    temp_write(&f->temp, "docs/a.txt", "1");
    expect(f, "create a.txt\n");
    temp_write(&f->temp, "docs/a.txt", "12345");
    expect(f, "modify a.txt\n");
    temp_rename(&f->temp, "docs/a.txt", "docs/b \xc3\xa4\xf0\x9f\x90\xbe.txt");
    expect(f, "move a.txt -> b \xc3\xa4\xf0\x9f\x90\xbe.txt\n");
    temp_mkdir(&f->temp, "docs/d");
    temp_mkdir(&f->temp, "docs/d/e");
    temp_write(&f->temp, "docs/d/e/f", "");
    expect(f, "create d\ncreate d/e\ncreate d/e/f\n");
    temp_rename(&f->temp, "docs/d/e/f", "docs/f"); /* from one directory to another */
    expect(f, "move d/e/f -> f\n");
    temp_rename(&f->temp, "docs/d", "docs/x"); /* one row, whatever it holds */
    expect(f, "move d -> x\n");
    temp_write(&f->temp, "docs/x/e/g", ""); /* below a directory that was renamed */
    expect(f, "create x/e/g\n");
    temp_rename(&f->temp, "docs/x/e", "docs/y");
    temp_write(&f->temp, "docs/y/g", "grown");
    expect(f, "move x/e -> y\nmodify y/g\n");
    temp_remove(&f->temp, "docs/y/g");
    temp_remove(&f->temp, "docs/y");
    expect(f, "delete y\n");
}

static void test_while_down(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "docs/kept", "1");
    temp_mkdir(&f->temp, "docs/d");
    temp_write(&f->temp, "docs/d/gone", "");
    temp_write(&f->temp, "docs/old", "2");
    sync_folder(f);
    stop(f);
    start(f);
    f->read = 4;
    expect(f, ""); /* nothing happened, nothing is written */
    stop(f);
    temp_rename(&f->temp, "docs/old", "docs/d/new");
    temp_remove(&f->temp, "docs/d/gone");
    temp_write(&f->temp, "docs/kept", "123");
    start(f);
    sync_folder(f);
    expect(f, "delete d/gone\nmove old -> d/new\nmodify kept\n");
    temp_write(&f->temp, "docs/d/after", "");
    expect(f, "create d/after\n");
}

/* Others move in, with all they hold. */
static void test_moved_in(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "in");
    temp_mkdir(&f->temp, "in/a");
    temp_write(&f->temp, "in/a/b", "1");
    expect(f, "");
    temp_rename(&f->temp, "in", "docs/in");
    expect(f, "create in\ncreate in/a\ncreate in/a/b\n");
    temp_rename(&f->temp, "docs/in", "out");
    expect(f, "delete in\n");
}

/* Far beyond the 260 units that Windows once had for a path. */
static void test_long_paths(void **state)
{
    struct fixture *f = *state;
    char path[600] = "docs";
    struct buf rows;
    buf_init(&rows, 1 << 20);
    for (int i = 0; i < 40; i++) {
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof path - len, "/directory%02d", i); /* fits */
        temp_mkdir(&f->temp, path);
        buf_addf(&rows, "create %s\n", path + strlen("docs/"));
    }
    expect(f, rows.data);
    (void)snprintf(path + strlen(path), sizeof path - strlen(path), "/f"); /* fits */
    temp_write(&f->temp, path, "1");
    buf_reset(&rows);
    buf_addf(&rows, "create %s\n", path + strlen("docs/"));
    expect(f, rows.data);
    buf_deinit(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_while_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_moved_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_paths, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
