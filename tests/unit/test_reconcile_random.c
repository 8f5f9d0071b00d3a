/* test_reconcile_random.c: settle, observe and reconcile on a naive disk: random runs by seed, with
 * partial and torn looks, small budgets, moves out of sight, numbers that do not last, and names in
 * another case.
 *
 *   test_reconcile_random [SEED RUNS MODE]   repeats runs of one mode
 *
 * SPOOR_TEST_SHARE=N in the environment runs an N-th of them (sanitizers). */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_reconcile.h"
#include "helper_share.h"
#include "num.h"

enum { OPS_MAX = 4096 };

struct mode {
    const char *name;
    bool torn;    /* operations between single looks */
    bool outside; /* moves through directories that are not watched */
    bool links;
    size_t facts_max; /* a small listing budget; 0 none */
    bool weak;        /* inodes are given other numbers */
    bool folds;       /* names are found whatever their case */
};

static const struct mode modes[] = {
    {"partial", false, false, true, 0, false, false},
    {"torn", true, false, true, 0, false, false},
    {"outside", false, true, false, 0, false, false},
    {"budget", false, false, false, 2, false, false},
    {"torn outside budget", true, true, false, 3, false, false},
    {"torn links budget", true, false, true, 2, false, false},
    {"weak", false, false, true, 0, true, false},
    {"weak torn outside", true, true, true, 0, true, false},
    {"weak budget", false, false, false, 2, true, false},
    {"case", false, false, true, 0, false, true},
    {"case torn", true, false, true, 0, false, true},
    {"case torn outside budget", true, true, false, 3, false, true},
};

static uint64_t random_state;

static uint32_t roll(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

struct run {
    const struct mode *mode;
    struct sim_op ops[512];
    int count;
    bool world_moves;
};

static void one_operation(struct run *run)
{
    static struct sim_op offered[OPS_MAX];
    int count = sim_ops(&disk_, 5, run->mode->outside, run->mode->links, offered, OPS_MAX);
    if (count && run->count < (int)ARRAY_LEN(run->ops)) {
        run->ops[run->count] = offered[roll((uint32_t)count)];
        sim_do(&disk_, &run->ops[run->count++]);
    }
}

static void between_looks(void *ctx)
{
    struct run *run = ctx;
    if (run->world_moves && roll(100) < 15) {
        one_operation(run);
    }
}

/* Some inodes, or all, get other numbers; a poll notices. */
static void renumber(bool all)
{
    for (int node = 3; node < disk_.next; node++) {
        if (disk_.nodes[node].type && (all || roll(4) == 0) && disk_.next_number < UINT16_MAX) {
            sim_renumber(&disk_, node);
        }
    }
    simdaemon_poll(&daemon_);
}

static bool random_run(struct run *run, uint64_t seed)
{
    random_state = seed * 2654435761u + 12345;
    run->count = 0;
    run->world_moves = false;
    reconcile_shape(&disk_, run->mode->folds ? 4 * (int)roll(2)
                                             : (int)roll(RECONCILE_SHAPES)); /* without a and b */
    disk_.all_links = run->mode->links;
    disk_.folds = run->mode->folds;
    disk_.before_look = between_looks;
    disk_.ctx = run;
    simdaemon_restart(&daemon_);
    daemon_.weak = run->mode->weak;
    bool calm = !run->mode->torn && !run->mode->facts_max && !run->mode->outside && !daemon_.weak;
    daemon_.check_identity = calm;
    bool ok = simdaemon_settle(&daemon_);
    run->world_moves = run->mode->torn;
    for (int i = 0; i < 25 && ok; i++) {
        one_operation(run);
        if (run->mode->weak && roll(6) == 0) {
            renumber(roll(4) == 0);
        }
        if (roll(2)) {
            simdaemon_drain(&daemon_);
            uint64_t bits = ((uint64_t)roll(1u << 30) << 32) | roll(1u << 30);
            bits |= roll(2) ? ((uint64_t)roll(1u << 30) << 32) | roll(1u << 30) : 0;
            ok = simdaemon_round(&daemon_, bits, false);
        }
    }
    run->world_moves = false;
    if (run->mode->weak) {
        simdaemon_poll(&daemon_); /* what was not watched */
    }
    ok = ok && simdaemon_settle(&daemon_);
    if (ok && run->mode->weak) {
        daemon_.row_count = 0;
        renumber(true);
        ok = simdaemon_settle(&daemon_);
        if (ok && daemon_.row_count) {
            (void)snprintf(daemon_.why, sizeof daemon_.why, "other numbers made rows");
            ok = false;
        }
    }
    daemon_.check_identity = false;
    return ok;
}

static long random_runs(const struct mode *mode, uint64_t first_seed, long runs)
{
    static struct run run;
    long bad = 0;
    struct simdaemon saved = daemon_;
    assert_int_equal(simdaemon_init(&daemon_, &disk_, mode->facts_max), 0);
    run.mode = mode;
    for (long i = 0; i < runs; i++) {
        if (!random_run(&run, first_seed + (uint64_t)i) && bad++ < 2) {
            char what[128];
            (void)snprintf(what, sizeof what, "%s, seed %llu", mode->name,
                           (unsigned long long)first_seed + (unsigned long long)i);
            reconcile_print_failure(run.ops, run.count, what);
        }
    }
    simdaemon_deinit(&daemon_);
    daemon_ = saved;
    return bad;
}

static void test_random_runs(void **state)
{
    (void)state;
    long runs = 100000 / (long)ARRAY_LEN(modes) / test_share() + 1, bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        long wrong = random_runs(&modes[i], 1, runs);
        print_message("%ld random runs, %s: %ld bad\n", runs, modes[i].name, wrong);
        bad += wrong;
    }
    assert_int_equal(bad, 0);
}

int main(int argc, char **argv)
{
    int64_t seed, runs, mode;
    if (argc == 4 && num_parse_i64(argv[1], 0, INT64_MAX, &seed) == 0 &&
        num_parse_i64(argv[2], 1, INT32_MAX, &runs) == 0 &&
        num_parse_i64(argv[3], 0, (int64_t)ARRAY_LEN(modes) - 1, &mode) == 0) {
        return random_runs(&modes[mode], (uint64_t)seed, (long)runs) != 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs),
    };
    return cmocka_run_group_tests(tests, reconcile_setup, reconcile_teardown);
}
