/* folder_open.c: opening what the folder's thread works with: journal, tree, rules, disk; and the
 * question whether the folder is there and is the one that is journaled. */
#include "folder_private.h"

#include <errno.h>

#include "journal.h"
#include "reader.h"

static void collect_unwatch(void *ctx, int32_t number)
{
    struct folder *folder = ctx;
    if (folder->unwatch_count == folder->unwatch_cap) {
        size_t cap = folder->unwatch_cap ? folder->unwatch_cap * 2 : 256;
        int32_t *grown = realloc(folder->unwatch, cap * sizeof *grown);
        if (!grown) {
            return; /* it stays watched: its records name a directory nobody knows */
        }
        folder->unwatch = grown;
        folder->unwatch_cap = cap;
    }
    folder->unwatch[folder->unwatch_count++] = number;
}

static void drain(void *ctx)
{
    struct folder *folder = ctx;
    /* A failure is the watch thread's to report: it reads the same queue. */
    (void)watch_drain(folder->watch, NULL);
}

void folder_close_parts(struct folder *folder)
{
    observe_free(folder->observe);
    folder->observe = NULL;
    tree_free(folder->tree);
    folder->tree = NULL;
    /* The tree gave up the watches of all its directories, which live on: adding one again gives
     * the same number, and the first round of the next tree would remove them all. */
    folder->unwatch_count = 0;
    rules_free(folder->rules);
    folder->rules = NULL;
    if (folder->disk_open) {
        disk_real_close(&folder->disk);
        folder->disk_open = false;
    }
    journal_close(folder->journal);
    folder->journal = NULL;
}

static int open_journal(struct folder *folder, struct err *err)
{
    int rc = journal_open(folder->dir, folder->config->name, &folder->journal, err);
    if (rc != 0) {
        return rc;
    }
    if (journal_info(folder->journal)->machine_changed) {
        log_warn("folder '%s': its state came from another machine; the journal has a new id",
                 folder->config->name);
    }
    if (journal_info(folder->journal)->rolled_back) {
        log_error(
            "folder '%s': the journal's last commits are gone (its file was damaged, or is an "
            "older copy); a new epoch is begun after row %lld, and servers get the tree anew",
            folder->config->name, (long long)journal_info(folder->journal)->last_seq);
    }
    if (folder->suspect) {
        const struct journal_order all = {.what = JOURNAL_CHECK};
        rc = journal_resync(folder->journal, &all, 0, err);
        if (rc != 0) {
            return rc;
        }
    }
    struct tree_source source = journal_tree_source(folder->journal);
    rc = tree_new(&folder->tree, &source);
    if (rc != 0) {
        return err_set(err, rc, 0, "out of memory");
    }
    tree_on_unwatch(folder->tree, collect_unwatch, folder);
    return journal_load_tree(folder->journal, folder->tree, err);
}

struct stale {
    struct folder *folder;
    char names[JOURNAL_CONSUMERS_MAX][65];
    size_t count;
};

static int find_stale(void *ctx, const struct reader_consumer *consumer)
{
    struct stale *stale = ctx;
    if (consumer->kind == JOURNAL_READER) {
        return 0; /* nobody configures it */
    }
    for (size_t i = 0; i < stale->folder->consumer_count; i++) {
        if (strcmp(stale->folder->consumers[i], consumer->name) == 0) {
            return 0;
        }
    }
    if (stale->count < JOURNAL_CONSUMERS_MAX) {
        (void)snprintf(stale->names[stale->count++], sizeof stale->names[0], "%s", consumer->name);
    }
    return 0;
}

/* The readers of a journal that is about to be moved aside, as far as they can still be read. */
struct kept {
    struct {
        char name[65];
        int64_t heard_ms, epoch;
    } items[JOURNAL_CONSUMERS_MAX];
    size_t count;
};

static int keep_reader(void *ctx, const struct reader_consumer *consumer)
{
    struct kept *kept = ctx;
    if (consumer->kind == JOURNAL_READER && kept->count < JOURNAL_CONSUMERS_MAX) {
        memcpy(kept->items[kept->count].name, consumer->name, sizeof consumer->name);
        kept->items[kept->count].heard_ms = consumer->heard_ms;
        kept->items[kept->count++].epoch = consumer->epoch;
    }
    return 0;
}

static struct kept *keep_readers(const struct folder *folder)
{
    struct reader *reader = NULL;
    struct kept *kept = calloc(1, sizeof *kept);
    /* What cannot be read is lost with the rest: whoever comes back is told that there is no such
     * reader. */
    if (kept && reader_open(folder->dir, &reader, NULL) == 0) {
        (void)reader_consumers(reader, keep_reader, kept, NULL);
    }
    reader_close(reader);
    return kept;
}

/* Into the new journal, from its first row on: their epoch tells them that it is another. */
static int put_readers(struct folder *folder, const struct kept *kept, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; kept && i < kept->count && rc == 0; i++) {
        const struct journal_order order = {.what = JOURNAL_READER_ADD,
                                            .consumer = kept->items[i].name,
                                            .value = kept->items[i].epoch};
        rc = journal_resync(folder->journal, &order, kept->items[i].heard_ms, err);
        rc = rc == ERR_EXISTS || rc == ERR_INVALID ? 0 : rc; /* read out of a damaged table */
    }
    return rc;
}

/* The journal is damaged: it is moved aside, and a new one begun. */
static int begin_anew(struct folder *folder, struct err *err)
{
    struct err why = *err;
    struct kept *kept = keep_readers(folder);
    folder_close_parts(folder);
    int rc = journal_move_aside(folder->dir, err);
    if (rc == 0) {
        log_error("folder '%s': %s; the file was moved aside and a new journal is begun",
                  folder->config->name, why.text);
    }
    folder->suspect = folder->suspect && rc != 0;
    rc = rc ? rc : open_journal(folder, err);
    rc = rc ? rc : put_readers(folder, kept, err);
    free(kept);
    return rc;
}

/* An upload whose name a reader has gets nothing until that is gone; all else goes on. */
static int add_upload(struct folder *folder, const char *name, struct err *err)
{
    int rc = journal_consumer_add(folder->journal, name, 0, err);
    if (rc == ERR_EXISTS) {
        log_error("folder '%s': %s", folder->config->name, err->text);
        rc = 0;
    }
    return rc;
}

/* The uploads of the configuration, and no others: one that is gone would keep rows for ever. */
int folder_apply_consumers(struct folder *folder, struct err *err)
{
    struct reader *reader = NULL;
    int rc = reader_open(folder->dir, &reader, err);
    struct stale *stale = rc == 0 ? calloc(1, sizeof *stale) : NULL;
    if (rc == 0 && stale) {
        stale->folder = folder;
        rc = reader_consumers(reader, find_stale, stale, err);
    }
    for (size_t i = 0; rc == 0 && stale && i < stale->count; i++) {
        log_info("folder '%s': '%s' is configured no more and is forgotten", folder->config->name,
                 stale->names[i]);
        rc = journal_consumer_remove(folder->journal, stale->names[i], err);
    }
    for (size_t i = 0; rc == 0 && i < folder->consumer_count; i++) {
        rc = add_upload(folder, folder->consumers[i], err);
    }
    free(stale);
    reader_close(reader);
    return rc;
}

static void set_weak(struct folder *folder, bool weak)
{
    if (weak && !folder->weak) {
        log_info("folder '%s': its file system gives files other numbers from time to time: names, "
                 "sizes and times say what was renamed",
                 folder->config->name);
    }
    folder->weak = weak;
    pthread_mutex_lock(&folder->lock);
    folder->status.weak = weak;
    pthread_mutex_unlock(&folder->lock);
}

/* Is the folder there, and is it the one that is journaled? 0, or why not. */
int folder_check_root(struct folder *folder, struct err *err)
{
    const struct journal_info *info = journal_info(folder->journal);
    struct disk_dir *root = NULL;
    struct file_id file;
    int os = 0;
    enum disk_answer answer = folder->disk.ops->open_root(folder->disk.ctx, &root, &file, &os);
    if (answer != DISK_PRESENT) {
        return err_os(err, os ? os : ENOENT, "cannot open '%s'", folder->config->path);
    }
    folder->disk.ops->close(folder->disk.ctx, root);
    int64_t fs_type = 0;
    int rc = disk_real_fs_type(&folder->disk, &fs_type, err);
    if (rc == 0 && !info->root_known) {
        rc = journal_set_root(folder->journal, file, fs_type, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!file_id_equal(info->root, file) || info->root_fs_type != fs_type) {
        return err_set(err, ERR_CONFLICT, 0,
                       "'%s' is another directory than the one that is journaled (inode %llu, "
                       "was %llu; file system of type %llx, was %llx): nothing is journaled or "
                       "deleted; put the old one back, or take this one with 'spoor folder adopt "
                       "%s'",
                       folder->config->path, (unsigned long long)file.a,
                       (unsigned long long)info->root.a, (unsigned long long)fs_type,
                       (unsigned long long)info->root_fs_type, folder->config->name);
    }
    tree_set_root(folder->tree, file, tree_root(folder->tree)->mode);
    set_weak(folder, disk_identity_is_weak(fs_type, file));
    return 0;
}

int folder_adopt_root(struct folder *folder, struct err *err)
{
    struct disk_dir *root = NULL;
    struct file_id file;
    int64_t fs_type = 0;
    int os = 0;
    if (folder->disk.ops->open_root(folder->disk.ctx, &root, &file, &os) != DISK_PRESENT) {
        return err_os(err, os ? os : ENOENT, "cannot open '%s'", folder->config->path);
    }
    folder->disk.ops->close(folder->disk.ctx, root);
    int rc = disk_real_fs_type(&folder->disk, &fs_type, err);
    return rc ? rc : journal_set_root(folder->journal, file, fs_type, err);
}

int folder_open_parts(struct folder *folder, struct err *err)
{
    int rc = open_journal(folder, err);
    if (rc == ERR_CORRUPT) {
        rc = begin_anew(folder, err);
    }
    folder->suspect = folder->suspect && rc != 0;
    rc = rc ? rc : folder_apply_consumers(folder, err);
    rc = rc ? rc : rules_new(&folder->config->ignore, &folder->rules, err);
    rc = rc ? rc : disk_real_open(folder->config->path, folder->watch, &folder->disk, err);
    if (rc != 0) {
        return rc;
    }
    folder->disk_open = true;
    disk_real_beat(&folder->disk, &folder->beat_ns);
    struct observe_env env = {.disk = &folder->disk,
                              .tree = folder->tree,
                              .rules = folder->rules,
                              .settle = folder->settle,
                              .lock = &folder->lock,
                              .ctx = folder,
                              .drain = drain,
                              .trouble = folder_trouble,
                              .weak = &folder->weak,
                              .rekey = folder_write_identity};
    return observe_new(&env, &folder->observe) ? err_set(err, ERR_NOMEM, 0, "out of memory") : 0;
}

int folder_doubt(struct folder *folder, struct err *err)
{
    pthread_mutex_lock(&folder->lock);
    bool closed = folder->closed || folder->stop;
    folder->doubted = !closed;
    pthread_cond_signal(&folder->wake_thread);
    pthread_mutex_unlock(&folder->lock);
    return closed ? err_set(err, ERR_CANCELLED, 0, "folder '%s' is stopping", folder->config->name)
                  : 0;
}

int folder_settle_doubt(struct folder *folder, struct err *err)
{
    const struct journal_order all = {.what = JOURNAL_CHECK};
    pthread_mutex_lock(&folder->lock);
    bool doubted = folder->doubted;
    folder->doubted = false;
    pthread_mutex_unlock(&folder->lock);
    return doubted ? journal_resync(folder->journal, &all, 0, err) : 0;
}
