/* replay.c: see replay.h. The tree is the client's in every respect: keyed by the client's
 * entry ids, so that a directory's move is one key here as well, and summed by the same
 * function, so that equal sums mean equal trees. */
#include "replay.h"

#include "err.h"
#include "reader.h"
#include "sql.h"
#include "sums.h"

#define DIR_PATH_MAX   (4 << 20)   /* bytes; a row's line is shorter */
#define SHOWN_PATH_MAX 200         /* bytes of a path in a message */
#define PARKED_PARENT  INT64_C(-1) /* a key no entry has: half of an exchange passes by it */

/* What a path stands for. */
struct node {
    int64_t parent;
    struct bytes name; /* in the path */
    int64_t id;        /* 0: there is nothing */
    enum entry_type type;
    uint64_t sum;
    uint64_t moved_sum; /* the same at another key */
};

static int refuse(struct err *err, const struct change *change, struct bytes path, const char *why)
{
    int len = path.len < SHOWN_PATH_MAX ? (int)path.len : SHOWN_PATH_MAX;
    return err_set(err, ERR_INVALID, 0, "row %lld (%s) of '%.*s': %s", (long long)change->seq,
                   change_kind_name(change->kind), len, len ? path.at : "", why);
}

static int run(struct replay *replay, enum query_replay which, struct err *err)
{
    return sql_run(replay->sql, replay->statements[which], err);
}

static void bind_place(sqlite3_stmt *query, int index, int64_t parent, struct bytes name)
{
    sql_bind_i64(query, index, parent);
    sql_bind_blob(query, index + 1, name);
}

/* Splits at the last '/'. */
static void split(struct bytes path, struct bytes *dir, struct bytes *name)
{
    size_t at = path.len;
    while (at > 0 && path.at[at - 1] != '/')
        at--;
    *name = bytes_of(path.at + at, path.len - at);
    *dir = bytes_of(path.at, at ? at - 1 : 0);
}

/* What stands under a name. 1: something, 0: nothing, negative: failed. `moved_to` (NULL allowed)
 * is the key for moved_sum. */
static int look(struct replay *replay, int64_t parent, struct bytes name,
                const struct node *moved_to, struct node *out, struct err *err)
{
    struct reader_entry row;
    sqlite3_stmt *select = replay->statements[QP_AT];
    bind_place(select, 1, parent, name);
    int code = sql_row(replay->sql, select, err);
    if (code < 0)
        return code;
    *out = (struct node){.parent = parent, .name = name};
    if (code == 0)
        return 0;
    query_read_entry(select, &row);
    out->id = row.id;
    out->type = row.type;
    out->sum = sums_entry(row.id, row.parent, row.name, row.type, &row.attrs);
    if (moved_to)
        out->moved_sum = sums_entry(row.id, moved_to->parent, moved_to->name, row.type, &row.attrs);
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return 1;
}

/* The id of a directory by its path; the empty path is the root, 0. Begins at the directory looked
 * up last when that is on the way. */
static int find_dir(struct replay *replay, const struct change *change, struct bytes path,
                    int64_t *out, struct err *err)
{
    struct bytes known = bytes_of(replay->dir_path.data, replay->dir_path.len);
    bool on_way = replay->dir_known && bytes_path_is_within(path, known);
    int64_t id = on_way ? replay->dir_id : 0;
    for (size_t at = on_way ? known.len + 1 : 0; at < path.len;) {
        struct node node;
        const char *slash = memchr(path.at + at, '/', path.len - at);
        size_t end = slash ? (size_t)(slash - path.at) : path.len;
        int code = look(replay, id, bytes_of(path.at + at, end - at), NULL, &node, err);
        if (code < 0)
            return code;
        if (code == 0 || node.type != ENTRY_DIR)
            return refuse(err, change, bytes_of(path.at, end), "there is no such directory");
        id = node.id;
        at = end + 1;
    }
    if (path.len && !(on_way && path.len == known.len)) {
        buf_reset(&replay->dir_path);
        buf_add(&replay->dir_path, path.at, path.len);
        replay->dir_known = buf_ok(&replay->dir_path); /* without memory it is looked up again */
        replay->dir_id = id;
    }
    *out = id;
    return 0;
}

/* The key of a path whose directory must exist. */
static int find_place(struct replay *replay, const struct change *change, struct bytes path,
                      struct node *out, struct err *err)
{
    struct bytes dir;
    *out = (struct node){0};
    split(path, &dir, &out->name);
    return find_dir(replay, change, dir, &out->parent, err);
}

/* Completes a place whose entry must exist, and be entry `id` unless that is 0. */
static int find_entry(struct replay *replay, const struct change *change, struct bytes path,
                      struct node *place, int64_t id, const struct node *moved_to, struct err *err)
{
    int code = look(replay, place->parent, place->name, moved_to, place, err);
    if (code < 0)
        return code;
    if (code == 0)
        return refuse(err, change, path, "there is no such entry");
    if (id && place->id != id)
        return refuse(err, change, path, "another entry (id) has this name");
    return 0;
}

static int apply_create(struct replay *replay, const struct change *change, struct err *err)
{
    struct node place;
    int code = find_place(replay, change, change->path, &place, err);
    if (code)
        return code;
    if (change->entry <= 0)
        return refuse(err, change, change->path, "it has no id");
    struct entry_attrs attrs = sums_public(change->type, &change->attrs);
    sqlite3_stmt *insert = replay->statements[QP_INSERT];
    bind_place(insert, 1, place.parent, place.name);
    sql_bind_i64(insert, 3, change->entry);
    sql_bind_i64(insert, 4, change->type);
    sql_bind_i64(insert, 5, attrs.mode);
    sql_bind_i64(insert, 6, attrs.size);
    sql_bind_i64(insert, 7, attrs.mtime_ns);
    sql_bind_blob(insert, 8, attrs.target);
    code = run(replay, QP_INSERT, err);
    if (code == ERR_EXISTS)
        return refuse(err, change, change->path, "the name is taken");
    if (code == 0) {
        replay->tree_sum +=
            sums_entry(change->entry, place.parent, place.name, change->type, &attrs);
        replay->entries++;
    }
    return code;
}

static int apply_modify(struct replay *replay, const struct change *change, struct err *err)
{
    struct node node;
    int code = find_place(replay, change, change->path, &node, err);
    if (code == 0)
        code = find_entry(replay, change, change->path, &node, change->entry, NULL, err);
    if (code)
        return code;
    if (node.type != change->type)
        return refuse(err, change, change->path, "its type is another");
    struct entry_attrs attrs = sums_public(change->type, &change->attrs);
    sqlite3_stmt *update = replay->statements[QP_SET];
    bind_place(update, 1, node.parent, node.name);
    sql_bind_i64(update, 3, attrs.mode);
    sql_bind_i64(update, 4, attrs.size);
    sql_bind_i64(update, 5, attrs.mtime_ns);
    sql_bind_blob(update, 6, attrs.target);
    code = run(replay, QP_SET, err);
    if (code == 0)
        replay->tree_sum +=
            sums_entry(node.id, node.parent, node.name, node.type, &attrs) - node.sum;
    return code;
}

static int delete_below(struct replay *replay, int64_t id, struct err *err)
{
    struct reader_entry row;
    sqlite3_stmt *below = replay->statements[QP_BELOW];
    int64_t rows = 0;
    int code;
    sql_bind_i64(below, 1, id);
    while ((code = sql_row(replay->sql, below, err)) == 1) {
        query_read_entry(below, &row);
        replay->tree_sum -= sums_entry(row.id, row.parent, row.name, row.type, &row.attrs);
        rows++;
    }
    if (code || rows == 0)
        return code;
    replay->entries -= rows;
    sql_bind_i64(replay->statements[QP_DELETE_BELOW], 1, id);
    return run(replay, QP_DELETE_BELOW, err);
}

static int delete_node(struct replay *replay, const struct node *node, struct err *err)
{
    int code = 0;
    if (node->type == ENTRY_DIR) {
        replay->dir_known = false;
        code = delete_below(replay, node->id, err);
    }
    if (code)
        return code;
    bind_place(replay->statements[QP_DELETE], 1, node->parent, node->name);
    code = run(replay, QP_DELETE, err);
    if (code == 0) {
        replay->tree_sum -= node->sum;
        replay->entries--;
    }
    return code;
}

static int apply_delete(struct replay *replay, const struct change *change, struct err *err)
{
    struct node node;
    int code = find_place(replay, change, change->path, &node, err);
    if (code == 0)
        code = find_entry(replay, change, change->path, &node, change->entry, NULL, err);
    return code ? code : delete_node(replay, &node, err);
}

static int place_node(struct replay *replay, int64_t parent, struct bytes name, int64_t to_parent,
                      struct bytes to_name, struct err *err)
{
    sqlite3_stmt *update = replay->statements[QP_PLACE];
    bind_place(update, 1, parent, name);
    bind_place(update, 3, to_parent, to_name);
    return run(replay, QP_PLACE, err);
}

/* Resolves both ends of a move or an exchange: `from` an entry, `to` a place. */
static int find_ends(struct replay *replay, const struct change *change, struct node *from,
                     struct node *to, struct err *err)
{
    if (bytes_path_is_within(change->path, change->from))
        return refuse(err, change, change->path, "it is at or below where it came from");
    int code = find_place(replay, change, change->path, to, err);
    if (code == 0)
        code = find_place(replay, change, change->from, from, err);
    if (code == 0)
        code = find_entry(replay, change, change->from, from, change->entry, to, err);
    if (code == 0 && from->type == ENTRY_DIR)
        replay->dir_known = false;
    return code;
}

static int apply_move(struct replay *replay, const struct change *change, struct err *err)
{
    struct node from, to, there;
    int code = find_ends(replay, change, &from, &to, err);
    if (code)
        return code;
    code = look(replay, to.parent, to.name, NULL, &there, err);
    if (code < 0)
        return code;
    if (code == 0 && change->other)
        return refuse(err, change, change->path, "the entry it replaces is not there");
    if (code == 1) {
        if (there.type == ENTRY_DIR || from.type == ENTRY_DIR)
            return refuse(err, change, change->path, "the name is taken");
        if (change->other && there.id != change->other)
            return refuse(err, change, change->path, "another entry (id) has this name");
        code = delete_node(replay, &there, err);
        if (code)
            return code;
    }
    code = place_node(replay, from.parent, from.name, to.parent, to.name, err);
    if (code == 0)
        replay->tree_sum += from.moved_sum - from.sum;
    return code;
}

static int apply_exchange(struct replay *replay, const struct change *change, struct err *err)
{
    struct node from, to;
    struct bytes parked = bytes_of("x", 1);
    int code = find_ends(replay, change, &from, &to, err);
    if (code)
        return code;
    if (bytes_path_is_within(change->from, change->path))
        return refuse(err, change, change->path, "one is the other's directory");
    code = find_entry(replay, change, change->path, &to, change->other, &from, err);
    if (code)
        return code;
    if (to.type == ENTRY_DIR)
        replay->dir_known = false;
    code = place_node(replay, from.parent, from.name, PARKED_PARENT, parked, err);
    if (code == 0)
        code = place_node(replay, to.parent, to.name, from.parent, from.name, err);
    if (code == 0)
        code = place_node(replay, PARKED_PARENT, parked, to.parent, to.name, err);
    if (code == 0)
        replay->tree_sum += from.moved_sum - from.sum + to.moved_sum - to.sum;
    return code;
}

int replay_init(struct replay *replay, const struct sql *sql, const char *const texts[QP_COUNT],
                struct err *err)
{
    *replay = (struct replay){.sql = sql};
    buf_init(&replay->dir_path, DIR_PATH_MAX);
    return sql_prepare(sql, texts, QP_COUNT, replay->statements, err);
}

void replay_deinit(struct replay *replay)
{
    sql_finalize(replay->statements, QP_COUNT);
    buf_deinit(&replay->dir_path);
}

void replay_restart(struct replay *replay, uint64_t tree_sum, int64_t entries)
{
    replay->dir_known = false;
    replay->tree_sum = tree_sum;
    replay->entries = entries;
}

int replay_apply(struct replay *replay, const struct change *change, struct err *err)
{
    switch (change->kind) {
    case CHANGE_CREATE:
        return apply_create(replay, change, err);
    case CHANGE_MODIFY:
    case CHANGE_ATTRIB:
        return apply_modify(replay, change, err);
    case CHANGE_MOVE:
        return apply_move(replay, change, err);
    case CHANGE_EXCHANGE:
        return apply_exchange(replay, change, err);
    case CHANGE_DELETE:
        return apply_delete(replay, change, err);
    case CHANGE_GAP:
        return 0;
    }
    return refuse(err, change, change->path, "its kind is unknown");
}
