/* observe_look.c: names become facts, and each fact says which other names must be looked
 * at before the round may conclude anything from it. */
#include "observe_private.h"

#include <errno.h>

#include "err.h"
#include "rules.h"

void observe_push_item(struct observe *o, struct observe_items *items,
                       const struct settle_name *item)
{
    if (items->count == items->cap) {
        size_t cap = items->cap ? items->cap * 2 : 64;
        struct settle_name *grown = realloc(items->at, cap * sizeof *grown);
        if (!grown) {
            o->rc = ERR_NOMEM;
            return;
        }
        items->at = grown;
        items->cap = cap;
    }
    items->at[items->count++] = *item;
}

static bool is_decided(const struct observe *o, struct file_id dir, struct bytes name)
{
    return facts_find(o->facts, dir, name) || facts_find(o->unknown, dir, name);
}

bool observe_has(const struct observe *o, struct file_id dir, struct bytes name)
{
    return is_decided(o, dir, name) || facts_find(o->queued, dir, name);
}

void observe_since(struct observe *o, int64_t first_ns)
{
    o->since_ns = first_ns < o->since_ns ? first_ns : o->since_ns;
}

void observe_queue_item(struct observe *o, const struct settle_name *item)
{
    struct fact key = {.dir = item->dir, .name = item->name};
    const struct fact *kept = facts_add(o->queued, &key);
    if (!kept) {
        o->rc = ERR_NOMEM;
        return;
    }
    struct settle_name queued = *item;
    queued.name = kept->name;
    observe_push_item(o, &o->queue, &queued);
}

void observe_push(struct observe *o, struct file_id dir, struct bytes name)
{
    if (!observe_has(o, dir, name)) {
        struct settle_name item = {.dir = dir, .name = name, .first_ns = o->now_ns};
        observe_queue_item(o, &item);
    }
}

static void push_entry(struct observe *o, const struct entry *entry)
{
    if (entry->parent) {
        observe_push(o, entry->parent->file, entry_name(entry));
    }
}

const struct fact *observe_place(const struct observe *o, struct file_id dir)
{
    const struct fact *fact = facts_first_file(o->facts, dir);
    while (fact && fact->type != ENTRY_DIR) {
        fact = facts_next_file(fact);
    }
    return fact;
}

bool observe_knows_dir(const struct observe *o, struct file_id dir)
{
    return tree_dir(o->env.tree, dir) || observe_place(o, dir);
}

/* --- paths, for rules and for messages --- */

/* Where a directory is: by the newest fact, else by the tree. False at the root or when it is
 * nowhere. */
static bool located(const struct observe *o, struct file_id dir, struct file_id *parent,
                    struct bytes *name)
{
    const struct fact *place = observe_place(o, dir);
    if (place) {
        *parent = place->dir;
        *name = place->name;
        return true;
    }
    const struct entry *entry = tree_dir(o->env.tree, dir);
    if (!entry || !entry->parent) {
        return false;
    }
    *parent = entry->parent->file;
    *name = entry_name(entry);
    return true;
}

/* Writes the path of dir/name into o->path and the directories above it into `levels` (root
 * first); returns how many levels, 0 when the chain is too deep to tell. */
static size_t spell(struct observe *o, struct file_id dir, struct bytes name,
                    struct rules_level *levels, size_t max)
{
    size_t count = 0, len = name.len;
    struct file_id at = dir, parent;
    struct bytes part;
    levels[count++].dir = at;
    while (located(o, at, &parent, &part)) {
        if (count == max) {
            return 0;
        }
        len += part.len + 1;
        at = parent;
        levels[count++].dir = at;
    }
    for (size_t i = 0; i < count / 2; i++) {
        struct rules_level swap = levels[i];
        levels[i] = levels[count - 1 - i];
        levels[count - 1 - i] = swap;
    }
    buf_reset(&o->path);
    char *end = buf_extend(&o->path, len);
    if (!end) {
        o->rc = ERR_NOMEM;
        return 0;
    }
    end += len - name.len;
    if (name.len > 0) { /* a directory itself is named by an empty name, which has no bytes */
        memcpy(end, name.at, name.len);
    }
    for (size_t i = count; i-- > 0;) {
        levels[i].offset = (size_t)(end - o->path.data);
        if (i > 0 && located(o, levels[i].dir, &parent, &part)) {
            *--end = '/';
            end -= part.len;
            memcpy(end, part.at, part.len);
        }
    }
    return count;
}

bool observe_ignored(struct observe *o, struct file_id dir, struct bytes name, bool is_dir)
{
    if (!o->env.rules || !rules_any(o->env.rules)) {
        return false;
    }
    /* Not by the tree alone: a directory above may have moved, and other rules apply there. */
    size_t count = spell(o, dir, name, o->levels, TREE_DEPTH_MAX);
    return count && rules_ignored(o->env.rules, o->levels, count,
                                  bytes_of(o->path.data, o->path.len), is_dir);
}

void observe_trouble(struct observe *o, struct file_id dir, struct bytes name, int os)
{
    struct rules_level levels[256];
    if (!o->env.trouble || os == 0) {
        return;
    }
    struct bytes path = name;
    if (spell(o, dir, name, levels, ARRAY_LEN(levels))) {
        path = bytes_of(o->path.data, o->path.len);
    }
    o->env.trouble(o->env.ctx, path, os);
}

/* --- the look --- */

enum disk_answer observe_look(struct observe *o, struct disk_dir *dir, struct file_id dir_id,
                              struct bytes name)
{
    enum disk_answer answer = o->env.disk->ops->look(o->env.disk->ctx, dir, name, &o->look);
    if (answer == DISK_UNKNOWN) {
        observe_trouble(o, dir_id, name, o->look.os);
    }
    return answer;
}

/* The names that the same file had, and that whatever was here before has elsewhere. */
static void pull_related(struct observe *o, const struct fact *fact, const struct entry *here)
{
    struct tree *tree = o->env.tree;
    bool same =
        here && fact->present && fact->type == here->type && file_id_equal(fact->file, here->file);
    if (fact->present && !(same && (fact->type == ENTRY_DIR || fact->link_count <= 1))) {
        if (fact->type != ENTRY_DIR) {
            tree_load_file(tree, fact->file);
        }
        for (struct entry *e = tree_first(tree, fact->file); e; e = tree_next(e)) {
            push_entry(o, e);
        }
    }
    if (here && !same) {
        if (here->type != ENTRY_DIR) {
            tree_load_file(tree, here->file);
        }
        for (struct entry *e = tree_first(tree, here->file); e; e = tree_next(e)) {
            push_entry(o, e);
        }
    }
}

static void note_dir(struct observe *o, const struct fact *fact)
{
    const struct entry *known = tree_dir(o->env.tree, fact->file);
    bool moved = known && known->parent &&
                 !(file_id_equal(known->parent->file, fact->dir) &&
                   bytes_equal(entry_name(known), fact->name));
    /* One whose watch was dropped may have been away, with all below it. */
    bool deep = (fact->hints & HINT_ENTERED) ||
                (moved && (observe_lists_moved(o) || (known->flags & TREE_RELIST)));
    if (!known) {
        observe_set_pending(o, fact->file, false);
    } else if (deep) {
        observe_set_pending(o, fact->file, true);
    } else if (known->flags & TREE_RELIST) {
        observe_set_pending(o, fact->file, false);
    }
}

/* Does a writer have it open? 1 yes, 0 no, -1 cannot tell. */
static int has_writer(struct observe *o, const struct settle_name *item)
{
    struct disk_dir *open;
    int os;
    if (reach_dir(o->reach, item->dir, &open, &os) != REACH_OK) {
        return -1;
    }
    return o->env.disk->ops->has_writer(o->env.disk->ctx, open, item->name);
}

/* The write-complete gate (RULES 11): a row is partial while a writer is known to have the file
 * open. A file whose last row was partial is completed by a close, by the system's word that no
 * writer is left, or after a minute of quiet. */
static void judge_writer(struct observe *o, const struct settle_name *item, struct fact *fact)
{
    struct settle_name later = *item;
    if (item->open) {
        /* 0 is a sure no; without an answer the missing close is all that is known. */
        fact->partial = has_writer(o, item) != 0;
    } else if (item->partial && item->hints == 0) {
        bool over =
            o->now_ns - item->last_ns >= OBSERVE_PARTIAL_QUIET_NS || has_writer(o, item) == 0;
        fact->hints |= over ? HINT_CLOSED : 0;
        fact->partial = !over;
    }
    if (fact->partial || item->busy) {
        later.partial = fact->partial;
        later.open = false;
        later.hints = 0;
        observe_push_item(o, &o->resting, &later);
    }
}

static void fail_item(struct observe *o, const struct settle_name *item)
{
    struct fact unknown = {.dir = item->dir, .name = item->name};
    if (!facts_add(o->unknown, &unknown)) {
        o->rc = ERR_NOMEM;
    }
    observe_push_item(o, &o->failed, item);
}

void observe_note(struct observe *o, const struct settle_name *item, enum disk_answer answer)
{
    if (answer == DISK_UNKNOWN) {
        fail_item(o, item);
        return;
    }
    const struct disk_entry *look = &o->look;
    struct fact fact = {.dir = item->dir,
                        .name = item->name,
                        .hints = item->hints,
                        .deferrals = item->deferrals,
                        .actor = item->actor};
    if (answer == DISK_PRESENT) {
        fact.ignored = observe_ignored(o, item->dir, item->name, look->type == ENTRY_DIR);
        fact.present = !fact.ignored;
    }
    if (fact.present) {
        fact.type = look->type;
        fact.file = look->file;
        fact.attrs = look->attrs;
        fact.link_count = look->link_count;
        if (look->type == ENTRY_FILE) {
            judge_writer(o, item, &fact);
        }
    }
    struct entry *dir = tree_dir(o->env.tree, item->dir);
    struct entry *here = dir ? tree_at(o->env.tree, dir, item->name) : NULL;
    struct fact *added = facts_add(o->facts, &fact);
    if (!added) {
        o->rc = ERR_NOMEM;
        return;
    }
    if (added->present && added->type == ENTRY_DIR) {
        note_dir(o, added);
    }
    pull_related(o, added, here);
}

/* --- the queue --- */

/* Its flag leaves the dirty set before the look: what happens after it marks it anew. */
static bool take_flag(struct observe *o, struct settle_name *item)
{
    struct settle_name taken;
    pthread_mutex_lock(o->env.lock);
    bool dirty = settle_take_name(o->env.settle, item->dir, item->name, &taken);
    if (dirty) {
        observe_since(o, taken.first_ns);
        taken.hints |= item->hints;
        taken.actor = taken.actor.pid ? taken.actor : item->actor;
        taken.deferrals = taken.deferrals > item->deferrals ? taken.deferrals : item->deferrals;
        *item = taken;
    }
    pthread_mutex_unlock(o->env.lock);
    return dirty;
}

static void block(struct observe *o, const struct settle_name *item)
{
    observe_push_item(o, &o->blocked, item);
    const struct entry *dir = tree_dir(o->env.tree, item->dir);
    if (dir) {
        push_entry(o, dir); /* climb: what became of the directory itself? */
    }
}

static void process(struct observe *o, struct settle_name *item)
{
    if (is_decided(o, item->dir, item->name)) {
        return;
    }
    bool again = take_flag(o, item);
    if (!observe_knows_dir(o, item->dir)) {
        observe_push_item(o, &o->blocked, item); /* until its directory enters, if ever */
        return;
    }
    struct disk_dir *open;
    int os = 0;
    enum reach_answer reached = reach_dir(o->reach, item->dir, &open, &os);
    if (reached == REACH_NOWHERE) {
        block(o, item);
    } else if (reached == REACH_UNKNOWN) {
        observe_trouble(o, item->dir, item->name, os);
        fail_item(o, item);
    } else {
        enum disk_answer answer = observe_look(o, open, item->dir, item->name);
        answer = observe_stored(o, item, open, again, answer);
        bool rules = bytes_equal(item->name, bytes_str(RULES_FILE_NAME));
        bool file = answer == DISK_PRESENT && o->look.type == ENTRY_FILE;
        if (rules && answer != DISK_UNKNOWN && !observe_load_rules(o, item->dir, open, file)) {
            answer = DISK_UNKNOWN;
        }
        observe_note(o, item, answer);
    }
}

void observe_run_queue(struct observe *o)
{
    while (o->queue.next < o->queue.count && o->rc == 0) {
        struct settle_name item = o->queue.at[o->queue.next++];
        process(o, &item);
    }
    o->queue.next = o->queue.count = 0;
}

/* Those of them that are rule files, or those that are not. */
static bool retry_blocked(struct observe *o, bool rules)
{
    size_t kept = 0;
    bool any = false;
    for (size_t i = 0; i < o->blocked.count; i++) {
        struct settle_name item = o->blocked.at[i];
        struct disk_dir *open;
        int os;
        if (is_decided(o, item.dir, item.name)) {
            continue;
        }
        if (bytes_equal(item.name, bytes_str(RULES_FILE_NAME)) == rules &&
            reach_dir(o->reach, item.dir, &open, &os) == REACH_OK) {
            observe_push_item(o, &o->queue, &item);
            any = true;
        } else {
            o->blocked.at[kept++] = item;
        }
    }
    o->blocked.count = kept;
    return any;
}

bool observe_retry_blocked(struct observe *o)
{
    bool any = retry_blocked(o, true); /* first, as ever: they decide on the others */
    return retry_blocked(o, false) || any;
}
