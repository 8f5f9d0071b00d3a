/* test_scan_index.c: the first index against a naive walk, and what it does with directories
 * that cannot be watched or reached. More of it is in test_scan_index_linux.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "helper_scan.h"

static void test_empty(void **state)
{
    struct scan_test *test = *state;
    scan_test_must_walk(test);
    assert_int_equal(test->visits, 1); /* the root, with nothing in it */
    assert_int_equal(test->told.count, 0);
    assert_int_equal(test->dirs, 1);
}

static void test_equals_the_walk(void **state)
{
    struct scan_test *test = *state;
    scan_test_grow(test, 7, 300, NULL);
    const char *const odd[] = {"gr\xc3\xbc\xc3\x9f", "-n", "a b"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        temp_write(&test->folder, odd[i], "x");
    test->env.threads = 4;
    scan_test_must_walk(test);
    assert_int_equal(test->visits, 301);
    assert_int_equal(test->dirs, 301);
    assert_int_equal(test->trouble_count, 0);
    scan_test_expect_walk(test, NULL);
}

/* Logical ids grow from parent to child, breadth first: the order in which directories were found
 * is the order in which they are visited, with any number of threads. */
static void test_order_is_breadth_first(void **state)
{
    struct scan_test *test = *state;
    scan_test_grow(test, 11, 150, NULL);
    test->env.threads = 3;
    scan_test_must_walk(test);
    int64_t last_parent = 0;
    for (size_t i = 0; i < test->told.count; i++) {
        char parent[256] = "";
        const char *path = test->told.items[i].path;
        const char *slash = strrchr(path, '/');
        snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
        int64_t id = scan_test_dir(test, parent)->id;
        assert_true(id >= last_parent);
        last_parent = id;
    }
}

static void test_rules(void **state)
{
    struct scan_test *test = *state;
    const char *const ignored[] = {"a/x.tmp", "build", "a/b/secret", "c/secret/in", NULL};
    const char *const pattern = "*.tmp";
    struct config_list patterns = {(char **)&pattern, 1};
    rules_free(test->rules);
    assert_int_equal(rules_new(&patterns, &test->rules, NULL), 0);
    test->env.rules = test->rules;
    const char *const dirs[] = {"a", "a/b", "build", "build/deep", "c", "c/secret", "c/build"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        temp_mkdir(&test->folder, dirs[i]);
    temp_write(&test->folder, ".spoorignore", "/build/\nin\n");
    temp_write(&test->folder, "a/.spoorignore", "secret\n!keep.tmp\n");
    const char *const files[] = {"a/x.tmp",     "a/keep.tmp",   "a/b/secret",   "build/x",
                                 "c/secret/in", "c/secret/out", "build/deep/y", "c/build/z"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        temp_write(&test->folder, files[i], "x");
    scan_test_must_walk(test);
    scan_test_expect_walk(test, ignored);
    assert_true(tree_root(test->tree)->flags & TREE_RULES);
    assert_true(scan_test_dir(test, "a")->flags & TREE_RULES);
    assert_false(scan_test_dir(test, "a/b")->flags & TREE_RULES);
    assert_true(rules_has(test->rules, scan_test_dir(test, "a")->file));
}

/* ---- a disk that answers otherwise ---- */

/* One test at a time: the real answers, and the name that gets another. */
static enum disk_answer (*real_look)(void *ctx, struct disk_dir *dir, struct bytes name,
                                     struct disk_entry *out);
static enum disk_answer (*real_read)(void *ctx, struct disk_dir *dir, struct bytes name,
                                     size_t limit, struct buf *out, int *os);

static enum disk_answer look_fails(void *ctx, struct disk_dir *dir, struct bytes name,
                                   struct disk_entry *out)
{
    if (!bytes_equal(name, bytes_str("bad")))
        return real_look(ctx, dir, name, out);
    out->os = EIO;
    return DISK_UNKNOWN;
}

static void test_unknown_names(void **state)
{
    struct scan_test *test = *state;
    const char *const ignored[] = {"a/bad", "b/bad", NULL};
    real_look = test->ops.look;
    test->ops.look = look_fails;
    temp_mkdir(&test->folder, "a");
    temp_mkdir(&test->folder, "b");
    temp_write(&test->folder, "a/bad", "");
    temp_write(&test->folder, "a/good", "");
    temp_write(&test->folder, "b/bad", "");
    temp_write(&test->folder, "b/.spoorignore", "bad\n");
    scan_test_must_walk(test);
    scan_test_expect_walk(test, ignored);
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_true(scan_test_troubled(test, "a", EIO));
    assert_non_null(strstr(test->troubles[0].text, "'bad'"));
    /* What is ignored anyway is no trouble. */
    assert_false(scan_test_dir(test, "b")->flags & TREE_RELIST);
    assert_int_equal(test->trouble_count, 1);
}

static enum disk_answer read_fails(void *ctx, struct disk_dir *dir, struct bytes name, size_t limit,
                                   struct buf *out, int *os)
{
    struct disk_entry entry;
    if (real_look(ctx, dir, bytes_str("unreadable"), &entry) != DISK_PRESENT)
        return real_read(ctx, dir, name, limit, out, os);
    *os = EACCES;
    return DISK_UNKNOWN;
}

/* Nobody knows what may be told of such a directory, so nothing is. */
static void test_unreadable_rules(void **state)
{
    struct scan_test *test = *state;
    real_look = test->ops.look;
    real_read = test->ops.read_file;
    test->ops.read_file = read_fails;
    temp_mkdir(&test->folder, "a");
    temp_mkdir(&test->folder, "a/inner");
    temp_write(&test->folder, "a/.spoorignore", "x");
    temp_write(&test->folder, "a/unreadable", "");
    temp_mkdir(&test->folder, "b");
    temp_write(&test->folder, "b/.spoorignore", "x");
    temp_write(&test->folder, "b/x", "");
    scan_test_must_walk(test);
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_true(scan_test_troubled(test, "a", EACCES));
    assert_null(scan_test_dir(test, "a")->child);
    assert_int_equal(test->told.count, 3); /* a, b, b/.spoorignore */
    assert_int_equal(test->visits, 2);
}

static int watch_fails(void *ctx, struct disk_dir *dir, struct file_id file, bool root,
                       int32_t *out, struct err *err)
{
    (void)ctx;
    (void)dir;
    (void)file;
    if (root) {
        *out = 4711;
        return 0;
    }
    return err_set(err, ERR_LIMIT, ENOSPC, "the limit");
}

static void test_watch_limit(void **state)
{
    struct scan_test *test = *state;
    test->ops.watch = watch_fails;
    temp_mkdir(&test->folder, "a");
    temp_write(&test->folder, "a/x", "");
    scan_test_must_walk(test);
    scan_test_expect_walk(test, NULL); /* it is indexed all the same */
    assert_int_equal(tree_root(test->tree)->watch, 4711);
    assert_int_equal(scan_test_dir(test, "a")->watch, -1);
    assert_true(scan_test_dir(test, "a")->flags & TREE_UNWATCHED);
    assert_false(tree_root(test->tree)->flags & TREE_UNWATCHED);
    assert_true(scan_test_troubled(test, "a", ENOSPC));
}

/* ---- without a root, without end ---- */

static void test_root_is_gone(void **state)
{
    struct scan_test *test = *state;
    struct err err = {0};
    assert_int_equal(tree_new(&test->tree, NULL), 0);
    tree_set_root(test->tree, (struct file_id){1, 1}, 0755);
    assert_int_equal(scan_index(&test->env, tree_root(test->tree), NULL, NULL, &err), ERR_NOTFOUND);
    temp_remove(&test->temp, "root");
    assert_int_equal(scan_index(&test->env, tree_root(test->tree), NULL, NULL, &err), ERR_NOTFOUND);
}

static void test_stop(void **state)
{
    struct scan_test *test = *state;
    struct err err = {0};
    scan_test_grow(test, 5, 150, NULL);
    test->stop_after = 30;
    int before = temp_count_descriptors();
    assert_int_equal(scan_test_index(test, false, &err), ERR_CANCELLED);
    assert_true(test->visits < 120);
    assert_int_equal(temp_count_descriptors(), before);
}

static void test_visit_fails(void **state)
{
    struct scan_test *test = *state;
    struct err err = {0};
    scan_test_grow(test, 5, 150, NULL);
    test->fail_after = 30;
    assert_int_equal(scan_test_index(test, false, &err), ERR_FULL);
    assert_string_equal(err.text, "visit: full: No space left on device");
    assert_int_equal(test->visits, 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scan_test_setup, scan_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_empty),       TEST(test_equals_the_walk), TEST(test_order_is_breadth_first),
        TEST(test_rules),       TEST(test_unknown_names),   TEST(test_unreadable_rules),
        TEST(test_watch_limit), TEST(test_root_is_gone),    TEST(test_stop),
        TEST(test_visit_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
