/* observe.c: see observe.h. How a round begins, when it has seen enough, and what it puts back. */
#include "observe_private.h"

#include "err.h"
#include "rules.h"

enum { NAMES_LIMIT = 1 << 30, ATTEMPTS = 64 };

int observe_new(const struct observe_env *env, struct observe **out)
{
    struct observe *o = calloc(1, sizeof *o);
    if (!o) {
        return ERR_NOMEM;
    }
    o->env = *env;
    if (o->env.facts_max == 0) {
        o->env.facts_max = OBSERVE_FACTS_MAX;
    }
    arena_init(&o->arena);
    o->levels = calloc(TREE_DEPTH_MAX, sizeof *o->levels);
    buf_init(&o->names, NAMES_LIMIT);
    buf_init(&o->path, NAMES_LIMIT);
    buf_init(&o->text, NAMES_LIMIT);
    if (!o->levels || facts_new(&o->facts) != 0 || facts_new(&o->unknown) != 0 ||
        facts_new(&o->peeked) != 0 || facts_new(&o->queued) != 0 ||
        reach_new(env->disk, env->tree, o->facts, &o->reach) != 0) {
        observe_free(o);
        return ERR_NOMEM;
    }
    *out = o;
    return 0;
}

void observe_free(struct observe *o)
{
    if (!o) {
        return;
    }
    reach_free(o->reach);
    facts_free(o->facts);
    facts_free(o->unknown);
    facts_free(o->peeked);
    facts_free(o->queued);
    arena_deinit(&o->arena);
    buf_deinit(&o->names);
    buf_deinit(&o->path);
    buf_deinit(&o->text);
    free(o->levels);
    free(o->queue.at);
    free(o->blocked.at);
    free(o->failed.at);
    free(o->selves.at);
    free(o->resting.at);
    free(o->dirs);
    free(o->dir_table);
    free(o);
}

struct facts *observe_facts(struct observe *o)
{
    return o->facts;
}

bool observe_defers(const struct observe *o)
{
    return o->defer;
}

static void reset(struct observe *o, int64_t now_ns)
{
    reach_reset(o->reach);
    facts_clear(o->facts);
    facts_clear(o->unknown);
    facts_clear(o->peeked);
    facts_clear(o->queued);
    arena_reset(&o->arena);
    o->queue.count = o->queue.next = o->blocked.count = o->failed.count = 0;
    o->resting.count = o->selves.count = 0;
    o->dir_count = 0;
    if (o->dir_table) {
        memset(o->dir_table, 0, (o->dir_mask + 1) * sizeof(struct observe_dir *));
    }
    o->now_ns = o->since_ns = now_ns;
    o->defer = false;
    o->rc = 0;
}

/* Rule files first, since they decide on the others; then by directory and name, so that each
 * directory is opened once and the tree table is written in its order. */
static int compare_items(const void *x, const void *y)
{
    const struct settle_name *a = x, *b = y;
    struct bytes rules = bytes_str(RULES_FILE_NAME);
    bool a_rules = bytes_equal(a->name, rules), b_rules = bytes_equal(b->name, rules);
    if (a_rules != b_rules) {
        return a_rules ? -1 : 1;
    }
    if (a->dir.a != b->dir.a) {
        return a->dir.a < b->dir.a ? -1 : 1;
    }
    if (a->dir.b != b->dir.b) {
        return a->dir.b < b->dir.b ? -1 : 1;
    }
    return bytes_compare(a->name, b->name);
}

/* A directory that the watch told by itself is looked at by its name, or listed when names in it
 * are not known. One that the tree does not know is looked at when it is found. */
static void queue_selves(struct observe *o)
{
    for (size_t i = 0; i < o->selves.count && o->rc == 0; i++) {
        struct settle_name item = o->selves.at[i];
        const struct entry *entry = tree_dir(o->env.tree, item.dir);
        if (!entry) {
            continue;
        }
        if (item.hints & (HINT_NAME | HINT_ENTERED)) {
            observe_set_pending(o, item.dir, (item.hints & HINT_ENTERED) != 0);
        }
        if (!entry->parent || !(item.hints & ~(HINT_NAME | HINT_ENTERED))) {
            continue;
        }
        item.dir = entry->parent->file;
        item.name = entry_name(entry);
        if (!observe_has(o, item.dir, item.name)) {
            observe_queue_item(o, &item);
        }
    }
}

static void take_due_locked(struct observe *o, int64_t force_before_ns)
{
    struct settle_name name;
    struct settle_mark mark;
    while (o->rc == 0 && o->queue.count < OBSERVE_NAMES_MAX &&
           settle_take(o->env.settle, o->now_ns, force_before_ns, &name, &o->names)) {
        observe_since(o, name.first_ns);
        if (bytes_equal(name.name, bytes_str("."))) {
            observe_push_item(o, &o->selves, &name);
        } else {
            observe_queue_item(o, &name);
        }
    }
    queue_selves(o);
    while (o->rc == 0 && o->dir_count < OBSERVE_NAMES_MAX &&
           settle_take_dir(o->env.settle, o->now_ns, force_before_ns, &mark)) {
        observe_since(o, mark.first_ns);
        observe_set_pending(o, mark.dir, mark.deep);
        struct observe_dir *state = observe_dir_of(o, mark.dir);
        if (state) {
            state->failures = mark.failures;
        }
    }
}

static bool anything_missing(struct observe *o)
{
    struct observe_missing missing = observe_mark_missing(o, true);
    (void)observe_mark_missing(o, false); /* only the count is wanted */
    return missing.count > 0;
}

/* Looks until nothing more can be learned, within the budget. */
static void gather(struct observe *o)
{
    observe_run_queue(o);
    while (observe_retry_blocked(o)) {
        observe_run_queue(o);
    }
    bool missing = anything_missing(o);
    for (int attempt = 0; attempt < ATTEMPTS && o->rc == 0; attempt++) {
        size_t before = facts_count(o->facts) + facts_count(o->unknown);
        if (missing) {
            o->env.drain(o->env.ctx);
            observe_peek(o);
        }
        bool listed = observe_list_dirs(o);
        observe_run_queue(o);
        while (observe_retry_blocked(o)) {
            observe_run_queue(o);
        }
        missing = anything_missing(o);
        if (!listed && facts_count(o->facts) + facts_count(o->unknown) == before) {
            if (!missing || !observe_renew_weak(o)) {
                break;
            }
            attempt = 0; /* a level of directories each; every entry once */
            missing = anything_missing(o);
        }
    }
    o->defer = missing && observe_lists_left(o);
}

int observe_round(struct observe *o, int64_t now_ns, int64_t force_before_ns,
                  enum observe_result *result, struct err *err)
{
    int os = 0;
    reset(o, now_ns);
    enum reach_answer reached = reach_root(o->reach, &os);
    if (reached != REACH_OK) {
        reach_reset(o->reach);
        *result = OBSERVE_ROOT_LOST;
        if (os) {
            (void)err_os(err, os, "cannot open the folder");
        } else {
            (void)err_set(err, ERR_CONFLICT, 0, "the folder is another directory now");
        }
        return 0;
    }
    pthread_mutex_lock(o->env.lock);
    take_due_locked(o, force_before_ns);
    pthread_mutex_unlock(o->env.lock);
    if (o->queue.count) {
        qsort(o->queue.at, o->queue.count, sizeof *o->queue.at, compare_items);
    }
    bool due = o->queue.count || o->dir_count;
    if (due) {
        gather(o);
    }
    reach_reset(o->reach);
    *result = due ? OBSERVE_FACTS : OBSERVE_NOTHING;
    if (tree_failed(o->env.tree, err)) {
        return tree_failed(o->env.tree, err);
    }
    return o->rc ? err_set(err, o->rc, 0, "looking at the folder: out of memory") : 0;
}

/* --- afterwards --- */

static int64_t retry_after(uint8_t failures)
{
    int64_t wait = OBSERVE_RETRY_MIN_NS << (failures < 12 ? failures : 12);
    return wait < OBSERVE_RETRY_MAX_NS ? wait : OBSERVE_RETRY_MAX_NS;
}

static uint8_t one_more(uint8_t failures)
{
    return failures < UINT8_MAX ? (uint8_t)(failures + 1) : failures;
}

/* A barrier that waits for what the round took waits for what comes of it, too. */
static bool put_back(struct observe *o, struct settle_name *item, int64_t due_ns)
{
    item->first_ns = o->since_ns;
    return settle_put_back(o->env.settle, item, due_ns);
}

/* Names that the round took and did not decide. */
static bool put_names_back_locked(struct observe *o, int64_t now_ns)
{
    bool ok = true;
    for (size_t i = 0; i < facts_count(o->facts); i++) {
        const struct fact *fact = facts_get(o->facts, i);
        if (!fact->voided || !tree_dir(o->env.tree, fact->dir)) {
            continue;
        }
        struct settle_name item = {.dir = fact->dir,
                                   .name = fact->name,
                                   .hints = fact->hints,
                                   .deferrals = fact->deferrals,
                                   .actor = fact->actor};
        ok = put_back(o, &item, now_ns) && ok;
    }
    for (size_t i = 0; i < o->blocked.count; i++) {
        struct settle_name item = o->blocked.at[i];
        int64_t wait = 0;
        if (!tree_dir(o->env.tree, item.dir) || facts_find(o->facts, item.dir, item.name)) {
            continue;
        }
        /* Where its directory went may be behind what gave no answer: at once would be for ever. */
        if (facts_count(o->unknown) > 0) {
            wait = retry_after(item.failures);
            item.failures = one_more(item.failures);
        }
        ok = put_back(o, &item, now_ns + wait) && ok;
    }
    for (size_t i = 0; i < o->failed.count; i++) {
        struct settle_name item = o->failed.at[i];
        int64_t wait = retry_after(item.failures);
        item.failures = one_more(item.failures);
        ok = put_back(o, &item, now_ns + wait) && ok;
    }
    for (size_t i = 0; i < o->resting.count; i++) {
        const struct settle_name *item = &o->resting.at[i];
        const struct fact *fact = facts_find(o->facts, item->dir, item->name);
        if (fact && !fact->voided && fact->present && tree_dir(o->env.tree, item->dir)) {
            settle_rest(o->env.settle, item, now_ns);
        }
    }
    return ok;
}

/* What the round learned of a directory goes into the tree; one that is still to be listed is
 * marked. Not under the lock, because unwatching calls the watch. */
static bool finish_dir(struct observe *o, struct observe_dir *state, int64_t now_ns)
{
    struct entry *entry = tree_dir(o->env.tree, state->dir);
    if (!entry) {
        if (state->watched) {
            o->env.disk->ops->unwatch(o->env.disk->ctx, state->watch);
        }
        return true; /* should it enter, it is listed then */
    }
    if (state->watched) {
        state->replaced = entry->watch == state->watch ? -1 : entry->watch;
        entry->watch = state->watch;
        entry->flags &= (uint8_t)~TREE_UNWATCHED;
    } else if (state->limit) {
        entry->flags |= TREE_UNWATCHED;
    }
    if (!state->again && !state->later && (!state->pending || (state->listed && !state->failed))) {
        if (state->listed) {
            entry->flags &= (uint8_t)~TREE_RELIST;
        }
        return true;
    }
    entry->flags |= TREE_RELIST;
    struct settle_mark mark = {.dir = state->dir,
                               .deep = state->deep || state->again,
                               .due_ns = now_ns,
                               .first_ns = o->since_ns};
    if (state->failed || (state->away && facts_count(o->unknown) > 0)) {
        mark.failures = one_more(state->failures);
        mark.due_ns += retry_after(state->failures);
    }
    pthread_mutex_lock(o->env.lock);
    bool ok = settle_mark_dir(o->env.settle, &mark);
    pthread_mutex_unlock(o->env.lock);
    return ok;
}

/* A directory whose number was given to another one, as weak file systems do, has another watch
 * now. The one before watches what is no longer here, unless the round gave it to another entry. */
static void drop_replaced(struct observe *o)
{
    for (size_t i = 0; i < o->dir_count; i++) {
        int32_t watch = o->dirs[i]->replaced;
        bool held = watch < 0;
        for (size_t k = 0; k < o->dir_count && !held; k++) {
            const struct entry *entry = tree_dir(o->env.tree, o->dirs[k]->dir);
            held = entry && entry->watch == watch;
        }
        if (!held) {
            o->env.disk->ops->unwatch(o->env.disk->ctx, watch);
        }
    }
}

bool observe_after(struct observe *o, int64_t now_ns)
{
    pthread_mutex_lock(o->env.lock);
    bool ok = put_names_back_locked(o, now_ns);
    pthread_mutex_unlock(o->env.lock);
    for (size_t i = 0; i < o->dir_count; i++) {
        ok = finish_dir(o, o->dirs[i], now_ns) && ok;
    }
    drop_replaced(o);
    tree_unload_files(o->env.tree);
    return ok;
}

bool observe_limited(const struct observe *o)
{
    for (size_t i = 0; i < o->dir_count; i++) {
        if (o->dirs[i]->limit) {
            return true;
        }
    }
    return false;
}

void observe_abandon(struct observe *o)
{
    reach_reset(o->reach);
    for (size_t i = 0; i < o->dir_count; i++) {
        if (o->dirs[i]->watched && !o->dirs[i]->kept) {
            o->env.disk->ops->unwatch(o->env.disk->ctx, o->dirs[i]->watch);
        }
    }
    o->dir_count = 0;
}
