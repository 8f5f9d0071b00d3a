/* helper_journal_check.c: the comparing half of helper_journal.h: trees against the model,
 * SQL from outside, rows in their wire form. */
#include "helper_journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "buf.h"
#include "mirror.h"
#include "row.h"
#include "tree.h"

/* --- comparing --- */

struct reader *box_reader(struct box *box)
{
    struct reader *reader = NULL;
    if (reader_open(box->dir, &reader, &box->err) != 0)
        fail_msg("%s", box->err.text);
    return reader;
}

/* Depth-first order with names in byte order is the byte order of paths in which '/' comes before
 * every other byte. */
static bool comes_before(const char *x, const char *y)
{
    while (*x && *x == *y) {
        x++;
        y++;
    }
    int a = *x == '/' ? 0 : (unsigned char)*x + 1, b = *y == '/' ? 0 : (unsigned char)*y + 1;
    return *x == '\0' ? *y != '\0' : *y != '\0' && a < b;
}

int tree_check_entry(void *ctx, const struct reader_entry *entry)
{
    struct tree_check *check = ctx;
    char path[4096];
    assert_true(entry->path.len < sizeof path);
    memcpy(path, entry->path.at, entry->path.len);
    path[entry->path.len] = '\0';
    size_t index = model_find(check->box, path);
    assert_true(index < check->box->entry_count);
    const struct model_entry *want = &check->box->entries[index];
    assert_true(check->seen == 0 || comes_before(check->last, path));
    memcpy(check->last, path, entry->path.len + 1);
    check->seen++;
    assert_int_equal(entry->id, want->id);
    assert_int_equal(entry->parent, want->parent);
    assert_true(bytes_equal(entry->name, bytes_str(want->name)));
    assert_int_equal(entry->type, want->type);
    assert_int_equal(entry->attrs.size, want->attrs.size);
    assert_int_equal(entry->attrs.mtime_ns, want->attrs.mtime_ns);
    assert_int_equal(entry->attrs.mode, want->attrs.mode);
    assert_true(bytes_equal(entry->attrs.target, want->attrs.target));
    if (check->files) {
        assert_int_equal(entry->attrs.ctime_ns, want->attrs.ctime_ns);
        assert_true(file_id_equal(entry->file, want->file));
    }
    return 0;
}

void box_check(struct box *box)
{
    struct tree_check check = {.box = box, .files = true};
    struct reader *reader = box_reader(box);
    struct tree *tree = NULL;
    int64_t count = -1;
    if (reader_tree(reader, NULL, tree_check_entry, &check, &box->err) != 0)
        fail_msg("%s", box->err.text);
    assert_int_equal(check.seen, box->entry_count);
    assert_int_equal(reader_entry_count(reader, &count, NULL), 0);
    assert_int_equal(count, box->entry_count);
    reader_close(reader);
    struct tree_source source = journal_tree_source(box->journal);
    assert_int_equal(tree_new(&tree, &source), 0);
    if (journal_load_tree(box->journal, tree, &box->err) != 0)
        fail_msg("%s", box->err.text);
    assert_int_equal(tree_entry_count(tree), box->entry_count);
    for (size_t i = 0; i < box->entry_count; i++) {
        const struct model_entry *entry = &box->entries[i];
        if (entry->type == ENTRY_DIR) {
            struct entry *dir = tree_dir_by_id(tree, entry->id);
            assert_non_null(dir);
            assert_int_equal(dir->entries, model_count_below(box, entry->id));
            assert_int_equal(dir->parent->id, entry->parent);
        }
    }
    tree_free(tree);
}

/* --- SQL from outside --- */

static sqlite3 *connect_box(struct box *box, int flags)
{
    char path[320];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", box->dir, JOURNAL_FILE); /* fits */
    assert_int_equal(sqlite3_open_v2(path, &db, flags, NULL), SQLITE_OK);
    return db;
}

void box_sql(struct box *box, const char *text)
{
    sqlite3 *db = connect_box(box, SQLITE_OPEN_READWRITE);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

const char *box_select(struct box *box, const char *text)
{
    sqlite3 *db = connect_box(box, SQLITE_OPEN_READONLY);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    if (sqlite3_step(statement) != SQLITE_ROW)
        fail_msg("%s: no row", text);
    const char *value = (const char *)sqlite3_column_text(statement, 0);
    char *kept = box_keep(box, value ? value : "");
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return kept;
}

/* --- the wire --- */

static int write_row(void *ctx, const struct change *change)
{
    row_write(ctx, "docs", change);
    return 0;
}

void box_batch(struct box *box, int64_t first, int64_t last, struct buf *rows,
               struct mirror_batch *out)
{
    struct reader *reader = box_reader(box);
    struct reader_range range = {
        .first = first, .last = last, .verify = true, .until_ms = INT64_MAX};
    struct journal_info info;
    *out = (struct mirror_batch){.first = first, .last = last};
    assert_int_equal(reader_info(reader, &info, NULL), 0);
    if (reader_rows(reader, &range, write_row, rows, &box->err) != 0)
        fail_msg("%s", box->err.text);
    assert_int_equal(reader_sum(reader, first - 1, &out->prev_sum, NULL), 0);
    assert_int_equal(reader_sum(reader, last, &out->last_sum, NULL), 0);
    reader_close(reader);
    assert_true(buf_ok(rows));
    out->epoch = info.epoch;
    out->has_tree_sum = last == info.last_seq;
    out->tree_sum = info.tree_sum;
    out->rows = rows->data;
    out->len = rows->len;
}
