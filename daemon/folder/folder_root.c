/* folder_root.c: the folder's own directory: whether it is there and is the one that is journaled,
 * what is done while it is not, and what when it is back (RULES 27). The folder's thread. */
#include "folder_private.h"

#include "clock.h"
#include "journal.h"

void folder_lose_root(struct folder *folder, const struct err *err)
{
    struct err gap_err;
    folder_back_off(folder);
    if (!folder->root_lost) {
        log_error("folder '%s': %s; it waits until the folder is back", folder->config->name,
                  err->text);
        if (folder->scanned &&
            journal_gap(folder->journal, true, CHANGE_ROOT_LOST, clock_wall_ms(), &gap_err) != 0) {
            folder_fail(folder, &gap_err);
            return;
        }
    }
    folder->root_lost = true;
    folder->needs_scan = true;
    folder_set_state(folder, FOLDER_ROOT_LOST, err->text);
}

/* Unmounting drops watches, and nobody knows which directories are still in the folder: each is
 * watched anew when the scan finds it. */
static int forget_watch(void *ctx, struct entry *dir)
{
    const struct folder *folder = ctx;
    watch_remove(folder->watch, dir->watch);
    dir->watch = -1;
    return 0;
}

void folder_forget_watches(struct folder *folder)
{
    (void)tree_each_dir(folder->tree, forget_watch, folder); /* it never stops */
}

/* Is the root there? True: it is, and the folder can go on. */
static bool look_at_root(struct folder *folder, bool adopt)
{
    struct err err = {0};
    if (adopt && folder_adopt_root(folder, &err) == 0) {
        log_warn("folder '%s': '%s' is adopted: it is the folder from now on", folder->config->name,
                 folder->config->path);
    }
    if (folder_check_root(folder, &err) != 0) {
        folder_lose_root(folder, &err);
        return false;
    }
    if (folder->root_lost) {
        log_info("folder '%s': the folder is back", folder->config->name);
        folder->root_lost = false;
        folder->retry_wait_ns = 0;
        folder_forget_watches(folder);
        folder_set_state(folder, FOLDER_SCANNING, "");
    }
    return true;
}

bool folder_step_root(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    bool adopt = folder->adopt && folder->root_lost;
    uint64_t asked = folder->root_asked;
    bool hint = asked != folder->root_answered || adopt;
    folder->adopt = false;
    pthread_mutex_unlock(&folder->lock);
    if (!hint && (!folder->root_lost || clock_mono_ns() < folder->retry_ns)) {
        return !folder->root_lost;
    }
    bool there = look_at_root(folder, adopt);
    pthread_mutex_lock(&folder->lock);
    folder->root_answered = asked;
    pthread_mutex_unlock(&folder->lock);
    return there;
}
