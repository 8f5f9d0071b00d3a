/* plan_attrs.c: what a difference of attributes is worth (RULES 9): a row of kind modify, one of
 * kind attrib, or none; and who did it. What was told of any name of a file counts for each of
 * them. Pure; any thread. */
#include "plan.h"

struct seen {
    uint8_t hints; /* of every name of the same file */
    bool linked;   /* another name of it is known, here or in the tree */
};

static struct seen gather_hints(const struct plan *plan, const struct plan_item *item)
{
    struct seen seen = {item->hints, item->fact->link_count > 1};
    const struct fact *fact = facts_first_file(plan->facts, item->fact->file);
    for (; fact; fact = facts_next_file(fact)) {
        if (fact != item->fact && !fact->voided) {
            seen.hints |= fact->hints;
            seen.linked = true;
        }
    }
    return seen;
}

int plan_compare_attrs(const struct plan *plan, const struct plan_item *item)
{
    const struct fact *fact = item->fact;
    const struct entry *entry = item->kept;
    bool mode = entry->mode != fact->attrs.mode;
    if (entry_is_dir(entry)) {
        return mode ? CHANGE_ATTRIB : 0;
    }
    bool ctime = entry->ctime_ns != fact->attrs.ctime_ns;
    if (entry->type == ENTRY_SYMLINK) {
        struct bytes target = bytes_of(entry->target, entry->target_len);
        return !bytes_equal(target, fact->attrs.target) ? CHANGE_MODIFY : ctime ? CHANGE_GAP : 0;
    }
    if (entry->type == ENTRY_OTHER) {
        return mode ? CHANGE_ATTRIB : ctime ? CHANGE_GAP : 0;
    }
    struct seen seen = gather_hints(plan, item);
    if (entry->size != fact->attrs.size || entry->mtime_ns != fact->attrs.mtime_ns ||
        (seen.hints & HINT_CLOSED)) {
        return CHANGE_MODIFY;
    }
    if (mode) {
        return CHANGE_ATTRIB;
    }
    if (!ctime) {
        return 0;
    }
    /* Only the ctime moved: a chown or setxattr, a link or rename, or content whose mtime was put
     * back. Renames and links change it by themselves. */
    if (seen.hints & HINT_CONTENT) {
        return CHANGE_MODIFY;
    }
    if (item->moved || seen.linked || (seen.hints & HINT_NAME)) {
        return CHANGE_GAP;
    }
    if (seen.hints & HINT_ATTRIB) {
        return CHANGE_ATTRIB;
    }
    return seen.hints & HINT_SCAN ? CHANGE_MODIFY : CHANGE_GAP;
}

struct actor plan_actor(const struct plan *plan, const struct plan_item *item)
{
    const struct fact *fact = facts_first_file(plan->facts, item->fact->file);
    struct actor actor = item->actor;
    for (; fact && !actor.pid; fact = facts_next_file(fact)) {
        actor = fact->voided ? actor : fact->actor;
    }
    return actor;
}
