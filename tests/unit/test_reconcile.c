/* test_reconcile.c: settle, observe and reconcile on a naive disk: exact rows for known cases, and
 * every short sequence of operations with every partial look between them. test_reconcile_random.c
 * has the random runs, test_reconcile_traps.c what they meet too seldom.
 *
 * SPOOR_TEST_SHARE=N in the environment runs every N-th case of the enumerations (sanitizers). */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_reconcile.h"
#include "helper_share.h"

enum { OPS_MAX = 4096 };

/* --- known cases --- */

static void expect_rows(int which, const struct sim_op *ops, int count, const char *expected)
{
    assert_true(reconcile_start(which));
    for (int i = 0; i < count; i++) {
        sim_do(&disk_, &ops[i]);
    }
    if (!simdaemon_settle(&daemon_)) {
        reconcile_print_failure(ops, count, expected);
        fail();
    }
    reconcile_expect_rows(expected);
}

#define EXPECT(which, expected, ...)                                                               \
    do {                                                                                           \
        const struct sim_op ops_[] = {__VA_ARGS__};                                                \
        expect_rows(which, ops_, (int)ARRAY_LEN(ops_), expected);                                  \
    } while (0)

/* Nodes of shape 2: a is 3, d is 4, d/a is 5, d/b is 6. */
static void test_known_cases(void **state)
{
    (void)state;
    enum { A, B, D };
    EXPECT(2, "move a>b", {SIM_RENAME, 1, A, 1, B});
    EXPECT(2, "move a>d/b", {SIM_RENAME, 1, A, 4, B});
    EXPECT(2, "move d>b", {SIM_RENAME, 1, D, 1, B});
    EXPECT(2, "move a>d/d", {SIM_RENAME, 1, A, 1, B}, {SIM_RENAME, 1, B, 4, D});
    EXPECT(2, "exchange d/a>a", {SIM_EXCHANGE, 1, A, 4, A});
    EXPECT(2, "exchange d>a", {SIM_EXCHANGE, 1, A, 1, D});
    EXPECT(2, "modify a", {SIM_CREATE, 1, B, 0, 0}, {SIM_WRITE, 1, B, 0, 0},
           {SIM_RENAME, 1, B, 1, A});
    EXPECT(2, "", {SIM_CREATE, 1, B, 0, 0}, {SIM_REMOVE, 1, B, 0, 0});
    EXPECT(2, "create b, move a>b/a", {SIM_MKDIR, 1, B, 0, 0}, {SIM_RENAME, 1, A, 7, A});
    EXPECT(2, "delete d", {SIM_REMOVE, 1, D, 0, 0});
    EXPECT(2, "move d/a>b, delete d", {SIM_RENAME, 4, A, 1, B}, {SIM_REMOVE, 1, D, 0, 0});
    EXPECT(2, "move d>b, modify b/a", {SIM_RENAME, 1, D, 1, B}, {SIM_WRITE, 4, A, 0, 0});
    EXPECT(2, "modify a", {SIM_WRITE, 1, A, 0, 0}, {SIM_WRITE, 1, A, 0, 0});
    EXPECT(2, "create d/d", {SIM_LINK, 1, A, 4, D});
    EXPECT(2, "delete a, create a", {SIM_REMOVE, 1, A, 0, 0}, {SIM_MKDIR, 1, A, 0, 0});
    EXPECT(1, "delete d, create d", {SIM_REMOVE, 1, D, 0, 0}, {SIM_MKDIR, 1, D, 0, 0});
}

/* Each operation by a process of its own: pids 1, 2, ... of the rows, in order. */
static void expect_actors(const struct sim_op *ops, int count, const char *expected)
{
    char got[128] = "";
    size_t len = 0;
    assert_true(reconcile_start(2));
    for (int i = 0; i < count; i++) {
        sim_do(&disk_, &ops[i]);
        daemon_.actor = (struct actor){i + 1, "program"};
        simdaemon_drain(&daemon_);
    }
    daemon_.actor = (struct actor){0};
    if (!simdaemon_settle(&daemon_)) {
        reconcile_print_failure(ops, count, expected);
        fail();
    }
    for (int i = 0; i < daemon_.row_count; i++) {
        const struct sim_row *row = &daemon_.rows[i];
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%s by %d", i ? ", " : "",
                                change_kind_name(row->kind), row->actor.pid);
    }
    assert_string_equal(got, expected);
}

#define EXPECT_ACTORS(expected, ...)                                                               \
    do {                                                                                           \
        const struct sim_op ops_[] = {__VA_ARGS__};                                                \
        expect_actors(ops_, (int)ARRAY_LEN(ops_), expected);                                       \
    } while (0)

static void test_actors(void **state)
{
    (void)state;
    enum { A, B, D };
    EXPECT_ACTORS("create by 1", {SIM_CREATE, 1, B, 0, 0});
    EXPECT_ACTORS("modify by 2", {SIM_WRITE, 1, A, 0, 0}, {SIM_WRITE, 1, A, 0, 0});
    EXPECT_ACTORS("move by 2, modify by 2", {SIM_WRITE, 1, A, 0, 0}, {SIM_RENAME, 1, A, 1, B});
    EXPECT_ACTORS("exchange by 1", {SIM_EXCHANGE, 1, A, 4, A});
    EXPECT_ACTORS("delete by 1", {SIM_REMOVE, 1, D, 0, 0});
    EXPECT_ACTORS("move by 1, delete by 2", {SIM_RENAME, 4, A, 1, B}, {SIM_REMOVE, 1, D, 0, 0});
    EXPECT_ACTORS("modify by 3", {SIM_CREATE, 1, B, 0, 0}, {SIM_WRITE, 1, B, 0, 0},
                  {SIM_RENAME, 1, B, 1, A});
    EXPECT_ACTORS("delete by 2, create by 2", {SIM_REMOVE, 1, A, 0, 0}, {SIM_MKDIR, 1, A, 0, 0});
}

/* A write shows on each name of the file, and so does who wrote, though one name alone was told. */
static void test_actor_of_links(void **state)
{
    (void)state;
    enum { A, B, D };
    const struct sim_op link = {SIM_LINK, 1, A, 4, D}, write = {SIM_WRITE, 1, A, 0, 0};
    assert_true(reconcile_start(2));
    disk_.all_links = false;
    sim_do(&disk_, &link);
    assert_true(simdaemon_settle(&daemon_));
    daemon_.row_count = 0;
    sim_do(&disk_, &write);
    daemon_.actor = (struct actor){9, "cp"};
    assert_true(simdaemon_settle(&daemon_));
    daemon_.actor = (struct actor){0};
    assert_int_equal(daemon_.row_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(daemon_.rows[i].kind, CHANGE_MODIFY);
        assert_int_equal(daemon_.rows[i].actor.pid, 9);
    }
}

/* The tree's directory is another inode now: the row pair is due although the name is the same. */
static void test_swap_with_ancestor(void **state)
{
    (void)state;
    enum { A, B, D };
    assert_true(reconcile_start(4)); /* a = 3, a/a = 4, a/a/a = 5 */
    const struct sim_op ops[] = {
        {SIM_RENAME, 3, A, 1, B}, {SIM_RENAME, 1, A, 4, D}, {SIM_RENAME, 1, B, 1, A}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        sim_do(&disk_, &ops[i]);
    }
    daemon_.check_identity = true;
    bool ok = simdaemon_settle(&daemon_);
    daemon_.check_identity = false;
    if (!ok) {
        reconcile_print_failure(ops, (int)ARRAY_LEN(ops), "swap");
    }
    assert_true(ok);
    for (int i = 0; i < daemon_.row_count; i++) {
        assert_int_equal(daemon_.rows[i].kind, CHANGE_MOVE);
    }
}

/* A directory left, lost a file while outside, and came back before anybody looked (RULES 5). */
static void test_left_and_came_back(void **state)
{
    (void)state;
    enum { A, B, D };
    EXPECT(2, "delete d/a", {SIM_RENAME, 1, D, 2, D}, {SIM_REMOVE, 4, A, 0, 0},
           {SIM_RENAME, 2, D, 1, D});
}

static void renumber_all(void)
{
    for (int node = 3; node < disk_.next; node++) {
        sim_renumber(&disk_, node);
    }
    simdaemon_poll(&daemon_);
}

/* A weak folder (RULES 2): other numbers are no change, and a number alone is no move. */
static void test_weak_identity(void **state)
{
    (void)state;
    enum { A, B, D };
    static const struct sim_op swapped[] = {
        {SIM_REMOVE, 1, B, 0, 0}, {SIM_REMOVE, 1, A, 0, 0}, {SIM_CREATE, 1, B, 0, 0}};
    daemon_.weak = true;
    for (int which = 0; which < RECONCILE_SHAPES; which++) {
        assert_true(reconcile_start(which));
        renumber_all();
        assert_true(simdaemon_settle(&daemon_));
        assert_int_equal(daemon_.row_count, 0);
    }
    /* Renames are what they are as long as the numbers last. */
    EXPECT(2, "move d>b", {SIM_RENAME, 1, D, 1, B});
    EXPECT(2, "exchange d>a", {SIM_EXCHANGE, 1, A, 1, D});
    EXPECT(2, "move a>d/b", {SIM_RENAME, 1, A, 4, B});
    /* The number of a deleted file comes to another one, which has another time. */
    for (int same = 0; same < 2; same++) {
        assert_true(reconcile_start(1));
        for (size_t i = 0; i < ARRAY_LEN(swapped); i++) {
            sim_do(&disk_, &swapped[i]);
        }
        disk_.nodes[disk_.next - 1].number = 3;
        disk_.nodes[disk_.next - 1].version += !same;
        (void)simdaemon_settle(&daemon_);
        assert_string_equal(daemon_.why, "");
        assert_int_equal(daemon_.row_count, same ? 1 : 2);
        assert_int_equal(daemon_.rows[0].kind, same ? CHANGE_MOVE : CHANGE_DELETE);
    }
    daemon_.weak = false;
}

/* Does this behind the kernel's back; one hint follows. */
static void told_only(const struct sim_op *op, int dir, struct bytes name, uint8_t hints)
{
    sim_do(&disk_, op);
    disk_.event_count = 0;
    assert_true(
        settle_mark_name(daemon_.settle, sim_file(&disk_, dir), name, hints, NULL, daemon_.now_ns));
    if (!simdaemon_settle(&daemon_)) {
        reconcile_print_failure(op, 1, "told only");
        fail();
    }
    assert_int_equal(daemon_.row_count, 1);
    daemon_.row_count = 0;
}

/* The kernel knows that names changed in a directory, and not which: it is listed. */
static void test_directory_told_by_itself(void **state)
{
    (void)state;
    enum { A, B, D };
    const struct bytes self = bytes_str(".");
    assert_true(reconcile_start(2)); /* as above */
    told_only(&(struct sim_op){SIM_WRITE, 1, A, 0, 0}, 1, self, HINT_NAME);
    told_only(&(struct sim_op){SIM_REMOVE, 4, A, 0, 0}, 4, self, HINT_NAME);
    told_only(&(struct sim_op){SIM_WRITE, 4, B, 0, 0}, 1, self, HINT_ENTERED);
    told_only(&(struct sim_op){SIM_CREATE, 1, B, 0, 0}, 1, self, HINT_NAME | HINT_ENTERED);
}

/* One that may have come from elsewhere is watched anew, with all below it. */
static void test_entered_is_watched_again(void **state)
{
    (void)state;
    enum { A, B, D };
    assert_true(reconcile_start(4)); /* a = 3, a/a = 4 */
    for (int node = 3; node <= 4; node++) {
        disk_.nodes[node].watched = false;
    }
    assert_true(settle_mark_name(daemon_.settle, sim_file(&disk_, 1), sim_name(A),
                                 HINT_NAME | HINT_ENTERED, NULL, daemon_.now_ns));
    assert_true(simdaemon_settle(&daemon_));
    assert_int_equal(daemon_.row_count, 0);
    for (int node = 3; node <= 4; node++) {
        assert_true(disk_.nodes[node].watched);
    }
}

/* Names are found whatever their case (RULES 7): "b" is "a" in another. */
static void test_other_case(void **state)
{
    (void)state;
    enum { A, B, D };
    const struct sim_op rename = {SIM_RENAME, 3, A, 3, B};
    assert_true(reconcile_start(4)); /* a = 3, a/a = 4 */
    disk_.folds = true;
    sim_do(&disk_, &rename);
    assert_true(simdaemon_settle(&daemon_));
    assert_int_equal(daemon_.row_count, 1);
    assert_int_equal(daemon_.rows[0].kind, CHANGE_MOVE);
    assert_string_equal(daemon_.rows[0].path, "a/b");
    /* A hint in another spelling is one of the name that the directory holds. */
    daemon_.row_count = 0;
    disk_.nodes[5].version++;
    struct actor nobody = {0};
    assert_true(settle_mark_name(daemon_.settle, sim_file(&disk_, 4), sim_name(B),
                                 HINT_CONTENT | HINT_CLOSED, &nobody, daemon_.now_ns));
    assert_true(simdaemon_settle(&daemon_));
    assert_int_equal(daemon_.row_count, 1);
    assert_int_equal(daemon_.rows[0].kind, CHANGE_MODIFY);
    assert_string_equal(daemon_.rows[0].path, "a/b/a");
    /* Deleted by another spelling. */
    daemon_.row_count = 0;
    disk_.nodes[4].kids[A] = 0;
    assert_true(settle_mark_name(daemon_.settle, sim_file(&disk_, 4), sim_name(B), HINT_NAME,
                                 &nobody, daemon_.now_ns));
    assert_true(simdaemon_settle(&daemon_));
    assert_int_equal(daemon_.row_count, 1);
    assert_int_equal(daemon_.rows[0].kind, CHANGE_DELETE);
    disk_.folds = false;
}

/* --- enumeration --- */

struct tally {
    long cases, bad;
    int share;
};

static void judge(struct tally *tally, bool ok, const struct sim_op *ops, int count,
                  const char *what)
{
    tally->cases++;
    if (!ok && tally->bad++ < 3) {
        reconcile_print_failure(ops, count, what);
    }
}

/* Applies ops; after each but the last looks at the dirty names chosen by `bits[i]` (0: none). */
static bool replay(int which, const struct sim_op *ops, int count, const uint64_t *bits)
{
    if (!reconcile_start(which)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        sim_do(&disk_, &ops[i]);
        if (i + 1 < count && bits[i]) {
            simdaemon_drain(&daemon_);
            if (!simdaemon_round(&daemon_, bits[i], false)) {
                return false;
            }
        }
    }
    return simdaemon_settle(&daemon_);
}

/* Every pair of operations, every subset of the names that the first made dirty looked at between.
 */
static void test_pairs_with_every_partial_look(void **state)
{
    (void)state;
    static struct sim_op first[OPS_MAX], second[OPS_MAX];
    struct tally tally = {.share = test_share()};
    daemon_.check_identity = true;
    for (int which = 0; which < RECONCILE_SHAPES; which++) {
        struct simfs base, next;
        reconcile_shape(&base, which);
        base.all_links = true;
        int firsts = sim_ops(&base, 3, false, true, first, OPS_MAX);
        for (int i = 0; i < firsts; i++) {
            next = base;
            sim_do(&next, &first[i]);
            int seconds = sim_ops(&next, 3, false, true, second, OPS_MAX);
            for (int k = 0; k < seconds; k++) {
                const struct sim_op ops[] = {first[i], second[k]};
                for (uint64_t bits = 0; bits < 8; bits++) {
                    if (tally.cases++ % tally.share == 0) {
                        tally.cases--;
                        judge(&tally, replay(which, ops, 2, &bits), ops, 2, "pair");
                    }
                }
            }
        }
    }
    daemon_.check_identity = false;
    print_message("%ld pairs with a partial look, %ld bad\n", tally.cases, tally.bad);
    assert_int_equal(tally.bad, 0);
}

/* Every sequence of three, looked at only at the end, and looked at after each. */
static void triples(struct tally *tally, int which, int max_dirs)
{
    static struct sim_op first[OPS_MAX], second[OPS_MAX], third[OPS_MAX];
    const uint64_t never[] = {0, 0}, always[] = {~UINT64_C(0), ~UINT64_C(0)};
    struct simfs base, one, two;
    reconcile_shape(&base, which);
    int firsts = sim_ops(&base, max_dirs, false, true, first, OPS_MAX);
    long number = 0;
    for (int i = 0; i < firsts; i++) {
        one = base;
        sim_do(&one, &first[i]);
        int seconds = sim_ops(&one, max_dirs, false, true, second, OPS_MAX);
        for (int k = 0; k < seconds; k++) {
            two = one;
            sim_do(&two, &second[k]);
            int thirds = sim_ops(&two, max_dirs, false, true, third, OPS_MAX);
            for (int m = 0; m < thirds; m++) {
                const struct sim_op ops[] = {first[i], second[k], third[m]};
                if (number++ % tally->share != 0) {
                    continue;
                }
                judge(tally, replay(which, ops, 3, never), ops, 3, "triple, one look");
                judge(tally, replay(which, ops, 3, always), ops, 3, "triple, look after each");
            }
        }
    }
}

static void test_triples(void **state)
{
    (void)state;
    struct tally tally = {.share = test_share()};
    daemon_.check_identity = true;
    for (int which = 0; which < RECONCILE_SHAPES; which++) {
        triples(&tally, which, 2);
    }
    daemon_.check_identity = false;
    print_message("%ld triples, %ld bad\n", tally.cases, tally.bad);
    assert_int_equal(tally.bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_cases),
        cmocka_unit_test(test_actors),
        cmocka_unit_test(test_actor_of_links),
        cmocka_unit_test(test_swap_with_ancestor),
        cmocka_unit_test(test_left_and_came_back),
        cmocka_unit_test(test_weak_identity),
        cmocka_unit_test(test_other_case),
        cmocka_unit_test(test_directory_told_by_itself),
        cmocka_unit_test(test_entered_is_watched_again),
        cmocka_unit_test(test_pairs_with_every_partial_look),
        cmocka_unit_test(test_triples),
    };
    return cmocka_run_group_tests(tests, reconcile_setup, reconcile_teardown);
}
