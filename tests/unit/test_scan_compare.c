/* test_scan_compare.c: what the comparison finds against an oracle that knows nothing of it: two
 * naive walks, before and after seeded mutations; and the directories it must not judge. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "err.h"
#include "helper_scan.h"
#include "journal.h"

#define DIRS 120

static void index_or_fail(struct scan_test *test)
{
    struct err err = {0};
    if (scan_test_index(test, true, &err))
        fail_msg("%s", err.text);
}

static void compare_or_fail(struct scan_test *test, struct scan_result *out)
{
    struct err err = {0};
    if (scan_test_compare(test, out, &err))
        fail_msg("%s", err.text);
}

/* As after a start: the tree comes from the journal. */
static void reload(struct scan_test *test)
{
    struct err err = {0};
    tree_free(test->tree);
    test->tree = NULL;
    assert_int_equal(tree_new(&test->tree, NULL), 0);
    struct walk root;
    walk_folder(&root, test->temp.path, NULL);
    const struct walked *folder = walk_find(&root, "root");
    tree_set_root(test->tree, folder->file, folder->attrs.mode);
    walk_free(&root);
    if (journal_load_tree(test->journal, test->tree, &err))
        fail_msg("%s", err.text);
}

static struct file_id file_of(struct scan_test *test, const char *path)
{
    return scan_test_dir(test, path)->file;
}

/* ---- the oracle ---- */

/* The directory of `path` was there before and is the same one now, with all above it. */
static bool stayed(const struct walk *before, const struct walk *after, const char *path)
{
    char part[300];
    for (size_t len = 0; path[len];) {
        len += strcspn(path + len, "/");
        snprintf(part, sizeof part, "%.*s", (int)len, path);
        const struct walked *x = walk_find(before, part), *y = walk_find(after, part);
        if (!x || !y || y->type != ENTRY_DIR || !file_id_equal(x->file, y->file))
            return false;
        len += path[len] == '/';
    }
    return true;
}

/* Checks every path of `here` that `there` lacks or has otherwise; returns how many differ within
 * directories that stayed, and were found. */
static size_t expect_found(struct scan_test *test, const struct walk *before,
                           const struct walk *after, const struct walk *here,
                           const struct walk *there, const struct scan_result *result)
{
    size_t count = 0;
    for (size_t i = 0; i < here->count; i++) {
        const struct walked *item = &here->items[i], *other = walk_find(there, item->path);
        const char *slash = strrchr(item->path, '/');
        char dir[300];
        snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - item->path) : 0, item->path);
        if ((other && walked_equal(item, other)) || !stayed(before, after, dir))
            continue;
        /* What differs on both sides is one name. */
        count += here == after || !other;
        if (!scan_test_found(result, file_of(test, dir), slash ? slash + 1 : item->path))
            fail_msg("'%s' differs and was not found", item->path);
    }
    return count;
}

static void expect_exact(struct scan_test *test, const struct walk *before,
                         const struct walk *after, const struct scan_result *result)
{
    size_t count = expect_found(test, before, after, after, before, result) +
                   expect_found(test, before, after, before, after, result);
    assert_int_equal(result->count, count);
    int64_t left = 0;
    for (size_t i = 0; i < before->count; i++)
        if (before->items[i].type == ENTRY_DIR) {
            bool here = stayed(before, after, before->items[i].path);
            bool marked = scan_test_dir(test, before->items[i].path)->flags & TREE_RELIST;
            assert_int_equal(marked, !here);
            left += !here;
        }
    assert_int_equal(result->marked, left);
}

/* ---- mutations ---- */

static void mutate_file(struct scan_test *test, uint64_t *seed, const char *path)
{
    char other[300];
    struct stat st;
    if (fstatat(test->folder.fd, path, &st, AT_SYMLINK_NOFOLLOW))
        return;
    switch (scan_test_random(seed, 6)) {
    case 0: /* in place, the same size */
        if (S_ISREG(st.st_mode)) {
            int fd = openat(test->folder.fd, path, O_WRONLY | O_CLOEXEC);
            assert_int_equal(pwrite(fd, "X", st.st_size > 0, 0), st.st_size > 0);
            /* And its time put back: ctime alone tells. */
            const struct timespec times[2] = {st.st_atim, st.st_mtim};
            assert_int_equal(futimens(fd, times), 0);
            close(fd);
        }
        break;
    case 1:
        if (!S_ISLNK(st.st_mode))
            assert_int_equal(fchmodat(test->folder.fd, path, 0700, 0), 0);
        break;
    case 2: /* replaced by another file of the same name */
        temp_remove(&test->folder, path);
        temp_write(&test->folder, path, "another");
        break;
    case 3: /* file becomes directory */
        temp_remove(&test->folder, path);
        temp_mkdir(&test->folder, path);
        break;
    case 4:
        snprintf(other, sizeof other, "%.250s-renamed", path);
        temp_rename(&test->folder, path, other);
        break;
    default:
        temp_remove(&test->folder, path);
    }
}

static void mutate(struct scan_test *test, uint64_t *seed, char (*paths)[256])
{
    char path[300];
    int dir = (int)scan_test_random(seed, DIRS);
    switch (scan_test_random(seed, 12)) {
    case 0:
        snprintf(path, sizeof path, "%s/moved%d", paths[scan_test_random(seed, DIRS)], dir);
        /* May be gone with another, or below itself: then nothing happens. */
        (void)renameat(test->folder.fd, paths[dir], test->folder.fd, path);
        break;
    case 1:
        snprintf(path, sizeof path, "%s/new%d", paths[dir], (int)scan_test_random(seed, 1000));
        if (!mkdirat(test->folder.fd, path, 0755)) {
            snprintf(path + strlen(path), 8, "/in");
            temp_write(&test->folder, path, "");
        }
        break;
    case 2:
        if (fchmodat(test->folder.fd, paths[dir], 0700, 0) != 0) {
            assert_int_equal(errno, ENOENT); /* gone with another */
        }
        break;
    case 3:
        /* Exchanged with another: both names hold somebody else now. */
        (void)renameat2(test->folder.fd, paths[dir], test->folder.fd,
                        paths[scan_test_random(seed, DIRS)], RENAME_EXCHANGE);
        break;
    default:
        snprintf(path, sizeof path, "%s/f%d", paths[dir], 1 + (int)scan_test_random(seed, 12));
        mutate_file(test, seed, path);
    }
}

static void test_seeded_mutations(void **state)
{
    struct scan_test *test = *state;
    char(*paths)[256] = calloc(DIRS, sizeof *paths);
    scan_test_grow(test, 21, DIRS, paths);
    index_or_fail(test);
    struct walk before, after;
    struct scan_result result;
    walk_folder(&before, test->folder.path, NULL);
    uint64_t seed = 99;
    for (int round = 0; round < 12; round++) {
        /* The tree stays as indexed, so the differences grow from round to round. */
        for (int i = 0; i < 15; i++)
            mutate(test, &seed, paths);
        if (round % 3 == 1)
            reload(test);
        test->env.threads = 1 + round % 4;
        walk_folder(&after, test->folder.path, NULL);
        compare_or_fail(test, &result);
        assert_false(result.crowded);
        expect_exact(test, &before, &after, &result);
        scan_result_deinit(&result);
        walk_free(&after);
    }
    walk_free(&before);
    free(paths);
}

static void test_unchanged(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    scan_test_grow(test, 8, 200, NULL);
    index_or_fail(test);
    reload(test);
    /* Marks of before are gone once a directory was compared. */
    scan_test_dir(test, "d0")->flags |= TREE_RELIST;
    test->dirs = test->entries = 0;
    test->env.threads = 0;
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 0);
    assert_int_equal(result.marked, 0);
    assert_int_equal(result.dirs, 201);
    assert_int_equal(result.entries, test->next_id - 1);
    assert_int_equal(test->dirs, 201);
    assert_int_equal(test->entries, test->next_id - 1);
    assert_false(scan_test_dir(test, "d0")->flags & TREE_RELIST);
    scan_result_deinit(&result);
}

/* What is found does not depend on the threads: by directory id, then name. */
static void test_order_of_names(void **state)
{
    struct scan_test *test = *state;
    struct scan_result first, second;
    char path[300];
    char(*paths)[256] = calloc(DIRS, sizeof *paths);
    scan_test_grow(test, 4, DIRS, paths);
    index_or_fail(test);
    for (int i = 0; i < DIRS; i++)
        for (int k = 0; k < 3; k++) {
            snprintf(path, sizeof path, "%s/new%d", paths[i], 2 - k);
            temp_write(&test->folder, path, "");
        }
    test->env.threads = 4;
    compare_or_fail(test, &first);
    test->env.threads = 1;
    compare_or_fail(test, &second);
    assert_int_equal(first.count, 3 * DIRS);
    assert_int_equal(second.count, first.count);
    for (size_t i = 0; i < first.count; i++) {
        const struct scan_name *x = &first.items[i], *y = &second.items[i];
        assert_true(file_id_equal(x->dir, y->dir));
        assert_true(bytes_equal(bytes_of(first.names + x->offset, x->len),
                                bytes_of(second.names + y->offset, y->len)));
    }
    scan_result_deinit(&first);
    scan_result_deinit(&second);
    free(paths);
}

static void test_symlink_and_type(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    assert_int_equal(symlinkat("one", test->folder.fd, "link"), 0);
    assert_int_equal(symlinkat("same", test->folder.fd, "kept"), 0);
    index_or_fail(test);
    temp_remove(&test->folder, "link");
    assert_int_equal(symlinkat("two", test->folder.fd, "link"), 0);
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 1);
    assert_true(scan_test_found(&result, tree_root(test->tree)->file, "link"));
    scan_result_deinit(&result);
}

/* ---- limits ---- */

static void test_crowded_directory(void **state)
{
    struct scan_test *test = *state;
    struct scan_result result;
    temp_mkdir(&test->folder, "a");
    temp_mkdir(&test->folder, "b");
    index_or_fail(test);
    temp_link_many(&test->folder, "a/f", SCAN_DIR_NAMES_MAX + 1);
    temp_link_many(&test->folder, "b/f", SCAN_DIR_NAMES_MAX);
    compare_or_fail(test, &result);
    assert_int_equal(result.count, SCAN_DIR_NAMES_MAX);
    assert_int_equal(result.marked, 1);
    assert_false(result.crowded);
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_false(scan_test_dir(test, "b")->flags & TREE_RELIST);
    assert_true(scan_test_found(&result, file_of(test, "b"), "f7"));
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
    index_or_fail(test);
    for (int i = 0; i < WIDE; i++) {
        snprintf(path, sizeof path, "d%d/f", i);
        temp_link_many(&test->folder, path, NAMES);
    }
    compare_or_fail(test, &result);
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
    index_or_fail(test);
    /* As after a start: no rules are loaded, and the tree says where there are some. */
    assert_true(rules_drop(test->rules, file_of(test, "a")));
    reload(test);
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 0);
    assert_true(rules_has(test->rules, file_of(test, "a")));
    scan_result_deinit(&result);

    /* Other rules: what they ignore now and what they ignored before both differ, and the file. */
    temp_write(&test->folder, "a/.spoorignore", "*.log\n#\n");
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 3);
    assert_true(scan_test_found(&result, file_of(test, "a"), RULES_FILE_NAME));
    assert_true(scan_test_found(&result, file_of(test, "a/b"), "x.tmp"));
    assert_true(scan_test_found(&result, file_of(test, "a/b"), "x.log"));
    scan_result_deinit(&result);

    /* None any more. */
    temp_remove(&test->folder, "a/.spoorignore");
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 2);
    assert_false(rules_has(test->rules, file_of(test, "a")));
    assert_true(scan_test_found(&result, file_of(test, "a"), RULES_FILE_NAME));
    assert_true(scan_test_found(&result, file_of(test, "a/b"), "x.tmp"));
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
    index_or_fail(test);
    assert_int_equal(test->told.count, 2);
    assert_true(rules_drop(test->rules, file_of(test, "a")));
    reload(test);
    compare_or_fail(test, &result);
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
    index_or_fail(test);
    assert_true(rules_drop(test->rules, file_of(test, "a")));
    test->ops.read_file = read_denied;
    temp_write(&test->folder, "c/new", "");
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 1);
    assert_true(scan_test_found(&result, file_of(test, "c"), "new"));
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
    index_or_fail(test);
    real_look = test->ops.look;
    test->ops.look = look_fails;
    temp_write(&test->folder, "a/bad", "changed");
    temp_write(&test->folder, "a/bad-new", "");
    temp_write(&test->folder, "a/good", "changed");
    compare_or_fail(test, &result);
    assert_int_equal(result.count, 1);
    assert_true(scan_test_found(&result, file_of(test, "a"), "good"));
    assert_true(scan_test_dir(test, "a")->flags & TREE_RELIST);
    assert_int_equal(result.marked, 1);
    assert_int_equal(test->trouble_count, 1); /* of two names the first speaks */
    assert_true(scan_test_troubled(test, "a", EIO));
    scan_result_deinit(&result);
    /* It is over, and all is told. */
    test->ops.look = real_look;
    compare_or_fail(test, &result);
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
    index_or_fail(test);
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
    index_or_fail(test);
    scan_test_dir(test, "a")->watch = 7;
    scan_test_dir(test, "b")->flags |= TREE_UNWATCHED;
    test->ops.watch = count_watch;
    test->env.threads = 1;
    watch_calls = 0;
    compare_or_fail(test, &result);
    assert_int_equal(watch_calls, 4); /* all but a */
    assert_int_equal(scan_test_dir(test, "a")->watch, 7);
    assert_int_equal(scan_test_dir(test, "b")->watch, file_of(test, "b").a & 0xffff);
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
    index_or_fail(test);
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
    index_or_fail(test);
    /* SQLite keeps the descriptor of a closed reader for the next one while a writer is open. */
    test->env.threads = 1;
    compare_or_fail(test, &result);
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
    compare_or_fail(test, &result);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, scan_test_setup, scan_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_seeded_mutations),
        TEST(test_unchanged),
        TEST(test_order_of_names),
        TEST(test_symlink_and_type),
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
