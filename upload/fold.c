/* fold.c: see fold.h. The rules, each the longest that held in enumeration:
 *
 *   F1   modify ... modify of one entry: the later alone; modify ... delete: the delete alone
 *   F2   create ... modify: one create with the later attributes, whatever moved in between
 *   F3   a file created and deleted: nothing, unless it is entangled with another entry (it took
 *        part in an exchange, or a move put it over another one)
 *   F3x  a directory created and deleted: nothing of it and below it, unless it, something below
 *        it or something above it moved in between
 *   F4   two moves of one entry, one right behind the other: one move, or none
 *
 * They are sound because attributes never decide whether a row applies (F1, F2), because
 * leaving out what lived for a while only frees names (F3), and because nothing happens
 * between two adjacent rows (F4). A gap row is never folded. */
#include "fold.h"

#include "err.h"

/* One entry's part in one row. An exchange, and a move over a file, is of two entries. */
struct part {
    int64_t entry;
    size_t row;
};

struct fold {
    struct change *rows;
    size_t count;
    bool *dropped;      /* by row */
    struct part *parts; /* by entry, then by row */
    size_t part_count;
    size_t *travels; /* rows that move or exchange, ascending */
    size_t travel_count;
};

static bool travels(const struct change *row)
{
    return row->kind == CHANGE_MOVE || row->kind == CHANGE_EXCHANGE;
}

static int compare_parts(const void *x, const void *y)
{
    const struct part *a = x, *b = y;
    if (a->entry != b->entry)
        return a->entry < b->entry ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static void gather(struct fold *fold)
{
    for (size_t i = 0; i < fold->count; i++) {
        const struct change *row = &fold->rows[i];
        if (row->kind == CHANGE_GAP)
            continue;
        fold->parts[fold->part_count++] = (struct part){row->entry, i};
        if (!travels(row))
            continue;
        if (row->other)
            fold->parts[fold->part_count++] = (struct part){row->other, i};
        fold->travels[fold->travel_count++] = i;
    }
    qsort(fold->parts, fold->part_count, sizeof *fold->parts, compare_parts);
}

/* `into` takes over what a later row of the same entry says of its attributes. */
static void absorb(struct change *into, const struct change *later)
{
    into->attrs = later->attrs;
    into->file = later->file;
    if (later->actor.pid)
        into->actor = later->actor;
    into->flags = (into->flags & ~(uint32_t)CHANGE_PARTIAL) | (later->flags & CHANGE_PARTIAL);
}

/* F1, F2 and F3 for the rows of one entry. */
static void fold_entry(struct fold *fold, const struct part *parts, size_t count)
{
    struct change *create = NULL;
    size_t attributes = SIZE_MAX; /* the row of its last modify or attrib */
    bool entangled = false;
    for (size_t i = 0; i < count; i++) {
        size_t at = parts[i].row;
        struct change *row = &fold->rows[at];
        bool attribute_row = row->kind == CHANGE_MODIFY || row->kind == CHANGE_ATTRIB;
        if (travels(row) && row->other)
            entangled = true;
        if (row->kind == CHANGE_CREATE)
            create = row;
        else if (attribute_row && create) {
            absorb(create, row);
            fold->dropped[at] = true;
        } else if (attribute_row && attributes != SIZE_MAX) {
            const struct change *earlier = &fold->rows[attributes];
            if (earlier->kind == CHANGE_MODIFY)
                row->kind = CHANGE_MODIFY;
            row->flags |= earlier->flags & CHANGE_REPLACED;
            fold->dropped[attributes] = true;
        } else if (row->kind == CHANGE_DELETE && attributes != SIZE_MAX) {
            fold->dropped[attributes] = true;
        }
        if (attribute_row)
            attributes = create ? SIZE_MAX : at;
        if (row->kind == CHANGE_DELETE && create && !entangled && row->type != ENTRY_DIR)
            for (size_t j = 0; j < count; j++)
                fold->dropped[parts[j].row] = true;
    }
}

static void fold_entries(struct fold *fold)
{
    for (size_t i = 0, end; i < fold->part_count; i = end) {
        end = i + 1;
        while (end < fold->part_count && fold->parts[end].entry == fold->parts[i].entry)
            end++;
        fold_entry(fold, fold->parts + i, end - i);
    }
}

static bool on_one_line(struct bytes x, struct bytes y)
{
    return bytes_path_is_within(x, y) || bytes_path_is_within(y, x);
}

/* Nothing moved from, to, within, above or below `path` in the rows between. */
static bool stood_still(const struct fold *fold, struct bytes path, size_t first, size_t last)
{
    for (size_t i = 0; i < fold->travel_count; i++) {
        size_t at = fold->travels[i];
        const struct change *row = &fold->rows[at];
        if (at > first && at < last &&
            (on_one_line(row->path, path) || on_one_line(row->from, path)))
            return false;
    }
    return true;
}

/* F3x. An outer directory's delete comes after the inner ones', so that the inner are looked
 * at in vain at worst. */
static void fold_directories(struct fold *fold)
{
    for (size_t i = 0; i + 1 < fold->part_count; i++) {
        size_t first = fold->parts[i].row;
        size_t last = first;
        if (fold->rows[first].kind != CHANGE_CREATE || fold->rows[first].type != ENTRY_DIR)
            continue;
        for (size_t j = i + 1; j < fold->part_count && fold->parts[j].entry == fold->parts[i].entry;
             j++)
            last = fold->parts[j].row;
        struct bytes path = fold->rows[last].path;
        if (fold->rows[last].kind != CHANGE_DELETE || fold->dropped[last] ||
            !stood_still(fold, path, first, last))
            continue;
        for (size_t j = first; j <= last; j++)
            if (fold->rows[j].kind != CHANGE_GAP && bytes_path_is_within(fold->rows[j].path, path))
                fold->dropped[j] = true;
    }
}

/* Closes the ranks; F4 on the way. */
static size_t compact(struct fold *fold)
{
    size_t kept = 0;
    for (size_t i = 0; i < fold->count; i++) {
        struct change *row = &fold->rows[i];
        struct change *before = kept ? &fold->rows[kept - 1] : NULL;
        if (fold->dropped[i])
            continue;
        bool again = before && before->kind == CHANGE_MOVE && row->kind == CHANGE_MOVE &&
                     before->entry == row->entry && !before->other;
        if (again && bytes_equal(before->from, row->path)) {
            kept--;
        } else if (again) {
            row->from = before->from;
            *before = *row;
        } else {
            fold->rows[kept++] = *row;
        }
    }
    return kept;
}

int fold_rows(struct change *rows, size_t *count, struct err *err)
{
    if (*count > FOLD_ROWS_MAX)
        return err_set(err, ERR_LIMIT, 0, "cannot fold %zu rows at once", *count);
    if (*count == 0)
        return 0;
    struct fold fold = {
        .rows = rows,
        .count = *count,
        .dropped = calloc(*count, sizeof *fold.dropped),
        .parts = malloc(2 * *count * sizeof *fold.parts),
        .travels = malloc(*count * sizeof *fold.travels),
    };
    int code = 0;
    if (!fold.dropped || !fold.parts || !fold.travels) {
        code = err_set(err, ERR_NOMEM, 0, "cannot fold rows: out of memory");
    } else {
        gather(&fold);
        fold_directories(&fold);
        fold_entries(&fold);
        *count = compact(&fold);
    }
    free(fold.dropped);
    free(fold.parts);
    free(fold.travels);
    return code;
}
