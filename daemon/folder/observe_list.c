/* observe_list.c: directories become names: what is new or marked is listed, watched first,
 * and compared with the tree; and, before anything is called gone, all dirty names are peeked
 * at (RULES 3). */
#include "observe_private.h"

#include <errno.h>

#include "err.h"
#include "ignore.h"
#include "rules.h"

/* --- what the round knows of directories --- */

static uint64_t hash_dir(struct file_id dir)
{
    uint64_t x = (dir.a ^ (dir.b << 1)) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 31);
}

static bool grow_dirs(struct observe *o)
{
    size_t cap = o->dir_cap ? o->dir_cap * 2 : 64;
    struct observe_dir **dirs = realloc(o->dirs, cap * sizeof(struct observe_dir *));
    if (!dirs) {
        return false;
    }
    o->dirs = dirs;
    struct observe_dir **table = calloc(cap, sizeof(struct observe_dir *));
    if (!table) {
        return false;
    }
    free(o->dir_table);
    o->dir_table = table;
    o->dir_cap = cap;
    o->dir_mask = cap - 1;
    for (size_t i = 0; i < o->dir_count; i++) {
        struct observe_dir **slot = &table[hash_dir(dirs[i]->dir) & o->dir_mask];
        dirs[i]->chain = *slot;
        *slot = dirs[i];
    }
    return true;
}

static struct observe_dir *find_dir(const struct observe *o, struct file_id dir)
{
    struct observe_dir *state = o->dir_count ? o->dir_table[hash_dir(dir) & o->dir_mask] : NULL;
    while (state && !file_id_equal(state->dir, dir)) {
        state = state->chain;
    }
    return state;
}

struct observe_dir *observe_dir_of(struct observe *o, struct file_id dir)
{
    struct observe_dir *state = find_dir(o, dir);
    if (state) {
        return state;
    }
    if ((o->dir_count == o->dir_cap && !grow_dirs(o)) ||
        !(state = arena_alloc(&o->arena, sizeof *state))) {
        o->rc = ERR_NOMEM;
        return NULL;
    }
    *state = (struct observe_dir){.dir = dir, .watch = -1, .replaced = -1};
    struct observe_dir **slot = &o->dir_table[hash_dir(dir) & o->dir_mask];
    state->chain = *slot;
    *slot = state;
    o->dirs[o->dir_count++] = state;
    return state;
}

void observe_set_pending(struct observe *o, struct file_id dir, bool deep)
{
    struct observe_dir *state = observe_dir_of(o, dir);
    if (!state) {
        return;
    }
    state->pending = true;
    if (deep && !state->deep) {
        state->deep = true;
        state->listed = false; /* listed shallowly before: its directories were passed over */
    }
}

/* --- rules --- */

bool observe_load_rules(struct observe *o, struct file_id dir, struct disk_dir *open, bool present)
{
    bool changed = false;
    int os = 0;
    struct err err;
    struct bytes name = bytes_str(RULES_FILE_NAME);
    const struct disk *disk = o->env.disk;
    if (!o->env.rules) {
        return true;
    }
    enum disk_answer answer = DISK_ABSENT;
    buf_reset(&o->text);
    if (present) {
        answer = disk->ops->read_file(disk->ctx, open, name, IGNORE_FILE_MAX, &o->text, &os);
    }
    present = answer == DISK_PRESENT; /* it may have gone since it was looked at */
    if (answer == DISK_UNKNOWN ||
        (present && rules_set(o->env.rules, dir, o->text.data, o->text.len, &changed, &err) != 0)) {
        observe_trouble(o, dir, name, os ? os : EFBIG);
        return false;
    }
    if (!present) {
        changed = rules_drop(o->env.rules, dir);
    }
    struct entry *entry = tree_dir(o->env.tree, dir);
    if (entry) {
        entry->flags = present ? entry->flags | TREE_RULES : (uint8_t)(entry->flags & ~TREE_RULES);
    }
    struct observe_dir *state = changed && entry ? observe_dir_of(o, dir) : NULL;
    if (state) {
        observe_set_pending(o, dir, true);
        state->again = facts_count(o->facts) > 0;
    }
    return true;
}

/* --- listing one directory --- */

int observe_compare_names(const void *x, const void *y)
{
    return bytes_compare(*(const struct bytes *)x, *(const struct bytes *)y);
}

struct bytes *observe_sort_names(struct observe *o, size_t *count)
{
    size_t total = 0;
    for (size_t at = 0; at < o->names.len; total++) {
        uint16_t len;
        memcpy(&len, o->names.data + at, sizeof len);
        at += sizeof len + len;
    }
    struct bytes *sorted = arena_alloc(&o->arena, (total + 1) * sizeof *sorted);
    if (!sorted) {
        o->rc = ERR_NOMEM;
        return NULL;
    }
    size_t at = 0;
    for (size_t i = 0; i < total; i++) {
        uint16_t len;
        memcpy(&len, o->names.data + at, sizeof len);
        char *copy = arena_copy(&o->arena, o->names.data + at + sizeof len, len);
        if (!copy) {
            o->rc = ERR_NOMEM;
            return NULL;
        }
        sorted[i] = bytes_of(copy, len);
        at += sizeof len + len;
    }
    qsort(sorted, total, sizeof *sorted, observe_compare_names);
    *count = total;
    return sorted;
}

/* Does the tree say exactly this already? */
static bool unchanged(const struct observe *o, const struct entry *entry)
{
    const struct disk_entry *look = &o->look;
    if (entry->type != look->type || !file_id_equal(entry->file, look->file) ||
        entry->mode != look->attrs.mode) {
        return false;
    }
    struct entry_attrs known = tree_attrs(entry);
    return entry_is_dir(entry) ||
           (known.size == look->attrs.size && known.mtime_ns == look->attrs.mtime_ns &&
            known.ctime_ns == look->attrs.ctime_ns &&
            bytes_equal(known.target, look->attrs.target));
}

static void list_name(struct observe *o, struct file_id dir, struct entry *entry, struct bytes name,
                      bool deep)
{
    struct disk_dir *open;
    int os;
    struct entry *known = entry ? tree_find(o->env.tree, entry, name) : NULL;
    if (observe_has(o, dir, name)) {
        const struct fact *fact = facts_find(o->facts, dir, name);
        if (deep && fact && fact->present && fact->type == ENTRY_DIR) {
            observe_set_pending(o, fact->file, true);
        } else if (deep && !fact && known && entry_is_dir(known)) {
            observe_set_pending(o, known->file, true);
        }
        return;
    }
    pthread_mutex_lock(o->env.lock);
    bool dirty = settle_has_name(o->env.settle, dir, name);
    pthread_mutex_unlock(o->env.lock);
    if (dirty || reach_dir(o->reach, dir, &open, &os) != REACH_OK) {
        observe_push(o, dir, name); /* with the hints that the dirty set has for it */
        if (deep && known && entry_is_dir(known)) {
            observe_set_pending(o, known->file, true);
        }
        return;
    }
    enum disk_answer answer = observe_look(o, open, dir, name);
    bool is_dir = answer == DISK_PRESENT && o->look.type == ENTRY_DIR;
    if (deep && is_dir) {
        observe_set_pending(o, o->look.file, true);
    }
    if (answer == DISK_PRESENT) {
        bool ignored = observe_ignored(o, dir, name, is_dir);
        if ((!known && ignored) || (known && !ignored && unchanged(o, known))) {
            return;
        }
    }
    struct settle_name item = {.dir = dir, .name = name, .first_ns = o->now_ns, .hints = HINT_SCAN};
    observe_note(o, &item, answer);
}

/* Watches and lists; else the directory stays as it was and is tried again later. */
static bool read_dir(struct observe *o, struct observe_dir *state, struct disk_dir *open)
{
    const struct disk *disk = o->env.disk;
    struct entry *entry = tree_dir(o->env.tree, state->dir);
    /* One that is listed deeply may have come from elsewhere: it is added again, at its place. */
    bool before = entry && entry->watch >= 0;
    if (!state->watched && (!before || state->deep)) {
        struct err err;
        bool root = entry && !entry->parent;
        int rc = disk->ops->watch(disk->ctx, open, state->dir, root, &state->watch, &err);
        state->watched = rc == 0 && state->watch >= 0;
        state->kept = before && state->watch == entry->watch;
        state->limit = !state->watched;
    }
    int os = 0;
    buf_reset(&o->names);
    enum disk_answer answer = disk->ops->list(disk->ctx, open, &o->names, &os);
    if (answer == DISK_ABSENT) {
        /* Removed since it was opened, and so empty. The next round does not find it any more, and
         * looks at the name it had. */
        state->later = true;
    } else if (answer == DISK_UNKNOWN) {
        state->failed = true;
        observe_trouble(o, state->dir, (struct bytes){NULL, 0}, os);
    }
    return answer == DISK_PRESENT;
}

/* A name that the tree has and the listing has not: looked at, too. */
static void push_vanished(struct observe *o, struct entry *entry, const struct bytes *sorted,
                          size_t count)
{
    for (struct entry *child = entry->child; child; child = child->next) {
        struct bytes name = entry_name(child);
        if (!bsearch(&name, sorted, count, sizeof *sorted, observe_compare_names)) {
            observe_push(o, entry->file, name);
        }
    }
}

static void list_dir(struct observe *o, struct observe_dir *state, struct disk_dir *open)
{
    state->listed = true; /* tried, at least: not again in this round */
    if (!read_dir(o, state, open)) {
        return;
    }
    size_t count = 0;
    struct bytes *sorted = observe_sort_names(o, &count);
    if (!sorted) {
        return;
    }
    struct entry *entry = tree_dir(o->env.tree, state->dir);
    if (entry) {
        tree_load_children(o->env.tree, entry);
    }
    struct bytes rules = bytes_str(RULES_FILE_NAME);
    bool has_rules = bsearch(&rules, sorted, count, sizeof *sorted, observe_compare_names) &&
                     observe_look(o, open, state->dir, rules) == DISK_PRESENT &&
                     o->look.type == ENTRY_FILE; /* a link to rules elsewhere is no rule file */
    if (o->env.rules && (has_rules || rules_has(o->env.rules, state->dir))) {
        if (!observe_load_rules(o, state->dir, open, has_rules)) {
            state->failed = true; /* what it hides is not known: nothing of it is journaled */
            return;
        }
    }
    bool deep = state->deep;
    for (size_t i = 0; i < count && o->rc == 0; i++) {
        if (facts_count(o->facts) >= o->env.facts_max) {
            state->listed = false; /* the rest in a later round; what is in the tree by then is
                                      passed over quickly */
            return;
        }
        list_name(o, state->dir, entry, sorted[i], deep);
    }
    if (entry) {
        push_vanished(o, entry, sorted, count);
    }
    state->pending = state->deep != deep; /* its own rules made it deep meanwhile: once more */
    state->listed = !state->pending;
}

bool observe_list_dirs(struct observe *o)
{
    bool any = false;
    for (size_t i = 0; i < o->dir_count && o->rc == 0; i++) {
        struct observe_dir *state = o->dirs[i];
        if (!state->pending || state->listed) {
            continue;
        }
        if (facts_count(o->facts) >= o->env.facts_max) {
            break;
        }
        struct disk_dir *open;
        int os = 0;
        enum reach_answer reached = reach_dir(o->reach, state->dir, &open, &os);
        if (reached == REACH_OK) {
            state->away = false;
            list_dir(o, state, open);
            any = true;
            continue;
        }
        const struct entry *entry = tree_dir(o->env.tree, state->dir);
        state->away = true;
        if (reached == REACH_UNKNOWN) {
            state->failed = state->listed = true;
            observe_trouble(o, state->dir, (struct bytes){NULL, 0}, os);
        } else if (entry && entry->parent) {
            observe_push(o, entry->parent->file, entry_name(entry)); /* moved or gone */
        }
    }
    return any;
}

bool observe_lists_left(struct observe *o)
{
    for (size_t i = 0; i < o->dir_count; i++) {
        struct disk_dir *open;
        int os;
        if (o->dirs[i]->pending && !o->dirs[i]->listed &&
            reach_dir(o->reach, o->dirs[i]->dir, &open, &os) == REACH_OK) {
            return true;
        }
    }
    return false;
}

/* --- before anything is called gone --- */

struct observe_missing observe_mark_missing(struct observe *o, bool on)
{
    struct observe_missing missing = {0};
    for (size_t i = 0; i < facts_count(o->facts); i++) {
        const struct fact *fact = facts_get(o->facts, i);
        const struct entry *dir = tree_dir(o->env.tree, fact->dir);
        struct entry *here = dir ? tree_find(o->env.tree, dir, fact->name) : NULL;
        if (!here) {
            continue;
        }
        if (!on) {
            here->flags &= (uint8_t)~TREE_MISSING;
        } else if (!(fact->present && file_id_equal(fact->file, here->file)) &&
                   !facts_first_file(o->facts, here->file)) {
            here->flags |= TREE_MISSING;
            missing.count++;
            missing.has_dir |= entry_is_dir(here);
        }
    }
    return missing;
}

struct peek {
    struct observe *o;
    struct observe_items items;
};

static int collect_dirty(void *ctx, const struct settle_name *name)
{
    struct peek *peek = ctx;
    struct observe *o = peek->o;
    if (observe_has(o, name->dir, name->name) || facts_find(o->peeked, name->dir, name->name)) {
        return 0;
    }
    struct settle_name item = {
        .dir = name->dir, .name = name->name, .hints = name->hints, .first_ns = name->first_ns};
    item.name.at = arena_copy(&o->arena, name->name.at, name->name.len);
    if (!item.name.at) {
        return ERR_NOMEM;
    }
    observe_push_item(o, &peek->items, &item);
    return o->rc;
}

/* Does this file, found under a dirty name, concern something that is missing? */
static bool concerns_missing(struct observe *o, const struct fact *seen, bool has_dir)
{
    if (seen->type == ENTRY_DIR && !tree_dir(o->env.tree, seen->file)) {
        return true; /* unknown so far: anything may be in it */
    }
    if (has_dir && seen->type != ENTRY_DIR) {
        tree_load_file(o->env.tree, seen->file);
    }
    const struct entry *entry = tree_first(o->env.tree, seen->file);
    for (; entry; entry = tree_next(entry)) {
        for (const struct entry *up = entry; up; up = up->parent) {
            if (up->flags & TREE_MISSING) {
                return true;
            }
        }
    }
    return false;
}

/* One look a round at each dirty name, kept: what it means changes with what is missing. */
static void peek_at(struct observe *o, const struct settle_name *item)
{
    struct disk_dir *open;
    int os;
    struct fact seen = {.dir = item->dir, .name = item->name};
    if (bytes_equal(item->name, bytes_str("."))) {
        /* A directory told by itself has its name elsewhere; a name in it that is not known may be
         * the new one of what is missing. */
        if (item->hints & (HINT_NAME | HINT_ENTERED)) {
            observe_set_pending(o, item->dir, (item->hints & HINT_ENTERED) != 0);
        }
        return;
    }
    enum reach_answer reached = reach_dir(o->reach, item->dir, &open, &os);
    if (reached == REACH_NOWHERE) {
        observe_push(o, item->dir, item->name);
    } else if (reached == REACH_OK && o->env.disk->ops->look(o->env.disk->ctx, open, item->name,
                                                             &o->look) == DISK_PRESENT) {
        seen.present = true;
        seen.type = o->look.type;
        seen.file = o->look.file;
    }
    if (!facts_add(o->peeked, &seen)) {
        o->rc = ERR_NOMEM;
    }
}

void observe_peek(struct observe *o)
{
    struct peek peek = {.o = o};
    pthread_mutex_lock(o->env.lock);
    int rc = settle_each_name(o->env.settle, collect_dirty, &peek);
    pthread_mutex_unlock(o->env.lock);
    if (rc != 0) {
        o->rc = ERR_NOMEM;
    }
    for (size_t i = 0; i < peek.items.count && o->rc == 0; i++) {
        if (observe_knows_dir(o, peek.items.at[i].dir)) {
            peek_at(o, &peek.items.at[i]);
        }
    }
    free(peek.items.at);
    struct observe_missing missing = observe_mark_missing(o, true);
    for (size_t i = 0; i < facts_count(o->peeked) && o->rc == 0; i++) {
        const struct fact *seen = facts_get(o->peeked, i);
        if (seen->present && concerns_missing(o, seen, missing.has_dir)) {
            observe_push(o, seen->dir, seen->name);
        }
    }
    (void)observe_mark_missing(o, false); /* only the flags are to go */
}
