/* test_inode_filter.c: what was put in is found whatever the number and whoever puts in beside it,
 * and little else is; and the table of numbers whose names are to be found. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "facts.h"
#include "inode_filter.h"
#include "inodes.h"

enum { THREADS = 4, EACH = 50000 };

static struct inode_filter filter;

static uint64_t number_of(uint64_t i)
{
    return i % 2 ? i : i << 40 | 7; /* small ones, and such as differ high up alone */
}

static size_t count_found(uint64_t from, uint64_t to)
{
    size_t found = 0;
    for (uint64_t i = from; i < to; i++)
        found += inode_filter_may_hold(&filter, number_of(i));
    return found;
}

static void test_filter(void **state)
{
    (void)state;
    inode_filter_init(&filter, 42);
    assert_false(inode_filter_may_hold(&filter, 1));
    for (uint64_t count = 1; count <= 200000; count *= 10) {
        for (uint64_t i = count / 10; i < count; i++) {
            inode_filter_put(&filter, number_of(i));
            inode_filter_put(&filter, number_of(i)); /* again, for nothing */
        }
        assert_int_equal(count_found(0, count), count);
        assert_true(count_found(1000000, 1010000) < 400);
    }
    /* 3,276 + 13,107 + 52,428 in full levels, the rest of 100,000 in the fourth. */
    assert_int_equal(filter.count, 4);
    inode_filter_deinit(&filter);
}

static void *put_many(void *arg)
{
    uint64_t first = (uint64_t)(uintptr_t)arg * EACH;
    for (uint64_t i = first; i < first + EACH; i++) {
        inode_filter_put(&filter, number_of(i));
        if (!inode_filter_may_hold(&filter, number_of(i)))
            return arg;
    }
    return NULL;
}

static void test_filter_from_many_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    void *failed;
    inode_filter_init(&filter, 43);
    for (uintptr_t i = 0; i < THREADS; i++) /* from 1 on: NULL is success */
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(count_found(EACH, EACH * (THREADS + 1)), EACH * THREADS);
    inode_filter_deinit(&filter);
}

/* Without memory everything may be ours: slow, but nothing is missed. */
static void test_full_filter(void **state)
{
    (void)state;
    inode_filter_init(&filter, 44);
    filter.full = true;
    inode_filter_put(&filter, 1);
    assert_true(inode_filter_may_hold(&filter, 2));
    assert_int_equal(filter.count, 0);
    inode_filter_deinit(&filter);
}

static void test_inodes(void **state)
{
    (void)state;
    struct inodes inodes = {0};
    const struct actor vim = {1, "vim"}, make = {2, "make"};
    assert_true(inodes_add(&inodes, 5, 0, &vim, 100));
    assert_true(inodes_add(&inodes, 5, HINT_CONTENT, &make, 200));
    assert_true(inodes_add(&inodes, 5, HINT_CLOSED, NULL, 300));
    assert_int_equal(inodes.count, 1);
    for (size_t i = 0; i < inodes.cap; i++)
        if (inodes.slots[i].first_ns) {
            assert_int_equal(inodes.slots[i].number, 5);
            assert_int_equal(inodes.slots[i].first_ns, 100); /* since when it is due */
            assert_int_equal(inodes.slots[i].hints, HINT_CONTENT | HINT_CLOSED);
            assert_int_equal(inodes.slots[i].actor.pid, 2);
        }
    for (uint64_t i = 1; inodes.count < INODES_MAX; i++)
        assert_true(inodes_add(&inodes, i, HINT_CLOSED, NULL, 400));
    assert_true(inodes_add(&inodes, 5, HINT_CLOSED, NULL, 400));
    /* One too many: all is forgotten, and begins anew. */
    assert_false(inodes_add(&inodes, UINT64_MAX, HINT_CLOSED, NULL, 400));
    assert_int_equal(inodes.count, 0);
    assert_true(inodes_add(&inodes, UINT64_MAX, HINT_CLOSED, NULL, 400));
    inodes_clear(&inodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_filter_from_many_threads),
        cmocka_unit_test(test_full_filter),
        cmocka_unit_test(test_inodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
