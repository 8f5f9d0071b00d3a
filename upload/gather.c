/* gather.c: see gather.h. Rows are read until FOLD_ROWS_MAX are in hand, then folded up to the
 * last commit that is whole; what is left counts as read, and more is read behind it, as
 * long as folding makes room. Folding in steps comes to the same tree as folding at once,
 * since each step keeps what replaying gives. Called by the upload's thread. */
#include "gather.h"

#include "batch.h"
#include "brake.h"
#include "err.h"
#include "fold.h"
#include "reader.h"

#define GATHER_ROW_BYTES 224 /* of an encoded row without its names, about */
#define GATHER_WALK_ENDS 1   /* the visitor's way to say: enough */

/* An end of a commit: so many rows in hand stand for all up to `seq`. */
struct cut {
    size_t count; /* 0: none */
    int64_t seq;
    uint64_t sum;
};

struct hand {
    const struct batch_limits *limits;
    struct change *rows;   /* FOLD_ROWS_MAX of them */
    struct change *folded; /* likewise: what may become the batch's */
    size_t count;
    int64_t bytes;
    int64_t deletes; /* entries, as brake.h counts them */
    int64_t next_seq;
    struct arena *arena;
    struct cut sure; /* the last that fits even if nothing folds */
    struct cut far;  /* the last of all */
    struct err *err;
};

static int64_t bytes_about(const struct change *row)
{
    return GATHER_ROW_BYTES + (int64_t)(row->path.len + row->from.len + row->attrs.target.len);
}

static bool copy_bytes(struct arena *arena, struct bytes *bytes)
{
    if (bytes->len == 0)
        return true;
    bytes->at = arena_copy(arena, bytes->at, bytes->len);
    return bytes->at != NULL;
}

/* Gives the row bytes of its own in `arena`. */
static bool copy_row(struct arena *arena, struct change *row)
{
    return copy_bytes(arena, &row->path) && copy_bytes(arena, &row->from) &&
           copy_bytes(arena, &row->attrs.target);
}

static bool fits(const struct hand *hand, size_t count, int64_t bytes, int64_t deletes)
{
    return (int64_t)count <= hand->limits->rows && bytes <= hand->limits->bytes &&
           !brake_holds(hand->limits->brake, deletes);
}

static int take(void *ctx, const struct change *change)
{
    struct hand *hand = ctx;
    if (change->seq != hand->next_seq)
        return err_set(hand->err, ERR_CORRUPT, 0, "cannot form batch: row %lld is missing",
                       (long long)hand->next_seq);
    hand->next_seq++;
    struct change *row = &hand->rows[hand->count++];
    *row = *change;
    if (!copy_row(hand->arena, row))
        return err_set(hand->err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    hand->bytes += bytes_about(row);
    hand->deletes += brake_entries(hand->limits->brake, row);
    if ((row->flags & CHANGE_END) && !(row->flags & CHANGE_PARKED)) {
        hand->far = (struct cut){hand->count, row->seq, row->sum};
        if (fits(hand, hand->count, hand->bytes, hand->deletes))
            hand->sure = hand->far;
    }
    /* Bytes are bounded too: by what an unlucky batch may take anyway. */
    bool full = hand->count == FOLD_ROWS_MAX || hand->bytes > BATCH_OVER_MAX * hand->limits->bytes;
    return full ? GATHER_WALK_ENDS : 0;
}

/* The folded rows with bytes of their own become the batch's, if they fit: then 1. */
static int keep_folded(struct hand *hand, size_t count, const struct cut *cut, struct gather *out,
                       struct err *err)
{
    struct arena bytes;
    int64_t size = 0;
    int64_t deletes = 0;
    int code = 0;
    arena_init(&bytes);
    for (size_t i = 0; i < count && !code; i++) {
        size += bytes_about(&hand->folded[i]);
        deletes += brake_entries(hand->limits->brake, &hand->folded[i]);
        if (!copy_row(&bytes, &hand->folded[i]))
            code = err_set(err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    }
    if (code || !fits(hand, count, size, deletes)) {
        arena_deinit(&bytes);
        return code;
    }
    struct change *rows = out->rows;
    arena_deinit(&out->bytes);
    *out = (struct gather){hand->folded, count, deletes, cut->seq, cut->sum, bytes};
    hand->folded = rows;
    return 1;
}

/* Folds the rows up to `cut`. 1: that is the batch, unless there is a better one. */
static int fold_to(struct hand *hand, const struct cut *cut, struct gather *out, struct err *err)
{
    size_t count = cut->count;
    memcpy(hand->folded, hand->rows, count * sizeof *hand->rows);
    int code = fold_rows(hand->folded, &count, err);
    return code ? code : keep_folded(hand, count, cut, out, err);
}

/* Begins anew with what folding left. */
static int restart(struct hand *hand, const struct gather *left, struct err *err)
{
    arena_reset(hand->arena);
    memcpy(hand->rows, left->rows, left->count * sizeof *hand->rows);
    hand->count = left->count;
    hand->next_seq = left->last + 1;
    hand->bytes = 0;
    hand->deletes = left->deletes;
    hand->sure = hand->far = (struct cut){0};
    for (size_t i = 0; i < hand->count; i++) {
        hand->bytes += bytes_about(&hand->rows[i]);
        if (!copy_row(hand->arena, &hand->rows[i]))
            return err_set(err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    }
    return 0;
}

/* Another piece pays while a fourth of the room is free. */
static bool has_room(const struct hand *hand)
{
    return hand->count <= FOLD_ROWS_MAX / 4 * 3 &&
           (int64_t)hand->count <= hand->limits->rows / 4 * 3 &&
           hand->bytes <= hand->limits->bytes / 4 * 3;
}

/* One piece: 1 when there may be room for more, 0 when the batch is as large as it gets. */
static int gather_piece(struct hand *hand, struct reader *reader, int64_t last,
                        struct gather *gather, struct err *err)
{
    struct reader_range range = {
        .first = hand->next_seq,
        .last = last,
        .verify = true,
        .until_ms = INT64_MAX,
    };
    int code = reader_rows(reader, &range, take, hand, err);
    if (code < 0 || hand->far.count == 0)
        return code < 0 ? code : 0;
    bool more = code == GATHER_WALK_ENDS;
    bool sure_is_far = hand->sure.seq == hand->far.seq;
    code = fold_to(hand, &hand->far, gather, err);
    if (code == 0 && !sure_is_far && hand->sure.count > 0) {
        code = fold_to(hand, &hand->sure, gather, err);
        more = false;
    }
    if (code <= 0 || !more)
        return code < 0 ? code : 0;
    code = restart(hand, gather, err);
    return code ? code : has_room(hand);
}

int gather_rows(struct gather *gather, struct reader *reader, int64_t first, int64_t last,
                const struct batch_limits *limits, struct err *err)
{
    struct arena arena;
    arena_init(&arena);
    *gather = (struct gather){.rows = calloc(FOLD_ROWS_MAX, sizeof *gather->rows)};
    arena_init(&gather->bytes);
    struct hand hand = {
        .limits = limits,
        .rows = calloc(FOLD_ROWS_MAX, sizeof *hand.rows),
        .folded = calloc(FOLD_ROWS_MAX, sizeof *hand.folded),
        .next_seq = first,
        .arena = &arena,
        .err = err,
    };
    int code = 1;
    if (!gather->rows || !hand.rows || !hand.folded)
        code = err_set(err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    while (code == 1)
        code = gather_piece(&hand, reader, last, gather, err);
    if (code == 0 && gather->last == 0)
        code =
            err_set(err, ERR_NOTFOUND, 0, "no commit from row %lld fits a batch", (long long)first);
    free(hand.rows);
    free(hand.folded);
    arena_deinit(&arena);
    return code;
}

void gather_free(struct gather *gather)
{
    free(gather->rows);
    arena_deinit(&gather->bytes);
    *gather = (struct gather){0};
}
