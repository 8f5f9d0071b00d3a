/* reconcile.c: see reconcile.h. This file decides what each fact asks for; consistent.c before it
 * makes the facts fit together, emit.c after it finds the order. */
#include "reconcile.h"

#include "consistent.h"
#include "err.h"
#include "plan.h"

enum { TREE_TAKEN = 64 }; /* entry flag: some fact has this entry as its source already */

/* Has the entry lost its name, so that it may turn up elsewhere? */
static bool is_freed(const struct plan *plan, const struct entry *entry)
{
    if (!entry->parent || (entry->flags & TREE_TAKEN)) {
        return false;
    }
    if (entry_is_dir(entry)) {
        const struct fact *place = fact_place(plan->facts, entry->file);
        return place && !(file_id_equal(place->dir, entry->parent->file) &&
                          bytes_equal(place->name, entry_name(entry)));
    }
    const struct fact *about = fact_about(plan->facts, entry);
    if (about) {
        return !fact_is(about, entry);
    }
    /* A name below a directory that is gone cannot be looked at: it is gone with it. */
    return dir_fate(plan->facts, entry->parent) == FATE_GONE;
}

/* Smaller is better: the same name, then the same directory, then the older entry. */
static bool better_source(const struct fact *fact, const struct entry *x, const struct entry *y)
{
    bool x_name = bytes_equal(entry_name(x), fact->name);
    bool y_name = bytes_equal(entry_name(y), fact->name);
    if (x_name != y_name) {
        return x_name;
    }
    bool x_dir = file_id_equal(x->parent->file, fact->dir);
    bool y_dir = file_id_equal(y->parent->file, fact->dir);
    return x_dir != y_dir ? x_dir : x->id < y->id;
}

/* Where identities do not last, a number may have come to another file: size and time must agree. A
 * directory has neither; it is listed wherever it turns up. */
static bool may_be(const struct plan *plan, const struct fact *fact, const struct entry *entry)
{
    return !plan->weak || entry->type != ENTRY_FILE ||
           (entry->size == fact->attrs.size && entry->mtime_ns == fact->attrs.mtime_ns);
}

static struct entry *find_source(const struct plan *plan, const struct fact *fact)
{
    struct entry *best = NULL;
    struct entry *entry = tree_first(plan->tree, fact->file);
    for (; entry; entry = tree_next(entry)) {
        if (fact_is(fact, entry) && is_freed(plan, entry) && may_be(plan, fact, entry) &&
            (!best || better_source(fact, entry, best))) {
            best = entry;
        }
    }
    return best;
}

static void assign_sources(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_item *item = &plan->items[i];
        struct fact *fact = item->fact;
        if (fact->voided || !fact->present) {
            continue;
        }
        struct entry *here = fact_entry(plan->tree, fact);
        if (here && fact_is(fact, here)) {
            item->kept = here;
            continue;
        }
        item->source = find_source(plan, fact);
        item->want = item->source ? WANT_MOVE : WANT_CREATE;
        if (item->source) {
            item->source->flags |= TREE_TAKEN;
            /* What was said of the old name before the file left it was said of this file. */
            const struct fact *about = fact_about(plan->facts, item->source);
            item->hints |= about && !about->present ? about->hints : 0;
            if (about && !item->actor.pid) {
                item->actor = about->actor;
            }
        }
    }
}

/* An entry whose name holds something else now, that turned up nowhere, ends; unless it lies below
 * a directory that ends, whose own row covers it. */
static void assign_victims(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_item *item = &plan->items[i];
        if (item->fact->voided) {
            continue;
        }
        struct entry *here = fact_entry(plan->tree, item->fact);
        if (here && !fact_is(item->fact, here) && !(here->flags & TREE_TAKEN) &&
            dir_fate(plan->facts, here->parent) != FATE_GONE) {
            item->victim = here;
        }
        plan->waiting += item->want != WANT_NOTHING || item->victim;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->items[i].source) {
            plan->items[i].source->flags &= (uint8_t)~TREE_TAKEN;
        }
    }
}

int reconcile(struct tree *tree, const struct reconcile_input *input, struct script *script,
              struct err *err)
{
    struct consistent state = {.tree = tree, .facts = input->facts, .defer = input->defer};
    struct plan plan = {.tree = tree,
                        .facts = input->facts,
                        .count = facts_count(input->facts),
                        .weak = input->weak,
                        .script = script,
                        .next_seq = input->next_seq};
    int rc = consistent(&state);
    plan.items = rc == 0 ? calloc(plan.count + 1, sizeof *plan.items) : NULL;
    if (!plan.items) {
        rc = err_set(err, ERR_NOMEM, 0, "reconcile: out of memory for %zu facts", plan.count);
        goto out;
    }
    for (size_t i = 0; i < plan.count; i++) {
        plan.items[i].fact = facts_get(input->facts, i);
        plan.items[i].hints = plan.items[i].fact->hints;
        plan.items[i].actor = plan.items[i].fact->actor;
    }
    assign_sources(&plan);
    assign_victims(&plan);
    rc = plan_emit(&plan, err);
out:
    consistent_end(&state);
    free(plan.items);
    return rc;
}
