/* test_engine.c: folders, uploads and the collector, whole and in one process, on whatever system
 * this is: what users do to a real directory arrives at the server, also what they did while the
 * server was away, and while nothing ran. The collector itself refuses a batch after which its tree
 * is not the client's (Spoor-Tree), so that an acknowledged row proves the tree. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "collect.h"
#include "config.h"
#include "engine.h"
#include "err.h"
#include "folder.h"
#include "helper_net.h"
#include "helper_temp.h"
#include "wake.h"

#define WAIT_NS (60 * CLOCK_NS_PER_S)

struct fixture {
    struct temp_dir temp;
    struct config *config;
    struct wake wake;
    struct engine *engine;
    struct collect *collect;
    int port;
    struct err err;
};

static void start_server(struct fixture *f)
{
    char store[192], address[64];
    (void)snprintf(store, sizeof store, "%s/store", f->temp.path);    /* fits */
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", f->port); /* fits */
    const struct collect_options options = {.listen = address, .store = store};
    if (collect_open(&options, &f->collect, &f->err) != 0)
        fail_msg("%s", f->err.text);
    f->port = collect_port(f->collect);
}

static void stop_server(struct fixture *f)
{
    collect_close(f->collect);
    f->collect = NULL;
}

static void start(struct fixture *f)
{
    if (engine_open(f->config, &f->wake, &f->engine, &f->err) != 0 ||
        engine_start(f->engine, &f->err) != 0)
        fail_msg("%s", f->err.text);
    engine_watch(f->engine, true);
}

static void stop(struct fixture *f)
{
    engine_stop(f->engine);
    assert_true(engine_wait_end(f->engine, clock_mono_ns() + WAIT_NS));
    engine_close(f->engine);
    f->engine = NULL;
}

/* Until what happened before is journaled; the last row. */
static int64_t sync_folder(struct fixture *f)
{
    int64_t deadline = clock_mono_ns() + WAIT_NS, seq = 0;
    struct folder *folder = engine_folder(f->engine, 0);
    uint64_t ticket = 0;
    int done = folder_sync_start(folder, &ticket, &f->err);
    while (done == 0 && (done = folder_sync_done(folder, ticket, &seq, &f->err)) == 0)
        if (!wake_wait(&f->wake, deadline))
            fail_msg("not journaled in time");
    if (done < 0)
        fail_msg("%s", f->err.text);
    return seq;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char text[1024];
    assert_non_null(f);
    temp_dir_open(&f->temp);
    temp_mkdir(&f->temp, "docs");
    start_server(f);
    (void)snprintf(text, sizeof text,
                   "[daemon]\nstate_dir = %s/state\n[folder \"docs\"]\npath = %s/docs\n"
                   "settle = 10s\nmax_delay = 10s\n[upload \"main\"]\nurl = http://127.0.0.1:%d/\n"
                   "batch_delay = 0ms\nretry_min = 10ms\nretry_max = 100ms\n",
                   f->temp.path, f->temp.path, f->port); /* fits */
    if (config_parse("c", f->temp.path, text, strlen(text), &f->config, &f->err) != 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(wake_open(&f->wake, &f->err), 0);
    start(f);
    (void)sync_folder(f); /* indexed: from here on a sync alone has names looked at, once each */
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->engine)
        stop(f);
    if (f->collect)
        stop_server(f);
    wake_close(&f->wake);
    config_free(f->config);
    temp_dir_close(&f->temp);
    free(f);
    return 0;
}

/* And until the server has it. */
static int64_t sync_server(struct fixture *f)
{
    int64_t deadline = clock_mono_ns() + WAIT_NS;
    int64_t seq = sync_folder(f);
    while (!engine_acknowledged(f->engine, 0, seq))
        if (!wake_wait(&f->wake, deadline))
            fail_msg("row %lld was not acknowledged in time", (long long)seq);
    return seq;
}

static void test_to_the_server(void **state)
{
    struct fixture *f = *state;
    char name[64];
    temp_mkdir(&f->temp, "docs/d");
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "docs/%sfile-%02d", i % 2 ? "d/" : "", i); /* fits */
        temp_write(&f->temp, name, "1");
    }
    assert_int_equal(sync_server(f), 51);
    temp_rename(&f->temp, "docs/d", "docs/\xc3\xa4");
    assert_int_equal(sync_server(f), 52);
    temp_remove(&f->temp, "docs/file-00");
    temp_rename(&f->temp, "docs/file-02", "docs/\xc3\xa4/file-02");
    temp_write(&f->temp, "docs/file-04", "longer");
    assert_int_equal(sync_server(f), 55);
}

static void test_server_away_and_daemon_down(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "docs/a", "1");
    assert_int_equal(sync_server(f), 1);
    stop_server(f);
    temp_write(&f->temp, "docs/b", "2");
    assert_int_equal(sync_folder(f), 2);
    assert_false(engine_acknowledged(f->engine, 0, 2));
    start_server(f);
    engine_retry(f->engine, SIZE_MAX);
    assert_int_equal(sync_server(f), 2);
    stop(f);
    temp_rename(&f->temp, "docs/a", "docs/c");
    temp_write(&f->temp, "docs/e", "3");
    start(f);
    assert_int_equal(sync_server(f), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_to_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_away_and_daemon_down, set_up, tear_down),
    };

    net_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
