/* test_scan_trouble.c: the comparison where it must not judge: too many names, ignore rules, what
 * cannot be looked at, no watches left, a root that went away, a stop. test_scan_compare.c has what
 * it finds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "err.h"
#include "helper_scan.h"
#include "journal.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, scan_test_setup, scan_test_teardown)

/* ---- limits ---- */

static void test_crowded_directory(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    temp_mkdir(&test->folder, "a");
    temp_mkdir(&test->folder, "b");
    scan_test_must_index(test);
    temp_link_many(&test->folder, "a/f", SCAN_DIR_NAMES_MAX + 1);
    temp_link_many(&test->folder, "b/f", SCAN_DIR_NAMES_MAX);
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, SCAN_DIR_NAMES_MAX);
    assert_int_equal(result.marked, 1);
    assert_false(result.crowded);
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_false(scan_test_dir(test, "b")->flags & TREE_RELIST);
    assert_true(scan_test_found(&result, scan_test_file(test, "b"), "f7"));
    scan_result_deinit(&result);
}

static void test_crowded_folder(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    enum { WIDE = 70, NAMES = 990 };
    char path[64];
    for (int i = 0; i < WIDE; i++) {
        snprintf(path, sizeof path, "d%d", i);
        temp_mkdir(&test->folder, path);
    }
    scan_test_must_index(test);
    for (int i = 0; i < WIDE; i++) {
        snprintf(path, sizeof path, "d%d/f", i);
        temp_link_many(&test->folder, path, NAMES);
    }
    scan_test_must_compare(test, &result);
    assert_true(result.crowded);
    assert_int_equal(result.count, SCAN_NAMES_MAX / NAMES * NAMES);
    assert_int_equal(result.marked, WIDE - SCAN_NAMES_MAX / NAMES);
    scan_result_deinit(&result);
}

/* ---- rules ---- */

static void test_rules(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    temp_mkdir(&test->folder, "a");
    temp_mkdir(&test->folder, "a/b");
    temp_write(&test->folder, "a/.spoorignore", "*.tmp\n");
    temp_write(&test->folder, "a/b/x.tmp", "");
    temp_write(&test->folder, "a/b/x.log", "");
    scan_test_must_index(test);
    /* As after a start: no rules are loaded, and the tree says where there are some. */
    assert_true(rules_drop(test->rules, scan_test_file(test, "a")));
    scan_test_reload(test);
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 0);
    assert_true(rules_has(test->rules, scan_test_file(test, "a")));
    scan_result_deinit(&result);

    /* Other rules: what they ignore now and what they ignored before both differ, and the file. */
    temp_write(&test->folder, "a/.spoorignore", "*.log\n#\n");
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 3);
    assert_true(scan_test_found(&result, scan_test_file(test, "a"), RULES_FILE_NAME));
    assert_true(scan_test_found(&result, scan_test_file(test, "a/b"), "x.tmp"));
    assert_true(scan_test_found(&result, scan_test_file(test, "a/b"), "x.log"));
    scan_result_deinit(&result);

    /* None any more. */
    temp_remove(&test->folder, "a/.spoorignore");
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 2);
    assert_false(rules_has(test->rules, scan_test_file(test, "a")));
    assert_true(scan_test_found(&result, scan_test_file(test, "a"), RULES_FILE_NAME));
    assert_true(scan_test_found(&result, scan_test_file(test, "a/b"), "x.tmp"));
    scan_result_deinit(&result);
}

/* Patterns that match the rule file too: after a start they hold all the same. */
static void test_rules_that_match_themselves(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    temp_mkdir(&test->folder, "a");
    temp_write(&test->folder, "a/.spoorignore", ".*\n");
    temp_write(&test->folder, "a/.hidden", "");
    scan_test_must_index(test);
    assert_int_equal(test->told.count, 2);
    assert_true(rules_drop(test->rules, scan_test_file(test, "a")));
    scan_test_reload(test);
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 0);
    scan_result_deinit(&result);
}

static enum disk_answer read_denied(void *ctx, struct disk_dir *dir, struct bytes name,
                                    size_t limit, struct buf *out, int *os)
{
    (void)ctx;
    (void)dir;
    (void)name;
    (void)limit;
    (void)out;
    *os = EACCES;
    return DISK_UNKNOWN;
}

/* Rules that cannot be read freeze all they govern: nothing ignored may leak out. */
static void test_unreadable_rules(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    temp_mkdir(&test->folder, "a");
    temp_mkdir(&test->folder, "a/b");
    temp_mkdir(&test->folder, "c");
    temp_write(&test->folder, "a/.spoorignore", "secret\n");
    temp_write(&test->folder, "a/b/secret", "");
    scan_test_must_index(test);
    assert_true(rules_drop(test->rules, scan_test_file(test, "a")));
    test->ops.read_file = read_denied;
    temp_write(&test->folder, "c/new", "");
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 1);
    assert_true(scan_test_found(&result, scan_test_file(test, "c"), "new"));
    assert_int_equal(result.marked, 2);
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_true(scan_test_dir(test, "a/b")->flags & TREE_RELIST);
    assert_true(scan_test_troubled(test, "a", EACCES));
    scan_result_deinit(&result);
}

/* ---- unknown ---- */

static enum disk_answer (*real_look)(void *ctx, struct disk_dir *dir, struct bytes name,
                                     struct disk_entry *out);

static enum disk_answer look_fails(void *ctx, struct disk_dir *dir, struct bytes name,
                                   struct disk_entry *out)
{
    if (name.len < 3 || memcmp(name.at, "bad", 3) != 0)
        return real_look(ctx, dir, name, out);
    out->os = EIO;
    return DISK_UNKNOWN;
}

/* Neither absent nor present: no name, but the directory is looked at again. */
static void test_unknown_names(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    temp_mkdir(&test->folder, "a");
    temp_write(&test->folder, "a/bad", "");
    temp_write(&test->folder, "a/good", "");
    scan_test_must_index(test);
    real_look = test->ops.look;
    test->ops.look = look_fails;
    temp_write(&test->folder, "a/bad", "changed");
    temp_write(&test->folder, "a/bad-new", "");
    temp_write(&test->folder, "a/good", "changed");
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 1);
    assert_true(scan_test_found(&result, scan_test_file(test, "a"), "good"));
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_int_equal(result.marked, 1);
    assert_int_equal(test->trouble_count, 1); /* of two names the first speaks */
    assert_true(scan_test_troubled(test, "a", EIO));
    scan_result_deinit(&result);
    /* It is over, and all is told. */
    test->ops.look = real_look;
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 3);
    assert_int_equal(result.marked, 0);
    assert_false(scan_test_dir(test, "a")->flags & TREE_RELIST);
    scan_result_deinit(&result);
}

static int unreadable_child(void *ctx)
{
    struct scan_test *test = ctx;
    struct scan_result result;
    struct err err = {0};
    if (!temp_drop_rights())
        return TEMP_CHILD_SKIP;
    if (scan_test_compare(test, &result, &err)) {
        print_message("child: %s\n", err.text);
        return 1;
    }
    /* Of the two below, one cannot be listed and the other not be reached. */
    bool fine = result.count == 1 && result.marked == 2 && /* its mode is a difference */
                scan_test_found(&result, tree_root(test->tree)->file, "locked") &&
                scan_test_dir(test, "locked")->flags & TREE_RELIST &&
                scan_test_dir(test, "locked/in")->flags & TREE_RELIST &&
                !(scan_test_dir(test, "open")->flags & TREE_RELIST) &&
                scan_test_troubled(test, "locked", EACCES) &&
                scan_test_troubled(test, "locked/in", EACCES) && test->trouble_count == 2;
    if (!fine)
        print_message("child: %zu names, %lld marked, %d troubles, '%s' %d\n", result.count,
                      (long long)result.marked, test->trouble_count, test->troubles[0].path,
                      test->troubles[0].os);
    return fine ? 0 : 1;
}

static void give_away(struct scan_test *test)
{
    struct walk walk;
    char path[400];
    walk_folder(&walk, test->temp.path, NULL);
    for (size_t i = 0; i < walk.count; i++) {
        snprintf(path, sizeof path, "%s/%.200s", test->temp.path, walk.items[i].path);
        if (!strncmp(walk.items[i].path, "state", 5))
            assert_int_equal(chown(path, 65534, 65534), 0);
    }
    walk_free(&walk);
}

static void test_unreadable_directory(void **state)
{
    struct scan_test *test = *state;
    const char *const dirs[] = {"locked", "locked/in", "open"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        temp_mkdir(&test->folder, dirs[i]);
    temp_write(&test->folder, "locked/x", "");
    scan_test_must_index(test);
    if (geteuid() == 0)
        give_away(test); /* the reader needs its write-ahead log */
    assert_int_equal(fchmodat(test->folder.fd, "locked", 0, 0), 0);
    int code = temp_child(unreadable_child, test);
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: cannot give up rights\n");
        skip();
    }
    assert_int_equal(code, 0);
}

/* ---- watches ---- */

static int watch_calls;

static int count_watch(void *ctx, struct disk_dir *dir, struct file_id file, bool root,
                       int32_t *out, struct err *err)
{
    (void)ctx;
    (void)dir;
    int call = __atomic_add_fetch(&watch_calls, 1, __ATOMIC_RELAXED);
    if (root != (call == 1))
        return err_set(err, ERR_INVALID, EINVAL, "wrong root");
    if (call > 3)
        return err_set(err, ERR_LIMIT, ENOSPC, "the limit");
    *out = (int32_t)(file.a & 0xffff);
    return 0;
}

static void test_watches_what_is_not(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    const char *const dirs[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        temp_mkdir(&test->folder, dirs[i]);
    scan_test_must_index(test);
    scan_test_dir(test, "a")->watch = 7;
    scan_test_dir(test, "b")->flags |= TREE_UNWATCHED;
    test->ops.watch = count_watch;
    test->env.threads = 1;
    watch_calls = 0;
    scan_test_must_compare(test, &result);
    assert_int_equal(watch_calls, 4); /* all but a */
    assert_int_equal(scan_test_dir(test, "a")->watch, 7);
    assert_int_equal(scan_test_dir(test, "b")->watch, scan_test_file(test, "b").a & 0xffff);
    assert_false(scan_test_dir(test, "b")->flags & TREE_UNWATCHED);
    assert_int_equal(scan_test_dir(test, "d")->watch, -1);
    assert_true(scan_test_dir(test, "d")->flags & TREE_UNWATCHED);
    assert_true(scan_test_troubled(test, "d", ENOSPC));
    assert_int_equal(result.count, 0);
    scan_result_deinit(&result);
}

/* ---- ends ---- */

static void test_root_is_gone(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    struct err err = {0};
    scan_test_grow(test, 8, 50, NULL);
    scan_test_must_index(test);
    temp_rename(&test->temp, "root", "elsewhere");
    assert_int_equal(scan_test_compare(test, &result, &err), ERR_NOTFOUND);
    temp_mkdir(&test->temp, "root"); /* another, and empty: nothing of it is told either */
    assert_int_equal(scan_test_compare(test, &result, &err), ERR_NOTFOUND);
    assert_false(tree_root(test->tree)->flags & TREE_RELIST);
}

static bool *stop_flag;

/* Stops the scan while it is under way. */
static enum disk_answer look_and_stop(void *ctx, struct disk_dir *dir, struct bytes name,
                                      struct disk_entry *out)
{
    __atomic_store_n(stop_flag, true, __ATOMIC_RELAXED);
    return real_look(ctx, dir, name, out);
}

static void test_stop(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    struct err err = {0};
    scan_test_grow(test, 8, 150, NULL);
    scan_test_must_index(test);
    /* SQLite keeps the descriptor of a closed reader for the next one while a writer is open. */
    test->env.threads = 1;
    scan_test_must_compare(test, &result);
    scan_result_deinit(&result);
    real_look = test->ops.look;
    test->ops.look = look_and_stop;
    stop_flag = &test->stop;
    test->dirs = 0;
    int before = temp_count_descriptors();
    assert_int_equal(scan_test_compare(test, &result, &err), ERR_CANCELLED);
    assert_true(test->dirs < 150);
    assert_int_equal(temp_count_descriptors(), before);
    test->ops.look = real_look;
    test->stop = false;
    scan_test_must_compare(test, &result);
    scan_result_deinit(&result);
    assert_int_equal(temp_count_descriptors(), before);
}

static void test_no_journal(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    struct err err = {0};
    temp_mkdir(&test->folder, "a");
    assert_int_equal(scan_test_index(test, false, &err), 0);
    assert_int_equal(scan_test_compare(test, &result, &err), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_crowded_directory),
        TEST(test_crowded_folder),
        TEST(test_rules),
        TEST(test_rules_that_match_themselves),
        TEST(test_unreadable_rules),
        TEST(test_unknown_names),
        TEST(test_unreadable_directory),
        TEST(test_watches_what_is_not),
        TEST(test_root_is_gone),
        TEST(test_stop),
        TEST(test_no_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
