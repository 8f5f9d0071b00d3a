/* settle.c: see settle.h. A name is a node in a hash table and in up to two lists: `age`
 * (ordered by when it became dirty) and, unless it is held for a writer, `quiet` (ordered by when
 * it was last touched); a name that waits for a retry is in `later` (ordered by due time) alone.
 * The next due time is therefore at the heads. */
#include "settle_private.h"

#include "buf.h"
#include "err.h"

/* --- lists of names; `age` and `later` share one link, `quiet` has its own --- */

static struct link *age_link(struct node *node)
{
    return &node->age;
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

static struct node **find_slot(const struct settle *settle, struct file_id dir, struct bytes name)
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

static void leave_quiet(struct settle *settle, struct node *node)
{
    if (node->in_quiet) {
        list_remove(&settle->quiet, quiet_link, node);
        node->in_quiet = false;
    }
}

static void join_quiet(struct settle *settle, struct node *node)
{
    node->in_quiet = !node->open;
    if (node->in_quiet) {
        list_insert_after(&settle->quiet, quiet_link, settle->quiet.tail, node);
    }
}

/* A new node is the youngest; one that comes back from `later` is among the oldest. */
static void join_age(struct settle *settle, struct node *node)
{
    struct node *after = settle->age.tail;
    if (after && after->first_ns > node->first_ns) {
        after = NULL;
        struct node *next = settle->age.head;
        while (next && next->first_ns <= node->first_ns) {
            after = next;
            next = next->age.next;
        }
    }
    list_insert_after(&settle->age, age_link, after, node);
}

static void leave_later(struct settle *settle, struct node *node)
{
    list_remove(&settle->later, age_link, node);
    *(node->failures ? &settle->unknown_count : &settle->put_back_count) -= 1;
    node->later = false;
}

static void dequeue(struct settle *settle, struct node *node)
{
    if (node->later) {
        leave_later(settle, node);
    } else {
        list_remove(&settle->age, age_link, node);
        leave_quiet(settle, node);
    }
}

static void enqueue_later(struct settle *settle, struct node *node, int64_t due_ns)
{
    node->later = true;
    node->in_quiet = false;
    node->due_ns = due_ns;
    struct node *after = settle->later.tail;
    if (settle->later.head && due_ns <= settle->later.head->due_ns) {
        after = NULL;
    }
    while (after && after->due_ns > due_ns) {
        after = after->age.prev;
    }
    list_insert_after(&settle->later, age_link, after, node);
    *(node->failures ? &settle->unknown_count : &settle->put_back_count) += 1;
}

static struct node *new_node(struct settle *settle, struct file_id dir, struct bytes name,
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
static struct node *detach(struct settle *settle, struct node **slot)
{
    struct node *node = *slot;
    dequeue(settle, node);
    *slot = node->chain;
    settle->name_count--;
    return node;
}

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
            free(detach(settle, &settle->names[i]));
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

/* Too many names: their directories are listed instead. */
static bool collapse(struct settle *settle, int64_t now_ns)
{
    for (struct node *node = settle->age.head; node; node = node->age.next) {
        struct settle_mark mark = {.dir = node->dir, .due_ns = now_ns};
        if (!settle_mark_dir(settle, &mark)) {
            return false;
        }
    }
    for (struct node *node = settle->later.head; node; node = node->age.next) {
        struct settle_mark mark = {.dir = node->dir, .due_ns = node->due_ns};
        if (!settle_mark_dir(settle, &mark)) {
            return false;
        }
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

bool settle_mark_name(struct settle *settle, struct file_id dir, struct bytes name, uint8_t hints,
                      int64_t now_ns)
{
    struct node *node = *find_slot(settle, dir, name);
    bool waits = node && node->later;
    if (waits) {
        leave_later(settle, node);
        if (node->failures) {
            node->failures = 0; /* something happened: the look may succeed now */
            node->first_ns = now_ns;
        }
    } else if (node) {
        leave_quiet(settle, node);
    } else {
        if (!make_room(settle, now_ns)) {
            return false;
        }
        node = new_node(settle, dir, name, now_ns);
        if (!node) {
            settle_clear(settle);
            return false;
        }
        waits = true;
    }
    node->hints |= hints;
    node->last_ns = now_ns;
    if (hints & HINT_CLOSED) {
        node->open = false;
    } else if (hints & HINT_CONTENT) {
        node->open = true;
    } else if (hints & HINT_NAME) {
        node->open = false; /* the name changed hands: nobody is known to write to it */
    }
    if (waits) {
        join_age(settle, node);
    }
    join_quiet(settle, node);
    return true;
}

bool settle_put_back(struct settle *settle, const struct settle_name *name, int64_t due_ns)
{
    struct node *node = *find_slot(settle, name->dir, name->name);
    if (node) { /* it became dirty again meanwhile: that will do, with what was known */
        node->hints |= name->hints;
        if (node->deferrals < name->deferrals) {
            node->deferrals = name->deferrals;
        }
        return true;
    }
    if (!make_room(settle, due_ns)) {
        return false;
    }
    node = new_node(settle, name->dir, name->name, name->first_ns);
    if (!node) {
        settle_clear(settle);
        return false;
    }
    node->hints = name->hints;
    node->deferrals = name->deferrals;
    node->failures = name->failures;
    node->open = name->open;
    enqueue_later(settle, node, due_ns);
    return true;
}

static void export_node(const struct node *node, struct settle_name *out)
{
    *out = (struct settle_name){.dir = node->dir,
                                .name = bytes_of(node->name, node->name_len),
                                .hints = node->hints,
                                .deferrals = node->deferrals,
                                .failures = node->failures,
                                .first_ns = node->first_ns,
                                .open = node->open};
}

static struct node *find_due(const struct settle *settle, int64_t now_ns, int64_t force_before_ns)
{
    struct node *oldest = settle->age.head, *quietest = settle->quiet.head;
    struct node *waiting = settle->later.head;
    if (oldest && (oldest->first_ns < force_before_ns ||
                   oldest->first_ns <= now_ns - settle->times.max_delay_ns)) {
        return oldest;
    }
    if (quietest && quietest->last_ns <= now_ns - settle->times.settle_ns) {
        return quietest;
    }
    return waiting && waiting->due_ns <= now_ns ? waiting : NULL;
}

static void take(struct settle *settle, struct node **slot, struct settle_name *out,
                 struct buf *bytes)
{
    struct node *node = detach(settle, slot);
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
    struct node *node = find_due(settle, now_ns, force_before_ns);
    if (!node) {
        return false;
    }
    struct bytes name = bytes_of(node->name, node->name_len);
    take(settle, find_slot(settle, node->dir, name), out, bytes);
    return true;
}

bool settle_take_name(struct settle *settle, struct file_id dir, struct bytes name,
                      struct settle_name *out)
{
    struct node **slot = find_slot(settle, dir, name);
    if (!*slot) {
        return false;
    }
    take(settle, slot, out, NULL);
    out->name = name;
    return true;
}

/* --- looking at the set --- */

int settle_each_name(const struct settle *settle,
                     int (*visit)(void *ctx, const struct settle_name *name), void *ctx)
{
    const struct list *lists[] = {&settle->age, &settle->later};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (const struct node *node = lists[i]->head; node; node = node->age.next) {
            struct settle_name name;
            export_node(node, &name);
            int rc = visit(ctx, &name);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

bool settle_has_name(const struct settle *settle, struct file_id dir, struct bytes name)
{
    return *find_slot(settle, dir, name) != NULL;
}

int64_t settle_next_due(const struct settle *settle)
{
    int64_t due = SETTLE_NEVER;
    if (settle->age.head) {
        due = settle->age.head->first_ns + settle->times.max_delay_ns;
    }
    if (settle->quiet.head && settle->quiet.head->last_ns + settle->times.settle_ns < due) {
        due = settle->quiet.head->last_ns + settle->times.settle_ns;
    }
    if (settle->later.head && settle->later.head->due_ns < due) {
        due = settle->later.head->due_ns;
    }
    if (settle->marks_head && settle->marks_head->mark.due_ns < due) {
        due = settle->marks_head->mark.due_ns;
    }
    return due;
}

bool settle_pending_before(const struct settle *settle, int64_t before_ns)
{
    return (settle->age.head && settle->age.head->first_ns < before_ns) ||
           settle->put_back_count > 0 || settle->mark_count > settle->failed_marks;
}

size_t settle_name_count(const struct settle *settle)
{
    return settle->name_count;
}

size_t settle_dir_count(const struct settle *settle)
{
    return settle->mark_count;
}

size_t settle_unknown_count(const struct settle *settle)
{
    return settle->unknown_count;
}
