/* helper_scan.c: see helper_scan.h. */
#include "helper_scan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "journal.h"
#include "osfile.h"

/* ---- the naive walk ---- */

struct walked *walk_add(struct walk *walk, const char *path)
{
    if (walk->count == walk->cap) {
        walk->cap = walk->cap ? walk->cap * 2 : 256;
        walk->items = reallocarray(walk->items, walk->cap, sizeof *walk->items);
        assert_non_null(walk->items);
    }
    struct walked *item = &walk->items[walk->count++];
    *item = (struct walked){.path = strdup(path)};
    return item;
}

static bool in_list(const char *const *list, const char *path)
{
    for (; list && *list; list++)
        if (!strcmp(*list, path))
            return true;
    return false;
}

struct walk_place {
    struct walk *walk;
    const char *root, *path;
    const char *const *ignored;
};

static void walk_dir(struct walk *walk, const char *root, const char *path,
                     const char *const *ignored);

static int walk_name(void *ctx, const char *name, struct err *err)
{
    const struct walk_place *place = ctx;
    char full[8192], inner[8192];
    (void)err; /* it ends the test */
    snprintf(inner, sizeof inner, "%.4000s%s%s", place->path, *place->path ? "/" : "", name);
    if (in_list(place->ignored, inner))
        return 0;
    snprintf(full, sizeof full, "%.1000s/%.7000s", place->root, inner);
    walk_entry(place->walk, full, inner);
    if (place->walk->items[place->walk->count - 1].type == ENTRY_DIR)
        walk_dir(place->walk, place->root, inner, place->ignored);
    return 0;
}

static void walk_dir(struct walk *walk, const char *root, const char *path,
                     const char *const *ignored)
{
    struct walk_place place = {walk, root, path, ignored};
    char full[8192];
    snprintf(full, sizeof full, "%s/%s", root, path);
    int dir = osfile_open_dir(full, NULL);
    assert_true(dir >= 0);
    assert_int_equal(osfile_list(dir, walk_name, &place, NULL), 0);
    close(dir);
}

static int compare_walked(const void *x, const void *y)
{
    return strcmp(((const struct walked *)x)->path, ((const struct walked *)y)->path);
}

void walk_sort(struct walk *walk)
{
    if (walk->count > 1)
        qsort(walk->items, walk->count, sizeof *walk->items, compare_walked);
}

void walk_folder(struct walk *walk, const char *root, const char *const *ignored)
{
    *walk = (struct walk){0};
    walk_dir(walk, root, "", ignored);
    walk_sort(walk);
}

void walk_free(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++) {
        free(walk->items[i].path);
        free(walk->items[i].target);
    }
    free(walk->items);
    *walk = (struct walk){0};
}

const struct walked *walk_find(const struct walk *walk, const char *path)
{
    const struct walked key = {.path = (char *)path};
    return walk->count ? bsearch(&key, walk->items, walk->count, sizeof key, compare_walked) : NULL;
}

bool walked_equal(const struct walked *x, const struct walked *y)
{
    return x->type == y->type && file_id_equal(x->file, y->file) &&
           x->attrs.size == y->attrs.size && x->attrs.mode == y->attrs.mode &&
           x->attrs.mtime_ns == y->attrs.mtime_ns && x->attrs.ctime_ns == y->attrs.ctime_ns &&
           !strcmp(x->target, y->target);
}

/* ---- what the scan calls ---- */

static void on_trouble(void *ctx, const struct entry *dir, int os, const char *text)
{
    struct scan_test *test = ctx;
    struct buf path;
    buf_init(&path, 1 << 20);
    tree_add_path(dir, &path);
    pthread_mutex_lock(&test->lock);
    if (test->trouble_count < SCAN_TEST_TROUBLES) {
        int i = test->trouble_count;
        snprintf(test->troubles[i].path, sizeof test->troubles[i].path, "%s",
                 path.data ? path.data : "");
        snprintf(test->troubles[i].text, sizeof test->troubles[i].text, "%s", text);
        test->troubles[i].os = os;
    }
    test->trouble_count++;
    pthread_mutex_unlock(&test->lock);
    buf_deinit(&path);
}

static void on_progress(void *ctx, int64_t dirs, int64_t entries)
{
    struct scan_test *test = ctx;
    pthread_mutex_lock(&test->lock);
    if (dirs < test->dirs || entries < test->entries)
        test->dirs = INT64_MIN; /* totals only grow */
    test->dirs = dirs;
    test->entries = entries;
    pthread_mutex_unlock(&test->lock);
}

static void tell_walk(struct scan_test *test, const struct scan_record *record, struct bytes path)
{
    struct walked *told = walk_add(&test->told, path.at);
    told->type = record->type;
    told->file = record->file;
    told->attrs = record->attrs;
    told->attrs.target = bytes_of(NULL, 0);
    told->target =
        strndup(record->attrs.target.len ? record->attrs.target.at : "", record->attrs.target.len);
}

static int visit(void *ctx, struct entry *dir, const struct scan_record *records, size_t count,
                 struct entry **children, struct err *err)
{
    struct scan_test *test = ctx;
    struct edit *edits = calloc(count + 1, sizeof *edits);
    struct buf *paths = calloc(count + 1, sizeof *paths);
    assert_true(edits && paths);
    test->visits++;
    for (size_t i = 0; i < count; i++) {
        const struct scan_record *record = &records[i];
        /* Sorted, and nothing twice. */
        assert_true(i == 0 || bytes_compare(records[i - 1].name, record->name) < 0);
        buf_init(&paths[i], 1 << 20);
        tree_add_path(dir, &paths[i]);
        if (paths[i].len)
            buf_add_char(&paths[i], '/');
        buf_add(&paths[i], record->name.at, record->name.len);
        struct bytes path = bytes_of(paths[i].data, paths[i].len);
        int64_t id = test->next_id++;
        edits[i] = (struct edit){.kind = CHANGE_CREATE,
                                 .type = record->type,
                                 .entry = id,
                                 .parent = dir->id,
                                 .name = record->name,
                                 .attrs = record->attrs,
                                 .file = record->file,
                                 .path = path};
        struct entry *made = tree_insert(test->tree, dir, record->name, id, record->type,
                                         record->file, &record->attrs, true);
        assert_non_null(made);
        if (record->type == ENTRY_DIR)
            children[i] = made;
        tell_walk(test, record, path);
    }
    int code = 0;
    if (test->journal && count > 0)
        code = journal_commit(test->journal, edits, count, 1, err);
    for (size_t i = 0; i < count; i++)
        buf_deinit(&paths[i]);
    free(paths);
    free(edits);
    if (test->visits == test->stop_after)
        __atomic_store_n(&test->stop, true, __ATOMIC_RELAXED);
    if (test->visits == test->fail_after)
        code = err_set(err, ERR_FULL, ENOSPC, "visit: full");
    return code;
}

/* ---- the fixture ---- */

int scan_test_setup(void **state)
{
    struct scan_test *test = calloc(1, sizeof *test);
    struct err err = {0};
    pthread_mutex_init(&test->lock, NULL);
    temp_dir_open(&test->temp);
    temp_mkdir(&test->temp, "root");
    temp_mkdir(&test->temp, "state");
    snprintf(test->folder.path, sizeof test->folder.path, "%.100s/root", test->temp.path);
    test->folder.fd = osfile_open_dir(test->folder.path, NULL);
    assert_true(test->folder.fd >= 0);
    snprintf(test->state, sizeof test->state, "%s/state", test->temp.path);
    if (disk_real_open(test->folder.path, NULL, &test->disk, &err) ||
        rules_new(NULL, &test->rules, &err))
        fail_msg("%s", err.text);
    test->ops = *test->disk.ops;
    test->disk.ops = &test->ops;
    test->env = (struct scan_env){.disk = &test->disk,
                                  .rules = test->rules,
                                  .threads = 2,
                                  .stop = &test->stop,
                                  .trouble = on_trouble,
                                  .progress = on_progress,
                                  .ctx = test};
    test->next_id = 1;
    *state = test;
    return 0;
}

int scan_test_teardown(void **state)
{
    struct scan_test *test = *state;
    journal_close(test->journal);
    tree_free(test->tree);
    rules_free(test->rules);
    disk_real_close(&test->disk);
    close(test->folder.fd);
    temp_dir_close(&test->temp);
    walk_free(&test->told);
    pthread_mutex_destroy(&test->lock);
    free(test);
    return 0;
}

uint64_t scan_test_random(uint64_t *seed, uint64_t bound)
{
    uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) % bound;
}

static void grow_entry(struct scan_test *test, uint64_t *seed, const char *path)
{
    uint64_t kind = scan_test_random(seed, 8);
    if (kind < 2)
        scan_test_special(test, path, kind == 0);
    else
        temp_write(&test->folder, path, "0123456789abcdef" + scan_test_random(seed, 16));
}

void scan_test_grow(struct scan_test *test, uint64_t seed, int dirs, char (*paths)[256])
{
    char(*own)[256] = paths ? paths : calloc((size_t)dirs, sizeof *own);
    char path[300];
    assert_non_null(own);
    for (int i = 0; i < dirs; i++) {
        int up = i ? (int)scan_test_random(&seed, (uint64_t)i + 1) - 1 : -1;
        /* Near the root, so that paths stay short. */
        while (up >= 0 && strlen(own[up]) > 200)
            up = up / 2 - 1;
        snprintf(own[i], sizeof *own, "%.230s%sd%d", up < 0 ? "" : own[up], up < 0 ? "" : "/", i);
        temp_mkdir(&test->folder, own[i]);
        for (uint64_t k = scan_test_random(&seed, 13); k > 0; k--) {
            snprintf(path, sizeof path, "%s/f%d", own[i], (int)k);
            grow_entry(test, &seed, path);
        }
    }
    if (!paths)
        free(own);
}

int scan_test_index(struct scan_test *test, bool journal, struct err *err)
{
    struct walk root = {0};
    walk_entry(&root, test->folder.path, "");
    if (journal && journal_open(test->state, "test", &test->journal, err))
        fail_msg("%s", err->text);
    assert_int_equal(tree_new(&test->tree, NULL), 0);
    tree_set_root(test->tree, root.items[0].file, root.items[0].attrs.mode);
    walk_free(&root);
    return scan_index(&test->env, tree_root(test->tree), visit, test, err);
}

void scan_test_must_walk(struct scan_test *test)
{
    struct err err = {0};
    if (scan_test_index(test, false, &err))
        fail_msg("%s", err.text);
}

void scan_test_expect_walk(struct scan_test *test, const char *const *ignored)
{
    struct walk walk;
    walk_folder(&walk, test->folder.path, ignored);
    walk_sort(&test->told);
    assert_int_equal(test->told.count, walk.count);
    for (size_t i = 0; i < walk.count; i++) {
        assert_string_equal(test->told.items[i].path, walk.items[i].path);
        if (!walked_equal(&test->told.items[i], &walk.items[i]))
            fail_msg("'%s' is told otherwise than it is", walk.items[i].path);
    }
    assert_int_equal(test->entries, (int64_t)walk.count);
    walk_free(&walk);
}

int scan_test_compare(struct scan_test *test, struct scan_result *out, struct err *err)
{
    return scan_compare(&test->env, test->tree, test->state, out, err);
}

void scan_test_must_index(struct scan_test *test)
{
    struct err err = {0};
    if (scan_test_index(test, true, &err))
        fail_msg("%s", err.text);
}

void scan_test_must_compare(struct scan_test *test, struct scan_result *out)
{
    struct err err = {0};
    if (scan_test_compare(test, out, &err))
        fail_msg("%s", err.text);
}

void scan_test_reload(struct scan_test *test)
{
    struct err err = {0};
    tree_free(test->tree);
    test->tree = NULL;
    assert_int_equal(tree_new(&test->tree, NULL), 0);
    struct walk root;
    walk_folder(&root, test->temp.path, NULL);
    const struct walked *folder = walk_find(&root, "root");
    tree_set_root(test->tree, folder->file, folder->attrs.mode);
    walk_free(&root);
    if (journal_load_tree(test->journal, test->tree, &err))
        fail_msg("%s", err.text);
}

bool scan_test_troubled(const struct scan_test *test, const char *path, int os)
{
    for (int i = 0; i < test->trouble_count && i < SCAN_TEST_TROUBLES; i++)
        if (!strcmp(test->troubles[i].path, path) && test->troubles[i].os == os)
            return true;
    return false;
}

struct entry *scan_test_dir(struct scan_test *test, const char *path)
{
    struct entry *at = tree_root(test->tree);
    while (at && *path) {
        size_t len = strcspn(path, "/");
        at = tree_at(test->tree, at, bytes_of(path, len));
        path += len + (path[len] == '/');
    }
    assert_non_null(at);
    return at;
}

struct file_id scan_test_file(struct scan_test *test, const char *path)
{
    return scan_test_dir(test, path)->file;
}

bool scan_test_found(const struct scan_result *result, struct file_id dir, const char *name)
{
    for (size_t i = 0; i < result->count; i++) {
        const struct scan_name *item = &result->items[i];
        if (file_id_equal(item->dir, dir) &&
            bytes_equal(bytes_of(result->names + item->offset, item->len), bytes_str(name)))
            return true;
    }
    return false;
}
