/* test_scan_compare.c: what the comparison finds against an oracle that knows nothing of it: two
 * naive walks, before and after seeded mutations. */
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
        if (!scan_test_found(result, scan_test_file(test, dir), slash ? slash + 1 : item->path))
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
    scan_test_must_index(test);
    struct walk before, after;
    struct scan_result result;
    walk_folder(&before, test->folder.path, NULL);
    uint64_t seed = 99;
    for (int round = 0; round < 12; round++) {
        /* The tree stays as indexed, so the differences grow from round to round. */
        for (int i = 0; i < 15; i++)
            mutate(test, &seed, paths);
        if (round % 3 == 1)
            scan_test_reload(test);
        test->env.threads = 1 + round % 4;
        walk_folder(&after, test->folder.path, NULL);
        scan_test_must_compare(test, &result);
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
    scan_test_must_index(test);
    scan_test_reload(test);
    /* Marks of before are gone once a directory was compared. */
    scan_test_dir(test, "d0")->flags |= TREE_RELIST;
    test->dirs = test->entries = 0;
    test->env.threads = 0;
    scan_test_must_compare(test, &result);
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
    scan_test_must_index(test);
    for (int i = 0; i < DIRS; i++)
        for (int k = 0; k < 3; k++) {
            snprintf(path, sizeof path, "%s/new%d", paths[i], 2 - k);
            temp_write(&test->folder, path, "");
        }
    test->env.threads = 4;
    scan_test_must_compare(test, &first);
    test->env.threads = 1;
    scan_test_must_compare(test, &second);
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
    scan_test_must_index(test);
    temp_remove(&test->folder, "link");
    assert_int_equal(symlinkat("two", test->folder.fd, "link"), 0);
    scan_test_must_compare(test, &result);
    assert_int_equal(result.count, 1);
    assert_true(scan_test_found(&result, tree_root(test->tree)->file, "link"));
    scan_result_deinit(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scan_test_setup, scan_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_seeded_mutations),
        TEST(test_unchanged),
        TEST(test_order_of_names),
        TEST(test_symlink_and_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
