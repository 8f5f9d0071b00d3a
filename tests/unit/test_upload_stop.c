/* test_upload_stop.c: an upload that is told to stop does so at once, whatever it waits for, and
 * what it was sending is sent by the next one as it was. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sched.h>

#include "buf.h"
#include "clock.h"
#include "helper_net.h"
#include "helper_server.h"
#include "helper_upload.h"
#include "log.h"
#include "upload.h"

static void stop_is_quick(struct upload_stage *stage)
{
    int64_t start = clock_mono_ns();
    upload_stop(stage->upload);
    upload_close(stage->upload);
    stage->upload = NULL;
    assert_true(clock_mono_ns() - start < CLOCK_NS_PER_S);
}

static void stop_while_a_request_hangs(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}, {NULL, true}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage_start(&stage);
    assert_true(server_wait(stage.server, 2));
    assert_int_equal(stage_status(&stage).state, UPLOAD_SENDING);
    stop_is_quick(&stage);
    stage_close(&stage);
}

/* A listener whose queue is full: Linux drops further SYNs, so that a connect goes on and on. */
static void stop_while_connecting(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{SERVER_NOTHING_YET, false}};
    struct upload_stage stage;
    int fillers[4], port;
    int listener = net_listen(0, &port);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        fillers[i] = net_dial(port, false);
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    (void)snprintf(stage.url, sizeof stage.url, "http://127.0.0.1:%d", port);
    stage_start(&stage);
    while (stage_status(&stage).state != UPLOAD_SENDING)
        (void)sched_yield(); /* it gets there: the handshake is the first thing it does */
    stop_is_quick(&stage);
    assert_int_equal(stage.journal.reports, 0); /* it did not fail meanwhile */
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        assert_int_equal(net_close(fillers[i]), 0);
    assert_int_equal(net_close(listener), 0);
    stage_close(&stage);
}

static void stop_in_backoff_and_idle(void **state)
{
    (void)state;
    static const struct server_step steps[] = {{NULL, false}};
    struct upload_stage stage;
    stage_open(&stage, steps, ARRAY_LEN(steps), 20);
    stage.config.retry_min_ns = stage.config.retry_max_ns = 3600 * CLOCK_NS_PER_S;
    stage_start(&stage);
    assert_true(upload_rig_wait_report(&stage.journal, "Empty reply"));
    stop_is_quick(&stage);
    /* never started */
    struct upload_journal ops = upload_rig_ops(&stage.journal);
    assert_int_equal(upload_open(&stage.config, &ops, 1, &stage.upload, &stage.err), 0);
    stop_is_quick(&stage);
    stage_close(&stage);
}

static void the_stored_bytes_survive_a_restart(void **state)
{
    (void)state;
    static const struct server_step steps[] = {
        {SERVER_NOTHING_YET, false},
        {NULL, true}, /* killed here */
        {SERVER_NOTHING_YET, false},
        {SERVER_OK, false},
    };
    struct upload_stage stage;
    stage_open(&stage, steps, 2, 20);
    stage_start(&stage);
    assert_true(server_wait(stage.server, 2));
    upload_close(stage.upload);
    stage.upload = NULL;
    size_t len;
    struct buf body;
    buf_init(&body, 1 << 20);
    const char *first = server_body(stage.server, 1, &len);
    buf_add(&body, first, len);
    server_stop(stage.server);

    /* another program: other level, other limits, more rows */
    upload_rig_reopen(&stage.journal);
    upload_rig_commit(&stage.journal, 7, 0);
    stage.server = server_start(steps + 2, 2);
    (void)snprintf(stage.url, sizeof stage.url, "http://127.0.0.1:%d", server_port(stage.server));
    stage.config.compression = 0;
    stage.config.batch_rows = 3;
    stage_start(&stage);
    assert_true(upload_rig_wait_acked(&stage.journal, 27));
    const char *second = server_body(stage.server, 1, &len);
    assert_int_equal(len, body.len);
    assert_memory_equal(second, body.data, len);
    assert_string_equal(server_header(stage.server, 1, "Content-Encoding"), "gzip");
    assert_string_equal(server_header(stage.server, 2, "Spoor-First"), "21");
    assert_string_equal(server_header(stage.server, 2, "Spoor-Last"), "23");
    assert_null(server_header(stage.server, 2, "Content-Encoding"));
    buf_deinit(&body);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_while_a_request_hangs),
        cmocka_unit_test(stop_while_connecting),
        cmocka_unit_test(stop_in_backoff_and_idle),
        cmocka_unit_test(the_stored_bytes_survive_a_restart),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
