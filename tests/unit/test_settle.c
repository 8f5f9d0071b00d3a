/* test_settle.c: when a dirty name is due, what is held for a writer, what collapses into marks.
 * The clock is the test's own. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "settle.h"

static const struct settle_times times = {
    .settle_ns = 300, .max_delay_ns = 5000, .partial_max_ns = 30000};
static struct settle *set;
static struct buf bytes;

static int setup(void **state)
{
    (void)state;
    buf_init(&bytes, 1024);
    return settle_new(&times, &set);
}

static int teardown(void **state)
{
    (void)state;
    settle_free(set);
    buf_deinit(&bytes);
    return 0;
}

static struct file_id dir(uint64_t number)
{
    return (struct file_id){number, 1};
}

static void mark(const char *name, uint8_t hints, int64_t now)
{
    assert_true(settle_mark_name(set, dir(1), bytes_str(name), hints, NULL, now));
}

/* The names due at `now`, in order, each followed by a blank. */
static const char *due(int64_t now, int64_t force_before)
{
    static char text[256];
    struct settle_name name;
    text[0] = '\0';
    while (settle_take(set, now, force_before, &name, &bytes)) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "%.*s ", (int)name.name.len, name.name.at);
    }
    return text;
}

static void test_due_when_quiet(void **state)
{
    (void)state;
    assert_int_equal(settle_next_due(set), SETTLE_NEVER);
    mark("a", HINT_NAME, 1000);
    mark("b", HINT_NAME, 1100);
    assert_int_equal(settle_next_due(set), 1300);
    assert_string_equal(due(1299, 0), "");
    assert_string_equal(due(1300, 0), "a ");
    mark("b", HINT_ATTRIB, 1350); /* touched again: it waits anew */
    assert_string_equal(due(1600, 0), "");
    assert_string_equal(due(1650, 0), "b ");
    assert_int_equal(settle_next_due(set), SETTLE_NEVER);
    assert_int_equal(settle_name_count(set), 0);
}

static void test_max_delay_ends_all_waiting(void **state)
{
    (void)state;
    struct settle_name name;
    for (int64_t now = 1000; now < 6000; now += 100) {
        mark("busy", HINT_CLOSED, now);
        assert_string_equal(due(now, 0), "");
    }
    assert_int_equal(settle_next_due(set), 6000);
    assert_true(settle_take(set, 6000, 0, &name, &bytes));
    assert_int_equal(name.hints, HINT_CLOSED);
    assert_int_equal(name.first_ns, 1000);
    assert_false(name.open);
}

static void test_held_while_written(void **state)
{
    (void)state;
    struct settle_name name;
    mark("w", HINT_CONTENT, 1000);
    mark("x", HINT_CONTENT, 1000);
    assert_string_equal(due(5999, 0), "");
    mark("x", HINT_CLOSED, 2000);
    assert_int_equal(settle_next_due(set), 2300);
    assert_string_equal(due(2300, 0), "x ");
    assert_true(settle_take(set, 6000, 0, &name, &bytes));
    assert_true(name.open);
    mark("y", HINT_CONTENT, 7000);
    mark("y", HINT_NAME, 7000); /* the name changed hands: nobody is known to write to it */
    assert_string_equal(due(7300, 0), "y ");
}

static void test_force_takes_what_is_older(void **state)
{
    (void)state;
    mark("old", HINT_CONTENT, 1000);
    mark("new", HINT_NAME, 1050);
    assert_true(settle_pending_before(set, 1050));
    assert_string_equal(due(1060, 1050), "old ");
    assert_false(settle_pending_before(set, 1050));
    assert_true(settle_pending_before(set, 1051));
}

/* What is younger than the barrier waits, though it is due: while it lasts there is more of it.
 * What comes of the older ones is as old as they. */
static void test_force_leaves_what_is_younger(void **state)
{
    (void)state;
    struct settle_name name;
    struct settle_mark got;
    mark("old", HINT_NAME, 1000);
    mark("new", HINT_NAME, 1050);
    mark("busy", HINT_NAME, 1060);
    assert_string_equal(due(9000, 1050), "old ");
    assert_string_equal(due(9000, 1050), "");
    name = (struct settle_name){.dir = dir(1), .name = bytes_str("led to"), .first_ns = 1000};
    assert_true(settle_put_back(set, &name, 9000));
    name.name = bytes_str("busy"); /* among the dirty already: it is waited for all the same */
    assert_true(settle_put_back(set, &name, 9000));
    assert_true(settle_pending_before(set, 1001));
    assert_string_equal(due(9000, 1050), "busy led to ");
    assert_false(settle_pending_before(set, 1050));
    struct settle_mark younger = {.dir = dir(2), .due_ns = 100, .first_ns = 1070};
    struct settle_mark older = {.dir = dir(2), .due_ns = 200, .first_ns = 1040};
    assert_true(settle_mark_dir(set, &younger));
    assert_false(settle_pending_before(set, 1050));
    assert_true(settle_mark_dir(set, &older));
    assert_true(settle_pending_before(set, 1050));
    assert_true(settle_take_dir(set, 9000, 1050, &got));
    assert_int_equal(got.first_ns, 1040);
    assert_int_equal(got.due_ns, 100);
    assert_string_equal(due(9000, 0), "new ");
}

static void test_put_back(void **state)
{
    (void)state;
    struct settle_name name;
    mark("a", HINT_CLOSED, 1000);
    assert_true(settle_take(set, 2000, 0, &name, &bytes));
    name.deferrals = 2;
    assert_true(settle_put_back(set, &name, 2000));
    assert_false(settle_pending_before(set, 1000));
    assert_true(settle_pending_before(set, 1001));
    assert_int_equal(settle_next_due(set), 2000);
    assert_true(settle_take(set, 2000, 0, &name, &bytes));
    assert_int_equal(name.deferrals, 2);
    assert_int_equal(name.hints, HINT_CLOSED);
    /* A look that gave no answer waits, is not pending for a barrier, and comes at once when
     * something happens to the name. */
    name.failures = 1;
    assert_true(settle_put_back(set, &name, 9000));
    assert_false(settle_pending_before(set, 8000));
    assert_int_equal(settle_unknown_count(set), 1);
    assert_string_equal(due(8000, 8000), "");
    mark("a", HINT_ATTRIB, 8000);
    assert_int_equal(settle_unknown_count(set), 0);
    assert_string_equal(due(8300, 0), "a ");
}

static void test_put_back_in_order_of_due(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t due;
    } cases[] = {{"c", 300}, {"a", 100}, {"d", 400}, {"b", 200}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct settle_name name = {.dir = dir(1), .name = bytes_str(cases[i].name), .failures = 1};
        assert_true(settle_put_back(set, &name, cases[i].due));
    }
    assert_string_equal(due(250, 0), "a b ");
    assert_string_equal(due(300, 0), "c ");
    settle_hurry(set, 310);
    assert_string_equal(due(310, 0), "d ");
}

static void test_take_one(void **state)
{
    (void)state;
    struct settle_name name;
    mark("a", HINT_NAME, 1000);
    mark("b", HINT_CONTENT | HINT_CLOSED, 1000);
    assert_false(settle_take_name(set, dir(2), bytes_str("b"), &name));
    assert_true(settle_has_name(set, dir(1), bytes_str("b")));
    assert_true(settle_take_name(set, dir(1), bytes_str("b"), &name));
    assert_int_equal(name.hints, HINT_CONTENT | HINT_CLOSED);
    assert_false(settle_has_name(set, dir(1), bytes_str("b")));
    assert_string_equal(due(2000, 0), "a ");
}

static void test_marks(void **state)
{
    (void)state;
    struct settle_mark got;
    struct settle_mark late = {.dir = dir(7), .due_ns = 500, .failures = 3};
    struct settle_mark early = {.dir = dir(8), .due_ns = 100};
    assert_true(settle_mark_dir(set, &late));
    assert_true(settle_mark_dir(set, &early));
    assert_int_equal(settle_next_due(set), 100);
    assert_true(settle_take_dir(set, 100, 0, &got));
    assert_int_equal(got.dir.a, 8);
    assert_false(settle_take_dir(set, 400, 0, &got));
    assert_false(settle_take_dir(set, 400, 400, &got)); /* a failed one waits even for a barrier */
    assert_false(settle_pending_before(set, 400));
    struct settle_mark again = {.dir = dir(7), .due_ns = 450, .deep = true};
    assert_true(settle_mark_dir(set, &again));
    assert_true(settle_pending_before(set, 400));
    assert_int_equal(settle_dir_count(set), 1);
    assert_true(settle_take_dir(set, 450, 0, &got));
    assert_true(got.deep);
    assert_int_equal(settle_dir_count(set), 0);
}

static int count_name(void *ctx, const struct settle_name *name)
{
    (void)name;
    ++*(size_t *)ctx;
    return 0;
}

/* A name that is busy on end is due after 5, 10, 20 and then every 30; quiet, it is forgotten. */
static void test_busy_names_wait_longer_each_time(void **state)
{
    (void)state;
    static const int64_t waits[] = {5000, 10000, 20000, 30000, 30000};
    struct settle_name name;
    int64_t now = 1000;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        int64_t begun = now;
        for (; now < begun + waits[i]; now += 200) {
            mark("log", HINT_CLOSED, now);
            assert_false(settle_take(set, now, 0, &name, &bytes));
        }
        assert_true(settle_take(set, now, 0, &name, &bytes));
        assert_true(name.busy);
        settle_rest(set, &name, now);
        assert_int_equal(settle_name_count(set), 0);
        assert_false(settle_pending_before(set, now + 1));
    }
    mark("log", HINT_CLOSED, now);
    assert_true(settle_take(set, now + 300, 0, &name, &bytes)); /* quiet: at once */
    assert_false(name.busy);
    assert_int_equal(settle_next_due(set), SETTLE_NEVER);
}

static void test_rest_completes_what_is_partial(void **state)
{
    (void)state;
    struct settle_name name;
    mark("w", HINT_CONTENT, 1000);
    assert_true(settle_take(set, 6000, 0, &name, &bytes));
    assert_true(name.busy && name.open);
    name.partial = true;
    name.open = false;
    settle_rest(set, &name, 6000);
    assert_false(settle_has_name(set, dir(1), bytes_str("w")));
    assert_int_equal(settle_next_due(set), 16000);
    assert_true(settle_take(set, 16000, 0, &name, &bytes));
    assert_true(name.partial);
    assert_int_equal(name.hints, 0);
    assert_int_equal(name.last_ns, 1000);
    name.partial = false;
    settle_rest(set, &name, 16000); /* nothing to complete: forgotten when its time is over */
    assert_false(settle_take(set, 60000, 0, &name, &bytes));
    assert_int_equal(settle_next_due(set), SETTLE_NEVER);
}

/* A full set turns into marks on the directories, and nothing is forgotten. */
static void test_collapse(void **state)
{
    (void)state;
    char text[32];
    for (int i = 0; i < SETTLE_NAMES_MAX; i++) {
        (void)snprintf(text, sizeof text, "f%d", i);
        assert_true(
            settle_mark_name(set, dir((uint64_t)(i % 50)), bytes_str(text), HINT_NAME, NULL, 1000));
    }
    size_t count = 0;
    assert_int_equal(settle_each_name(set, count_name, &count), 0);
    assert_int_equal(count, SETTLE_NAMES_MAX);
    assert_true(settle_mark_name(set, dir(99), bytes_str("last"), HINT_NAME, NULL, 1001));
    assert_int_equal(settle_name_count(set), 1);
    assert_int_equal(settle_dir_count(set), 50);
}

/* Beyond that the caller is told to scan, and the set is empty. */
static void test_overflow(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SETTLE_MARKS_MAX; i++) {
        struct settle_mark item = {.dir = dir(i), .due_ns = 1};
        assert_true(settle_mark_dir(set, &item));
    }
    struct settle_mark more = {.dir = dir(SETTLE_MARKS_MAX), .due_ns = 1};
    assert_false(settle_mark_dir(set, &more));
    assert_int_equal(settle_dir_count(set), 0);
    assert_int_equal(settle_next_due(set), SETTLE_NEVER);
}

/* The last that is known did it. */
static void test_actor(void **state)
{
    (void)state;
    struct settle_name name;
    const struct actor vim = {1, "vim"}, make = {2, "make"}, unknown = {0};
    assert_true(settle_mark_name(set, dir(1), bytes_str("a"), HINT_NAME, &vim, 1000));
    assert_true(settle_mark_name(set, dir(1), bytes_str("a"), HINT_CLOSED, &make, 1010));
    assert_true(settle_mark_name(set, dir(1), bytes_str("a"), HINT_ATTRIB, &unknown, 1020));
    assert_true(settle_mark_name(set, dir(1), bytes_str("a"), HINT_ATTRIB, NULL, 1030));
    assert_true(settle_take_name(set, dir(1), bytes_str("a"), &name));
    assert_int_equal(name.actor.pid, 2);
    assert_string_equal(name.actor.program, "make");
    /* Put back it keeps them; who came meanwhile is later. */
    assert_true(settle_put_back(set, &name, 2000));
    assert_true(settle_take_name(set, dir(1), bytes_str("a"), &name));
    assert_int_equal(name.actor.pid, 2);
    assert_true(settle_mark_name(set, dir(1), bytes_str("a"), HINT_NAME, &vim, 2000));
    assert_true(settle_put_back(set, &name, 2000));
    assert_true(settle_take_name(set, dir(1), bytes_str("a"), &name));
    assert_int_equal(name.actor.pid, 1);
    /* The row that completes a partial one is the writer's. What happens later to the name, and
     * what a scan finds, is not. */
    name.partial = true;
    for (int what = 0; what < 3; what++) {
        struct settle_name scanned = {.dir = dir(1), .name = bytes_str("a"), .hints = HINT_SCAN};
        settle_rest(set, &name, 3000);
        if (what == 1)
            assert_true(settle_mark_name(set, dir(1), bytes_str("a"), HINT_NAME, NULL, 3000));
        if (what == 2)
            assert_true(settle_put_back(set, &scanned, 3000));
        struct settle_name later;
        assert_true(settle_take_name(set, dir(1), bytes_str("a"), &later));
        assert_int_equal(later.actor.pid, what == 0 ? 1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_due_when_quiet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_max_delay_ends_all_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_while_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_force_takes_what_is_older, setup, teardown),
        cmocka_unit_test_setup_teardown(test_force_leaves_what_is_younger, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_back_in_order_of_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_take_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_names_wait_longer_each_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rest_completes_what_is_partial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_actor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_collapse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
