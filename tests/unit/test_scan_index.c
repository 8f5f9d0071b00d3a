/* test_scan_index.c: the first index against a naive walk, and what it does with directories
 * that cannot be read, watched or reached. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "err.h"
#include "helper_scan.h"
#include "watch.h"

static void index_or_fail(struct scan_test *test)
{
    struct err err = {0};
    if (scan_test_index(test, false, &err))
        fail_msg("%s", err.text);
}

/* What was told is what a walk by full paths finds. */
static void expect_walk(struct scan_test *test, const char *const *ignored)
{
    struct walk walk;
    walk_folder(&walk, test->folder.path, ignored);
    walk_sort(&test->told);
    assert_int_equal(test->told.count, walk.count);
    for (size_t i = 0; i < walk.count; i++) {
        assert_string_equal(test->told.items[i].path, walk.items[i].path);
        if (!walked_equal(&test->told.items[i], &walk.items[i]))
            fail_msg("'%s' is told otherwise than it is", walk.items[i].path);
    }
    assert_int_equal(test->entries, (int64_t)walk.count);
    walk_free(&walk);
}

static void test_empty(void **state)
{
    struct scan_test *test = *state;
    index_or_fail(test);
    assert_int_equal(test->visits, 1); /* the root, with nothing in it */
    assert_int_equal(test->told.count, 0);
    assert_int_equal(test->dirs, 1);
}

static void test_equals_the_walk(void **state)
{
    struct scan_test *test = *state;
    scan_test_grow(test, 7, 300, NULL);
    const char *const odd[] = {"\xff\xfe", "new\nline", "-n", " "};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        temp_write(&test->folder, odd[i], "x");
    test->env.threads = 4;
    index_or_fail(test);
    assert_int_equal(test->visits, 301);
    assert_int_equal(test->dirs, 301);
    assert_int_equal(test->trouble_count, 0);
    expect_walk(test, NULL);
}

/* Logical ids grow from parent to child, breadth first: the order in which directories were found
 * is the order in which they are visited, with any number of threads. */
static void test_order_is_breadth_first(void **state)
{
    struct scan_test *test = *state;
    scan_test_grow(test, 11, 150, NULL);
    test->env.threads = 3;
    index_or_fail(test);
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

static void test_wide_directories(void **state)
{
    struct scan_test *test = *state;
    char path[64];
    for (int d = 0; d < 3; d++) {
        snprintf(path, sizeof path, "wide%d", d);
        temp_mkdir(&test->folder, path);
        snprintf(path, sizeof path, "wide%d/f", d);
        temp_link_many(&test->folder, path, 5000);
    }
    index_or_fail(test);
    expect_walk(test, NULL);
}

static void test_deeper_than_path_max(void **state)
{
    struct scan_test *test = *state;
    enum { DEPTH = 200 };
    char name[201];
    memset(name, 'd', 200);
    name[200] = '\0';
    int at = dup(test->folder.fd);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(at, name, 0755), 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = next;
    }
    close(openat(at, "leaf", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    close(at);
    test->env.threads = 3;
    int before = temp_count_descriptors();
    index_or_fail(test);
    assert_int_equal(temp_count_descriptors(), before);
    assert_int_equal(test->told.count, DEPTH + 1);
    assert_int_equal(test->visits, DEPTH + 1);
    assert_int_equal(strlen(test->told.items[DEPTH].path), DEPTH * 201 + 4);
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
    index_or_fail(test);
    expect_walk(test, ignored);
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
    index_or_fail(test);
    expect_walk(test, ignored);
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
    index_or_fail(test);
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
    index_or_fail(test);
    expect_walk(test, NULL); /* it is indexed all the same */
    assert_int_equal(tree_root(test->tree)->watch, 4711);
    assert_int_equal(scan_test_dir(test, "a")->watch, -1);
    assert_true(scan_test_dir(test, "a")->flags & TREE_UNWATCHED);
    assert_false(tree_root(test->tree)->flags & TREE_UNWATCHED);
    assert_true(scan_test_troubled(test, "a", ENOSPC));
}

/* ---- with the real watch ---- */

static void no_hint(void *ctx, struct file_id dir, struct bytes name, uint8_t hints,
                    const struct actor *actor)
{
    (void)actor;
    (void)dir;
    (void)hints;
    *(int *)ctx += bytes_equal(name, bytes_str("later"));
}

static void no_unwatched(void *ctx, struct file_id dir, int32_t number)
{
    (void)ctx;
    (void)dir;
    (void)number;
}

static void no_lost(void *ctx, enum watch_loss loss)
{
    (void)ctx;
    (void)loss;
}

static void no_barrier(void *ctx, uint64_t token)
{
    (void)ctx;
    (void)token;
}

static void no_batch(void *ctx)
{
    (void)ctx;
}

static void test_everything_is_watched(void **state)
{
    struct scan_test *test = *state;
    enum { WATCHED = 100 };
    int hints = 0;
    char path[300];
    char(*paths)[256] = calloc(WATCHED, sizeof *paths);
    struct watch *watch;
    struct disk disk;
    snprintf(path, sizeof path, "%s/barriers", test->temp.path);
    struct watch_setup setup = {
        .kind = WATCH_INOTIFY,
        .root = test->folder.path,
        .barrier_dir = path,
        .sink = {&hints, no_hint, no_unwatched, no_lost, no_barrier, no_batch}};
    assert_int_equal(watch_open(&setup, &watch, NULL), 0);
    assert_int_equal(disk_real_open(test->folder.path, watch, &disk, NULL), 0);
    test->env.disk = &disk;
    scan_test_grow(test, 3, WATCHED, paths);
    index_or_fail(test);
    assert_int_equal(watch_count(watch), WATCHED + 1);
    for (int i = 0; i < WATCHED; i++) {
        assert_true(scan_test_dir(test, paths[i])->watch >= 0);
        snprintf(path, sizeof path, "%s/later", paths[i]);
        temp_write(&test->folder, path, "");
    }
    assert_int_equal(watch_drain(watch, NULL), 0);
    assert_int_equal(hints, WATCHED);
    disk_real_close(&disk);
    watch_close(watch);
    free(paths);
}

/* ---- without rights, without a root, without end ---- */

static int unreadable_child(void *ctx)
{
    struct scan_test *test = ctx;
    if (!temp_drop_rights())
        return TEMP_CHILD_SKIP;
    index_or_fail(test);
    bool fine = test->told.count == 4 && test->visits == 2 &&
                scan_test_dir(test, "locked")->flags & TREE_RELIST &&
                scan_test_troubled(test, "locked", EACCES) && test->trouble_count == 1;
    return fine ? 0 : 1;
}

static void test_unreadable_directory(void **state)
{
    struct scan_test *test = *state;
    temp_mkdir(&test->folder, "locked");
    temp_write(&test->folder, "locked/x", "");
    temp_mkdir(&test->folder, "open");
    temp_write(&test->folder, "open/x", "");
    temp_write(&test->folder, "file", "");
    assert_int_equal(fchmodat(test->folder.fd, "locked", 0111, 0), 0);
    int code = temp_child(unreadable_child, test);
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: cannot give up rights\n");
        skip();
    }
    assert_int_equal(code, 0);
}

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
        TEST(test_empty),
        TEST(test_equals_the_walk),
        TEST(test_order_is_breadth_first),
        TEST(test_wide_directories),
        TEST(test_deeper_than_path_max),
        TEST(test_rules),
        TEST(test_unknown_names),
        TEST(test_unreadable_rules),
        TEST(test_watch_limit),
        TEST(test_everything_is_watched),
        TEST(test_unreadable_directory),
        TEST(test_root_is_gone),
        TEST(test_stop),
        TEST(test_visit_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
