/* folder_dropped.c: watches that are no more: should the directory still be there, it is listed,
 * and watched again, when it is seen (RULES 5). Its name is looked at for that, since the hint that
 * came with the news may have been served before it: Windows tells a move from one directory to
 * another as a removal, and a round that finds the directory at its new place by itself takes the
 * hint for that place with it. The folder's thread, between two rounds. */
#include "folder_private.h"

#include "clock.h"

/* A name that is dirty already waits as it did. The root has no name: it is looked at by a step of
 * its own. */
static void look_again_locked(struct folder *folder, const struct entry *dir, int64_t now)
{
    if (!dir->parent) {
        return;
    }
    /* Deeply: it may have been away meanwhile. */
    struct settle_name name = {.dir = dir->parent->file,
                               .name = entry_name(dir),
                               .hints = HINT_SCAN | HINT_ENTERED,
                               .first_ns = folder->dropped_first_ns};
    if (!settle_put_back(folder->settle, &name, now)) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
    }
}

void folder_note_dropped(struct folder *folder)
{
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < folder->dropped_count; i++) {
        struct entry *dir = tree_dir(folder->tree, folder->dropped[i].dir);
        if (dir && dir->watch == folder->dropped[i].watch) {
            dir->watch = -1;
            dir->flags |= TREE_RELIST;
            look_again_locked(folder, dir, now);
        }
    }
    folder->dropped_count = 0;
    pthread_mutex_unlock(&folder->lock);
}
