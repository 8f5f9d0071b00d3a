/* test_scan_index_linux.c: what takes Linux to make for the first index: very many names, deeper
 * than any path, a directory that cannot be read. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "helper_scan.h"
#include "watch.h"

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
    scan_test_must_walk(test);
    scan_test_expect_walk(test, NULL);
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
    scan_test_must_walk(test);
    assert_int_equal(temp_count_descriptors(), before);
    assert_int_equal(test->told.count, DEPTH + 1);
    assert_int_equal(test->visits, DEPTH + 1);
    assert_int_equal(strlen(test->told.items[DEPTH].path), DEPTH * 201 + 4);
}

static int unreadable_child(void *ctx)
{
    struct scan_test *test = ctx;
    if (!temp_drop_rights())
        return TEMP_CHILD_SKIP;
    scan_test_must_walk(test);
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
    scan_test_must_walk(test);
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

/* Bytes that are no text, and what a shell would trip over. */
static void test_odd_names(void **state)
{
    struct scan_test *test = *state;
    const char *const odd[] = {"\xff\xfe", "new\nline", "-n", " "};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        temp_write(&test->folder, odd[i], "x");
    scan_test_must_walk(test);
    assert_int_equal(test->told.count, ARRAY_LEN(odd));
    scan_test_expect_walk(test, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scan_test_setup, scan_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wide_directories),
        TEST(test_deeper_than_path_max),
        TEST(test_unreadable_directory),
        TEST(test_everything_is_watched),
        TEST(test_odd_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
