/* folder_scan.c: the first index, committed as it is crawled, and the comparison of disk and tree
 * after a start or a gap, whose findings go the way of all dirty names. */
#include "folder_private.h"

#include <errno.h>

#include "clock.h"
#include "journal.h"
#include "scan.h"

enum { RESTORED_ENTRIES_MIN = 8 }; /* of fewer a majority says nothing */

/* --- what scans report, from any worker --- */

static void scan_trouble(void *ctx, const struct entry *dir, int os, const char *text)
{
    struct folder *folder = ctx;
    struct buf path;
    buf_init(&path, 1 << 20);
    tree_add_path(dir, &path);
    if (os == ENOSPC) {
        if (folder_note_trouble(folder, text, NULL)) {
            log_warn("folder '%s': '%s' cannot be watched: %s; it is polled instead",
                     folder->config->name, path.data ? path.data : "", text);
        }
    } else {
        folder_trouble(folder, bytes_of(path.data, path.len), os);
    }
    buf_deinit(&path);
}

static void scan_progress(void *ctx, int64_t dirs, int64_t entries)
{
    struct folder *folder = ctx;
    pthread_mutex_lock(&folder->lock);
    folder->status.scan_dirs = dirs;
    folder->status.scan_entries = entries;
    pthread_mutex_unlock(&folder->lock);
}

static struct scan_env env_of(struct folder *folder)
{
    return (struct scan_env){.disk = &folder->disk,
                             .rules = folder->rules,
                             .threads = (int)folder->config->scan_threads,
                             .stop = &folder->stop,
                             .trouble = scan_trouble,
                             .progress = scan_progress,
                             .ctx = folder};
}

/* --- the first index --- */

/* A directory that moves while it is crawled may turn up twice. It has one entry, the first; where
 * it is now is found by the rounds, which look at this name as well. */
static bool is_known(struct folder *folder, const struct entry *dir,
                     const struct scan_record *record)
{
    int64_t now = clock_mono_ns();
    struct settle_name name = {
        .dir = dir->file, .name = record->name, .hints = HINT_SCAN, .first_ns = now};
    if (record->type != ENTRY_DIR || !tree_dir(folder->tree, record->file)) {
        return false;
    }
    pthread_mutex_lock(&folder->lock);
    if (!settle_put_back(folder->settle, &name, now)) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
    }
    pthread_mutex_unlock(&folder->lock);
    return true;
}

static int add_created(struct folder *folder, struct entry *dir, const struct scan_record *record,
                       size_t prefix, struct entry **child, struct err *err)
{
    if (is_known(folder, dir, record)) {
        return 0;
    }
    buf_truncate(&folder->path, prefix);
    buf_add(&folder->path, record->name.at, record->name.len);
    struct edit edit = {.kind = CHANGE_CREATE,
                        .type = record->type,
                        .entry = folder->next_seq,
                        .parent = dir->id,
                        .name = record->name,
                        .attrs = record->attrs,
                        .file = record->file,
                        .path = bytes_of(folder->path.data, folder->path.len)};
    if (record->type == ENTRY_DIR) {
        *child = tree_insert(folder->tree, dir, record->name, edit.entry, ENTRY_DIR, record->file,
                             &record->attrs, true);
    }
    if (!buf_ok(&folder->path) || (record->type == ENTRY_DIR && !*child) ||
        !script_add(folder->script, &edit)) {
        return err_set(err, ERR_NOMEM, 0, "first index: out of memory");
    }
    folder->next_seq++;
    return 0;
}

static int visit_dir(void *ctx, struct entry *dir, const struct scan_record *records, size_t count,
                     struct entry **children, struct err *err)
{
    struct folder *folder = ctx;
    uint32_t files = 0;
    buf_reset(&folder->path);
    tree_add_path(dir, &folder->path);
    if (folder->path.len) {
        buf_add_char(&folder->path, '/');
    }
    size_t prefix = folder->path.len;
    for (size_t i = 0; i < count; i++) {
        int rc = add_created(folder, dir, &records[i], prefix, &children[i], err);
        if (rc != 0) {
            return rc;
        }
        files += records[i].type != ENTRY_DIR;
    }
    tree_count_files(dir, files);
    if (script_count(folder->script) < FOLDER_COMMIT_EDITS) {
        return 0;
    }
    int rc = folder_commit(folder, err);
    folder_serve_requests(folder);
    return rc;
}

static int first_index(struct folder *folder, struct err *err)
{
    struct scan_env env = env_of(folder);
    folder_set_state(folder, FOLDER_INDEXING, "");
    log_info("folder '%s': first index of '%s'", folder->config->name, folder->config->path);
    script_clear(folder->script);
    folder->next_seq = journal_info(folder->journal)->last_seq + 1;
    int rc = scan_index(&env, tree_root(folder->tree), visit_dir, folder, err);
    rc = rc ? rc : folder_commit(folder, err);
    return rc ? rc : journal_set_indexed(folder->journal, err);
}

/* --- the comparison --- */

/* What the scan found becomes due at once. */
static void mark_findings(struct folder *folder, const struct scan_result *result, int64_t now)
{
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < result->count; i++) {
        const struct scan_name *item = &result->items[i];
        struct settle_name name = {.dir = item->dir,
                                   .name = bytes_of(result->names + item->offset, item->len),
                                   .hints = HINT_SCAN,
                                   .first_ns = now};
        if (!settle_put_back(folder->settle, &name, now)) {
            folder_lost_locked(folder, CHANGE_INTERNAL);
            break;
        }
    }
    pthread_mutex_unlock(&folder->lock);
}

/* More than half of the folder is somebody else: a restored backup, unless proved otherwise. */
static bool looks_restored(const struct folder *folder, const struct scan_result *result)
{
    int64_t entries = tree_entry_count(folder->tree);
    int64_t dirs = (int64_t)tree_dir_count(folder->tree);
    return entries >= RESTORED_ENTRIES_MIN &&
           (2 * (int64_t)result->count > entries || 2 * result->marked > dirs);
}

static void tell_rekeyed(const struct folder *folder, int64_t count)
{
    if (folder->weak) {
        log_info("folder '%s': its file system has given %lld entries other numbers: no row is "
                 "written",
                 folder->config->name, (long long)count);
    } else {
        log_warn("folder '%s': %lld entries are other files with the same names, sizes and times "
                 "(a restored backup?): they are taken for the same, no row is written",
                 folder->config->name, (long long)count);
    }
}

static int compare(struct folder *folder, struct err *err)
{
    struct scan_env env = env_of(folder);
    struct scan_result result = {0};
    int64_t rekeyed = 0;
    folder_set_state(folder, FOLDER_SCANNING, "");
    int rc = 0;
    if (!journal_info(folder->journal)->indexed) {
        rc = journal_set_indexed(folder->journal, err); /* the first index was cut short */
    }
    rc = rc ? rc : scan_compare(&env, folder->tree, folder->dir, &result, err);
    bool differs = result.count > 0 || result.marked > 0;
    if (rc == 0 && (folder->weak ? differs : looks_restored(folder, &result))) {
        rc = folder_rekey(folder, &rekeyed, err);
        if (rc == 0 && rekeyed) {
            tell_rekeyed(folder, rekeyed);
            scan_result_deinit(&result);
            result = (struct scan_result){0};
            rc = scan_compare(&env, folder->tree, folder->dir, &result, err);
        }
    }
    if (rc == 0) {
        mark_findings(folder, &result, clock_mono_ns());
        log_info("folder '%s': compared %lld entries in %lld directories, %zu names and %lld "
                 "directories to be looked at",
                 folder->config->name, (long long)result.entries, (long long)result.dirs,
                 result.count, (long long)result.marked);
    }
    scan_result_deinit(&result);
    return rc;
}

/* Directories that the scan could not read or compare are listed by the rounds; those without a
 * watch are polled. */
static int mark_dir(void *ctx, struct entry *dir)
{
    struct folder *folder = ctx;
    if (dir->watch < 0 && !(dir->flags & TREE_RELIST)) {
        dir->flags |= TREE_UNWATCHED;
    }
    if (dir->flags & TREE_RELIST) {
        int64_t now = clock_mono_ns();
        struct settle_mark mark = {.dir = dir->file, .due_ns = now, .first_ns = now};
        if (!settle_mark_dir(folder->settle, &mark)) {
            folder_lost_locked(folder, CHANGE_INTERNAL);
            return 1;
        }
    }
    return 0;
}

int folder_scan(struct folder *folder, struct err *err)
{
    const struct journal_info *info = journal_info(folder->journal);
    bool first = info->last_seq == 0 && tree_entry_count(folder->tree) == 0;
    int rc = first ? first_index(folder, err) : compare(folder, err);
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&folder->lock);
    (void)tree_each_dir(folder->tree, mark_dir, folder); /* stopped early: said by lost_reason */
    folder->had_trouble = true;                          /* have them counted */
    pthread_mutex_unlock(&folder->lock);
    return 0;
}
