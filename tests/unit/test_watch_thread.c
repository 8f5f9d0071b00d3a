/* test_watch_thread.c: the contract of watch.h, one source for every back-end: barriers, the
 * watch thread and its end. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_fileop.h"
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

static void test_thread_hands_over(void **state)
{
    struct watch_test *test = *state;
    watch_test_start(test);
    temp_write(&test->temp, "root/a", "text");
    watch_test_wait_barrier(test, 5);
    watch_test_stop(test);
    uint64_t all = HINT_NAME | HINT_CONTENT | HINT_CLOSED;
    assert_true(watch_test_told(test, 1, "a", test->kind == WATCH_POLL ? 0 : all));
}

/* The root's fate reaches a thread that sleeps. */
static void test_thread_hears_of_the_root(void **state)
{
    struct watch_test *test = *state;
    if (!watch_test_has(WATCH_TEST_ROOT_MOVED_TOLD))
        skip();
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
    watch_test_stop(test); /* waits for its end */
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
        (void)(fileop_create(&writer->test->temp, name) &&
               fileop_remove(&writer->test->temp, name));
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

int main(void)
{
    const unsigned kernel = WATCH_BY_KERNEL;
    const struct watch_case cases[] = {
        WATCH_CASE(test_barrier_order, WATCH_BY_ALL),
        WATCH_CASE(test_thread_hands_over, WATCH_BY_ALL),
        WATCH_CASE(test_thread_hears_of_the_root, kernel),
        WATCH_CASE(test_stop_when_idle, WATCH_BY_ALL),
        WATCH_CASE(test_stop_before_run, WATCH_BY_ALL),
        WATCH_CASE(test_stop_when_busy, WATCH_BY_ALL),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
