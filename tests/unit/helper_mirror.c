/* helper_mirror.c: see helper_mirror.h. */
#include "helper_mirror.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"

struct mirror *open_mirror(struct box *box)
{
    struct mirror *mirror = NULL;
    if (mirror_open(box->dir, "m-1", &mirror, &box->err) != 0)
        fail_msg("%s", box->err.text);
    return mirror;
}

enum mirror_outcome apply_batch(struct box *box, struct mirror *mirror,
                                const struct mirror_batch *batch)
{
    enum mirror_outcome outcome = MIRROR_REFUSED;
    struct mirror_cursor before = *mirror_cursor(mirror);
    box->err = (struct err){0};
    if (mirror_apply(mirror, batch, &outcome, &box->err) != 0)
        fail_msg("%s", box->err.text);
    if (outcome == MIRROR_APPLIED)
        assert_int_equal(mirror_cursor(mirror)->seq, batch->last);
    else
        assert_memory_equal(mirror_cursor(mirror), &before, sizeof before);
    assert_int_equal(outcome == MIRROR_REFUSED, box->err.code != 0);
    return outcome;
}

/* Sends rows first..last; the outcome. */
enum mirror_outcome send_rows(struct box *box, struct mirror *mirror, int64_t first, int64_t last)
{
    struct mirror_batch batch;
    struct buf rows;
    buf_init(&rows, 64 << 20);
    box_batch(box, first, last, &rows, &batch);
    enum mirror_outcome outcome = apply_batch(box, mirror, &batch);
    buf_deinit(&rows);
    return outcome;
}

void check_mirror(struct box *box, struct mirror *mirror)
{
    struct tree_check check = {.box = box};
    const struct journal_info *info = journal_info(box->journal);
    const struct mirror_cursor *cursor = mirror_cursor(mirror);
    if (mirror_tree(mirror, tree_check_entry, &check, &box->err) != 0)
        fail_msg("%s", box->err.text);
    assert_int_equal(check.seen, box->entry_count);
    assert_int_equal(cursor->entries, box->entry_count);
    assert_int_equal(cursor->seq, info->last_seq);
    assert_true(cursor->sum == info->last_sum);
    assert_true(cursor->tree_sum == info->tree_sum);
    assert_int_equal(cursor->epoch, info->epoch);
}
