/* test_write_complete.c: what becomes of a file that is being written (RULES 9 and 11): its row is
 * partial while somebody may be writing, one more row completes it, and a close is a row by itself,
 * once. The engine's own code on the disk of helper_simfs.h, whose clock the test turns. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "helper_simdaemon.h"

enum { A };

static struct simdaemon daemon_;
static struct simfs disk_;

/* A file that the daemon knows as it is, and the given answer to whether somebody writes to it. */
static void begin(int writer)
{
    const struct sim_op create = {SIM_CREATE, SIM_ROOT, A, 0, 0};
    sim_init(&disk_);
    sim_do(&disk_, &create);
    simdaemon_restart(&daemon_);
    assert_true(simdaemon_settle(&daemon_));
    daemon_.row_count = 0;
    disk_.writer = writer;
}

/* One round with all that is dirty, and what is due, so much later. */
static void round_after(int64_t ns)
{
    simdaemon_drain(&daemon_);
    daemon_.now_ns += ns;
    if (!simdaemon_round(&daemon_, 0, true)) {
        fail_msg("%s", daemon_.why);
    }
}

static void expect_modify(uint32_t flags)
{
    assert_int_equal(daemon_.row_count, 1);
    assert_int_equal(daemon_.rows[0].kind, CHANGE_MODIFY);
    assert_string_equal(daemon_.rows[0].path, "a");
    assert_int_equal(daemon_.rows[0].flags, flags);
    daemon_.row_count = 0;
}

/* Later, on and on, there is nothing more to say. */
static void expect_no_more(void)
{
    for (int i = 0; i < 10; i++) {
        round_after(OBSERVE_PARTIAL_QUIET_NS);
        simdaemon_poll(&daemon_);
    }
    assert_int_equal(daemon_.row_count, 0);
    assert_true(simdaemon_settle(&daemon_));
    assert_int_equal(daemon_.row_count, 0);
}

static void write_partial(void)
{
    const struct sim_op write = {SIM_WRITE, SIM_ROOT, A, 0, 0};
    sim_do(&disk_, &write);
    round_after(0);
    expect_modify(CHANGE_PARTIAL);
}

/* Nothing says that the writer is through, but it has been quiet for long. */
static void test_quiet_completes(void **state)
{
    (void)state;
    for (int writer = -1; writer <= 1; writer += 2) { /* cannot tell; has it open all the time */
        begin(writer);
        write_partial();
        int64_t quiet_since = daemon_.now_ns;
        const int64_t step = 2 * CLOCK_NS_PER_S;
        while (daemon_.now_ns + step - quiet_since < OBSERVE_PARTIAL_QUIET_NS) {
            round_after(step);
            assert_int_equal(daemon_.row_count, 0);
        }
        round_after(step);
        expect_modify(0);
        expect_no_more();
    }
}

/* The system's word that nobody has it open any more is enough, long before that. */
static void test_probe_completes(void **state)
{
    (void)state;
    begin(1);
    write_partial();
    round_after(2 * CLOCK_NS_PER_S);
    assert_int_equal(daemon_.row_count, 0);
    disk_.writer = 0;
    round_after(2 * CLOCK_NS_PER_S);
    expect_modify(0);
    expect_no_more();
}

/* The close comes after the last look: nothing differs, and the row is due all the same. */
static void test_close_completes(void **state)
{
    (void)state;
    begin(1);
    write_partial();
    disk_.writer = 0;
    sim_tell(&disk_, SIM_ROOT, A, HINT_CLOSED);
    round_after(0);
    expect_modify(0);
    expect_no_more();
}

/* Closed after a write that left size and times as they were: a row, once, and not because a scan
 * came by. */
static void test_close_without_difference(void **state)
{
    (void)state;
    begin(0);
    struct settle_name scanned = {
        .dir = sim_file(&disk_, SIM_ROOT), .name = sim_name(A), .hints = HINT_SCAN};
    assert_true(settle_put_back(daemon_.settle, &scanned, 0));
    round_after(0);
    assert_int_equal(daemon_.row_count, 0);
    sim_tell(&disk_, SIM_ROOT, A, HINT_CLOSED);
    round_after(0);
    expect_modify(0);
    expect_no_more();
}

static int setup(void **state)
{
    (void)state;
    return simdaemon_init(&daemon_, &disk_, 0);
}

static int teardown(void **state)
{
    (void)state;
    simdaemon_deinit(&daemon_);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_completes),
        cmocka_unit_test(test_probe_completes),
        cmocka_unit_test(test_close_completes),
        cmocka_unit_test(test_close_without_difference),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
