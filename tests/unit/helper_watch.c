/* helper_watch.c: see helper_watch.h. Records are drained by hand where the order matters; where
 * the thread is what is tested, a barrier is waited for, never a time. */
#include "helper_watch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"

static void note(struct watch_test *test, enum seen_kind kind, uint64_t dir, uint64_t value,
                 struct bytes name, const struct actor *actor)
{
    pthread_mutex_lock(&test->lock);
    if (test->count < WATCH_SEEN_MAX) {
        struct seen *seen = &test->seen[test->count++];
        *seen = (struct seen){.kind = kind, .dir = dir, .value = value};
        if (actor)
            seen->actor = *actor;
        snprintf(seen->name, sizeof seen->name, "%.*s", (int)name.len, name.at);
    }
    if (kind == SEEN_BARRIER)
        test->last_barrier = value;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
}

static void on_hint(void *ctx, struct file_id dir, struct bytes name, uint8_t hints,
                    const struct actor *actor)
{
    note(ctx, SEEN_HINT, watch_test_id(ctx, dir), hints, name, actor);
}

static void on_unwatched(void *ctx, struct file_id dir, int32_t number)
{
    note(ctx, SEEN_UNWATCHED, watch_test_id(ctx, dir), (uint64_t)number, bytes_of("", 0), NULL);
}

static void on_lost(void *ctx, enum watch_loss loss)
{
    note(ctx, SEEN_LOST, 0, loss, bytes_of("", 0), NULL);
}

static void on_barrier(void *ctx, uint64_t token)
{
    struct watch_test *test = ctx;
    if (token & WATCH_TEST_OWN) {
        pthread_mutex_lock(&test->lock);
        test->own_barrier = token;
        pthread_cond_broadcast(&test->changed);
        pthread_mutex_unlock(&test->lock);
        return;
    }
    note(ctx, SEEN_BARRIER, 0, token, bytes_of("", 0), NULL);
}

static void on_batch(void *ctx)
{
    (void)ctx;
}

static void on_inode(void *ctx, uint64_t number, uint8_t hints, const struct actor *actor)
{
    note(ctx, SEEN_INODE, number, hints, bytes_of("", 0), actor);
}

struct watch_setup watch_test_how(struct watch_test *test, char *barriers)
{
    snprintf(barriers, 160, "%s/barriers", test->temp.path);
    return (struct watch_setup){
        .kind = test->kind,
        .root = test->root,
        .barrier_dir = barriers,
        .sink = {test, on_hint, on_unwatched, on_lost, on_barrier, on_batch, on_inode}};
}

int32_t watch_test_add(struct watch_test *test, const char *path, uint64_t id, bool root)
{
    struct err err = {0};
    int32_t number = -1;
    struct watch_dir dir = {.root = root};
    watch_test_find(test, path, id, &dir);
    int code = watch_add(test->watch, &dir, &number, &err);
    watch_test_let_go(&dir);
    if (code)
        fail_msg("%s", err.text);
    return number;
}

int watch_test_setup(void **state)
{
    struct watch_test *test = calloc(1, sizeof *test);
    struct err err = {0};
    char barriers[160];
    test->kind = (enum watch_kind)(uintptr_t)*state;
    test->seen = calloc(WATCH_SEEN_MAX, sizeof *test->seen);
    pthread_mutex_init(&test->lock, NULL);
    pthread_cond_init(&test->changed, NULL);
    temp_dir_open(&test->temp);
    temp_mkdir(&test->temp, "root");
    temp_mkdir(&test->temp, "outside");
    temp_mkdir(&test->temp, "barriers");
    snprintf(test->root, sizeof test->root, "%s/root", test->temp.path);
    struct watch_setup how = watch_test_how(test, barriers);
    if (watch_open(&how, &test->watch, &err))
        fail_msg("%s", err.text);
    test->root_watch = watch_test_add(test, "root", 1, true);
    *state = test;
    return 0;
}

int watch_test_teardown(void **state)
{
    struct watch_test *test = *state;
    if (test->running) {
        watch_stop(test->watch);
        pthread_join(test->thread, NULL);
    }
    watch_close(test->watch);
    temp_dir_close(&test->temp);
    pthread_cond_destroy(&test->changed);
    pthread_mutex_destroy(&test->lock);
    free(test->seen);
    free(test);
    return 0;
}

void watch_test_drain(struct watch_test *test)
{
    struct err err = {0};
    if (watch_test_pull(test, &err))
        fail_msg("%s", err.text);
}

void watch_test_barrier(struct watch_test *test, uint64_t token)
{
    struct err err = {0};
    if (watch_barrier(test->watch, token, &err))
        fail_msg("%s", err.text);
}

void watch_test_expect(struct watch_test *test, enum seen_kind kind, uint64_t dir, const char *name,
                       uint64_t value)
{
    assert_true(test->next < test->count);
    const struct seen *seen = &test->seen[test->next++];
    assert_int_equal(seen->kind, kind);
    assert_int_equal(seen->dir, dir);
    assert_string_equal(seen->name, name);
    uint64_t told = seen->value;
    bool gather = kind == SEEN_HINT && watch_test_has_many_hints();
    for (; gather && test->next < test->count; told |= seen->value, test->next++) {
        seen = &test->seen[test->next];
        if (seen->kind != kind || seen->dir != dir || strcmp(seen->name, name) != 0)
            break;
    }
    if (kind != SEEN_HINT)
        assert_int_equal(told, value);
    else if (!watch_test_agrees(told, value))
        fail_msg("hints %llx of '%s', not %llx", (unsigned long long)told, name,
                 (unsigned long long)value);
}

const struct actor *watch_test_actor(const struct watch_test *test, uint64_t dir, const char *name)
{
    for (size_t i = test->count; i-- > 0;) {
        const struct seen *seen = &test->seen[i];
        if (seen->kind == SEEN_HINT && seen->dir == dir && strcmp(seen->name, name) == 0)
            return &seen->actor;
    }
    fail_msg("no hint of '%s'", name);
    return NULL;
}

void watch_test_expect_end(const struct watch_test *test)
{
    assert_int_equal(test->next, test->count);
}

void watch_test_forget(struct watch_test *test)
{
    test->next = test->count;
}

uint64_t watch_test_hints(const struct watch_test *test, uint64_t dir, const char *name)
{
    uint64_t hints = 0;
    for (size_t i = test->next; i < test->count; i++) {
        const struct seen *seen = &test->seen[i];
        if (seen->kind == SEEN_HINT && seen->dir == dir && strcmp(seen->name, name) == 0)
            hints |= seen->value;
    }
    return hints;
}

bool watch_test_told(const struct watch_test *test, uint64_t dir, const char *name, uint64_t wanted)
{
    uint64_t hints = watch_test_hints(test, dir, name);
    if (!watch_test_agrees(hints, wanted))
        print_message("hints %llx of '%s', not %llx\n", (unsigned long long)hints, name,
                      (unsigned long long)wanted);
    return watch_test_agrees(hints, wanted);
}

size_t watch_test_count(const struct watch_test *test, enum seen_kind kind)
{
    size_t count = 0;
    for (size_t i = test->next; i < test->count; i++)
        count += test->seen[i].kind == kind;
    return count;
}

static void *run_thread(void *arg)
{
    struct watch_test *test = arg;
    struct err err = {0};
    test->run_code = watch_run(test->watch, &err);
    return NULL;
}

void watch_test_start(struct watch_test *test)
{
    if (test->running)
        return;
    test->run_code = 1;
    test->running = true;
    assert_int_equal(pthread_create(&test->thread, NULL, run_thread, test), 0);
}

void watch_test_wait_barrier(struct watch_test *test, uint64_t token)
{
    watch_test_barrier(test, token);
    pthread_mutex_lock(&test->lock);
    while (test->last_barrier != token)
        pthread_cond_wait(&test->changed, &test->lock);
    pthread_mutex_unlock(&test->lock);
}

void watch_test_stop(struct watch_test *test)
{
    int64_t before = clock_mono_ns();
    watch_stop(test->watch);
    pthread_join(test->thread, NULL);
    test->running = false;
    test->stopped = true;
    assert_true(clock_mono_ns() - before < WATCH_STOP_MS * CLOCK_NS_PER_MS);
    assert_int_equal(test->run_code, 0);
}

static void not_here(void **state)
{
    print_message("skipped: %s\n", (const char *)*state);
    skip();
}

int watch_test_run(const struct watch_case *cases, size_t count)
{
    char place[WATCH_PLACE_SIZE];
    bool mounted = watch_test_mount_quiet(place);
    static const char *const kinds[] = {"auto", "inotify", "fanotify", "poll"};
    struct CMUnitTest *tests = calloc(count * ARRAY_LEN(kinds), sizeof *tests);
    char(*names)[128] = calloc(count * ARRAY_LEN(kinds), sizeof *names);
    size_t made = 0;
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        const char *refused = watch_test_refused((enum watch_kind)kind);
        for (size_t i = 0; i < count; i++) {
            if (!(cases[i].kinds & (watch_test_kinds() | WATCH_BY(WATCH_AUTO)) & WATCH_BY(kind)))
                continue;
            snprintf(names[made], sizeof names[made], "%s by %s", cases[i].name, kinds[kind]);
            tests[made] = (struct CMUnitTest){names[made], cases[i].run, watch_test_setup,
                                              watch_test_teardown, (void *)kind};
            if (refused)
                tests[made] = (struct CMUnitTest){names[made], not_here, NULL, NULL,
                                                  (void *)(uintptr_t)refused};
            made++;
        }
    }
    int failed = _cmocka_run_group_tests("watch", tests, made, NULL, NULL);
    free(tests);
    free(names);
    if (mounted)
        watch_test_unmount(place);
    return failed;
}
