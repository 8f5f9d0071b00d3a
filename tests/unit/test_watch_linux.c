/* test_watch_linux.c: the contract of watch.h where only Linux can do what is told, for all of its
 * back-ends: maps, files that are named late, exchanges; barriers in a directory of their own;
 * descriptors. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "err.h"
#include "helper_fileop.h"
#include "helper_watch.h"

/* Stores into a mapping say nothing until it goes, long after the descriptor. */
static void test_mapped_write(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "text");
    int fd = openat(test->temp.fd, "root/a", O_RDWR | O_CLOEXEC);
    char *at = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    close(fd);
    watch_test_drain(test);
    watch_test_forget(test);
    memcpy(at, "more", 4);
    assert_int_equal(munmap(at, 4), 0);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_CLOSED);
    watch_test_expect_end(test);
}

/* A file without a name is reported under one that was never there; the true one follows. */
static void test_file_that_gets_its_name_late(void **state)
{
    struct watch_test *test = *state;
    char path[40];
    int fd = openat(test->temp.fd, "root", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        print_message("skipped: no O_TMPFILE here\n");
        skip();
    }
    assert_int_equal(write(fd, "x", 1), 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(linkat(AT_FDCWD, path, test->temp.fd, "root/late", AT_SYMLINK_FOLLOW), 0);
    close(fd);
    watch_test_drain(test);
    assert_true(watch_test_hints(test, 1, "late") & HINT_NAME);
}

/* Two names trade places, a file and a directory; and a file of another type. */
static void test_exchange(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/b", "");
    temp_mkdir(&test->temp, "root/d");
    watch_test_drain(test);
    watch_test_forget(test);
    assert_true(fileop_exchange(&test->temp, "root/b", "root/d"));
    assert_int_equal(mkfifoat(test->temp.fd, "root/p", 0600), 0);
    watch_test_drain(test);
    assert_true(watch_test_hints(test, 1, "b") & HINT_NAME);
    assert_true(watch_test_hints(test, 1, "d") & HINT_NAME);
    assert_true(watch_test_hints(test, 1, "p") & HINT_NAME);
}

/* What another process did before is there too: records of its writes bear its name, not ours. */
static int write_child(void *ctx)
{
    struct watch_test *test = ctx;
    temp_write(&test->temp, "root/theirs", "text");
    return 0;
}

static void test_barrier_after_another_process(void **state)
{
    struct watch_test *test = *state;
    assert_int_equal(temp_child(write_child, test), 0);
    watch_test_barrier(test, 1);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "theirs", HINT_NAME | HINT_CONTENT | HINT_CLOSED);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 1);
    watch_test_expect_end(test);
}

static void test_barrier_directory_is_gone(void **state)
{
    struct watch_test *test = *state;
    struct err err = {0};
    temp_rename(&test->temp, "barriers", "outside/barriers");
    watch_test_barrier(test, 1); /* the handle still holds it */
    temp_remove(&test->temp, "outside/barriers");
    assert_int_equal(watch_barrier(test->watch, 2, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "barrier"));
    watch_test_drain(test);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 1);
    watch_test_expect_end(test);
    assert_int_equal(watch_barrier(test->watch, 3, &err), ERR_NOTFOUND);
}

static void test_barrier_directory_is_emptied(void **state)
{
    struct watch_test *test = *state;
    char barriers[160];
    temp_write(&test->temp, "barriers/left-behind", "");
    struct watch_setup how = watch_test_how(test, barriers);
    struct watch *second;
    struct err err = {0};
    assert_int_equal(watch_open(&how, &second, &err), 0);
    watch_close(second);
    assert_int_equal(faccessat(test->temp.fd, "barriers/left-behind", F_OK, 0), -1);
}

static void test_no_descriptor_is_left(void **state)
{
    struct watch_test *test = *state;
    int before = temp_count_descriptors();
    char barriers[160], file[170];
    struct watch_setup how = watch_test_how(test, barriers);
    struct err err = {0};
    temp_write(&test->temp, "file", "");
    snprintf(file, sizeof file, "%s/file", test->temp.path);
    for (int i = 0; i < 3; i++) {
        struct watch *watch;
        how.barrier_dir = barriers;
        assert_int_equal(watch_open(&how, &watch, &err), 0);
        assert_int_equal(watch_barrier(watch, 1, &err), 0);
        assert_int_equal(watch_drain(watch, &err), 0);
        watch_close(watch);
        how.barrier_dir = file;
        if (test->kind != WATCH_POLL) /* which has no use for it */
            assert_int_not_equal(watch_open(&how, &watch, &err), 0);
    }
    watch_close(NULL);
    assert_int_equal(temp_count_descriptors(), before);
}

int main(void)
{
    const unsigned kernel = WATCH_BY_KERNEL;
    const struct watch_case cases[] = {
        WATCH_CASE(test_mapped_write, kernel),
        WATCH_CASE(test_file_that_gets_its_name_late, kernel),
        WATCH_CASE(test_exchange, kernel),
        WATCH_CASE(test_barrier_after_another_process, kernel),
        WATCH_CASE(test_barrier_directory_is_gone, kernel),
        WATCH_CASE(test_barrier_directory_is_emptied, kernel),
        WATCH_CASE(test_no_descriptor_is_left, WATCH_BY_ALL),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
