/* test_rules.c: precedence between sources; the patterns themselves are test_ignore.c's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "ignore.h"
#include "rules.h"
#include "tree.h"

static const struct file_id root = {1, 10}, sub = {2, 20}, deep = {3, 30};

struct fixture {
    struct rules *rules;
    struct tree *tree; /* /sub/deep */
    struct entry *sub, *deep;
};

static struct rules *make(const char *const *patterns, size_t count)
{
    struct rules *rules = NULL;
    struct config_list list = {(char **)patterns, count};
    struct err err = {0};
    if (rules_new(&list, &rules, &err))
        fail_msg("%s", err.text);
    return rules;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct entry_attrs attrs = {.mode = 0755};
    assert_int_equal(tree_new(&f->tree, NULL), 0);
    tree_set_root(f->tree, root, 0755);
    f->sub =
        tree_insert(f->tree, tree_root(f->tree), bytes_str("sub"), 1, ENTRY_DIR, sub, &attrs, true);
    f->deep = tree_insert(f->tree, f->sub, bytes_str("deep"), 2, ENTRY_DIR, deep, &attrs, true);
    f->rules = make(NULL, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rules_free(f->rules);
    tree_free(f->tree);
    free(f);
    return 0;
}

static bool set(struct fixture *f, struct file_id dir, const char *text)
{
    bool changed = false;
    struct err err = {0};
    if (rules_set(f->rules, dir, text, strlen(text), &changed, &err))
        fail_msg("%s", err.text);
    return changed;
}

static bool ignored(struct fixture *f, const struct entry *dir, const char *name, bool is_dir)
{
    return rules_ignored_in(f->rules, dir, bytes_str(name), is_dir);
}

static void test_nothing(void **state)
{
    struct fixture *f = *state;
    assert_false(ignored(f, tree_root(f->tree), "a", false));
    assert_false(rules_has(f->rules, root));
    assert_false(rules_drop(f->rules, root));
    /* A file without a pattern is a file all the same. */
    assert_true(set(f, root, "# nothing\n"));
    assert_true(rules_has(f->rules, root));
    assert_false(ignored(f, tree_root(f->tree), "a", false));
    assert_true(rules_drop(f->rules, root));
}

static void test_configuration_governs_the_root(void **state)
{
    struct fixture *f = *state;
    const char *const patterns[] = {"*.tmp", "/only-here", "build/", "!keep.tmp"};
    rules_free(f->rules);
    f->rules = make(patterns, ARRAY_LEN(patterns));
    assert_true(ignored(f, tree_root(f->tree), "a.tmp", false));
    assert_true(ignored(f, f->deep, "a.tmp", false));
    assert_false(ignored(f, f->deep, "keep.tmp", false));
    assert_true(ignored(f, tree_root(f->tree), "only-here", false));
    assert_false(ignored(f, f->sub, "only-here", false));
    assert_true(ignored(f, f->sub, "build", true));
    assert_false(ignored(f, f->sub, "build", false));
}

static void test_deepest_wins(void **state)
{
    struct fixture *f = *state;
    const char *const patterns[] = {"*.o"};
    rules_free(f->rules);
    f->rules = make(patterns, 1);
    set(f, root, "!*.o\n*.log\n");
    set(f, sub, "!*.log\n*.o\n");
    assert_false(ignored(f, tree_root(f->tree), "x.o", false));
    assert_true(ignored(f, tree_root(f->tree), "x.log", false));
    assert_true(ignored(f, f->sub, "x.o", false));
    assert_false(ignored(f, f->sub, "x.log", false));
    /* What the deepest is silent about, the next above decides. */
    set(f, deep, "*.log\n");
    assert_true(ignored(f, f->deep, "x.log", false));
    assert_true(ignored(f, f->deep, "x.o", false));
    assert_true(rules_drop(f->rules, sub));
    assert_false(ignored(f, f->deep, "x.o", false));
}

/* Patterns with a slash are relative to the directory whose file they stand in. */
static void test_anchored_below(void **state)
{
    struct fixture *f = *state;
    set(f, sub, "/deep/a\ndeep/b\n");
    assert_true(ignored(f, f->deep, "a", false));
    assert_true(ignored(f, f->deep, "b", false));
    assert_false(ignored(f, f->sub, "a", false));
    assert_true(rules_drop(f->rules, sub));
    set(f, root, "/deep/a\n");
    assert_false(ignored(f, f->deep, "a", false));
    /* The caller's own levels say the same. */
    const struct rules_level levels[] = {{root, 0}, {sub, 4}, {deep, 9}};
    set(f, root, "sub/deep/c\n");
    assert_true(rules_ignored(f->rules, levels, 3, bytes_str("sub/deep/c"), false));
    set(f, deep, "!c\n");
    assert_false(rules_ignored(f->rules, levels, 3, bytes_str("sub/deep/c"), false));
    assert_true(rules_ignored(f->rules, levels, 2, bytes_str("sub/deep/c"), false));
}

static void test_rule_files_are_never_ignored(void **state)
{
    struct fixture *f = *state;
    set(f, root, "*\n");
    assert_false(ignored(f, tree_root(f->tree), RULES_FILE_NAME, false));
    assert_false(ignored(f, f->deep, RULES_FILE_NAME, false));
    assert_true(ignored(f, f->deep, RULES_FILE_NAME, true)); /* a directory holds no rules */
    assert_true(ignored(f, f->deep, "x" RULES_FILE_NAME, false));
    assert_true(ignored(f, f->deep, RULES_FILE_NAME "x", false));
}

static void test_changed(void **state)
{
    struct fixture *f = *state;
    assert_true(set(f, root, "*.a\n"));
    assert_false(set(f, root, "*.a\n"));
    assert_true(set(f, root, "*.b\n"));
    assert_false(ignored(f, tree_root(f->tree), "x.a", false));
    assert_true(ignored(f, tree_root(f->tree), "x.b", false));
    assert_true(rules_drop(f->rules, root));
    assert_false(rules_drop(f->rules, root));
    assert_false(ignored(f, tree_root(f->tree), "x.b", false));
    assert_true(set(f, root, "*.b\n"));
}

static void test_identity_is_both_halves(void **state)
{
    struct fixture *f = *state;
    set(f, (struct file_id){1, 11}, "*\n"); /* a reused inode number */
    assert_false(ignored(f, tree_root(f->tree), "x", false));
}

static void test_many_files_and_the_limit(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    bool changed;
    for (uint64_t i = 0; i < RULES_FILES_MAX; i++)
        assert_int_equal(rules_set(f->rules, (struct file_id){1000 + i, i}, "x", 1, &changed, &err),
                         0);
    assert_int_equal(rules_set(f->rules, root, "x", 1, &changed, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, RULES_FILE_NAME));
    assert_false(rules_has(f->rules, root));
    /* One that is there may still change. */
    assert_int_equal(rules_set(f->rules, (struct file_id){1000, 0}, "y", 1, &changed, &err), 0);
    assert_true(changed);
    for (uint64_t i = 0; i < RULES_FILES_MAX; i++)
        assert_true(rules_drop(f->rules, (struct file_id){1000 + i, i}));
    assert_int_equal(rules_set(f->rules, root, "x", 1, &changed, &err), 0);
    assert_true(ignored(f, tree_root(f->tree), "x", false));
}

static void test_long_configuration_is_refused(void **state)
{
    (void)state;
    char *item = malloc(IGNORE_FILE_MAX + 1);
    assert_non_null(item);
    memset(item, 'x', IGNORE_FILE_MAX);
    item[IGNORE_FILE_MAX] = '\0';
    struct config_list list = {&item, 1};
    struct rules *rules = NULL;
    struct err err = {0};
    assert_int_equal(rules_new(&list, &rules, &err), ERR_LIMIT);
    assert_null(rules);
    free(item);
}

/* A path that fits no stack buffer, hundreds of levels down. */
static void test_very_deep(void **state)
{
    struct fixture *f = *state;
    char name[201];
    const struct entry_attrs attrs = {.mode = 0755};
    struct entry *at = f->deep;
    memset(name, 'd', 200);
    name[200] = '\0';
    for (int i = 0; i < 300; i++)
        at = tree_insert(f->tree, at, bytes_str(name), 100 + i, ENTRY_DIR,
                         (struct file_id){5000 + (uint64_t)i, 0}, &attrs, true);
    set(f, root, "/sub/**/leaf\n");
    assert_true(ignored(f, at, "leaf", false));
    assert_false(ignored(f, at, "leaf2", false));
    set(f, at->file, "!leaf\n");
    assert_false(ignored(f, at, "leaf", false));
}

struct reader {
    struct fixture *f;
    bool stop;
    long wrong;
};

/* "x" is always ignored, by one source or the other; "y" never is. */
static void *read_on(void *arg)
{
    struct reader *reader = arg;
    while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
        reader->wrong += !ignored(reader->f, reader->f->deep, "x", false);
        reader->wrong += ignored(reader->f, reader->f->deep, "y", false);
    }
    return NULL;
}

static void test_readers_beside_a_writer(void **state)
{
    struct fixture *f = *state;
    struct reader readers[2] = {{f, false, 0}, {f, false, 0}};
    pthread_t threads[2];
    set(f, root, "x\n");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    for (int i = 0; i < 5000; i++) {
        set(f, sub, i % 2 ? "x\nz\n" : "x\n");
        set(f, root, i % 2 ? "x\n" : "x\nw\n");
        if (i % 3 == 0)
            rules_drop(f->rules, sub);
    }
    for (int i = 0; i < 2; i++) {
        __atomic_store_n(&readers[i].stop, true, __ATOMIC_RELAXED);
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].wrong, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),
        TEST(test_configuration_governs_the_root),
        TEST(test_deepest_wins),
        TEST(test_anchored_below),
        TEST(test_rule_files_are_never_ignored),
        TEST(test_changed),
        TEST(test_identity_is_both_halves),
        TEST(test_many_files_and_the_limit),
        TEST(test_long_configuration_is_refused),
        TEST(test_very_deep),
        TEST(test_readers_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
