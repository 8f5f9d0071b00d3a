/* test_watch_inotify.c: what only inotify has: the exact order of its records, pairs split over two
 * reads, silence after an unlink, the queue's and the watches' limits, unreadable directories. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "err.h"
#include "helper_watch.h"

/* ---- drained by hand ---- */

static void test_create_write_close(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "text");
    int fd = openat(test->temp.fd, "root/a", O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    watch_test_drain(test);
    /* One name, one hint; but what is written after a close is not hidden behind it. */
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_NAME | HINT_CONTENT | HINT_CLOSED);
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_CONTENT);
    close(fd);
    assert_int_equal(fchmodat(test->temp.fd, "root/a", 0600, 0), 0);
    temp_remove(&test->temp, "root/a");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_CLOSED | HINT_ATTRIB | HINT_NAME);
    watch_test_expect_end(test);
}

static void test_writes_after_unlink_are_silent(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "text");
    int fd = openat(test->temp.fd, "root/a", O_WRONLY | O_CLOEXEC);
    temp_remove(&test->temp, "root/a");
    watch_test_drain(test);
    watch_test_forget(test);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    watch_test_drain(test);
    watch_test_expect_end(test);
}

/* A rename whose halves fall into two reads is still a pair. */
static void test_rename_across_reads(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/dir");
    watch_test_drain(test);
    watch_test_forget(test);
    /* 32 bytes a record: the last of the first read is the departure. */
    const int filling = WATCH_BUFFER_BYTES / 32 - 1;
    for (int i = 0; i < filling; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/f%d", i);
        assert_int_equal(mkfifoat(test->temp.fd, name, 0600), 0);
    }
    temp_rename(&test->temp, "root/dir", "root/dir2");
    watch_test_drain(test);
    test->next += (size_t)filling;
    watch_test_expect(test, SEEN_HINT, 1, "dir", HINT_NAME);
    watch_test_expect(test, SEEN_HINT, 1, "dir2", HINT_NAME);
    watch_test_expect_end(test);
}

/* More records than the queue takes: the loss is told, and a barrier that was swallowed too. */
static void test_overflow(void **state)
{
    struct watch_test *test = *state;
    char text[32] = "";
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    long limit = strtol(text, NULL, 10);
    assert_true(limit > 0);
    if (limit > WATCH_SEEN_MAX - 1000) {
        print_message("skipped: the queue takes %ld records\n", limit);
        skip();
    }
    temp_write(&test->temp, "root/a", "");
    temp_write(&test->temp, "root/b", "");
    for (long i = 0; i < limit + 10; i++)
        assert_int_equal(
            utimensat(test->temp.fd, i % 2 ? "root/b" : "root/a", NULL, AT_SYMLINK_NOFOLLOW), 0);
    watch_test_barrier(test, 99);
    watch_test_drain(test);
    /* Two files created and closed are four records and two hints; loss and barrier make two. */
    assert_int_equal(test->count, limit);
    test->next = test->count - 2;
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_OVERFLOW);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 99);
    /* And it goes on. */
    temp_write(&test->temp, "root/c", "");
    watch_test_barrier(test, 100);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "c", HINT_NAME | HINT_CLOSED);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 100);
    watch_test_expect_end(test);
}

/* ---- refusals, in children with fewer rights ---- */

static int unreadable_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct err err = {0};
    int32_t number;
    int fd = openat(test->temp.fd, "root/locked", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!temp_drop_rights() || fd < 0)
        return TEMP_CHILD_SKIP;
    int code = watch_add(test->watch, &(struct watch_dir){.fd = fd, .file = {5, 0}}, &number, &err);
    return code == ERR_DENIED && err.os == EACCES ? 0 : 1;
}

static void test_unreadable_directory(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/locked");
    assert_int_equal(fchmodat(test->temp.fd, "root/locked", 0711, 0), 0);
    if (geteuid() != 0)
        assert_int_equal(fchmodat(test->temp.fd, "root/locked", 0100, 0), 0);
    int code = temp_child(unreadable_child, test);
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: cannot give up rights\n");
        skip();
    }
    assert_int_equal(code, 0);
}

/* The limit on watches is one a user namespace too (namespaces(7)): a low one of our own. */
static int limit_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct err err = {0};
    char barriers[160];
    if (unshare(CLONE_NEWUSER))
        return TEMP_CHILD_SKIP;
    int fd = open("/proc/sys/user/max_inotify_watches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "3", 1) != 1)
        return TEMP_CHILD_SKIP;
    close(fd);
    struct watch_setup how = watch_test_how(test, barriers);
    how.barrier_dir = barriers;
    struct watch *watch;
    snprintf(barriers, sizeof barriers, "%s/limited", test->temp.path);
    if (watch_open(&how, &watch, &err)) {
        print_message("limit: %s\n", err.text);
        return TEMP_CHILD_SKIP;
    }
    int code = 0;
    int32_t number;
    for (int i = 0; i < 3 && !code; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/d%d", i);
        int dir = openat(test->temp.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        code = watch_add(watch, &(struct watch_dir){.fd = dir, .file = {10 + (uint64_t)i, 0}},
                         &number, &err);
        close(dir);
        if (code && i < 2)
            return 1;
    }
    if (code != ERR_LIMIT || err.os != ENOSPC || !strstr(err.text, "max_user_watches"))
        return 2;
    size_t count = watch_count(watch);
    watch_close(watch);
    return count == 2 ? 0 : 3;
}

static void test_watch_limit(void **state)
{
    struct watch_test *test = *state;
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/d%d", i);
        temp_mkdir(&test->temp, name);
    }
    temp_mkdir(&test->temp, "limited");
    assert_int_equal(fchmodat(test->temp.fd, "limited", 0700, 0), 0);
    int code = temp_child(limit_child, test);
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: no user namespace with a limit of its own\n");
        skip();
    }
    assert_int_equal(code, 0);
}

int main(void)
{
    const struct watch_case cases[] = {
        WATCH_CASE(test_create_write_close, WATCH_BY(WATCH_INOTIFY)),
        WATCH_CASE(test_writes_after_unlink_are_silent, WATCH_BY(WATCH_INOTIFY)),
        WATCH_CASE(test_rename_across_reads, WATCH_BY(WATCH_INOTIFY)),
        WATCH_CASE(test_overflow, WATCH_BY(WATCH_INOTIFY)),
        WATCH_CASE(test_unreadable_directory, WATCH_BY(WATCH_INOTIFY)),
        WATCH_CASE(test_watch_limit, WATCH_BY(WATCH_INOTIFY)),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
