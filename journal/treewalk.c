/* treewalk.c: see treewalk.h. One statement serves all levels: to enter a directory it is
 * bound to it from its first name, to leave it it is bound to the parent from the name after
 * the one left. That costs two descents a directory and holds one cursor open. */
#include "treewalk.h"

#include "buf.h"
#include "err.h"
#include "query.h"
#include "reader.h"
#include "sql.h"
#include "tree.h"

#define PATH_BYTES_MAX ((size_t)TREE_DEPTH_MAX * 256)

/* A directory that is being walked. */
struct level {
    int64_t id;
    size_t path_len; /* of its path */
};

struct walk {
    const struct sql *sql;
    sqlite3_stmt *children;
    struct err *err;
    struct buf path; /* of the entry at hand */
    struct level *levels;
    size_t depth, cap; /* levels[depth] is the present directory */
};

/* Binds to the present directory, from the names after `after`. */
static int seek(struct walk *walk, struct bytes after)
{
    /* A copy, since the path it lies in is written over while the statement runs. Not NULL when
     * empty: nothing compares to NULL. */
    int rc = sqlite3_bind_blob64(walk->children, 2, after.len ? after.at : "", after.len,
                                 SQLITE_TRANSIENT);
    if (rc != SQLITE_OK)
        return sql_fail(walk->sql, rc, walk->err);
    sql_bind_i64(walk->children, 1, walk->levels[walk->depth].id);
    return 0;
}

static int enter(struct walk *walk, int64_t id)
{
    if (walk->depth + 1 >= walk->cap) {
        size_t cap = walk->cap * 2;
        struct level *levels = realloc(walk->levels, cap * sizeof *levels);
        if (!levels)
            return err_set(walk->err, ERR_NOMEM, 0, "cannot walk the tree: no memory");
        walk->levels = levels;
        walk->cap = cap;
    }
    if (walk->depth >= TREE_DEPTH_MAX)
        return err_set(walk->err, ERR_CORRUPT, 0,
                       "%s '%s': directories stand more than %d deep, or in a ring",
                       walk->sql->what, walk->sql->path, TREE_DEPTH_MAX);
    (void)sqlite3_reset(walk->children); /* after a row: nothing to report */
    walk->levels[++walk->depth] = (struct level){id, walk->path.len};
    return seek(walk, bytes_of(NULL, 0));
}

/* Back to the parent, after the name of the directory that is done. */
static int leave(struct walk *walk)
{
    size_t done_len = walk->levels[walk->depth].path_len;
    const struct level *above = &walk->levels[--walk->depth];
    size_t name_at = above->path_len ? above->path_len + 1 : 0;
    buf_truncate(&walk->path, done_len);
    return seek(walk, bytes_of(walk->path.data + name_at, done_len - name_at));
}

static int take(struct walk *walk, struct reader_entry *entry,
                int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx)
{
    query_read_entry(walk->children, entry);
    buf_truncate(&walk->path, walk->levels[walk->depth].path_len);
    if (walk->path.len)
        buf_add_char(&walk->path, '/');
    buf_add(&walk->path, entry->name.at, entry->name.len);
    if (!buf_ok(&walk->path))
        return err_set(walk->err, ERR_NOMEM, 0, "cannot walk the tree: a path is too long");
    entry->path = bytes_of(walk->path.data, walk->path.len);
    int code = visit(ctx, entry);
    return code == 0 && entry->type == ENTRY_DIR ? enter(walk, entry->id) : code;
}

int treewalk(const struct sql *sql, sqlite3_stmt *children,
             int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx, struct err *err)
{
    struct walk walk = {.sql = sql, .children = children, .err = err, .cap = 32};
    struct reader_entry entry;
    buf_init(&walk.path, PATH_BYTES_MAX);
    walk.levels = calloc(walk.cap, sizeof *walk.levels);
    int code = walk.levels ? seek(&walk, bytes_of(NULL, 0))
                           : err_set(err, ERR_NOMEM, 0, "cannot walk the tree: no memory");
    while (code == 0) {
        code = sql_row(sql, children, err);
        if (code == 1)
            code = take(&walk, &entry, visit, ctx);
        else if (code == 0 && walk.depth > 0)
            code = leave(&walk);
        else
            break;
    }
    (void)sqlite3_reset(children); /* an early end: nothing to report */
    free(walk.levels);
    buf_deinit(&walk.path);
    return code;
}
