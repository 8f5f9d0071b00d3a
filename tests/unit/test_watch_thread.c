/* test_watch_thread.c: the contract of watch.h, one source for every back-end: barriers, the
 * watch thread and its end, descriptors. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "helper_watch.h"

static void test_barrier_order(void **state)
{
    struct watch_test *test = *state;
    temp_write(&test->temp, "root/a", "");
    watch_test_barrier(test, 70);
    watch_test_barrier(test, 71);
    temp_write(&test->temp, "root/b", "");
    watch_test_drain(test);
    if (test->kind != WATCH_POLL)
        watch_test_expect(test, SEEN_HINT, 1, "a", HINT_NAME | HINT_CLOSED);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 70);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 71);
    if (test->kind != WATCH_POLL)
        watch_test_expect(test, SEEN_HINT, 1, "b", HINT_NAME | HINT_CLOSED);
    watch_test_expect_end(test);
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

static void test_thread_hands_over(void **state)
{
    struct watch_test *test = *state;
    watch_test_start(test);
    temp_write(&test->temp, "root/a", "text");
    watch_test_wait_barrier(test, 5);
    watch_test_stop(test);
    uint64_t all = HINT_NAME | HINT_CONTENT | HINT_CLOSED;
    assert_int_equal(watch_test_hints(test, 1, "a"), test->kind == WATCH_POLL ? 0 : all);
}

/* The root's fate reaches a thread that sleeps. */
static void test_thread_hears_of_the_root(void **state)
{
    struct watch_test *test = *state;
    watch_test_start(test);
    temp_rename(&test->temp, "root", "elsewhere");
    pthread_mutex_lock(&test->lock);
    while (watch_test_count(test, SEEN_LOST) == 0)
        pthread_cond_wait(&test->changed, &test->lock);
    pthread_mutex_unlock(&test->lock);
    watch_test_stop(test);
}

static void test_stop_when_idle(void **state)
{
    struct watch_test *test = *state;
    watch_test_start(test);
    watch_test_wait_barrier(test, 1);
    watch_test_stop(test);
}

static void test_stop_before_run(void **state)
{
    struct watch_test *test = *state;
    watch_stop(test->watch);
    watch_test_start(test);
    pthread_join(test->thread, NULL);
    assert_int_equal(test->run_code, 0);
}

struct writer {
    struct watch_test *test;
    bool stop;
};

static void *write_flat_out(void *arg)
{
    struct writer *writer = arg;
    for (unsigned i = 0; !__atomic_load_n(&writer->stop, __ATOMIC_RELAXED); i++) {
        char name[32];
        snprintf(name, sizeof name, "root/f%u", i % 64);
        int fd = openat(writer->test->temp.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        close(fd);
        (void)unlinkat(writer->test->temp.fd, name, 0);
    }
    return NULL;
}

/* Stopped, and drained by another thread meanwhile, under a writer that never pauses. */
static void test_stop_when_busy(void **state)
{
    struct watch_test *test = *state;
    struct writer writer = {test, false};
    pthread_t thread;
    watch_test_start(test);
    assert_int_equal(pthread_create(&thread, NULL, write_flat_out, &writer), 0);
    for (uint64_t token = 1; token <= 20; token++) {
        watch_test_wait_barrier(test, token);
        watch_test_drain(test);
    }
    watch_test_stop(test);
    watch_test_drain(test); /* ends though the writer does not */
    __atomic_store_n(&writer.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    uint64_t last = 0;
    for (size_t i = 0; i < test->count; i++)
        if (test->seen[i].kind == SEEN_BARRIER) {
            assert_int_equal(test->seen[i].value, last + 1);
            last = test->seen[i].value;
        }
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
        WATCH_CASE(test_barrier_order, WATCH_BY_ALL),
        WATCH_CASE(test_barrier_after_another_process, kernel),
        WATCH_CASE(test_barrier_directory_is_gone, kernel),
        WATCH_CASE(test_barrier_directory_is_emptied, kernel),
        WATCH_CASE(test_thread_hands_over, WATCH_BY_ALL),
        WATCH_CASE(test_thread_hears_of_the_root, kernel),
        WATCH_CASE(test_stop_when_idle, WATCH_BY_ALL),
        WATCH_CASE(test_stop_before_run, WATCH_BY_ALL),
        WATCH_CASE(test_stop_when_busy, WATCH_BY_ALL),
        WATCH_CASE(test_no_descriptor_is_left, WATCH_BY_ALL),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
