/* observe_stored.c: directories that find a name under other bytes than they hold: vfat and
 * casefold directories whatever the case, vfat by its 8.3 name too (RULES 7).
 *
 * A name is present only under the bytes that the directory holds; under others it is absent, and
 * what it is must be looked for: the directory is listed. Nothing is folded here, so that no table
 * of a file system need be known. The folder's thread. */
#include "observe_private.h"

#include <strings.h>

/* The directory's names, sorted; listed once a round, and again when something happened since. */
static bool know_names(struct observe *o, struct observe_dir *state, struct disk_dir *open,
                       bool again)
{
    if (state->names && !again) {
        return true;
    }
    o->look.os = 0;
    buf_reset(&o->names);
    if (o->env.disk->ops->list(o->env.disk->ctx, open, &o->names, &o->look.os) == DISK_UNKNOWN) {
        return false;
    }
    state->names = observe_sort_names(o, &state->name_count);
    return state->names != NULL;
}

static bool holds(const struct observe_dir *state, struct bytes name)
{
    return bsearch(&name, state->names, state->name_count, sizeof *state->names,
                   observe_compare_names);
}

/* What was told of the name is told of the one that it most likely means. Should it be another (an
 * 8.3 name, a letter beyond ASCII), the listing finds it, without the hints. */
static void push_likely(struct observe *o, const struct observe_dir *state,
                        const struct settle_name *item)
{
    for (size_t i = 0; i < state->name_count && o->rc == 0; i++) {
        struct settle_name likely = *item;
        likely.name = state->names[i];
        if (likely.name.len != item->name.len ||
            strncasecmp(likely.name.at, item->name.at, item->name.len) != 0) {
            continue;
        }
        if (observe_has(o, item->dir, likely.name)) { /* decided before this was told, perhaps */
            pthread_mutex_lock(o->env.lock);
            likely.first_ns = o->since_ns;
            (void)settle_put_back(o->env.settle, &likely, o->now_ns); /* or all is scanned */
            pthread_mutex_unlock(o->env.lock);
        } else {
            observe_queue_item(o, &likely);
        }
    }
}

enum disk_answer observe_stored(struct observe *o, const struct settle_name *item,
                                struct disk_dir *open, bool again, enum disk_answer answer)
{
    const struct disk *disk = o->env.disk;
    struct entry *dir = tree_dir(o->env.tree, item->dir);
    if (answer == DISK_UNKNOWN || !disk->ops->folds || !disk->ops->folds(disk->ctx, open) ||
        (answer == DISK_ABSENT && dir && tree_at(o->env.tree, dir, item->name))) {
        return answer;
    }
    struct observe_dir *state = observe_dir_of(o, item->dir);
    if (!state || (answer == DISK_PRESENT && !know_names(o, state, open, again))) {
        observe_trouble(o, item->dir, item->name, o->look.os);
        return DISK_UNKNOWN;
    }
    if (answer == DISK_PRESENT && holds(state, item->name)) {
        return answer;
    }
    state->later = true;
    if (answer == DISK_PRESENT) {
        push_likely(o, state, item);
        /* Now, too: the name that this one left must not be taken for deleted. */
        observe_set_pending(o, item->dir, (item->hints & HINT_ENTERED) != 0);
    }
    return DISK_ABSENT;
}
