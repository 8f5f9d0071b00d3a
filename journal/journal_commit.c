/* journal_commit.c: a script becomes rows and tree table, in one transaction. Every step
 * first reads the row it changes: that is how tree_sum is kept (the old hash leaves, the new
 * one comes), and how a tree table that is not as the script believes is noticed before
 * anything wrong is journaled. The folder's thread. */
#include "journal.h"

#include "err.h"
#include "journal_private.h"
#include "reader.h"
#include "sums.h"

#define SHOWN_PATH_MAX 200 /* bytes of a path in a message */

/* The state of a commit; taken over into the journal when the transaction has ended well. */
struct commit {
    struct journal *journal;
    struct err *err;
    int64_t wall_ms;
    int64_t seq;
    uint64_t sum;
    uint64_t tree_sum;
    int64_t entries;
    const struct edit *edit; /* the present one */
};

/* A key of the tree table. */
struct place {
    int64_t parent;
    struct bytes name;
};

/* What stood at a key. */
struct found {
    int64_t id;
    enum entry_type type;
    struct file_id file;
    uint64_t sum;       /* its part of tree_sum */
    uint64_t moved_sum; /* the same at another key */
};

/* A key no entry can have: no directory has this id. Both halves of an exchange pass by it. */
#define PARKED_PARENT INT64_C(-1)

static int misfit(const struct commit *commit, const char *why)
{
    const struct edit *edit = commit->edit;
    int len = edit->path.len < SHOWN_PATH_MAX ? (int)edit->path.len : SHOWN_PATH_MAX;
    return err_set(commit->err, ERR_CORRUPT, 0,
                   "tree table, %s of '%.*s' (id %lld): %s; it must be loaded again",
                   change_kind_name(edit->kind), len, len ? edit->path.at : "",
                   (long long)edit->entry, why);
}

static sqlite3_stmt *statement(const struct commit *commit, enum query_journal which)
{
    return commit->journal->statements[which];
}

static int run(const struct commit *commit, enum query_journal which)
{
    return sql_run(&commit->journal->sql, statement(commit, which), commit->err);
}

static void bind_place(sqlite3_stmt *query, int index, struct place place)
{
    sql_bind_i64(query, index, place.parent);
    sql_bind_blob(query, index + 1, place.name);
}

/* Reads what stands at `place`, which must be entry `id`; `moved_to` (NULL allowed) is the key for
 * moved_sum. */
static int find(const struct commit *commit, struct place place, int64_t id,
                const struct place *moved_to, struct found *out)
{
    struct reader_entry row;
    sqlite3_stmt *select = statement(commit, QJ_ENTRY_AT);
    bind_place(select, 1, place);
    int code = sql_row(&commit->journal->sql, select, commit->err);
    if (code < 0)
        return code;
    if (code == 0)
        return misfit(commit, "there is no such entry");
    query_read_entry(select, &row);
    *out = (struct found){.id = row.id, .type = row.type, .file = row.file};
    out->sum = sums_entry(row.id, row.parent, row.name, row.type, &row.attrs);
    if (moved_to)
        out->moved_sum = sums_entry(row.id, moved_to->parent, moved_to->name, row.type, &row.attrs);
    (void)sqlite3_reset(select); /* after a row: nothing to report */
    return row.id == id ? 0 : misfit(commit, "another entry has its name");
}

static int apply_create(struct commit *commit)
{
    const struct edit *edit = commit->edit;
    if (edit->entry != commit->seq + 1)
        return misfit(commit, "its id is not the number of its row");
    struct entry_attrs attrs = sums_public(edit->type, &edit->attrs);
    sqlite3_stmt *insert = statement(commit, QJ_ENTRY_INSERT);
    bind_place(insert, 1, (struct place){edit->parent, edit->name});
    sql_bind_i64(insert, 3, edit->entry);
    sql_bind_i64(insert, 4, edit->type);
    sql_bind_i64(insert, 5, attrs.mode);
    sql_bind_i64(insert, 6, attrs.size);
    sql_bind_i64(insert, 7, attrs.mtime_ns);
    sql_bind_blob(insert, 8, attrs.target);
    sql_bind_i64(insert, 9, edit->attrs.ctime_ns);
    sql_bind_i64(insert, 10, (int64_t)edit->file.a);
    sql_bind_i64(insert, 11, (int64_t)edit->file.b);
    int code = run(commit, QJ_ENTRY_INSERT);
    if (code == ERR_EXISTS)
        return misfit(commit, "the name is taken");
    if (code == 0) {
        commit->tree_sum += sums_entry(edit->entry, edit->parent, edit->name, edit->type, &attrs);
        commit->entries++;
    }
    return code;
}

static int apply_modify(struct commit *commit)
{
    const struct edit *edit = commit->edit;
    struct place place = {edit->parent, edit->name};
    struct found old = {0};
    int code = find(commit, place, edit->entry, NULL, &old);
    if (code == 0 && old.type != edit->type)
        code = misfit(commit, "its type is another");
    if (code)
        return code;
    enum query_journal which =
        file_id_equal(old.file, edit->file) ? QJ_ENTRY_SET : QJ_ENTRY_SET_FILE;
    struct entry_attrs attrs = sums_public(edit->type, &edit->attrs);
    sqlite3_stmt *update = statement(commit, which);
    bind_place(update, 1, place);
    sql_bind_i64(update, 3, attrs.mode);
    sql_bind_i64(update, 4, attrs.size);
    sql_bind_i64(update, 5, attrs.mtime_ns);
    sql_bind_blob(update, 6, attrs.target);
    sql_bind_i64(update, 7, edit->attrs.ctime_ns);
    if (which == QJ_ENTRY_SET_FILE) {
        sql_bind_i64(update, 8, (int64_t)edit->file.a);
        sql_bind_i64(update, 9, (int64_t)edit->file.b);
    }
    code = run(commit, which);
    if (code == 0)
        commit->tree_sum +=
            sums_entry(edit->entry, edit->parent, edit->name, edit->type, &attrs) - old.sum;
    return code;
}

/* Everything below directory `id`, in two statements however deep it goes. */
static int delete_below(struct commit *commit, int64_t id)
{
    struct reader_entry row;
    sqlite3_stmt *below = statement(commit, QJ_ENTRY_BELOW);
    int64_t rows = 0;
    int code;
    sql_bind_i64(below, 1, id);
    while ((code = sql_row(&commit->journal->sql, below, commit->err)) == 1) {
        query_read_entry(below, &row);
        commit->tree_sum -= sums_entry(row.id, row.parent, row.name, row.type, &row.attrs);
        rows++;
    }
    if (code || rows == 0)
        return code;
    commit->entries -= rows;
    sql_bind_i64(statement(commit, QJ_ENTRY_DELETE_BELOW), 1, id);
    return run(commit, QJ_ENTRY_DELETE_BELOW);
}

static int delete_at(struct commit *commit, struct place place, const struct found *old)
{
    int code = old->type == ENTRY_DIR ? delete_below(commit, old->id) : 0;
    if (code)
        return code;
    bind_place(statement(commit, QJ_ENTRY_DELETE), 1, place);
    code = run(commit, QJ_ENTRY_DELETE);
    if (code == 0) {
        commit->tree_sum -= old->sum;
        commit->entries--;
    }
    return code;
}

static int apply_delete(struct commit *commit)
{
    struct place place = {commit->edit->parent, commit->edit->name};
    struct found old = {0};
    int code = find(commit, place, commit->edit->entry, NULL, &old);
    return code ? code : delete_at(commit, place, &old);
}

/* Key update only: whatever lies below goes along, since it is keyed by the directory's id. */
static int apply_move(struct commit *commit)
{
    const struct edit *edit = commit->edit;
    struct place from = {edit->parent, edit->name}, to = {edit->to_parent, edit->to_name};
    struct found moved = {0}, replaced = {0};
    int code = find(commit, from, edit->entry, &to, &moved);
    if (code == 0 && edit->other)
        code = find(commit, to, edit->other, NULL, &replaced);
    if (code == 0 && edit->other && (replaced.type == ENTRY_DIR || moved.type == ENTRY_DIR))
        code = misfit(commit, "only what is no directory replaces, and is replaced, by a move");
    if (code == 0 && edit->other)
        code = delete_at(commit, to, &replaced);
    if (code)
        return code;
    sqlite3_stmt *update = statement(commit, QJ_ENTRY_MOVE);
    bind_place(update, 1, from);
    bind_place(update, 3, to);
    sql_bind_i64(update, 5, edit->attrs.ctime_ns);
    sql_bind_i64(update, 6, (int64_t)edit->file.a);
    sql_bind_i64(update, 7, (int64_t)edit->file.b);
    code = run(commit, QJ_ENTRY_MOVE);
    if (code == ERR_EXISTS)
        return misfit(commit, "the new name is taken");
    if (code == 0)
        commit->tree_sum += moved.moved_sum - moved.sum;
    return code;
}

static int place_at(struct commit *commit, struct place from, struct place to)
{
    sqlite3_stmt *update = statement(commit, QJ_ENTRY_PLACE);
    bind_place(update, 1, from);
    bind_place(update, 3, to);
    return run(commit, QJ_ENTRY_PLACE);
}

static int touch(struct commit *commit, struct place place)
{
    const struct edit *edit = commit->edit;
    sqlite3_stmt *update = statement(commit, QJ_ENTRY_TOUCH);
    bind_place(update, 1, place);
    sql_bind_i64(update, 3, edit->entry);
    sql_bind_i64(update, 4, edit->attrs.ctime_ns);
    sql_bind_i64(update, 5, (int64_t)edit->file.a);
    sql_bind_i64(update, 6, (int64_t)edit->file.b);
    int code = run(commit, QJ_ENTRY_TOUCH);
    if (code == 0 && sqlite3_changes(commit->journal->sql.db) != 1)
        return misfit(commit, "there is no such entry");
    return code;
}

static int apply_exchange(struct commit *commit)
{
    const struct edit *edit = commit->edit;
    struct place x = {edit->parent, edit->name}, y = {edit->to_parent, edit->to_name};
    struct place parked = {PARKED_PARENT, bytes_of("x", 1)};
    struct found at_x = {0}, at_y = {0};
    int code = find(commit, x, edit->entry, &y, &at_x);
    if (code == 0)
        code = find(commit, y, edit->other, &x, &at_y);
    if (code == 0)
        code = place_at(commit, x, parked);
    if (code == 0)
        code = place_at(commit, y, x);
    if (code == 0)
        code = place_at(commit, parked, y);
    if (code == 0)
        code = touch(commit, y);
    if (code == 0)
        commit->tree_sum += at_x.moved_sum - at_x.sum + at_y.moved_sum - at_y.sum;
    return code;
}

static int apply(struct commit *commit)
{
    const struct edit *edit = commit->edit;
    if (edit->quiet)
        return touch(commit, (struct place){edit->parent, edit->name});
    switch (edit->kind) {
    case CHANGE_CREATE:
        return apply_create(commit);
    case CHANGE_MODIFY:
    case CHANGE_ATTRIB:
        return apply_modify(commit);
    case CHANGE_MOVE:
        return apply_move(commit);
    case CHANGE_EXCHANGE:
        return apply_exchange(commit);
    case CHANGE_DELETE:
        return apply_delete(commit);
    case CHANGE_GAP:
        break;
    }
    return err_set(commit->err, ERR_INVALID, 0, "edit of kind '%s': has no place in a script",
                   change_kind_name(edit->kind));
}

static int append_row(struct commit *commit, bool last)
{
    const struct edit *edit = commit->edit;
    struct change row = {
        .entry = edit->entry,
        .kind = edit->kind,
        .type = edit->type,
        .flags = (edit->flags & ~(uint32_t)CHANGE_END) | (last ? CHANGE_END : 0u),
        .path = edit->path,
        .from = edit->from,
        .attrs = sums_public(edit->type, &edit->attrs),
        .file = edit->file,
        .entries = edit->entries,
        .other = edit->other,
        .actor = edit->actor,
    };
    return journal_append(commit->journal, &row, commit->wall_ms, &commit->seq, &commit->sum,
                          commit->err);
}

static int apply_all(struct commit *commit, const struct edit *edits, size_t count)
{
    size_t rows_end = count; /* one past the last edit that makes a row */
    while (rows_end > 0 && edits[rows_end - 1].quiet)
        rows_end--;
    for (size_t i = 0; i < count; i++) {
        commit->edit = &edits[i];
        int code = apply(commit);
        if (code == 0 && !edits[i].quiet)
            code = append_row(commit, i + 1 == rows_end);
        if (code)
            return code;
    }
    sqlite3_stmt *meta = statement(commit, QJ_META_TREE);
    sql_bind_i64(meta, 1, (int64_t)commit->tree_sum);
    sql_bind_i64(meta, 2, commit->entries);
    return run(commit, QJ_META_TREE);
}

int journal_commit(struct journal *journal, const struct edit *edits, size_t count, int64_t wall_ms,
                   struct err *err)
{
    struct commit commit = {
        .journal = journal,
        .err = err,
        .wall_ms = wall_ms,
        .seq = journal->info.last_seq,
        .sum = journal->info.last_sum,
        .tree_sum = journal->info.tree_sum,
        .entries = journal->entries,
    };
    if (count == 0)
        return 0;
    int code = journal_begin(journal, err);
    if (code)
        return code;
    code = journal_end(journal, apply_all(&commit, edits, count), err);
    if (code)
        return code;
    journal->info.last_seq = commit.seq;
    journal->info.last_sum = commit.sum;
    journal->info.tree_sum = commit.tree_sum;
    journal->entries = commit.entries;
    journal_note(journal);
    return 0;
}
