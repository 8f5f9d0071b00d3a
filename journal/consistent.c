/* consistent.c: see consistent.h. Four rules void facts (RULES 4), again and again until none does:
 * a directory has one name; what is displaced is somewhere or gone; a directory's way up ends at
 * the root; a file of one link has one entry. */
#include "consistent.h"

#include "err.h"
#include "reconcile.h"

struct entry *fact_entry(const struct tree *tree, const struct fact *fact)
{
    const struct entry *dir = tree_dir(tree, fact->dir);
    return dir ? tree_find(tree, dir, fact->name) : NULL;
}

bool fact_is(const struct fact *fact, const struct entry *entry)
{
    return fact->present && fact->type == entry->type && file_id_equal(fact->file, entry->file);
}

struct fact *fact_place(const struct facts *facts, struct file_id dir)
{
    struct fact *fact = facts_first_file(facts, dir);
    while (fact && (fact->voided || fact->type != ENTRY_DIR)) {
        fact = facts_next_file(fact);
    }
    return fact;
}

struct fact *fact_about(const struct facts *facts, const struct entry *entry)
{
    if (!entry->parent) {
        return NULL;
    }
    struct fact *fact = facts_find(facts, entry->parent->file, entry_name(entry));
    return fact && !fact->voided ? fact : NULL;
}

enum fate dir_fate(const struct facts *facts, const struct entry *dir)
{
    for (; dir; dir = dir->parent) {
        if (dir->flags & TREE_GONE) {
            return FATE_GONE;
        }
        if (fact_place(facts, dir->file)) {
            return FATE_PLACED;
        }
    }
    return FATE_STAYS;
}

static bool found_valid(const struct facts *facts, const struct entry *entry)
{
    struct fact *fact = facts_first_file(facts, entry->file);
    while (fact && (fact->voided || fact->type != entry->type)) {
        fact = facts_next_file(fact);
    }
    return fact != NULL;
}

static bool seen_at_all(const struct facts *facts, const struct entry *entry)
{
    struct fact *fact = facts_first_file(facts, entry->file);
    while (fact && fact->type != entry->type) {
        fact = facts_next_file(fact);
    }
    return fact != NULL;
}

static int mark_gone(struct consistent *state, struct entry *dir)
{
    if (dir->flags & TREE_GONE) {
        return 0;
    }
    if (state->gone_count == state->gone_cap) {
        size_t cap = state->gone_cap ? state->gone_cap * 2 : 64;
        struct entry **grown = realloc(state->gone, cap * sizeof(struct entry *));
        if (!grown) {
            return ERR_NOMEM;
        }
        state->gone = grown;
        state->gone_cap = cap;
    }
    dir->flags |= TREE_GONE;
    state->gone[state->gone_count++] = dir;
    return 0;
}

static void unmark_gone(struct consistent *state)
{
    for (size_t i = 0; i < state->gone_count; i++) {
        state->gone[i]->flags &= (uint8_t)~TREE_GONE;
    }
    state->gone_count = 0;
}

/* A directory has one name; of two looks that found it the later one is right. */
static bool void_older_places(struct facts *facts)
{
    bool any = false;
    for (size_t i = 0; i < facts_count(facts); i++) {
        struct fact *fact = facts_get(facts, i);
        if (fact->voided || !fact->present || fact->type != ENTRY_DIR) {
            continue;
        }
        struct fact *other = facts_first_file(facts, fact->file);
        for (; other; other = facts_next_file(other)) {
            if (!other->voided && other->type == ENTRY_DIR && other->clock < fact->clock) {
                other->voided = true;
                any = true;
            }
        }
    }
    return any;
}

/* What becomes of an entry whose name holds something else now. */
static int judge_displaced(struct consistent *state, bool *any)
{
    for (size_t i = 0; i < facts_count(state->facts); i++) {
        struct fact *fact = facts_get(state->facts, i);
        if (fact->voided) {
            continue;
        }
        struct entry *entry = fact_entry(state->tree, fact);
        if (!entry || fact_is(fact, entry) || found_valid(state->facts, entry)) {
            continue;
        }
        if (seen_at_all(state->facts, entry)) {
            fact->voided = true; /* it lives somewhere: decided in a later round */
            *any = true;
        } else if (state->defer && fact->deferrals < RECONCILE_DEFERRALS_MAX) {
            fact->deferrals++;
            fact->voided = true;
            *any = true;
        } else if (entry_is_dir(entry)) {
            int rc = mark_gone(state, entry);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* Where a directory's chain to the root goes next: by its place, else by the tree. */
static bool final_parent(const struct consistent *state, struct file_id dir, struct file_id *out)
{
    const struct fact *place = fact_place(state->facts, dir);
    if (place) {
        *out = place->dir;
        return true;
    }
    const struct entry *entry = tree_dir(state->tree, dir);
    if (!entry || !entry->parent || (entry->flags & TREE_GONE)) {
        return false;
    }
    *out = entry->parent->file;
    return true;
}

/* The oldest fact among the directories of the ring through `dir` is the wrong one. */
static void void_ring(const struct consistent *state, struct file_id dir)
{
    struct fact *oldest = NULL;
    struct file_id at = dir;
    do {
        struct fact *place = fact_place(state->facts, at);
        if (place && (!oldest || place->clock < oldest->clock)) {
            oldest = place;
        }
        if (!final_parent(state, at, &at)) {
            return; /* cannot be: it was a ring a moment ago */
        }
    } while (!file_id_equal(at, dir));
    if (oldest) {
        oldest->voided = true;
    }
}

enum chain { CHAIN_ROOT, CHAIN_LOST, CHAIN_RING };

/* Does the directory live in the tree that the facts describe? Rings are found as Brent
 * does: a marker that is moved up after 1, 2, 4, ... steps. */
static enum chain follow(const struct consistent *state, struct file_id dir,
                         struct file_id *in_ring)
{
    struct file_id root = tree_root(state->tree)->file;
    struct file_id marker = dir;
    size_t steps = 0, limit = 1;
    while (!file_id_equal(dir, root)) {
        if (!final_parent(state, dir, &dir)) {
            return CHAIN_LOST;
        }
        if (file_id_equal(dir, marker)) {
            *in_ring = dir;
            return CHAIN_RING;
        }
        if (++steps == limit) {
            marker = dir;
            steps = 0;
            limit *= 2;
        }
    }
    return CHAIN_ROOT;
}

/* The tree has this file under a name that nothing decides in this round: creating it here
 * would give one file two entries. Wait until that name has been looked at. */
static bool must_wait(const struct consistent *state, const struct fact *fact)
{
    if (!fact->present || fact->type == ENTRY_DIR || fact->deferrals >= RECONCILE_WAITS_MAX) {
        return false;
    }
    const struct entry *own = fact_entry(state->tree, fact);
    struct entry *entry = tree_first(state->tree, fact->file);
    for (; entry; entry = tree_next(entry)) {
        if (entry == own || !entry->parent || entry_is_dir(entry) ||
            fact_about(state->facts, entry)) {
            continue;
        }
        if (dir_fate(state->facts, entry->parent) != FATE_GONE) {
            return true;
        }
    }
    return false;
}

static bool void_by_chain(struct consistent *state)
{
    bool any = false;
    struct file_id good = tree_root(state->tree)->file; /* neighbours share their directory */
    for (size_t i = 0; i < facts_count(state->facts); i++) {
        struct fact *fact = facts_get(state->facts, i);
        if (fact->voided) {
            continue;
        }
        struct file_id ring;
        enum chain chain =
            file_id_equal(fact->dir, good) && !any ? CHAIN_ROOT : follow(state, fact->dir, &ring);
        if (chain == CHAIN_LOST) {
            fact->voided = any = true;
        } else if (chain == CHAIN_RING) {
            void_ring(state, ring);
            any = true;
        } else {
            good = fact->dir;
            if (must_wait(state, fact)) {
                fact->deferrals++;
                fact->voided = any = true;
            }
        }
    }
    return any;
}

int consistent(struct consistent *state)
{
    bool any = true;
    while (any) {
        unmark_gone(state);
        any = void_older_places(state->facts);
        if (any) {
            continue;
        }
        int rc = judge_displaced(state, &any);
        if (rc != 0) {
            return rc;
        }
        any = void_by_chain(state) || any;
    }
    return 0;
}

void consistent_end(struct consistent *state)
{
    free(state->gone);
    state->gone = NULL;
    state->gone_cap = 0;
}
