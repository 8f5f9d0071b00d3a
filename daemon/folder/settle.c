/* settle.c: see settle.h. A name is a node in a hash table and in lists that are each ordered by
 * due time, because all in a list wait equally long; so what is due next is at the heads. */
#include "settle_private.h"

#include "buf.h"
#include "err.h"

int settle_new(const struct settle_times *times, struct settle **out)
{
    struct settle *settle = calloc(1, sizeof *settle);
    if (!settle) {
        return ERR_NOMEM;
    }
    settle->times = *times;
    settle->names = calloc(SETTLE_FIRST_BUCKETS, sizeof(struct node *));
    settle->marks = calloc(SETTLE_FIRST_BUCKETS, sizeof(struct mark_node *));
    settle->names_mask = settle->marks_mask = SETTLE_FIRST_BUCKETS - 1;
    if (!settle->names || !settle->marks) {
        free(settle->names);
        free(settle->marks);
        free(settle);
        return ERR_NOMEM;
    }
    *out = settle;
    return 0;
}

static void clear_names(struct settle *settle)
{
    for (size_t i = 0; i <= settle->names_mask && settle->name_count; i++) {
        while (settle->names[i]) {
            free(settle_detach(settle, &settle->names[i]));
        }
    }
}

void settle_clear(struct settle *settle)
{
    clear_names(settle);
    settle_clear_marks(settle);
}

void settle_free(struct settle *settle)
{
    if (!settle) {
        return;
    }
    settle_clear(settle);
    free(settle->names);
    free(settle->marks);
    free(settle);
}

void settle_set_times(struct settle *settle, const struct settle_times *times)
{
    settle->times = *times;
}

static bool mark_dirs_of(struct settle *settle, const struct list *list, int64_t due_ns)
{
    for (const struct node *node = list->head; node; node = node->place.next) {
        struct settle_mark mark = {.dir = node->dir, .due_ns = due_ns, .first_ns = node->first_ns};
        if (node->state == NODE_LATER && node->due_ns > due_ns) {
            mark.due_ns = node->due_ns;
        }
        if (!settle_mark_dir(settle, &mark)) {
            return false;
        }
    }
    return true;
}

/* Too many names: their directories are listed instead. */
static bool collapse(struct settle *settle, int64_t now_ns)
{
    for (int level = 0; level < SETTLE_LEVELS; level++) {
        if (!mark_dirs_of(settle, &settle->age[level], now_ns)) {
            return false;
        }
    }
    if (!mark_dirs_of(settle, &settle->later, now_ns)) {
        return false;
    }
    clear_names(settle);
    return true;
}

static bool make_room(struct settle *settle, int64_t now_ns)
{
    if (settle->name_count < SETTLE_NAMES_MAX || collapse(settle, now_ns)) {
        return true;
    }
    settle_clear(settle);
    return false;
}

/* Brings a node that waits or rests, or a new one, among the dirty. */
static void wake(struct settle *settle, struct node *node, int64_t now_ns)
{
    settle_leave_place(settle, node);
    if (node->state == NODE_REST) {
        node->actor = (struct actor){0}; /* whoever was there before, this is something new */
    }
    if (node->failures || node->state == NODE_REST) {
        node->failures = 0; /* something happened: the look may succeed now */
        node->first_ns = now_ns;
    }
    settle_become_dirty(settle, node);
}

static void add_hints(struct node *node, uint8_t hints)
{
    node->hints |= hints;
    if (hints & HINT_CLOSED) {
        node->open = false;
    } else if (hints & HINT_CONTENT) {
        node->open = true;
    } else if (hints & HINT_NAME) {
        node->open = false; /* the name changed hands: nobody is known to write to it */
    }
}

bool settle_mark_name(struct settle *settle, struct file_id dir, struct bytes name, uint8_t hints,
                      const struct actor *actor, int64_t now_ns)
{
    struct node *node = *settle_find(settle, dir, name);
    if (!node) {
        if (!make_room(settle, now_ns)) {
            return false;
        }
        node = settle_new_node(settle, dir, name, now_ns);
        if (!node) {
            settle_clear(settle);
            return false;
        }
        settle_become_dirty(settle, node);
    } else if (node->state != NODE_DIRTY) {
        wake(settle, node, now_ns);
    } else {
        settle_leave_quiet(settle, node);
    }
    add_hints(node, hints);
    if (actor && actor->pid) {
        node->actor = *actor;
    }
    node->last_ns = now_ns;
    settle_join_quiet(settle, node);
    return true;
}

/* A node for a name that comes back from a round; NULL: the set is full. */
static struct node *returned_node(struct settle *settle, const struct settle_name *name,
                                  int64_t now_ns)
{
    if (!make_room(settle, now_ns)) {
        return NULL;
    }
    struct node *node = settle_new_node(settle, name->dir, name->name, name->first_ns);
    if (!node) {
        settle_clear(settle);
        return NULL;
    }
    node->last_ns = name->last_ns;
    node->level = name->level;
    node->partial = name->partial;
    node->actor = name->actor;
    return node;
}

bool settle_put_back(struct settle *settle, const struct settle_name *name, int64_t due_ns)
{
    struct node *node = *settle_find(settle, name->dir, name->name);
    if (node) { /* it became dirty again meanwhile: that will do, with what was known */
        node->hints |= name->hints;
        node->partial |= name->partial;
        if (node->deferrals < name->deferrals) {
            node->deferrals = name->deferrals;
        }
        settle_date_back(settle, node, name->first_ns);
        if (node->state == NODE_REST || (node->state == NODE_LATER && due_ns < node->due_ns)) {
            node->actor = node->state == NODE_REST ? (struct actor){0} : node->actor;
            settle_leave_place(settle, node); /* a scan found it: rest and back-off end */
            node->failures = name->failures;
            settle_join_later(settle, node, due_ns);
        }
        if (!node->actor.pid) {
            node->actor = name->actor;
        }
        return true;
    }
    node = returned_node(settle, name, due_ns);
    if (!node) {
        return false;
    }
    node->hints = name->hints;
    node->deferrals = name->deferrals;
    node->failures = name->failures;
    node->open = name->open;
    settle_join_later(settle, node, due_ns);
    return true;
}

void settle_rest(struct settle *settle, const struct settle_name *name, int64_t now_ns)
{
    uint8_t level = name->level;
    level += name->busy && level < SETTLE_LEVELS - 1;
    struct node *node = *settle_find(settle, name->dir, name->name);
    if (node) { /* dirty again already */
        if (node->state == NODE_DIRTY && node->level < level) {
            settle_leave_place(settle, node);
            node->level = level;
            settle_become_dirty(settle, node);
            settle_join_quiet(settle, node);
        }
        node->partial |= name->partial;
        return;
    }
    node = returned_node(settle, name, now_ns);
    if (!node) {
        return; /* only a hint that the row is to be completed is lost */
    }
    node->level = level;
    settle_join_rest(settle, node, now_ns + settle_delay(settle, level));
}

void settle_hurry(struct settle *settle, int64_t now_ns)
{
    for (struct node *node = settle->later.head; node; node = node->place.next) {
        node->due_ns = node->due_ns < now_ns ? node->due_ns : now_ns; /* the order stays */
    }
    for (struct mark_node *node = settle->marks_head; node; node = node->next) {
        node->mark.due_ns = node->mark.due_ns < now_ns ? node->mark.due_ns : now_ns;
    }
}

/* --- taking --- */

static void export_node(const struct node *node, struct settle_name *out)
{
    *out = (struct settle_name){.dir = node->dir,
                                .name = bytes_of(node->name, node->name_len),
                                .hints = node->hints,
                                .deferrals = node->deferrals,
                                .failures = node->failures,
                                .first_ns = node->first_ns,
                                .last_ns = node->last_ns,
                                .level = node->level,
                                .partial = node->partial,
                                .open = node->open,
                                .actor = node->actor};
}

static struct node *find_older(const struct settle *settle, int64_t before_ns)
{
    for (int level = 0; level < SETTLE_LEVELS; level++) {
        struct node *oldest = settle->age[level].head;
        if (oldest && oldest->first_ns < before_ns) {
            return oldest;
        }
    }
    return NULL;
}

static struct node *find_waiting(const struct settle *settle, int64_t now_ns)
{
    struct node *waiting = settle->later.head;
    return waiting && waiting->due_ns <= now_ns ? waiting : NULL;
}

static struct node *find_due(const struct settle *settle, int64_t now_ns)
{
    struct node *quietest = settle->quiet.head, *waiting = find_waiting(settle, now_ns);
    if (quietest && quietest->last_ns <= now_ns - settle->times.settle_ns) {
        return quietest;
    }
    for (uint8_t level = 0; level < SETTLE_LEVELS; level++) {
        struct node *oldest = settle->age[level].head;
        if (oldest && oldest->first_ns <= now_ns - settle_delay(settle, level)) {
            return oldest;
        }
    }
    if (waiting) {
        return waiting;
    }
    for (int level = 0; level < SETTLE_LEVELS; level++) {
        struct node *rested = settle->rest[level].head;
        if (rested && rested->due_ns <= now_ns) {
            return rested;
        }
    }
    return NULL;
}

static void take(struct settle *settle, struct node **slot, struct settle_name *out,
                 struct buf *bytes)
{
    struct node *node = settle_detach(settle, slot);
    export_node(node, out);
    if (bytes) {
        buf_reset(bytes);
        buf_add(bytes, node->name, node->name_len);
        out->name = bytes_of(bytes->data, bytes->len);
    } else {
        out->name = (struct bytes){NULL, 0};
    }
    free(node);
}

bool settle_take(struct settle *settle, int64_t now_ns, int64_t force_before_ns,
                 struct settle_name *out, struct buf *bytes)
{
    for (;;) {
        struct node *node =
            force_before_ns > 0 ? find_older(settle, force_before_ns) : find_due(settle, now_ns);
        if (!node && force_before_ns > 0) {
            node = find_waiting(settle, now_ns);
        }
        if (!node) {
            return false;
        }
        struct node **slot = settle_find(settle, node->dir, bytes_of(node->name, node->name_len));
        if (node->state == NODE_REST && !node->partial) {
            free(settle_detach(settle, slot)); /* it came to rest: forgotten */
            continue;
        }
        bool busy = node->state == NODE_DIRTY && node->first_ns >= force_before_ns &&
                    (node->open || node->last_ns > now_ns - settle->times.settle_ns);
        take(settle, slot, out, bytes);
        out->busy = busy;
        return true;
    }
}

bool settle_take_name(struct settle *settle, struct file_id dir, struct bytes name,
                      struct settle_name *out)
{
    struct node **slot = settle_find(settle, dir, name);
    if (!*slot) {
        return false;
    }
    take(settle, slot, out, NULL);
    out->name = name;
    return true;
}

/* --- looking at the set --- */

static int each_in(const struct list *list, int (*visit)(void *ctx, const struct settle_name *name),
                   void *ctx)
{
    for (const struct node *node = list->head; node; node = node->place.next) {
        struct settle_name name;
        export_node(node, &name);
        int rc = visit(ctx, &name);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int settle_each_name(const struct settle *settle,
                     int (*visit)(void *ctx, const struct settle_name *name), void *ctx)
{
    for (int level = 0; level < SETTLE_LEVELS; level++) {
        int rc = each_in(&settle->age[level], visit, ctx);
        if (rc != 0) {
            return rc;
        }
    }
    return each_in(&settle->later, visit, ctx);
}

bool settle_has_name(const struct settle *settle, struct file_id dir, struct bytes name)
{
    const struct node *node = *settle_find(settle, dir, name);
    return node && node->state != NODE_REST;
}

static void sooner(int64_t *due, int64_t other)
{
    *due = other < *due ? other : *due;
}

int64_t settle_next_due(const struct settle *settle)
{
    int64_t due = SETTLE_NEVER;
    for (uint8_t level = 0; level < SETTLE_LEVELS; level++) {
        if (settle->age[level].head) {
            sooner(&due, settle->age[level].head->first_ns + settle_delay(settle, level));
        }
        if (settle->rest[level].head) {
            sooner(&due, settle->rest[level].head->due_ns);
        }
    }
    if (settle->quiet.head) {
        sooner(&due, settle->quiet.head->last_ns + settle->times.settle_ns);
    }
    if (settle->later.head) {
        sooner(&due, settle->later.head->due_ns);
    }
    if (settle->marks_head) {
        sooner(&due, settle->marks_head->mark.due_ns);
    }
    return due;
}

bool settle_pending_before(const struct settle *settle, int64_t before_ns)
{
    if (find_older(settle, before_ns)) {
        return true;
    }
    for (const struct node *node = settle->later.head; node; node = node->place.next) {
        if (node->failures == 0 && node->first_ns < before_ns) {
            return true;
        }
    }
    for (const struct mark_node *node = settle->marks_head; node; node = node->next) {
        if (node->mark.failures == 0 && node->mark.first_ns < before_ns) {
            return true;
        }
    }
    return false;
}

size_t settle_name_count(const struct settle *settle)
{
    return settle->name_count - settle->rest_count;
}

size_t settle_dir_count(const struct settle *settle)
{
    return settle->mark_count;
}

size_t settle_unknown_count(const struct settle *settle)
{
    return settle->unknown_count;
}
