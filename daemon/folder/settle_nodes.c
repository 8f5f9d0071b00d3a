/* settle_nodes.c: the names of the dirty set: a hash table, and lists that are each ordered by due
 * time because all in a list wait equally long. */
#include "settle_private.h"

/* --- lists of names; `quiet` has a link of its own, since a name is in two lists --- */

static struct link *place_link(struct node *node)
{
    return &node->place;
}

static struct link *quiet_link(struct node *node)
{
    return &node->quiet;
}

typedef struct link *link_of(struct node *);

static void list_insert_after(struct list *list, link_of *of, struct node *after, struct node *node)
{
    struct node *next = after ? of(after)->next : list->head;
    of(node)->prev = after;
    of(node)->next = next;
    if (after) {
        of(after)->next = node;
    } else {
        list->head = node;
    }
    if (next) {
        of(next)->prev = node;
    } else {
        list->tail = node;
    }
}

static void list_remove(struct list *list, link_of *of, struct node *node)
{
    struct node *prev = of(node)->prev, *next = of(node)->next;
    if (prev) {
        of(prev)->next = next;
    } else {
        list->head = next;
    }
    if (next) {
        of(next)->prev = prev;
    } else {
        list->tail = prev;
    }
}

/* --- the table of names --- */

struct node **settle_find(const struct settle *settle, struct file_id dir, struct bytes name)
{
    struct node **slot = &settle->names[settle_hash(dir, name) & settle->names_mask];
    while (*slot && !(file_id_equal((*slot)->dir, dir) &&
                      bytes_equal(bytes_of((*slot)->name, (*slot)->name_len), name))) {
        slot = &(*slot)->chain;
    }
    return slot;
}

static bool grow_names(struct settle *settle)
{
    size_t count = (settle->names_mask + 1) * 2;
    struct node **names = calloc(count, sizeof(struct node *));
    if (!names) {
        return false;
    }
    for (size_t i = 0; i <= settle->names_mask; i++) {
        struct node *node = settle->names[i];
        while (node) {
            struct node *rest = node->chain;
            struct bytes name = bytes_of(node->name, node->name_len);
            struct node **slot = &names[settle_hash(node->dir, name) & (count - 1)];
            node->chain = *slot;
            *slot = node;
            node = rest;
        }
    }
    free(settle->names);
    settle->names = names;
    settle->names_mask = count - 1;
    return true;
}

int64_t settle_delay(const struct settle *settle, uint8_t level)
{
    int64_t delay = settle->times.max_delay_ns;
    for (uint8_t i = 0; i < level && delay < settle->times.partial_max_ns; i++) {
        delay *= 2;
    }
    /* A partial_max below max_delay changes nothing: max_delay is a promise. */
    return level && delay > settle->times.partial_max_ns &&
                   settle->times.partial_max_ns > settle->times.max_delay_ns
               ? settle->times.partial_max_ns
               : delay;
}

void settle_leave_quiet(struct settle *settle, struct node *node)
{
    if (node->in_quiet) {
        list_remove(&settle->quiet, quiet_link, node);
        node->in_quiet = false;
    }
}

void settle_join_quiet(struct settle *settle, struct node *node)
{
    node->in_quiet = !node->open;
    if (node->in_quiet) {
        list_insert_after(&settle->quiet, quiet_link, settle->quiet.tail, node);
    }
}

/* A node that is not dirty is counted by why it is not. */
static void count(struct settle *settle, const struct node *node, bool joins)
{
    size_t *counter = node->state == NODE_REST ? &settle->rest_count : &settle->unknown_count;
    if (node->state == NODE_REST || node->failures) {
        *counter += joins ? 1 : (size_t)-1;
    }
}

/* A new node is the youngest; one that comes back from `later` is among the oldest. */
void settle_become_dirty(struct settle *settle, struct node *node)
{
    struct list *age = &settle->age[node->level];
    struct node *after = age->tail;
    if (after && after->first_ns > node->first_ns) {
        after = NULL;
        struct node *next = age->head;
        while (next && next->first_ns <= node->first_ns) {
            after = next;
            next = next->place.next;
        }
    }
    node->state = NODE_DIRTY;
    list_insert_after(age, place_link, after, node);
}

void settle_date_back(struct settle *settle, struct node *node, int64_t first_ns)
{
    if (first_ns >= node->first_ns) {
        return;
    }
    node->first_ns = first_ns;
    if (node->state == NODE_DIRTY) { /* its place among the quiet is by another time */
        list_remove(&settle->age[node->level], place_link, node);
        settle_become_dirty(settle, node);
    }
}

void settle_leave_place(struct settle *settle, struct node *node)
{
    if (node->state == NODE_DIRTY) {
        list_remove(&settle->age[node->level], place_link, node);
        settle_leave_quiet(settle, node);
        return;
    }
    list_remove(node->state == NODE_REST ? &settle->rest[node->level] : &settle->later, place_link,
                node);
    count(settle, node, false);
}

void settle_join_later(struct settle *settle, struct node *node, int64_t due_ns)
{
    node->state = NODE_LATER;
    node->in_quiet = false;
    node->due_ns = due_ns;
    struct node *after = settle->later.tail;
    if (settle->later.head && due_ns <= settle->later.head->due_ns) {
        after = NULL;
    }
    while (after && after->due_ns > due_ns) {
        after = after->place.prev;
    }
    list_insert_after(&settle->later, place_link, after, node);
    count(settle, node, true);
}

struct node *settle_new_node(struct settle *settle, struct file_id dir, struct bytes name,
                             int64_t now_ns)
{
    if (settle->name_count > settle->names_mask && !grow_names(settle)) {
        return NULL;
    }
    if (name.len > UINT16_MAX) {
        return NULL;
    }
    struct node *node = calloc(1, sizeof *node + name.len);
    if (!node) {
        return NULL;
    }
    node->dir = dir;
    node->name_len = (uint16_t)name.len;
    if (name.len) {
        memcpy(node->name, name.at, name.len);
    }
    node->first_ns = node->last_ns = now_ns;
    struct node **slot = &settle->names[settle_hash(dir, name) & settle->names_mask];
    node->chain = *slot;
    *slot = node;
    settle->name_count++;
    return node;
}

/* Takes a node out of everything; the caller frees it. */
struct node *settle_detach(struct settle *settle, struct node **slot)
{
    struct node *node = *slot;
    settle_leave_place(settle, node);
    *slot = node->chain;
    settle->name_count--;
    return node;
}

void settle_join_rest(struct settle *settle, struct node *node, int64_t due_ns)
{
    struct list *rest = &settle->rest[node->level];
    node->state = NODE_REST;
    node->due_ns = due_ns;
    list_insert_after(rest, place_link, rest->tail, node);
    count(settle, node, true);
}
