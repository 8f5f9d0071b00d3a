/* mirror_snapshot.c: a tree received whole, part by part, beside the one that is shown, and the
 * switch to it in one transaction (RULES 18). What was received survives a crash; an unfinished
 * generation is dropped by a newer one. The thread that opened the mirror. */
#include "mirror.h"

#include "err.h"
#include "mirror_private.h"
#include "rowread.h"
#include "schema.h"

int mirror_load_building(struct mirror *mirror, struct err *err)
{
    sqlite3_stmt *select = mirror->statements[QM_BUILDING];
    struct mirror_building *building = &mirror->building;
    int code = sql_row(&mirror->sql, select, err);
    if (code < 0)
        return code;
    *building = (struct mirror_building){0};
    if (code == 1) {
        building->gen = sqlite3_column_int64(select, 0);
        building->parts = sqlite3_column_int64(select, 1);
        building->tree_sum = (uint64_t)sqlite3_column_int64(select, 2);
        building->entries = sqlite3_column_int64(select, 3);
        (void)sqlite3_reset(select); /* after a row: nothing to report */
    }
    replay_restart(&mirror->next, building->tree_sum, building->entries);
    return 0;
}

int64_t mirror_generation(const struct mirror *mirror)
{
    return mirror->building.gen > mirror->cursor.gen ? mirror->building.gen : mirror->cursor.gen;
}

/* Where a request of generation `gen` stands towards ours. Outdated ones are conflicts: their
 * sender is told the generation to go beyond. */
static enum mirror_outcome judge(const struct mirror *mirror, int64_t gen, int64_t parts_before,
                                 int64_t parts_after)
{
    const struct mirror_building *building = &mirror->building;
    if (gen == mirror->cursor.gen)
        return MIRROR_DUPLICATE;
    if (gen < mirror_generation(mirror))
        return MIRROR_CONFLICT;
    int64_t parts = gen == building->gen ? building->parts : 0;
    if (parts_after <= parts && parts_after > parts_before)
        return MIRROR_DUPLICATE;
    return parts_before == parts ? MIRROR_APPLIED : MIRROR_CONFLICT;
}

static int store_building(struct mirror *mirror, const struct mirror_building *next,
                          struct err *err)
{
    sqlite3_stmt *set = mirror->statements[QM_BUILDING_SET];
    sql_bind_i64(set, 1, next->gen);
    sql_bind_i64(set, 2, next->parts);
    sql_bind_i64(set, 3, (int64_t)next->tree_sum);
    sql_bind_i64(set, 4, next->entries);
    return sql_run(&mirror->sql, set, err);
}

/* A generation that we have not heard of drops what was built of the one before. */
static int begin(struct mirror *mirror, int64_t gen, struct err *err)
{
    if (gen == mirror->building.gen)
        return 0;
    replay_restart(&mirror->next, 0, 0);
    return sql_exec(&mirror->sql, "DELETE FROM node_next", err);
}

static int refuse(struct err *err, int64_t gen, const char *what)
{
    return err_set(err, ERR_INVALID, 0, "snapshot %lld: %s", (long long)gen, what);
}

static int add_entry(struct mirror *mirror, int64_t gen, const char *line, size_t len,
                     struct err *err)
{
    struct change row;
    int code = rowread_parse(mirror->rowread, line, len, &row, err);
    if (code == 0 && row.kind != CHANGE_CREATE)
        code = refuse(err, gen, "a row in it is no create");
    return code ? code : replay_apply(&mirror->next, &row, err);
}

static int add_part(struct mirror *mirror, const struct mirror_part *part, struct err *err)
{
    int64_t rows = 0;
    int code = begin(mirror, part->gen, err);
    if (code == 0 &&
        (part->len > MIRROR_BATCH_BYTES_MAX || (part->len && part->rows[part->len - 1] != '\n')))
        code = refuse(err, part->gen, "a part of it has too many bytes, or was cut off");
    for (size_t at = 0; code == 0 && at < part->len;) {
        const char *end = memchr(part->rows + at, '\n', part->len - at);
        size_t len = (size_t)(end - (part->rows + at));
        code = ++rows > MIRROR_BATCH_ROWS_MAX
                   ? refuse(err, part->gen, "a part of it has too many rows")
                   : add_entry(mirror, part->gen, part->rows + at, len, err);
        at += len + 1;
    }
    const struct mirror_building next = {part->gen, part->part, mirror->next.tree_sum,
                                         mirror->next.entries};
    return code ? code : store_building(mirror, &next, err);
}

/* Ends the transaction; what is in memory follows what is in the file. */
static int end(struct mirror *mirror, int code, enum mirror_outcome *outcome, struct err *err)
{
    struct err ignored = {0};
    if (code == 0)
        code = sql_commit(&mirror->sql, err);
    if (code)
        sql_rollback(&mirror->sql);
    if (code && code != ERR_INVALID)
        return code;
    int loaded = mirror_load_building(mirror, code ? &ignored : err);
    *outcome = code ? MIRROR_REFUSED : MIRROR_APPLIED;
    return loaded;
}

int mirror_take_part(struct mirror *mirror, const struct mirror_part *part,
                     enum mirror_outcome *outcome, struct err *err)
{
    if (part->gen <= 0 || part->part <= 0)
        return err_set(err, ERR_INVALID, 0, "snapshot %lld, part %lld: impossible",
                       (long long)part->gen, (long long)part->part);
    *outcome = judge(mirror, part->gen, part->part - 1, part->part);
    if (*outcome != MIRROR_APPLIED)
        return 0;
    int code = sql_begin(&mirror->sql, err);
    return code ? code : end(mirror, add_part(mirror, part, err), outcome, err);
}

/* --- the switch --- */

static int switch_tree(struct mirror *mirror, const struct mirror_commit *commit,
                       struct mirror_cursor *next, struct err *err)
{
    int code = begin(mirror, commit->gen, err);
    if (code)
        return code;
    if (mirror->next.entries != commit->entries || mirror->next.tree_sum != commit->tree_sum)
        return refuse(err, commit->gen, "the tree that came is not the one that was sent");
    next->epoch = commit->epoch;
    next->seq = commit->seq;
    next->sum = commit->sum;
    next->tree_sum = mirror->next.tree_sum;
    next->entries = mirror->next.entries;
    next->gen = commit->gen;
    (void)snprintf(next->folder, sizeof next->folder, "%s", commit->folder); /* cut is fine */
    code = sql_exec(&mirror->sql, schema_mirror_switch, err);
    /* Rows of this epoch that we had beyond, and sums of batches, belong to another history. */
    if (code == 0)
        code = sql_exec(&mirror->sql, "DELETE FROM sums", err);
    sqlite3_stmt *forget = mirror->statements[QM_ROW_FORGET];
    if (code == 0) {
        sql_bind_i64(forget, 1, commit->epoch);
        sql_bind_i64(forget, 2, commit->seq);
        code = sql_run(&mirror->sql, forget, err);
    }
    if (code == 0)
        code = mirror_store_sum(mirror, commit->seq, commit->sum, err);
    return code ? code : mirror_store_cursor(mirror, next, err);
}

int mirror_take_snapshot(struct mirror *mirror, const struct mirror_commit *commit,
                         enum mirror_outcome *outcome, struct err *err)
{
    struct mirror_cursor next = mirror->cursor;
    if (commit->gen <= 0 || commit->epoch <= 0 || commit->seq < 0 || commit->parts < 0)
        return err_set(err, ERR_INVALID, 0, "snapshot %lld: impossible", (long long)commit->gen);
    *outcome = judge(mirror, commit->gen, commit->parts, commit->parts);
    /* An older history of the journal never takes the place of a newer one: of two clients that
     * have one id the one with the newer epoch keeps it. */
    if (*outcome == MIRROR_APPLIED && commit->epoch < mirror->cursor.epoch)
        *outcome = MIRROR_CONFLICT;
    if (*outcome != MIRROR_APPLIED)
        return 0;
    int code = sql_begin(&mirror->sql, err);
    if (code)
        return code;
    code = end(mirror, switch_tree(mirror, commit, &next, err), outcome, err);
    if (code == 0 && *outcome == MIRROR_APPLIED) {
        mirror->cursor = next;
        replay_restart(&mirror->replay, next.tree_sum, next.entries);
    }
    return code;
}
