/* journal_load.c: the tree table into memory: every directory at start, files when a round
 * asks for them. The start reads every row anyway, and so proves tree_sum. The folder's
 * thread. */
#include "journal.h"

#include "err.h"
#include "journal_private.h"
#include "reader.h"
#include "sums.h"
#include "tree.h"

/* A directory met before its parent: after a move a parent can have the larger id, and the table
 * is read in the order of the parents' ids. */
struct late_dir {
    struct reader_entry row; /* `name` is ours */
};

/* Children met before their directory. */
struct late_count {
    int64_t parent;
    int64_t rows;
    bool rules; /* a rule file among them */
};

struct loader {
    struct journal *journal;
    struct tree *tree;
    struct err *err;
    struct late_dir *dirs;
    size_t dir_count, dir_cap;
    struct late_count *counts;
    size_t count_count, count_cap;
    int64_t parent_id; /* of the rows being read */
    struct entry *parent;
    uint64_t sum;
    int64_t rows;
};

static int corrupt(const struct loader *loader, int64_t id, const char *why)
{
    return err_set(loader->err, ERR_CORRUPT, 0, "tree table of '%s': entry %lld: %s",
                   loader->journal->sql.path, (long long)id, why);
}

static int no_memory(const struct loader *loader)
{
    return err_set(loader->err, ERR_NOMEM, 0, "cannot load the tree of '%s': no memory",
                   loader->journal->sql.path);
}

/* Room for one more in an array that the table's size bounds. */
static bool make_room(void **array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    size_t grown = *cap ? *cap * 2 : 64;
    void *moved = realloc(*array, grown * size);
    if (!moved)
        return false;
    *array = moved;
    *cap = grown;
    return true;
}

static int keep_late_dir(struct loader *loader, const struct reader_entry *row)
{
    if (!make_room((void **)&loader->dirs, loader->dir_count, &loader->dir_cap,
                   sizeof *loader->dirs))
        return no_memory(loader);
    char *name = malloc(row->name.len);
    if (!name)
        return no_memory(loader);
    memcpy(name, row->name.at, row->name.len);
    struct late_dir *late = &loader->dirs[loader->dir_count++];
    *late = (struct late_dir){.row = *row};
    late->row.name.at = name;
    return 0;
}

static int insert_dir(struct loader *loader, struct entry *parent, const struct reader_entry *row)
{
    if (tree_dir_by_id(loader->tree, row->id))
        return corrupt(loader, row->id, "is there twice");
    return tree_insert(loader->tree, parent, row->name, row->id, row->type, row->file, &row->attrs,
                       false)
               ? 0
               : no_memory(loader);
}

/* Rows come in runs of one parent. */
static int enter_parent(struct loader *loader, int64_t id)
{
    loader->parent_id = id;
    loader->parent = tree_dir_by_id(loader->tree, id);
    if (loader->parent)
        return 0;
    if (!make_room((void **)&loader->counts, loader->count_count, &loader->count_cap,
                   sizeof *loader->counts))
        return no_memory(loader);
    loader->counts[loader->count_count++] = (struct late_count){.parent = id};
    return 0;
}

static int take_row(struct loader *loader, const struct reader_entry *row)
{
    int code = 0;
    if (row->id <= 0 || row->parent < 0 || row->name.len == 0 || row->name.len > UINT16_MAX ||
        row->attrs.target.len > UINT16_MAX)
        return corrupt(loader, row->id, "has an impossible key");
    if (row->parent != loader->parent_id)
        code = enter_parent(loader, row->parent);
    if (code)
        return code;
    loader->sum += sums_entry(row->id, row->parent, row->name, row->type, &row->attrs);
    loader->rows++;
    bool rules = bytes_equal(row->name, bytes_str(TREE_RULES_NAME));
    if (loader->parent) {
        tree_note_child(loader->parent);
        loader->parent->flags |= rules ? TREE_RULES : 0;
    } else {
        loader->counts[loader->count_count - 1].rows++;
        loader->counts[loader->count_count - 1].rules |= rules;
    }
    if (row->type != ENTRY_DIR)
        return 0;
    return loader->parent ? insert_dir(loader, loader->parent, row) : keep_late_dir(loader, row);
}

static int compare_late(const void *x, const void *y)
{
    const struct late_dir *a = x, *b = y;
    return (a->row.id > b->row.id) - (a->row.id < b->row.id);
}

static struct late_dir *find_late(const struct loader *loader, int64_t id)
{
    const struct late_dir key = {.row = {.id = id}};
    return bsearch(&key, loader->dirs, loader->dir_count, sizeof key, compare_late);
}

/* Inserts one late directory, its late ancestors first: again from the bottom until the one that
 * hangs in the tree is found, so that no chain, however long, needs a stack. */
static int link_late(struct loader *loader, struct late_dir *late)
{
    while (!tree_dir_by_id(loader->tree, late->row.id)) {
        struct late_dir *top = late;
        struct entry *parent;
        for (size_t steps = 0; !(parent = tree_dir_by_id(loader->tree, top->row.parent)); steps++) {
            struct late_dir *above = find_late(loader, top->row.parent);
            if (!above || steps > TREE_DEPTH_MAX)
                return corrupt(loader, top->row.id, "hangs in no directory");
            top = above;
        }
        int code = insert_dir(loader, parent, &top->row);
        if (code)
            return code;
    }
    return 0;
}

static int link_all(struct loader *loader)
{
    if (loader->dir_count)
        qsort(loader->dirs, loader->dir_count, sizeof *loader->dirs, compare_late);
    for (size_t i = 0; i < loader->dir_count; i++) {
        int code = link_late(loader, &loader->dirs[i]);
        if (code)
            return code;
    }
    for (size_t i = 0; i < loader->count_count; i++) {
        struct entry *parent = tree_dir_by_id(loader->tree, loader->counts[i].parent);
        if (!parent)
            return corrupt(loader, loader->counts[i].parent, "is no directory but has entries");
        for (int64_t n = 0; n < loader->counts[i].rows; n++)
            tree_note_child(parent);
        parent->flags |= loader->counts[i].rules ? TREE_RULES : 0;
    }
    return 0;
}

int journal_load_tree(struct journal *journal, struct tree *tree, struct err *err)
{
    struct loader loader = {.journal = journal, .tree = tree, .err = err, .parent_id = -1};
    struct reader_entry row;
    sqlite3_stmt *all = journal->statements[QJ_ENTRY_ALL];
    int code;
    while ((code = sql_row(&journal->sql, all, err)) == 1) {
        query_read_entry(all, &row);
        code = take_row(&loader, &row);
        if (code)
            goto out;
    }
    if (code == 0)
        code = link_all(&loader);
    if (code == 0 && (loader.sum != journal->info.tree_sum || loader.rows != journal->entries))
        code = err_set(err, ERR_CORRUPT, 0,
                       "tree table of '%s': its checksum does not hold (%lld of %lld entries)",
                       journal->sql.path, (long long)loader.rows, (long long)journal->entries);
    if (code == 0)
        tree_set_counts(tree);
out:
    (void)sqlite3_reset(all); /* an early end: nothing to report */
    for (size_t i = 0; i < loader.dir_count; i++)
        free((char *)loader.dirs[i].row.name.at);
    free(loader.dirs);
    free(loader.counts);
    return code;
}

/* Puts the rows that stand into the tree. Directories are in memory always: one that the table has
 * and the tree has not was moved or deleted by edits that are not committed yet. So with files in
 * such a directory. */
static int insert_files(struct journal *journal, struct tree *tree, sqlite3_stmt *select,
                        struct err *err)
{
    struct reader_entry row;
    int code;
    while ((code = sql_row(&journal->sql, select, err)) == 1) {
        query_read_entry(select, &row);
        struct entry *parent = tree_dir_by_id(tree, row.parent);
        if (row.type == ENTRY_DIR || !parent)
            continue;
        if (tree_insert(tree, parent, row.name, row.id, row.type, row.file, &row.attrs, false))
            continue;
        (void)sqlite3_reset(select); /* an early end: nothing to report */
        return tree_failed(tree, err);
    }
    return code;
}

static int source_at(void *ctx, struct tree *tree, struct entry *parent, struct bytes name,
                     struct err *err)
{
    struct journal *journal = ctx;
    sqlite3_stmt *select = journal->statements[QJ_ENTRY_AT];
    sql_bind_i64(select, 1, parent->id);
    sql_bind_blob(select, 2, name);
    return insert_files(journal, tree, select, err);
}

/* Until the first index is complete there is no index by identity, and a look would read the whole
 * table: nothing is found then, and what moves meanwhile reads as delete and create (RULES 31). */
static int source_by_file(void *ctx, struct tree *tree, struct file_id file, struct err *err)
{
    struct journal *journal = ctx;
    sqlite3_stmt *select = journal->statements[QJ_ENTRY_BY_FILE];
    if (!journal->info.indexed)
        return 0;
    sql_bind_i64(select, 1, (int64_t)file.a);
    sql_bind_i64(select, 2, (int64_t)file.b);
    return insert_files(journal, tree, select, err);
}

static int source_children(void *ctx, struct tree *tree, struct entry *parent, struct err *err)
{
    struct journal *journal = ctx;
    sqlite3_stmt *select = journal->statements[QJ_ENTRY_CHILDREN];
    sql_bind_i64(select, 1, parent->id);
    return insert_files(journal, tree, select, err);
}

int journal_each_name(struct journal *journal, uint64_t number,
                      void (*visit)(void *ctx, int64_t parent, struct bytes name), void *ctx,
                      struct err *err)
{
    struct reader_entry row;
    sqlite3_stmt *select = journal->statements[QJ_ENTRY_BY_NUMBER];
    int code;
    if (!journal->info.indexed)
        return 0;
    sql_bind_i64(select, 1, (int64_t)number);
    while ((code = sql_row(&journal->sql, select, err)) == 1) {
        query_read_entry(select, &row);
        if (row.type != ENTRY_DIR)
            visit(ctx, row.parent, row.name);
    }
    return code;
}

struct tree_source journal_tree_source(struct journal *journal)
{
    return (struct tree_source){
        .ctx = journal,
        .at = source_at,
        .by_file = source_by_file,
        .children = source_children,
    };
}
