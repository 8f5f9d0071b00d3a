/* test_watch.c: the contract of watch.h on the real system, one source for every back-end: which
 * names are mentioned after what has happened to them. Order within a back-end's freedom and
 * threads are test_watch_thread.c's, what only one has is test_watch_linux.c's and those of the
 * single back-ends. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_fileop.h"
#include "helper_watch.h"

#define NAMES 10 /* of the random runs */

static void test_create_write_close(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "text");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "a", HINT_NAME | HINT_CONTENT | HINT_CLOSED));
    watch_test_forget(test);
    struct fileop_file file;
    assert_true(fileop_open(&test->temp, "root/a", &file));
    assert_true(fileop_write(file, "x"));
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "a", HINT_CONTENT));
    watch_test_forget(test);
    fileop_close(file);
    assert_true(fileop_protect(&test->temp, "root/a", false));
    assert_true(fileop_protect(&test->temp, "root/a", true));
    temp_remove(&test->temp, "root/a");
    watch_test_drain(test);
    uint64_t wanted = HINT_CLOSED | HINT_ATTRIB | HINT_NAME;
    assert_true(
        watch_test_agrees(watch_test_hints(test, 1, "a") & ~(uint64_t)HINT_CONTENT, wanted));
}

/* A truncate by path gives content and never a close. */
static void test_truncate(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "text");
    watch_test_drain(test);
    watch_test_forget(test);
    assert_true(fileop_truncate(&test->temp, "root/a", 1));
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_CONTENT);
    watch_test_expect_end(test);
}

static void test_links(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "");
    watch_test_drain(test);
    watch_test_forget(test);
    assert_true(fileop_link(&test->temp, "root/a", "root/b"));
    watch_test_drain(test);
    assert_true(watch_test_hints(test, 1, "b") & HINT_NAME);
    if (!watch_test_has(WATCH_TEST_SYMLINKS))
        skip();
    assert_true(fileop_symlink(&test->temp, "nowhere", "root/s"));
    watch_test_drain(test);
    assert_true(watch_test_hints(test, 1, "s") & HINT_NAME);
}

static void test_rename_inside_and_from_outside(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    temp_mkdir(&test->temp, "outside/e");
    watch_test_drain(test);
    watch_test_forget(test);
    temp_rename(&test->temp, "root/d", "root/d2");
    temp_rename(&test->temp, "outside/e", "root/e");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "d", HINT_NAME));
    assert_true(watch_test_told(test, 1, "d2", HINT_NAME));
    assert_true(watch_test_told(test, 1, "e", HINT_NAME | HINT_ENTERED));
    watch_test_forget(test);
    temp_rename(&test->temp, "root/d2", "outside/d2");
    temp_rename(&test->temp, "outside/d2", "root/d3");
    temp_write(&test->temp, "outside/file", "");
    temp_rename(&test->temp, "outside/file", "root/file");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "d2", HINT_NAME));
    /* Left and came back: RULES 5. And only a directory holds anything unseen. */
    assert_true(watch_test_told(test, 1, "d3", HINT_NAME | HINT_ENTERED));
    assert_true(watch_test_told(test, 1, "file", HINT_NAME));
}

static void test_rename_over(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "");
    temp_write(&test->temp, "root/b", "");
    watch_test_drain(test);
    watch_test_forget(test);
    temp_rename(&test->temp, "root/a", "root/b");
    watch_test_drain(test);
    assert_true(watch_test_hints(test, 1, "a") & HINT_NAME);
    assert_true(watch_test_hints(test, 1, "b") & HINT_NAME);
}

static void test_names_follow_the_directory(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    int32_t number = watch_test_add(test, "root/d", 2, false);
    assert_int_equal(watch_count(test->watch), 2);
    watch_test_drain(test);
    watch_test_forget(test);
    temp_rename(&test->temp, "root/d", "root/e");
    temp_write(&test->temp, "root/e/x", "");
    /* The same directory keeps its number. */
    assert_int_equal(watch_test_add(test, "root/e", 2, false), number);
    assert_int_equal(watch_count(test->watch), 2);
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "d", HINT_NAME));
    assert_true(watch_test_told(test, 1, "e", HINT_NAME));
    assert_true(watch_test_told(test, 2, "x", HINT_NAME | HINT_CLOSED));
}

/* A directory's own attributes: by its name, or by "." in itself; the root's are nobody's. */
static void test_attributes_of_a_directory(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    watch_test_add(test, "root/d", 2, false);
    watch_test_drain(test);
    watch_test_forget(test);
    assert_true(fileop_protect(&test->temp, "root/d", false));
    assert_true(fileop_protect(&test->temp, "root/d", true));
    assert_true(fileop_protect(&test->temp, "root", true));
    watch_test_drain(test);
    uint64_t hints = watch_test_hints(test, 1, "d") | watch_test_hints(test, 2, ".");
    assert_true(watch_test_agrees(hints, HINT_ATTRIB));
    for (size_t i = test->next; i < test->count; i++)
        assert_true(strcmp(test->seen[i].name, "d") == 0 || strcmp(test->seen[i].name, ".") == 0);
}

static void test_removed_directory_is_unwatched(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    int32_t number = watch_test_add(test, "root/d", 2, false);
    temp_remove(&test->temp, "root/d");
    watch_test_drain(test);
    assert_true(watch_test_hints(test, 1, "d") & HINT_NAME);
    assert_int_equal(watch_test_count(test, SEEN_UNWATCHED), 1);
    for (size_t i = test->next; i < test->count; i++)
        if (test->seen[i].kind == SEEN_UNWATCHED) {
            assert_int_equal(test->seen[i].dir, 2);
            assert_int_equal(test->seen[i].value, number);
        }
    assert_int_equal(watch_count(test->watch), 1);
    /* Its name, and its inode's number perhaps, is another directory's now. */
    temp_mkdir(&test->temp, "root/d");
    watch_test_add(test, "root/d", 3, false);
    temp_write(&test->temp, "root/d/x", "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 3, "x", HINT_NAME | HINT_CLOSED));
    assert_int_equal(watch_test_hints(test, 2, "x"), 0);
}

static void test_remove_stops_hints(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/before", ""); /* queued when the watch goes */
    watch_remove(test->watch, test->root_watch);
    watch_remove(test->watch, -1);
    watch_remove(test->watch, INT32_MAX);
    temp_write(&test->temp, "root/after", "");
    assert_int_equal(watch_count(test->watch), 0);
    watch_test_drain(test);
    watch_test_expect_end(test);
    int32_t again = watch_test_add(test, "root", 1, true);
    assert_int_not_equal(again, test->root_watch);
    temp_write(&test->temp, "root/now", "");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "now", HINT_NAME | HINT_CLOSED);
    watch_test_expect_end(test);
}

static void test_many_watches_come_and_go(void **state)
{
    struct watch_test *test = *state;
    int32_t numbers[500];
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "root/d%d", i);
        temp_mkdir(&test->temp, name);
        numbers[i] = watch_test_add(test, name, 100 + (uint64_t)i, false);
    }
    for (int i = 0; i < 500; i += 3)
        watch_remove(test->watch, numbers[i]);
    assert_int_equal(watch_count(test->watch), 1 + 500 - 167);
    watch_test_drain(test);
    watch_test_forget(test);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "root/d%d/x", i);
        temp_write(&test->temp, name, "");
    }
    watch_test_drain(test);
    for (int i = 0; i < 500; i++)
        assert_true(watch_test_told(test, 100 + (uint64_t)i, "x",
                                    i % 3 != 0 ? HINT_NAME | HINT_CLOSED : 0));
}

/* What happens in directories that nobody added is not told, wherever they lie. */
static void test_outside_is_silent(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    watch_test_drain(test);
    watch_test_forget(test);
    temp_write(&test->temp, "root/d/x", "text");
    temp_write(&test->temp, "outside/x", "text");
    temp_write(&test->temp, "x", "text");
    temp_mkdir(&test->temp, "barriers/dir");
    temp_remove(&test->temp, "barriers/dir");
    watch_test_drain(test);
    for (; test->next < test->count;
         test->next++) /* the directory's own time of writing, perhaps */
        assert_string_equal(test->seen[test->next].name, "d");
}

static void test_root_moved(void **state)
{
    struct watch_test *test = *state;
    temp_rename(&test->temp, "root", "elsewhere");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_ROOT_GONE);
    if (test->next < test->count) /* it may go on being watched, or not */
        watch_test_expect(test, SEEN_UNWATCHED, 1, "", (uint64_t)test->root_watch);
    watch_test_expect_end(test);
    temp_rename(&test->temp, "elsewhere", "root");
    watch_test_add(test, "root", 1, true);
    temp_write(&test->temp, "root/again", "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "again", HINT_NAME | HINT_CLOSED));
}

static void test_root_deleted(void **state)
{
    struct watch_test *test = *state;
    if (!watch_test_has(WATCH_TEST_ROOT_REMOVED))
        skip();
    temp_remove(&test->temp, "root");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_ROOT_GONE);
    watch_test_expect(test, SEEN_UNWATCHED, 1, "", (uint64_t)test->root_watch);
    watch_test_expect_end(test);
}

struct run {
    uint64_t seed;
    uint64_t before[NAMES]; /* 0: absent */
};

static unsigned pick(struct run *run, unsigned below)
{
    run->seed = run->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(run->seed >> 33) % below;
}

static void random_step(const struct watch_test *test, struct run *run)
{
    char a[16], b[16];
    const struct temp_dir *dir = &test->temp;
    snprintf(a, sizeof a, "root/n%u", pick(run, NAMES));
    snprintf(b, sizeof b, "root/n%u", pick(run, NAMES));
    /* Those that the state of the names forbids fail and change nothing. */
    switch (pick(run, 7)) {
    case 0:
    case 1:
        (void)fileop_create(dir, a);
        break;
    case 2:
        (void)fileop_remove(dir, a);
        break;
    case 3:
        (void)fileop_rename(dir, a, b);
        break;
    case 4:
        (void)fileop_link(dir, a, b);
        break;
    case 5:
        (void)fileop_exchange(dir, a, b);
        break;
    default:
        (void)(fileop_mkdir(dir, a) || fileop_remove(dir, a));
    }
}

/* Records lie about the order, the names they mention are complete: what has another
 * inode than before, or none, was mentioned. Read once, at the end. */
static void test_no_changed_name_is_unmentioned(void **state)
{
    struct watch_test *test = *state;
    char name[16];
    for (unsigned seed = 1; seed <= watch_test_runs(); seed++) {
        struct run run = {.seed = seed};
        for (unsigned i = 0; i < NAMES; i++) {
            snprintf(name, sizeof name, "root/n%u", i);
            run.before[i] = fileop_identity(&test->temp, name);
        }
        watch_test_forget(test);
        for (int step = 0; step < 40; step++)
            random_step(test, &run);
        watch_test_drain(test);
        for (unsigned i = 0; i < NAMES; i++) {
            snprintf(name, sizeof name, "root/n%u", i);
            if (fileop_identity(&test->temp, name) != run.before[i] &&
                !(watch_test_hints(test, 1, name + 5) & HINT_NAME))
                fail_msg("seed %u: '%s' changed and was not mentioned", seed, name);
        }
        test->count = 0; /* room for the next run */
        test->next = 0;
    }
}

/* What stands in a new directory was made before it was added or is told: added first, then listed,
 * nothing is missed, even where the kernel tells of nothing below it until then. */
static void test_added_then_listed(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    temp_write(&test->temp, "root/d/before", "");
    watch_test_drain(test);
    watch_test_forget(test);
    watch_test_add(test, "root/d", 2, false);
    temp_write(&test->temp, "root/d/after", "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 2, "after", HINT_NAME | HINT_CLOSED));
}

/* By poll nothing is watched, and nobody is told that this is trouble. */
static void test_poll_watches_nothing(void **state)
{
    struct watch_test *test = *state;
    assert_string_equal(watch_backend(test->watch), "poll");
    assert_int_equal(test->root_watch, -1);
    temp_mkdir(&test->temp, "root/d");
    assert_int_equal(watch_test_add(test, "root/d", 2, false), -1);
    assert_int_equal(watch_count(test->watch), 0);
    temp_remove(&test->temp, "root/d");
    watch_test_drain(test);
    watch_test_barrier(test, 7);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 7);
    watch_test_expect_end(test);
}

int main(void)
{
    const unsigned kernel = WATCH_BY_KERNEL;
    const struct watch_case cases[] = {
        WATCH_CASE(test_create_write_close, kernel | WATCH_BY(WATCH_AUTO)),
        WATCH_CASE(test_truncate, kernel),
        WATCH_CASE(test_links, kernel),
        WATCH_CASE(test_rename_inside_and_from_outside, kernel),
        WATCH_CASE(test_rename_over, kernel),
        WATCH_CASE(test_names_follow_the_directory, kernel),
        WATCH_CASE(test_attributes_of_a_directory, kernel),
        WATCH_CASE(test_removed_directory_is_unwatched, kernel),
        WATCH_CASE(test_remove_stops_hints, kernel),
        WATCH_CASE(test_many_watches_come_and_go, kernel),
        WATCH_CASE(test_outside_is_silent, kernel),
        WATCH_CASE(test_root_moved, kernel),
        WATCH_CASE(test_root_deleted, kernel),
        WATCH_CASE(test_no_changed_name_is_unmentioned, kernel),
        WATCH_CASE(test_added_then_listed, kernel),
        WATCH_CASE(test_poll_watches_nothing, WATCH_BY(WATCH_POLL)),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
