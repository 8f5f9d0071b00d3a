/* test_watch.c: the contract of watch.h on the real kernel. Records are drained by hand where
 * the order matters; where the thread is what is tested, a barrier is waited for, never a time. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "helper_temp.h"
#include "watch.h"

#define SEEN_MAX 70000

enum seen_kind { SEEN_HINT, SEEN_UNWATCHED, SEEN_LOST, SEEN_BARRIER };

struct seen {
    enum seen_kind kind;
    uint64_t dir;   /* file_id.a */
    uint64_t value; /* hints, watch, loss or token */
    char name[24];
};

struct fixture {
    struct temp_dir temp; /* root/, outside/, barriers/ */
    struct watch *watch;
    int32_t root_watch;
    pthread_t thread;
    int run_code;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct seen *seen;
    size_t count, next;
    uint64_t last_barrier;
};

static void add(struct fixture *f, enum seen_kind kind, uint64_t dir, uint64_t value,
                struct bytes name)
{
    pthread_mutex_lock(&f->lock);
    if (f->count < SEEN_MAX) {
        struct seen *seen = &f->seen[f->count++];
        *seen = (struct seen){kind, dir, value, ""};
        snprintf(seen->name, sizeof seen->name, "%.*s", (int)name.len, name.at);
    }
    if (kind == SEEN_BARRIER)
        f->last_barrier = value;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void on_hint(void *ctx, struct file_id dir, struct bytes name, uint8_t hints)
{
    add(ctx, SEEN_HINT, dir.a, hints, name);
}

static void on_unwatched(void *ctx, struct file_id dir, int32_t number)
{
    add(ctx, SEEN_UNWATCHED, dir.a, (uint64_t)number, bytes_of("", 0));
}

static void on_lost(void *ctx, enum watch_loss loss)
{
    add(ctx, SEEN_LOST, 0, loss, bytes_of("", 0));
}

static void on_barrier(void *ctx, uint64_t token)
{
    add(ctx, SEEN_BARRIER, 0, token, bytes_of("", 0));
}

static void on_batch(void *ctx)
{
    (void)ctx;
}

static int32_t watch_path(struct fixture *f, const char *path, uint64_t id, bool root)
{
    struct err err = {0};
    int32_t number = -1;
    int fd = openat(f->temp.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    int code = watch_add(f->watch, fd, (struct file_id){id, 0}, root, &number, &err);
    close(fd);
    if (code)
        fail_msg("%s", err.text);
    return number;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->seen = calloc(SEEN_MAX, sizeof *f->seen);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    temp_dir_open(&f->temp);
    temp_mkdir(&f->temp, "root");
    temp_mkdir(&f->temp, "outside");
    char barriers[160];
    snprintf(barriers, sizeof barriers, "%s/barriers", f->temp.path);
    struct watch_sink sink = {f, on_hint, on_unwatched, on_lost, on_barrier, on_batch};
    struct err err = {0};
    if (watch_open(&sink, barriers, &f->watch, &err))
        fail_msg("%s", err.text);
    f->root_watch = watch_path(f, "root", 1, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    watch_close(f->watch);
    temp_dir_close(&f->temp);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f->seen);
    free(f);
    return 0;
}

static void drain(struct fixture *f)
{
    struct err err = {0};
    if (watch_drain(f->watch, &err))
        fail_msg("%s", err.text);
}

/* The next thing seen is this. */
static void expect(struct fixture *f, enum seen_kind kind, uint64_t dir, const char *name,
                   uint64_t value)
{
    assert_true(f->next < f->count);
    const struct seen *seen = &f->seen[f->next++];
    assert_int_equal(seen->kind, kind);
    assert_int_equal(seen->dir, dir);
    assert_string_equal(seen->name, name);
    assert_int_equal(seen->value, value);
}

static void expect_end(const struct fixture *f)
{
    assert_int_equal(f->next, f->count);
}

/* ---- drained by hand ---- */

static void test_create_write_close(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "root/a", "text");
    int fd = openat(f->temp.fd, "root/a", O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    drain(f);
    /* One name, one hint; but what is written after a close is not hidden behind it. */
    expect(f, SEEN_HINT, 1, "a", HINT_NAME | HINT_CONTENT | HINT_CLOSED);
    expect(f, SEEN_HINT, 1, "a", HINT_CONTENT);
    close(fd);
    assert_int_equal(fchmodat(f->temp.fd, "root/a", 0600, 0), 0);
    temp_remove(&f->temp, "root/a");
    drain(f);
    expect(f, SEEN_HINT, 1, "a", HINT_CLOSED | HINT_ATTRIB | HINT_NAME);
    expect_end(f);
}

/* The fast writer's truncate gives content and never a close (FACTS 1.4). */
static void test_truncate(void **state)
{
    struct fixture *f = *state;
    char path[160];
    temp_write(&f->temp, "root/a", "text");
    drain(f);
    f->next = f->count;
    snprintf(path, sizeof path, "%s/root/a", f->temp.path);
    assert_int_equal(truncate(path, 1), 0);
    drain(f);
    expect(f, SEEN_HINT, 1, "a", HINT_CONTENT);
    expect_end(f);
}

static void test_writes_after_unlink_are_silent(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "root/a", "text");
    int fd = openat(f->temp.fd, "root/a", O_WRONLY | O_CLOEXEC);
    temp_remove(&f->temp, "root/a");
    drain(f);
    f->next = f->count;
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    drain(f);
    expect_end(f);
}

static void test_rename_inside_and_from_outside(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "root/d");
    temp_mkdir(&f->temp, "outside/e");
    drain(f);
    f->next = f->count;
    temp_rename(&f->temp, "root/d", "root/d2");
    temp_rename(&f->temp, "outside/e", "root/e");
    temp_rename(&f->temp, "root/d2", "outside/d2");
    temp_rename(&f->temp, "outside/d2", "root/d3");
    temp_write(&f->temp, "outside/file", "");
    temp_rename(&f->temp, "outside/file", "root/file");
    drain(f);
    expect(f, SEEN_HINT, 1, "d", HINT_NAME);
    expect(f, SEEN_HINT, 1, "d2", HINT_NAME);
    expect(f, SEEN_HINT, 1, "e", HINT_NAME | HINT_ENTERED);
    expect(f, SEEN_HINT, 1, "d2", HINT_NAME);
    expect(f, SEEN_HINT, 1, "d3", HINT_NAME | HINT_ENTERED); /* left and came back: RULES 5 */
    expect(f, SEEN_HINT, 1, "file", HINT_NAME); /* only a directory holds anything unseen */
    expect_end(f);
}

/* A rename whose halves fall into two reads is still a pair. */
static void test_rename_across_reads(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "root/dir");
    drain(f);
    f->next = f->count;
    /* 32 bytes a record: the last of the first read is the departure. */
    const int filling = WATCH_BUFFER_BYTES / 32 - 1;
    for (int i = 0; i < filling; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/f%d", i);
        assert_int_equal(mkfifoat(f->temp.fd, name, 0600), 0);
    }
    temp_rename(&f->temp, "root/dir", "root/dir2");
    drain(f);
    f->next += (size_t)filling;
    expect(f, SEEN_HINT, 1, "dir", HINT_NAME);
    expect(f, SEEN_HINT, 1, "dir2", HINT_NAME);
    expect_end(f);
}

static void test_names_follow_the_directory(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "root/d");
    int32_t number = watch_path(f, "root/d", 2, false);
    assert_int_equal(watch_count(f->watch), 2);
    temp_rename(&f->temp, "root/d", "root/e");
    temp_write(&f->temp, "root/e/x", "");
    /* The same directory keeps its number; its own attributes are its parent's to tell. */
    assert_int_equal(watch_path(f, "root/e", 2, false), number);
    assert_int_equal(watch_count(f->watch), 2);
    assert_int_equal(fchmodat(f->temp.fd, "root/e", 0700, 0), 0);
    drain(f);
    expect(f, SEEN_HINT, 1, "d", HINT_NAME);
    expect(f, SEEN_HINT, 1, "e", HINT_NAME);
    expect(f, SEEN_HINT, 2, "x", HINT_NAME | HINT_CLOSED);
    expect(f, SEEN_HINT, 1, "e", HINT_ATTRIB);
    expect_end(f);
}

static void test_removed_directory_is_unwatched(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "root/d");
    int32_t number = watch_path(f, "root/d", 2, false);
    temp_remove(&f->temp, "root/d");
    drain(f);
    expect(f, SEEN_HINT, 1, "d", HINT_NAME);
    expect(f, SEEN_UNWATCHED, 2, "", (uint64_t)number);
    expect(f, SEEN_HINT, 1, "d", HINT_NAME);
    expect_end(f);
    assert_int_equal(watch_count(f->watch), 1);
}

static void test_remove_stops_hints(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "root/before", ""); /* queued when the watch goes */
    watch_remove(f->watch, f->root_watch);
    watch_remove(f->watch, -1);
    temp_write(&f->temp, "root/after", "");
    assert_int_equal(watch_count(f->watch), 0);
    drain(f);
    expect_end(f);
    int32_t again = watch_path(f, "root", 1, true);
    assert_int_not_equal(again, f->root_watch);
    temp_write(&f->temp, "root/now", "");
    drain(f);
    expect(f, SEEN_HINT, 1, "now", HINT_NAME | HINT_CLOSED);
    expect_end(f);
}

static void test_many_watches_come_and_go(void **state)
{
    struct fixture *f = *state;
    int32_t numbers[500];
    for (int i = 0; i < 500; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/d%d", i);
        temp_mkdir(&f->temp, name);
        numbers[i] = watch_path(f, name, 100 + (uint64_t)i, false);
    }
    for (int i = 0; i < 500; i += 3)
        watch_remove(f->watch, numbers[i]);
    assert_int_equal(watch_count(f->watch), 1 + 500 - 167);
    drain(f);
    f->next = f->count;
    for (int i = 0; i < 500; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/d%d/x", i);
        temp_write(&f->temp, name, "");
    }
    drain(f);
    for (int i = 0; i < 500; i++)
        if (i % 3 != 0)
            expect(f, SEEN_HINT, 100 + (uint64_t)i, "x", HINT_NAME | HINT_CLOSED);
    expect_end(f);
}

static void test_root_moved(void **state)
{
    struct fixture *f = *state;
    temp_rename(&f->temp, "root", "elsewhere");
    drain(f);
    expect(f, SEEN_LOST, 0, "", WATCH_ROOT_GONE);
    expect_end(f);
}

static void test_root_deleted(void **state)
{
    struct fixture *f = *state;
    temp_remove(&f->temp, "root");
    drain(f);
    expect(f, SEEN_LOST, 0, "", WATCH_ROOT_GONE);
    expect(f, SEEN_UNWATCHED, 1, "", (uint64_t)f->root_watch);
    expect_end(f);
}

static void barrier(struct fixture *f, uint64_t token)
{
    struct err err = {0};
    if (watch_barrier(f->watch, token, &err))
        fail_msg("%s", err.text);
}

static void test_barrier_order(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "root/a", "");
    barrier(f, 70);
    barrier(f, 71);
    temp_write(&f->temp, "root/b", "");
    drain(f);
    expect(f, SEEN_HINT, 1, "a", HINT_NAME | HINT_CLOSED);
    expect(f, SEEN_BARRIER, 0, "", 70);
    expect(f, SEEN_BARRIER, 0, "", 71);
    expect(f, SEEN_HINT, 1, "b", HINT_NAME | HINT_CLOSED);
    expect_end(f);
}

static void test_barrier_directory_is_gone(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    temp_rename(&f->temp, "barriers", "outside/barriers");
    barrier(f, 1); /* the handle still holds it */
    temp_remove(&f->temp, "outside/barriers");
    assert_int_equal(watch_barrier(f->watch, 2, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "barrier"));
    drain(f);
    expect(f, SEEN_BARRIER, 0, "", 1);
    expect_end(f);
}

static void test_barrier_directory_is_emptied(void **state)
{
    struct fixture *f = *state;
    char barriers[160];
    temp_write(&f->temp, "barriers/left-behind", "");
    snprintf(barriers, sizeof barriers, "%s/barriers", f->temp.path);
    struct watch_sink sink = {f, on_hint, on_unwatched, on_lost, on_barrier, on_batch};
    struct watch *second;
    struct err err = {0};
    assert_int_equal(watch_open(&sink, barriers, &second, &err), 0);
    watch_close(second);
    assert_int_equal(faccessat(f->temp.fd, "barriers/left-behind", F_OK, 0), -1);
}

/* More records than the queue takes: the loss is told, and a barrier that was swallowed too. */
static void test_overflow(void **state)
{
    struct fixture *f = *state;
    char text[32] = "";
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    long limit = strtol(text, NULL, 10);
    assert_true(limit > 0);
    if (limit > SEEN_MAX - 1000) {
        print_message("skipped: the queue takes %ld records\n", limit);
        skip();
    }
    temp_write(&f->temp, "root/a", "");
    temp_write(&f->temp, "root/b", "");
    for (long i = 0; i < limit + 10; i++)
        assert_int_equal(
            utimensat(f->temp.fd, i % 2 ? "root/b" : "root/a", NULL, AT_SYMLINK_NOFOLLOW), 0);
    barrier(f, 99);
    drain(f);
    /* Two files created and closed are four records and two hints; loss and barrier make two. */
    assert_int_equal(f->count, limit);
    f->next = f->count - 2;
    expect(f, SEEN_LOST, 0, "", WATCH_OVERFLOW);
    expect(f, SEEN_BARRIER, 0, "", 99);
    /* And it goes on. */
    temp_write(&f->temp, "root/c", "");
    barrier(f, 100);
    drain(f);
    expect(f, SEEN_HINT, 1, "c", HINT_NAME | HINT_CLOSED);
    expect(f, SEEN_BARRIER, 0, "", 100);
    expect_end(f);
}

/* ---- refusals, in children with fewer rights ---- */

static int unreadable_child(void *ctx)
{
    struct fixture *f = ctx;
    struct err err = {0};
    int32_t number;
    int fd = openat(f->temp.fd, "root/locked", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!temp_drop_rights() || fd < 0)
        return TEMP_CHILD_SKIP;
    int code = watch_add(f->watch, fd, (struct file_id){5, 0}, false, &number, &err);
    return code == ERR_DENIED && err.os == EACCES ? 0 : 1;
}

static void test_unreadable_directory(void **state)
{
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "root/locked");
    assert_int_equal(fchmodat(f->temp.fd, "root/locked", 0711, 0), 0);
    if (geteuid() != 0)
        assert_int_equal(fchmodat(f->temp.fd, "root/locked", 0100, 0), 0);
    int code = temp_child(unreadable_child, f);
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: cannot give up rights\n");
        skip();
    }
    assert_int_equal(code, 0);
}

/* The limit on watches is one a user namespace too (namespaces(7)): a low one of our own. */
static int limit_child(void *ctx)
{
    struct fixture *f = ctx;
    struct err err = {0};
    char barriers[160];
    if (unshare(CLONE_NEWUSER))
        return TEMP_CHILD_SKIP;
    int fd = open("/proc/sys/user/max_inotify_watches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "3", 1) != 1)
        return TEMP_CHILD_SKIP;
    close(fd);
    struct watch_sink sink = {f, on_hint, on_unwatched, on_lost, on_barrier, on_batch};
    struct watch *watch;
    snprintf(barriers, sizeof barriers, "%s/limited", f->temp.path);
    if (watch_open(&sink, barriers, &watch, &err)) {
        print_message("limit: %s\n", err.text);
        return TEMP_CHILD_SKIP;
    }
    int code = 0;
    int32_t number;
    for (int i = 0; i < 3 && !code; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/d%d", i);
        int dir = openat(f->temp.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        code = watch_add(watch, dir, (struct file_id){10 + (uint64_t)i, 0}, false, &number, &err);
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
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "root/d%d", i);
        temp_mkdir(&f->temp, name);
    }
    temp_mkdir(&f->temp, "limited");
    assert_int_equal(fchmodat(f->temp.fd, "limited", 0700, 0), 0);
    int code = temp_child(limit_child, f);
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: no user namespace with a limit of its own\n");
        skip();
    }
    assert_int_equal(code, 0);
}

/* ---- with the thread ---- */

static void *run_thread(void *arg)
{
    struct fixture *f = arg;
    struct err err = {0};
    f->run_code = watch_run(f->watch, &err);
    return NULL;
}

static void start(struct fixture *f)
{
    f->run_code = 1;
    assert_int_equal(pthread_create(&f->thread, NULL, run_thread, f), 0);
}

static void wait_barrier(struct fixture *f, uint64_t token)
{
    barrier(f, token);
    pthread_mutex_lock(&f->lock);
    while (f->last_barrier != token)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void stop_in_time(struct fixture *f)
{
    int64_t before = clock_mono_ns();
    watch_stop(f->watch);
    pthread_join(f->thread, NULL);
    assert_true(clock_mono_ns() - before < WATCH_STOP_MS * CLOCK_NS_PER_MS);
    assert_int_equal(f->run_code, 0);
}

static void test_thread_hands_over(void **state)
{
    struct fixture *f = *state;
    start(f);
    temp_write(&f->temp, "root/a", "text");
    wait_barrier(f, 5);
    stop_in_time(f);
    /* A linger may fall between the records: all hints together are the same. */
    uint64_t hints = 0;
    for (size_t i = 0; i < f->count; i++)
        if (f->seen[i].kind == SEEN_HINT && !strcmp(f->seen[i].name, "a"))
            hints |= f->seen[i].value;
    assert_int_equal(hints, HINT_NAME | HINT_CONTENT | HINT_CLOSED);
}

static void test_stop_when_idle(void **state)
{
    struct fixture *f = *state;
    start(f);
    wait_barrier(f, 1);
    stop_in_time(f);
}

static void test_stop_before_run(void **state)
{
    struct fixture *f = *state;
    watch_stop(f->watch);
    start(f);
    pthread_join(f->thread, NULL);
    assert_int_equal(f->run_code, 0);
}

struct writer {
    struct fixture *f;
    bool stop;
};

static void *write_flat_out(void *arg)
{
    struct writer *writer = arg;
    for (unsigned i = 0; !__atomic_load_n(&writer->stop, __ATOMIC_RELAXED); i++) {
        char name[32];
        snprintf(name, sizeof name, "root/f%u", i % 64);
        int fd = openat(writer->f->temp.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        close(fd);
        (void)unlinkat(writer->f->temp.fd, name, 0);
    }
    return NULL;
}

/* Stopped, and drained by another thread meanwhile, under a writer that never pauses. */
static void test_stop_when_busy(void **state)
{
    struct fixture *f = *state;
    struct writer writer = {f, false};
    pthread_t thread;
    start(f);
    assert_int_equal(pthread_create(&thread, NULL, write_flat_out, &writer), 0);
    for (uint64_t token = 1; token <= 20; token++) {
        wait_barrier(f, token);
        drain(f);
    }
    stop_in_time(f);
    drain(f); /* ends though the writer does not */
    __atomic_store_n(&writer.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    uint64_t last = 0;
    for (size_t i = 0; i < f->count; i++)
        if (f->seen[i].kind == SEEN_BARRIER) {
            assert_int_equal(f->seen[i].value, last + 1);
            last = f->seen[i].value;
        }
}

static void test_no_descriptor_is_left(void **state)
{
    struct fixture *f = *state;
    int before = temp_count_descriptors();
    char barriers[160];
    snprintf(barriers, sizeof barriers, "%s/barriers", f->temp.path);
    struct watch_sink sink = {f, on_hint, on_unwatched, on_lost, on_barrier, on_batch};
    for (int i = 0; i < 3; i++) {
        struct watch *watch;
        struct err err = {0};
        assert_int_equal(watch_open(&sink, barriers, &watch, &err), 0);
        assert_int_equal(watch_barrier(watch, 1, &err), 0);
        assert_int_equal(watch_drain(watch, &err), 0);
        watch_close(watch);
        temp_write(&f->temp, "file", "");
        snprintf(barriers, sizeof barriers, "%s/file", f->temp.path);
        assert_int_not_equal(watch_open(&sink, barriers, &watch, &err), 0);
        snprintf(barriers, sizeof barriers, "%s/barriers", f->temp.path);
    }
    assert_int_equal(temp_count_descriptors(), before);
    assert_string_equal(watch_backend(f->watch), "inotify");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_create_write_close),
        TEST(test_truncate),
        TEST(test_writes_after_unlink_are_silent),
        TEST(test_rename_inside_and_from_outside),
        TEST(test_rename_across_reads),
        TEST(test_names_follow_the_directory),
        TEST(test_removed_directory_is_unwatched),
        TEST(test_remove_stops_hints),
        TEST(test_many_watches_come_and_go),
        TEST(test_root_moved),
        TEST(test_root_deleted),
        TEST(test_barrier_order),
        TEST(test_barrier_directory_is_gone),
        TEST(test_barrier_directory_is_emptied),
        TEST(test_overflow),
        TEST(test_unreadable_directory),
        TEST(test_watch_limit),
        TEST(test_thread_hands_over),
        TEST(test_stop_when_idle),
        TEST(test_stop_before_run),
        TEST(test_stop_when_busy),
        TEST(test_no_descriptor_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
