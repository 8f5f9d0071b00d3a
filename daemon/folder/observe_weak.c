/* observe_weak.c: folders whose file system gives a file another number from time to time (RULES
 * 2): vfat and FUSE when an inode was forgotten or the volume mounted again.
 *
 * An entry whose name, type, size and time agree is the same one under another identity, unless one
 * of the two identities is known elsewhere: then something was moved, and reconcile finds out what.
 * Decided when all else that can be known is known. The folder's thread. */
#include "observe_private.h"

#include "err.h"
#include "rules.h"

static bool is_weak(const struct observe *o)
{
    return o->env.weak && *o->env.weak;
}

/* Is what was found under this name known to the tree under another, which it may have left? */
static bool is_known(struct observe *o, const struct fact *fact, const struct entry *here)
{
    if (fact->type == ENTRY_DIR) {
        return tree_dir(o->env.tree, fact->file) != NULL;
    }
    tree_load_file(o->env.tree, fact->file);
    const struct entry *entry = tree_first(o->env.tree, fact->file);
    for (; entry; entry = tree_next(entry)) {
        const struct fact *about =
            entry->parent ? facts_find(o->facts, entry->parent->file, entry_name(entry)) : NULL;
        /* One of its links, which has its new number already, is no other file. */
        if (entry != here && !(about && about->present && file_id_equal(about->file, fact->file))) {
            return true;
        }
    }
    return false;
}

/* Its watch tells of the old identity. What is below has new identities too. */
static void renew_dir(struct observe *o, struct entry *entry, struct file_id file)
{
    struct observe_dir *state = observe_dir_of(o, file);
    if (!state) {
        return;
    }
    if (entry->watch >= 0) {
        o->env.disk->ops->unwatch(o->env.disk->ctx, entry->watch);
        state->watched = state->watched && state->watch != entry->watch;
        entry->watch = -1;
    }
    observe_set_pending(o, file, true);
    state->listed = false; /* listed as a stranger: what it had was not compared */
}

bool observe_renew_weak(struct observe *o)
{
    bool any = false;
    for (size_t i = 0; is_weak(o) && i < facts_count(o->facts) && o->rc == 0; i++) {
        const struct fact *fact = facts_get(o->facts, i);
        const struct entry *dir = fact->present ? tree_dir(o->env.tree, fact->dir) : NULL;
        struct entry *here = dir ? tree_find(o->env.tree, dir, fact->name) : NULL;
        if (!here || file_id_equal(here->file, fact->file) ||
            !tree_agrees(here, fact->type, &fact->attrs) ||
            facts_first_file(o->facts, here->file) || is_known(o, fact, here)) {
            continue;
        }
        if (entry_is_dir(here)) {
            renew_dir(o, here, fact->file);
        }
        if (o->rc == 0 && o->env.rekey(o->env.ctx, here, fact->file, fact->attrs.ctime_ns) != 0) {
            o->rc = ERR_NOMEM;
        }
        any = true;
    }
    return any;
}

bool observe_lists_moved(const struct observe *o)
{
    return is_weak(o) || (o->env.rules && rules_any(o->env.rules));
}
