/* folder_inodes.c: files that were touched under names outside the folder: the names that the tree
 * has for them become dirty. The folder's thread, between two rounds. */
#include "folder_private.h"

struct finding {
    struct folder *folder;
    const struct inode_hint *hint;
};

static void mark(void *ctx, int64_t parent, struct bytes name)
{
    const struct finding *finding = ctx;
    const struct inode_hint *hint = finding->hint;
    struct folder *folder = finding->folder;
    const struct entry *dir = tree_dir_by_id(folder->tree, parent);
    if (!dir) {
        return; /* the table has what the tree has: never */
    }
    pthread_mutex_lock(&folder->lock);
    /* Dirty since it was told: a sync that was asked for after that waits for it. */
    if (!settle_mark_name(folder->settle, dir->file, name, hint->hints, &hint->actor,
                          hint->first_ns)) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
    }
    pthread_mutex_unlock(&folder->lock);
}

int folder_find_inodes(struct folder *folder, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&folder->lock);
    struct inodes taken = folder->inodes;
    folder->inodes = (struct inodes){0};
    pthread_mutex_unlock(&folder->lock);
    for (size_t i = 0; i < taken.cap && rc == 0; i++) {
        struct finding finding = {folder, &taken.slots[i]};
        if (finding.hint->first_ns) {
            rc = journal_each_name(folder->journal, finding.hint->number, mark, &finding, err);
        }
    }
    inodes_clear(&taken);
    return rc;
}
