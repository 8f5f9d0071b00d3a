/* emit.c: an order in which the plan can be applied, and the edits (RULES 4). The tree is edited
 * with each row, so whether something can be applied is simply asked of the tree.
 *
 * Termination: a create waits for a delete or a move, a delete waits for a move; so a stuck
 * set holds a move; two that want each other's places are one exchange, else one entry is
 * parked; each entry parks at most once a round. */
#include "plan.h"

#include "buf.h"
#include "consistent.h"
#include "err.h"

enum { PATH_LIMIT = 64 << 20 };

struct emitter {
    struct plan *plan;
    struct buf path, from;
    struct entry **parked; /* those at a temporary name */
    size_t parked_cap;
    int rc;
};

struct plan_item *plan_about(const struct plan *plan, struct file_id dir, struct bytes name)
{
    const struct fact *fact = facts_find(plan->facts, dir, name);
    return fact ? &plan->items[fact->clock - 1] : NULL;
}

static struct bytes path_of(struct emitter *emitter, struct buf *buf, const struct entry *entry)
{
    buf_reset(buf);
    tree_add_path(entry, buf);
    if (!buf_ok(buf)) {
        emitter->rc = ERR_NOMEM;
    }
    return bytes_of(buf->data, buf->len);
}

/* The part of an edit that every kind has; the key is the entry's present one. */
static struct edit edit_of(struct emitter *emitter, enum change_kind kind,
                           const struct entry *entry, const struct plan_item *item)
{
    return (struct edit){.kind = kind,
                         .type = (enum entry_type)entry->type,
                         .entry = entry->id,
                         .parent = entry->parent->id,
                         .name = entry_name(entry),
                         .attrs = tree_attrs(entry),
                         .file = entry->file,
                         .path = path_of(emitter, &emitter->path, entry),
                         .actor = item->actor};
}

static void add(struct emitter *emitter, struct edit *edit)
{
    struct plan *plan = emitter->plan;
    if (plan->parked && !edit->quiet) {
        edit->flags |= CHANGE_PARKED;
    }
    if (!script_add(plan->script, edit)) {
        emitter->rc = ERR_NOMEM;
    }
    plan->next_seq += !edit->quiet;
}

static void finish(struct plan *plan, struct plan_item *item)
{
    if (item->want == WANT_NOTHING && !item->victim) {
        plan->waiting--;
    }
}

/* --- parking --- */

static int find_parked(const struct emitter *emitter, const struct entry *entry)
{
    for (size_t i = 0; i < emitter->plan->parked; i++) {
        if (emitter->parked[i] == entry) {
            return (int)i;
        }
    }
    return -1;
}

static void unpark(struct emitter *emitter, const struct entry *entry)
{
    int index = find_parked(emitter, entry);
    if (index >= 0) {
        emitter->parked[index] = emitter->parked[--emitter->plan->parked];
    }
}

static bool reserve_parked(struct emitter *emitter)
{
    if (emitter->plan->parked < emitter->parked_cap) {
        return true;
    }
    size_t cap = emitter->parked_cap ? emitter->parked_cap * 2 : 8;
    struct entry **grown = realloc(emitter->parked, cap * sizeof(struct entry *));
    if (!grown) {
        emitter->rc = ERR_NOMEM;
        return false;
    }
    emitter->parked = grown;
    emitter->parked_cap = cap;
    return true;
}

/* --- the single edits --- */

static void emit_delete(struct emitter *emitter, struct plan_item *item)
{
    struct entry *entry = item->victim;
    struct edit edit = edit_of(emitter, CHANGE_DELETE, entry, item);
    edit.entries = entry_is_dir(entry) ? entry->entries : 0;
    edit.flags = item->fact->ignored ? CHANGE_IGNORED : 0;
    add(emitter, &edit);
    tree_remove(emitter->plan->tree, entry);
    item->victim = NULL;
    finish(emitter->plan, item);
}

/* An atomic save: another file took the name; the entry that people see stays the same. */
static void emit_replaced(struct emitter *emitter, struct plan_item *item)
{
    struct entry *entry = item->victim;
    const struct fact *fact = item->fact;
    tree_rekey(emitter->plan->tree, entry, fact->file);
    if (tree_set_attrs(entry, &fact->attrs) != 0) {
        emitter->rc = ERR_NOMEM;
        return;
    }
    struct edit edit = edit_of(emitter, CHANGE_MODIFY, entry, item);
    edit.flags = CHANGE_REPLACED | (fact->partial ? CHANGE_PARTIAL : 0);
    add(emitter, &edit);
    item->victim = NULL;
    item->want = WANT_NOTHING;
    finish(emitter->plan, item);
}

/* Moves the source and writes the row; `replaced` (or NULL) is the file that stood there. */
static void emit_move(struct emitter *emitter, const struct plan_item *item, struct entry *parent,
                      struct bytes name, struct entry *replaced)
{
    struct plan *plan = emitter->plan;
    struct entry *entry = item->source;
    struct edit edit = edit_of(emitter, CHANGE_MOVE, entry, item);
    struct bytes from = path_of(emitter, &emitter->from, entry);
    char old_name[UINT8_MAX + 1];
    if (edit.name.len > sizeof old_name) {
        emitter->rc = ERR_LIMIT; /* no file system of ours has longer names */
        return;
    }
    memcpy(old_name, edit.name.at, edit.name.len);
    edit.name.at = old_name; /* the entry's own name is about to change */
    edit.other = replaced ? replaced->id : 0;
    if (replaced) {
        tree_remove(plan->tree, replaced);
    }
    if (tree_move(plan->tree, entry, parent, name) != 0) {
        emitter->rc = ERR_NOMEM;
        return;
    }
    edit.to_parent = parent->id;
    edit.to_name = entry_name(entry);
    edit.from = from;
    edit.path = path_of(emitter, &emitter->path, entry);
    edit.entries = entry_is_dir(entry) ? entry->entries : 0;
    add(emitter, &edit);
}

static void item_moved(struct emitter *emitter, struct plan_item *item)
{
    item->kept = item->source;
    item->moved = true;
    item->want = WANT_NOTHING;
    finish(emitter->plan, item);
}

static void emit_create(struct emitter *emitter, struct plan_item *item, struct entry *parent)
{
    struct plan *plan = emitter->plan;
    const struct fact *fact = item->fact;
    struct entry *entry = tree_insert(plan->tree, parent, fact->name, plan->next_seq, fact->type,
                                      fact->file, &fact->attrs, true);
    if (!entry) {
        emitter->rc = ERR_NOMEM;
        return;
    }
    struct edit edit = edit_of(emitter, CHANGE_CREATE, entry, item);
    edit.flags = fact->partial ? CHANGE_PARTIAL : 0;
    add(emitter, &edit);
    item->want = WANT_NOTHING;
    finish(plan, item);
}

static void emit_exchange(struct emitter *emitter, struct plan_item *x, struct plan_item *y)
{
    struct plan *plan = emitter->plan;
    struct entry *one = x->source, *two = y->source;
    struct edit edit = edit_of(emitter, CHANGE_EXCHANGE, one, x);
    struct bytes from = path_of(emitter, &emitter->from, one);
    /* x->fact->name is where `one` goes, y->fact->name where it was: bytes that do not move. */
    edit.name = y->fact->name;
    edit.to_parent = two->parent->id;
    edit.to_name = x->fact->name;
    edit.other = two->id;
    edit.from = from;
    if (tree_exchange(plan->tree, one, two) != 0) {
        emitter->rc = ERR_NOMEM;
        return;
    }
    edit.path = path_of(emitter, &emitter->path, one);
    unpark(emitter, one);
    unpark(emitter, two);
    add(emitter, &edit);
    item_moved(emitter, x);
    item_moved(emitter, y);
}

/* --- passes: each runs what can be applied now and says whether anything was --- */

static bool move_starts_below(const struct plan *plan, const struct entry *top)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_item *item = &plan->items[i];
        if (item->want == WANT_MOVE && tree_is_below(item->source, top)) {
            return true;
        }
    }
    return false;
}

static bool run_deletes(struct emitter *emitter)
{
    struct plan *plan = emitter->plan;
    bool any = false;
    for (size_t i = 0; i < plan->count && emitter->rc == 0; i++) {
        struct plan_item *item = &plan->items[i];
        if (!item->victim) {
            continue;
        }
        bool files = item->victim->type != ENTRY_DIR && item->fact->type != ENTRY_DIR;
        if (item->want == WANT_MOVE && files) {
            continue; /* the move will replace it */
        }
        if (item->want == WANT_CREATE && files && item->victim->type == item->fact->type) {
            emit_replaced(emitter, item);
        } else if (item->victim->type == ENTRY_DIR && move_starts_below(plan, item->victim)) {
            continue;
        } else {
            emit_delete(emitter, item);
        }
        any = true;
    }
    return any;
}

static bool run_moves(struct emitter *emitter)
{
    struct plan *plan = emitter->plan;
    bool any = false;
    for (size_t i = 0; i < plan->count && emitter->rc == 0; i++) {
        struct plan_item *item = &plan->items[i];
        if (item->want != WANT_MOVE) {
            continue;
        }
        struct entry *parent = tree_dir(plan->tree, item->fact->dir);
        if (!parent || tree_is_below(parent, item->source)) {
            continue;
        }
        struct entry *there = tree_find(plan->tree, parent, item->fact->name);
        bool replaces = there && there == item->victim && there->type != ENTRY_DIR &&
                        item->source->type != ENTRY_DIR;
        if (there && there != item->source && !replaces) {
            continue;
        }
        if (there != item->source) {
            item->victim = replaces ? NULL : item->victim;
            unpark(emitter, item->source);
            emit_move(emitter, item, parent, item->fact->name, replaces ? there : NULL);
        }
        item_moved(emitter, item);
        any = true;
    }
    return any;
}

static bool run_creates(struct emitter *emitter)
{
    struct plan *plan = emitter->plan;
    bool any = false;
    for (size_t i = 0; i < plan->count && emitter->rc == 0; i++) {
        struct plan_item *item = &plan->items[i];
        struct entry *parent = tree_dir(plan->tree, item->fact->dir);
        if (item->want == WANT_CREATE && parent &&
            !tree_find(plan->tree, parent, item->fact->name)) {
            emit_create(emitter, item, parent);
            any = true;
        }
    }
    return any;
}

/* Two moves that want each other's places, neither the other's ancestor. */
static bool run_exchange(struct emitter *emitter)
{
    struct plan *plan = emitter->plan;
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_item *x = &plan->items[i];
        if (x->want != WANT_MOVE) {
            continue;
        }
        const struct entry *one = x->source;
        struct plan_item *y = plan_about(plan, one->parent->file, entry_name(one));
        const struct entry *there = fact_entry(plan->tree, x->fact);
        if (!y || y->want != WANT_MOVE || y->source != there || there == one ||
            tree_is_below(one, there) || tree_is_below(there, one)) {
            continue;
        }
        emit_exchange(emitter, x, y);
        return true;
    }
    return false;
}

static bool in_dying_dir(const struct entry *entry)
{
    for (; entry; entry = entry->parent) {
        if (entry->flags & TREE_GONE) {
            return true;
        }
    }
    return false;
}

/* An entry that stands where another wants to go, or in a directory that is to die, steps aside
 * to a temporary name in the root. */
static bool run_park(struct emitter *emitter)
{
    struct plan *plan = emitter->plan;
    struct entry *root = tree_root(plan->tree);
    for (size_t i = 0; i < plan->count; i++) {
        struct entry *entry = plan->items[i].source;
        if (plan->items[i].want != WANT_MOVE || find_parked(emitter, entry) >= 0) {
            continue;
        }
        const struct plan_item *wants = plan_about(plan, entry->parent->file, entry_name(entry));
        if (!(wants && wants->want != WANT_NOTHING) && !in_dying_dir(entry)) {
            continue;
        }
        char name[64];
        do {
            int len = snprintf(name, sizeof name, RECONCILE_PARK_PREFIX "%lld-%lld",
                               (long long)plan->next_seq, (long long)plan->park_count++);
            if (len < 0 || !reserve_parked(emitter)) {
                return false;
            }
        } while (tree_find(plan->tree, root, bytes_str(name)));
        emitter->parked[plan->parked++] = entry;
        emit_move(emitter, &plan->items[i], root, bytes_str(name), NULL);
        return true;
    }
    return false;
}

/* --- attributes --- */

static void emit_attributes(struct emitter *emitter, struct plan_item *item)
{
    int kind = item->kept ? plan_compare_attrs(emitter->plan, item) : 0;
    if (kind == 0) {
        return;
    }
    if (tree_set_attrs(item->kept, &item->fact->attrs) != 0) {
        emitter->rc = ERR_NOMEM;
        return;
    }
    bool quiet = kind == CHANGE_GAP;
    struct edit edit =
        edit_of(emitter, quiet ? CHANGE_ATTRIB : (enum change_kind)kind, item->kept, item);
    edit.actor = plan_actor(emitter->plan, item);
    edit.quiet = quiet;
    edit.flags = !quiet && item->fact->partial ? CHANGE_PARTIAL : 0;
    add(emitter, &edit);
}

static void run_attributes(struct emitter *emitter)
{
    for (size_t i = 0; i < emitter->plan->count && emitter->rc == 0; i++) {
        emit_attributes(emitter, &emitter->plan->items[i]);
    }
}

/* A rule file's own row comes before what it makes ignored (RULES 12), where that can be. */
static void run_rule_files(struct emitter *emitter)
{
    struct plan *plan = emitter->plan;
    struct bytes rules = bytes_str(TREE_RULES_NAME);
    for (size_t i = 0; i < plan->count && emitter->rc == 0; i++) {
        struct plan_item *item = &plan->items[i];
        if (!bytes_equal(item->fact->name, rules)) {
            continue;
        }
        struct entry *parent = tree_dir(plan->tree, item->fact->dir);
        if (item->want == WANT_CREATE && parent && !tree_find(plan->tree, parent, rules)) {
            emit_create(emitter, item, parent);
        } else if (item->victim && item->want == WANT_CREATE && item->fact->type == ENTRY_FILE &&
                   item->victim->type == ENTRY_FILE) {
            emit_replaced(emitter, item);
        }
        emit_attributes(emitter, item);
        item->kept = NULL;
    }
}

int plan_emit(struct plan *plan, struct err *err)
{
    struct emitter emitter = {.plan = plan};
    buf_init(&emitter.path, PATH_LIMIT);
    buf_init(&emitter.from, PATH_LIMIT);
    run_rule_files(&emitter);
    while (plan->waiting && emitter.rc == 0) {
        bool any = run_deletes(&emitter);
        any = run_moves(&emitter) || any;
        any = run_creates(&emitter) || any;
        if (!any && emitter.rc == 0 && !run_exchange(&emitter) && !run_park(&emitter) &&
            emitter.rc == 0) {
            emitter.rc = ERR_CORRUPT;
        }
    }
    if (emitter.rc == 0) {
        run_attributes(&emitter);
    }
    buf_deinit(&emitter.path);
    buf_deinit(&emitter.from);
    free(emitter.parked);
    if (emitter.rc != 0) {
        return err_set(err, emitter.rc, 0, "reconcile: %s with %zu of %zu facts undone",
                       emitter.rc == ERR_CORRUPT ? "no order can be found" : "out of memory",
                       plan->waiting, plan->count);
    }
    return 0;
}
