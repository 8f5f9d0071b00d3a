/* test_reconcile_traps.c: the traps of finding differences by looking, each as its shortest
 * sequence: what a round must also look at, what it must not believe, and that a world which moves
 * between two of its looks costs nothing. test_reconcile.c has the enumerations and random runs;
 * some of these they meet too seldom.
 *
 * SPOOR_TEST_SHARE=N in the environment runs every N-th case of the enumeration (sanitizers). */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_reconcile.h"
#include "helper_share.h"

enum { A, B, D };
enum { OPS_MAX = 4096, LOOKS_MAX = 200 };

/* Operations that happen before the n-th look from now on. */
static struct {
    const struct sim_op *ops;
    int count;
    int looks; /* until then; 0: never, or done */
} torn;

static void before_look(void *ctx)
{
    (void)ctx;
    if (torn.looks && --torn.looks == 0) {
        for (int i = 0; i < torn.count; i++) {
            sim_do(&disk_, &torn.ops[i]);
        }
    }
}

/* --- the disk --- */

static void begin(void)
{
    sim_init(&disk_);
    torn.looks = 0;
    disk_.before_look = before_look;
    daemon_.check_identity = true;
}

static int make(int dir, int name, enum sim_kind kind)
{
    const struct sim_op op = {kind, dir, name, 0, 0};
    sim_do(&disk_, &op);
    return disk_.nodes[dir].kids[name];
}

/* The daemon knows the disk as it is now. */
static void known(void)
{
    simdaemon_restart(&daemon_);
    assert_true(simdaemon_settle(&daemon_));
    daemon_.row_count = 0;
}

/* Of d/a; returns d. */
static int begin_with_a_file_in_d(void)
{
    begin();
    int d = make(SIM_ROOT, D, SIM_MKDIR);
    (void)make(d, A, SIM_CREATE);
    known();
    return d;
}

static void act(const struct sim_op *ops, int count)
{
    for (int i = 0; i < count; i++) {
        sim_do(&disk_, &ops[i]);
    }
}

#define ACT(...)                                                                                   \
    do {                                                                                           \
        const struct sim_op ops_[] = {__VA_ARGS__};                                                \
        act(ops_, (int)ARRAY_LEN(ops_));                                                           \
    } while (0)

/* --- the daemon --- */

struct wanted {
    int dir, name;
    uint64_t bits;
    int index;
};

static int match(void *ctx, const struct settle_name *name)
{
    struct wanted *wanted = ctx;
    if (file_id_equal(name->dir, sim_file(&disk_, wanted->dir)) &&
        bytes_equal(name->name, sim_name(wanted->name))) {
        wanted->bits |= UINT64_C(1) << wanted->index;
    }
    wanted->index++;
    return 0;
}

/* One round in which this dirty name alone is due. */
static void look_at(int dir, int name)
{
    struct wanted wanted = {.dir = dir, .name = name};
    assert_int_equal(settle_each_name(daemon_.settle, match, &wanted), 0);
    assert_int_not_equal(wanted.bits, 0);
    if (!simdaemon_round(&daemon_, wanted.bits, false)) {
        fail_msg("%s", daemon_.why);
    }
}

static void come_to_rest(void)
{
    if (!simdaemon_settle(&daemon_)) {
        fail_msg("%s", daemon_.why);
    }
}

/* --- what must also be looked at --- */

/* The name's directory is another one now: the tree's path leads into the wrong one. */
static void test_directory_under_another_name(void **state)
{
    (void)state;
    begin();
    int a = make(SIM_ROOT, A, SIM_MKDIR), b = make(SIM_ROOT, B, SIM_MKDIR);
    (void)make(a, D, SIM_CREATE);
    (void)make(b, D, SIM_CREATE);
    known();
    ACT({SIM_EXCHANGE, SIM_ROOT, A, SIM_ROOT, B}, {SIM_WRITE, a, D, 0, 0});
    simdaemon_drain(&daemon_);
    look_at(a, D);
    reconcile_expect_rows("exchange b>a, modify b/d");
    come_to_rest();
}

/* Its directory is not where it was: what became of that one is looked at first. */
static void test_climb(void **state)
{
    (void)state;
    begin();
    int a = make(SIM_ROOT, A, SIM_MKDIR);
    (void)make(a, B, SIM_CREATE);
    known();
    ACT({SIM_RENAME, SIM_ROOT, A, SIM_ROOT, D}, {SIM_WRITE, a, B, 0, 0});
    simdaemon_drain(&daemon_);
    look_at(a, B);
    reconcile_expect_rows("move a>d, modify d/b");
    come_to_rest();
}

/* A file turns up: the name it had is looked at in the same round, and this is a move. */
static void test_names_of_what_turned_up(void **state)
{
    (void)state;
    begin();
    (void)make(SIM_ROOT, A, SIM_CREATE);
    known();
    ACT({SIM_RENAME, SIM_ROOT, A, SIM_ROOT, B});
    simdaemon_drain(&daemon_);
    look_at(SIM_ROOT, B);
    reconcile_expect_rows("move a>b");
    come_to_rest();
}

/* A file left a name: what it holds now shows at its other name, of which inotify says nothing. */
static void test_other_names_of_what_left(void **state)
{
    (void)state;
    begin();
    (void)make(SIM_ROOT, A, SIM_CREATE);
    ACT({SIM_LINK, SIM_ROOT, A, SIM_ROOT, B});
    known();
    ACT({SIM_WRITE, SIM_ROOT, B, 0, 0}, {SIM_REMOVE, SIM_ROOT, B, 0, 0});
    simdaemon_drain(&daemon_);
    assert_int_equal(simdaemon_dirty(&daemon_), 1);
    come_to_rest();
    reconcile_expect_rows("delete b, modify a");
}

/* The names below a directory that is gone cannot be looked at: what lay there may be elsewhere. */
static void test_out_of_a_dying_directory(void **state)
{
    (void)state;
    int d = begin_with_a_file_in_d();
    ACT({SIM_RENAME, d, A, SIM_ROOT, B}, {SIM_REMOVE, SIM_ROOT, D, 0, 0});
    simdaemon_drain(&daemon_);
    look_at(SIM_ROOT, D);
    reconcile_expect_rows("move d/a>b, delete d");
    come_to_rest();
}

/* One half of a rename was read, the other is in the kernel's queue still: it is read before
 * anything is called gone. */
static void test_half_a_rename_is_in_the_queue(void **state)
{
    (void)state;
    (void)begin_with_a_file_in_d();
    ACT({SIM_RENAME, SIM_ROOT, D, SIM_ROOT, B});
    assert_int_equal(disk_.event_count, 2);
    const struct sim_event second = disk_.events[1];
    disk_.event_count = 1;
    simdaemon_drain(&daemon_);
    disk_.events[0] = second;
    disk_.event_count = 1;
    look_at(SIM_ROOT, D);
    reconcile_expect_rows("move d>b");
    come_to_rest();
}

/* It was read, and is not due yet: it is looked at all the same. */
static void test_half_a_rename_is_not_due(void **state)
{
    (void)state;
    (void)begin_with_a_file_in_d();
    ACT({SIM_RENAME, SIM_ROOT, D, SIM_ROOT, B});
    simdaemon_drain(&daemon_);
    look_at(SIM_ROOT, D);
    reconcile_expect_rows("move d>b");
    come_to_rest();
}

/* It went into a directory that was made just now, and lies in no event: what is new is listed
 * before anything is called gone. */
static void test_moved_into_a_new_directory(void **state)
{
    (void)state;
    (void)begin_with_a_file_in_d();
    (void)make(SIM_ROOT, B, SIM_MKDIR);
    ACT({SIM_RENAME, SIM_ROOT, D, disk_.nodes[SIM_ROOT].kids[B], A});
    simdaemon_drain(&daemon_);
    look_at(SIM_ROOT, D);
    reconcile_expect_rows("create b, move d>b/a");
    come_to_rest();
}

/* --- listing with a small budget: decided with what is known after some deferrals --- */

static void test_deferrals_end(void **state)
{
    (void)state;
    struct simdaemon saved = daemon_;
    assert_int_equal(simdaemon_init(&daemon_, &disk_, 1), 0);
    begin();
    daemon_.check_identity = false; /* a budget of one may cost an identity, never the truth */
    int d = make(SIM_ROOT, D, SIM_MKDIR);
    (void)make(d, A, SIM_CREATE);
    known();
    int b = make(SIM_ROOT, B, SIM_MKDIR), deep = make(b, A, SIM_MKDIR);
    (void)make(deep, A, SIM_CREATE);
    (void)make(deep, B, SIM_CREATE);
    ACT({SIM_REMOVE, SIM_ROOT, D, 0, 0});
    come_to_rest();
    assert_null(tree_find(daemon_.tree, tree_root(daemon_.tree), sim_name(D)));
    simdaemon_deinit(&daemon_);
    daemon_ = saved;
}

/* What vanished may have gone into a directory that the budget leaves unlisted: it waits. */
static void test_deleted_only_when_all_is_listed(void **state)
{
    (void)state;
    struct simdaemon saved = daemon_;
    assert_int_equal(simdaemon_init(&daemon_, &disk_, 2), 0);
    begin();
    daemon_.check_identity = false; /* asked for below, by rows */
    int a = make(SIM_ROOT, A, SIM_MKDIR);
    (void)make(a, A, SIM_CREATE);
    known();
    int b = make(SIM_ROOT, B, SIM_MKDIR);
    ACT({SIM_RENAME, a, A, b, A});
    simdaemon_drain(&daemon_);
    look_at(a, A);
    come_to_rest();
    reconcile_expect_rows("create b, move a/a>b/a");
    simdaemon_deinit(&daemon_);
    daemon_ = saved;
}

/* A file whose old name cannot be decided in this round is not created a second time: it waits. */
static void test_no_second_entry_of_one_file(void **state)
{
    (void)state;
    struct simdaemon saved = daemon_;
    assert_int_equal(simdaemon_init(&daemon_, &disk_, 2), 0);
    begin();
    daemon_.check_identity = false; /* asked for below, by rows */
    int b = make(SIM_ROOT, B, SIM_MKDIR), ba = make(b, A, SIM_MKDIR);
    (void)make(ba, B, SIM_CREATE);
    (void)make(SIM_ROOT, A, SIM_CREATE);
    known();
    (void)make(b, D, SIM_MKDIR); /* is not listed within the budget: nothing is called gone */
    ACT({SIM_RENAME, ba, B, SIM_ROOT, D}, {SIM_REMOVE, b, A, 0, 0},
        {SIM_RENAME, SIM_ROOT, A, b, A});
    simdaemon_drain(&daemon_);
    look_at(SIM_ROOT, D);
    come_to_rest();
    int moves = 0;
    for (int i = 0; i < daemon_.row_count; i++) {
        const struct sim_row *row = &daemon_.rows[i];
        assert_false(row->kind == CHANGE_CREATE && row->type == ENTRY_FILE);
        moves += row->kind == CHANGE_MOVE && strcmp(row->path, "d") == 0;
    }
    assert_int_equal(moves, 1);
    simdaemon_deinit(&daemon_);
    daemon_ = saved;
}

/* --- directories that were out of sight --- */

/* d, d/a, d/a/b with a file: d leaves and comes back; meanwhile the file goes, and nothing tells.
 */
static void lose_sight(bool listed_shallowly)
{
    begin();
    int d = make(SIM_ROOT, D, SIM_MKDIR), a = make(d, A, SIM_MKDIR), b = make(a, B, SIM_MKDIR);
    (void)make(b, D, SIM_CREATE);
    known();
    ACT({SIM_RENAME, SIM_ROOT, D, SIM_OUTSIDE, D});
    disk_.nodes[b].watched = false; /* as is done with what left */
    tree_dir(daemon_.tree, sim_file(&disk_, b))->watch = -1;
    ACT({SIM_REMOVE, b, D, 0, 0}, {SIM_RENAME, SIM_OUTSIDE, D, SIM_ROOT, D});
    if (listed_shallowly) {
        const struct settle_mark mark = {.dir = sim_file(&disk_, a)};
        assert_true(settle_mark_dir(daemon_.settle, &mark));
    }
    come_to_rest();
    reconcile_expect_rows("delete d/a/b/d");
}

static void test_what_came_back_is_listed_deeply(void **state)
{
    (void)state;
    lose_sight(false);
}

/* One of them was to be listed anyway, and was before it turned out that all below it must be. */
static void test_listed_again_when_deeply(void **state)
{
    (void)state;
    lose_sight(true);
}

/* --- orders that are hard to find --- */

/* Two want each other's places and one lies below the other: no exchange, though what is between
 * them is to move away as well. */
static void test_no_exchange_with_an_ancestor(void **state)
{
    (void)state;
    begin();
    int top = make(SIM_ROOT, A, SIM_MKDIR), between = make(top, A, SIM_MKDIR);
    int low = make(between, A, SIM_MKDIR);
    known();
    ACT({SIM_RENAME, between, A, SIM_ROOT, B}, {SIM_RENAME, top, A, SIM_ROOT, D},
        {SIM_RENAME, SIM_ROOT, A, between, A}, {SIM_RENAME, SIM_ROOT, B, SIM_ROOT, A},
        {SIM_RENAME, SIM_ROOT, D, low, B});
    come_to_rest();
    for (int i = 0; i < daemon_.row_count; i++) {
        assert_int_equal(daemon_.rows[i].kind, CHANGE_MOVE);
    }
}

/* --- looks that do not fit together --- */

/* Of two looks that found one directory, the later one is right. */
static void test_directory_at_two_names(void **state)
{
    (void)state;
    (void)begin_with_a_file_in_d();
    ACT({SIM_RENAME, SIM_ROOT, D, SIM_ROOT, A}, {SIM_CREATE, SIM_ROOT, B, 0, 0},
        {SIM_REMOVE, SIM_ROOT, B, 0, 0});
    simdaemon_drain(&daemon_);
    const struct sim_op move[] = {{SIM_RENAME, SIM_ROOT, A, SIM_ROOT, B}};
    torn.ops = move;
    torn.count = 1;
    torn.looks = 2; /* after the look at a */
    assert_true(simdaemon_round(&daemon_, 0, true));
    assert_int_equal(torn.looks, 0);
    come_to_rest();
    reconcile_expect_rows("move d>b");
}

/* B is seen in A, then A in B: both cannot be, and what was seen is not deleted. The moves come
 * before each look in turn; before the second B goes back to a name that was found empty already,
 * is seen nowhere, and may count as gone. */
static void test_ring(void **state)
{
    (void)state;
    bool fired = true;
    for (int looks = 1; fired; looks++) {
        assert_true(looks < LOOKS_MAX);
        begin();
        daemon_.check_identity = false; /* asked for below, by rows */
        int b = make(SIM_ROOT, B, SIM_MKDIR), a = make(SIM_ROOT, A, SIM_MKDIR);
        (void)make(b, A, SIM_CREATE);
        (void)make(b, B, SIM_CREATE);
        ACT({SIM_LINK, b, A, a, D});
        known();
        ACT({SIM_REMOVE, a, D, 0, 0}, {SIM_RENAME, SIM_ROOT, B, a, D}, {SIM_WRITE, b, B, 0, 0});
        simdaemon_drain(&daemon_);
        const struct sim_op moves[] = {{SIM_RENAME, a, D, SIM_ROOT, B},
                                       {SIM_REMOVE, b, A, 0, 0},
                                       {SIM_RENAME, SIM_ROOT, A, b, A}};
        torn.ops = moves;
        torn.count = (int)ARRAY_LEN(moves);
        torn.looks = looks;
        come_to_rest();
        fired = torn.looks == 0;
        for (int i = 0; i < daemon_.row_count && looks != 2; i++) {
            const struct sim_row *row = &daemon_.rows[i];
            assert_false(row->kind == CHANGE_DELETE && row->type == ENTRY_DIR);
        }
        torn.looks = 0;
    }
}

/* --- every pair, the second before every look of the first's round --- */

static void shape(void)
{
    begin();
    int d = make(SIM_ROOT, D, SIM_MKDIR);
    (void)make(SIM_ROOT, A, SIM_CREATE);
    (void)make(d, A, SIM_MKDIR);
    (void)make(d, B, SIM_CREATE);
    disk_.all_links = true;
}

/* Whether the second came at all. */
static bool torn_pair(const struct sim_op *first, const struct sim_op *second, int looks)
{
    shape();
    daemon_.check_identity = false; /* a torn look may cost an identity, never the truth */
    known();
    act(first, 1);
    simdaemon_drain(&daemon_);
    torn.ops = second;
    torn.count = 1;
    torn.looks = looks;
    bool ok = simdaemon_settle(&daemon_);
    bool came = torn.looks == 0;
    torn.looks = 0;
    ok = ok && simdaemon_settle(&daemon_);
    if (!ok) {
        char one[64], two[64];
        sim_print(first, one, sizeof one);
        sim_print(second, two, sizeof two);
        fail_msg("%s, then %s before look %d: %s", one, two, looks, daemon_.why);
    }
    return came;
}

static void test_pairs_torn_at_every_look(void **state)
{
    (void)state;
    static struct sim_op firsts[OPS_MAX], seconds[OPS_MAX];
    long cases = 0, number = 0;
    shape();
    int first_count = sim_ops(&disk_, 3, false, true, firsts, OPS_MAX);
    for (int i = 0; i < first_count; i++) {
        shape();
        sim_do(&disk_, &firsts[i]);
        int second_count = sim_ops(&disk_, 4, false, true, seconds, OPS_MAX);
        for (int k = 0; k < second_count; k++) {
            if (number++ % test_share() != 0) {
                continue;
            }
            int looks = 1;
            while (torn_pair(&firsts[i], &seconds[k], looks)) {
                cases++;
                assert_true(++looks < LOOKS_MAX);
            }
        }
    }
    print_message("%ld pairs torn at a look\n", cases);
    assert_true(cases > 1000 / test_share());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory_under_another_name),
        cmocka_unit_test(test_climb),
        cmocka_unit_test(test_names_of_what_turned_up),
        cmocka_unit_test(test_other_names_of_what_left),
        cmocka_unit_test(test_out_of_a_dying_directory),
        cmocka_unit_test(test_half_a_rename_is_in_the_queue),
        cmocka_unit_test(test_half_a_rename_is_not_due),
        cmocka_unit_test(test_moved_into_a_new_directory),
        cmocka_unit_test(test_deferrals_end),
        cmocka_unit_test(test_deleted_only_when_all_is_listed),
        cmocka_unit_test(test_no_second_entry_of_one_file),
        cmocka_unit_test(test_what_came_back_is_listed_deeply),
        cmocka_unit_test(test_listed_again_when_deeply),
        cmocka_unit_test(test_no_exchange_with_an_ancestor),
        cmocka_unit_test(test_directory_at_two_names),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_pairs_torn_at_every_look),
    };
    return cmocka_run_group_tests(tests, reconcile_setup, reconcile_teardown);
}
