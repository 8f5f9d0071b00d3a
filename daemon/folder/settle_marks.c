/* settle_marks.c: directories to be listed: a small table and one list ordered by due time. */
#include "settle_private.h"

static struct mark_node **find_mark(const struct settle *settle, struct file_id dir)
{
    uint64_t hash = settle_hash(dir, (struct bytes){NULL, 0});
    struct mark_node **slot = &settle->marks[hash & settle->marks_mask];
    while (*slot && !file_id_equal((*slot)->mark.dir, dir)) {
        slot = &(*slot)->chain;
    }
    return slot;
}

static bool grow_marks(struct settle *settle)
{
    size_t count = (settle->marks_mask + 1) * 2;
    struct mark_node **marks = calloc(count, sizeof(struct mark_node *));
    if (!marks) {
        return false;
    }
    for (size_t i = 0; i <= settle->marks_mask; i++) {
        struct mark_node *node = settle->marks[i];
        while (node) {
            struct mark_node *rest = node->chain;
            uint64_t hash = settle_hash(node->mark.dir, (struct bytes){NULL, 0});
            node->chain = marks[hash & (count - 1)];
            marks[hash & (count - 1)] = node;
            node = rest;
        }
    }
    free(settle->marks);
    settle->marks = marks;
    settle->marks_mask = count - 1;
    return true;
}

static void link_mark(struct settle *settle, struct mark_node *node)
{
    struct mark_node *after = settle->marks_tail;
    while (after && after->mark.due_ns > node->mark.due_ns) {
        after = after->prev;
    }
    node->prev = after;
    node->next = after ? after->next : settle->marks_head;
    *(after ? &after->next : &settle->marks_head) = node;
    *(node->next ? &node->next->prev : &settle->marks_tail) = node;
}

static void unlink_mark(struct settle *settle, struct mark_node *node)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what is in the list is in the table */
    *(node->prev ? &node->prev->next : &settle->marks_head) = node->next;
    *(node->next ? &node->next->prev : &settle->marks_tail) = node->prev;
}

static void free_mark(struct settle *settle, struct mark_node **slot)
{
    struct mark_node *node = *slot;
    unlink_mark(settle, node);
    *slot = node->chain;
    settle->mark_count--;
    free(node);
}

bool settle_mark_dir(struct settle *settle, const struct settle_mark *mark)
{
    struct mark_node *node = *find_mark(settle, mark->dir);
    if (node) {
        unlink_mark(settle, node);
        node->mark.deep |= mark->deep;
        if (mark->first_ns < node->mark.first_ns) {
            node->mark.first_ns = mark->first_ns;
        }
        if (mark->due_ns < node->mark.due_ns) {
            node->mark.due_ns = mark->due_ns;
            node->mark.failures = mark->failures;
        }
    } else {
        if (settle->mark_count >= SETTLE_MARKS_MAX ||
            (settle->mark_count > settle->marks_mask && !grow_marks(settle)) ||
            !(node = calloc(1, sizeof *node))) {
            settle_clear(settle);
            return false;
        }
        node->mark = *mark;
        struct mark_node **slot = find_mark(settle, mark->dir);
        *slot = node;
        settle->mark_count++;
    }
    link_mark(settle, node);
    return true;
}

bool settle_take_dir(struct settle *settle, int64_t now_ns, int64_t force_before_ns,
                     struct settle_mark *out)
{
    const struct mark_node *node = settle->marks_head;
    bool forced = node && force_before_ns > 0 && node->mark.failures == 0;
    if (!node || (node->mark.due_ns > now_ns && !forced)) {
        return false;
    }
    return settle_take_this_dir(settle, node->mark.dir, out);
}

bool settle_take_this_dir(struct settle *settle, struct file_id dir, struct settle_mark *out)
{
    struct mark_node **slot = find_mark(settle, dir);
    if (!*slot) {
        return false;
    }
    *out = (*slot)->mark;
    free_mark(settle, slot);
    return true;
}

void settle_clear_marks(struct settle *settle)
{
    while (settle->marks_head) {
        free_mark(settle, find_mark(settle, settle->marks_head->mark.dir));
    }
}
