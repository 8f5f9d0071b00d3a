/* scan_compare.c: which names of the disk are not as the tree table has them.
 *
 * Workers take the directories in the order of their ids, 32 at a time: one range statement on a
 * connection of their own gives the rows, one listing a directory the disk's side, and the two are
 * merged by name. Nothing is decided here: a name that differs is looked at again by
 * the folder's thread, which waits meanwhile. A worker writes only `watch` and `flags` of the
 * directory it has in hand. */
#include "scan.h"

#include <errno.h>

#include "buf.h"
#include "err.h"
#include "reader.h"
#include "rules.h"
#include "scan_crew.h"
#include "scan_list.h"
#include "scan_reach.h"
#include "tree.h"

#define SCAN_NAMES_BYTES_MAX ((SCAN_NAMES_MAX + SCAN_DIR_NAMES_MAX + 1) * DISK_NAME_MAX)

struct difference {
    const struct entry *dir;
    uint32_t offset; /* into the text */
    uint16_t len;
};

/* Differing names, gathered by one worker. */
struct differences {
    struct difference *items;
    size_t count, cap;
    struct buf text;
};

struct compare {
    struct scan_crew crew;
    const char *journal_dir;
    struct entry **dirs; /* by id */
    size_t dir_count, dir_cap;
    size_t next;                 /* atomic: the next directory to be taken */
    int64_t room;                /* atomic: names that may still be kept */
    const struct entry **frozen; /* directories whose rules could not be read */
    size_t frozen_count;

    pthread_mutex_t lock; /* guards all below */
    struct differences all;
    int64_t dirs_done, entries_done, marked;
    bool crowded;
};

struct compare_worker {
    struct compare *compare;
    struct scan_reach reach;
    struct scan_lister lister;
    struct scan_found found;
    struct reader *reader;
    struct reader_cursor *cursor;
    struct reader_entry row;
    bool has_row;
    struct differences differences;
    int64_t dirs, entries, marked;
    bool crowded;
};

/* ---- gathering names ---- */

static int add_difference(struct differences *to, const struct entry *dir, struct bytes name)
{
    if (to->count == to->cap) {
        size_t cap = to->cap ? to->cap * 2 : 256;
        struct difference *grown = reallocarray(to->items, cap, sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        to->items = grown;
        to->cap = cap;
    }
    to->items[to->count] = (struct difference){dir, (uint32_t)to->text.len, (uint16_t)name.len};
    buf_add(&to->text, name.at, name.len);
    if (!buf_ok(&to->text))
        return ERR_NOMEM;
    to->count++;
    return 0;
}

static void cut_differences(struct differences *to, size_t count)
{
    if (count == to->count)
        return;
    buf_truncate(&to->text, to->items[count].offset);
    to->count = count;
}

static int append_differences(struct differences *to, const struct differences *from)
{
    int code = 0;
    for (size_t i = 0; i < from->count && !code; i++) {
        const struct difference *item = &from->items[i];
        code = add_difference(to, item->dir, bytes_of(from->text.data + item->offset, item->len));
    }
    return code;
}

static void init_differences(struct differences *differences)
{
    *differences = (struct differences){0};
    buf_init(&differences->text, SCAN_NAMES_BYTES_MAX);
}

static void deinit_differences(struct differences *differences)
{
    free(differences->items);
    buf_deinit(&differences->text);
}

/* ---- one directory ---- */

static int next_row(struct compare_worker *worker, struct err *err)
{
    int got = reader_cursor_next(worker->cursor, &worker->row, err);
    worker->has_row = got == 1;
    return got < 0 ? got : 0;
}

/* RULES 9: what counts, by type; attributes that do not belong to the type are 0 on both sides. */
static bool differs(const struct scan_record *record, const struct reader_entry *row)
{
    const struct entry_attrs *disk = &record->attrs, *tree = &row->attrs;
    if (record->type != row->type || !file_id_equal(record->file, row->file))
        return true;
    if (record->type == ENTRY_DIR)
        return disk->mode != tree->mode;
    return disk->ctime_ns != tree->ctime_ns || disk->size != tree->size ||
           disk->mtime_ns != tree->mtime_ns || disk->mode != tree->mode ||
           !bytes_equal(disk->target, tree->target);
}

/* Merges the records of `dir` with its rows; adds at most one name more than a directory may
 * have. Names that could not be looked at are neither here nor there. */
static int merge(struct compare_worker *worker, const struct entry *dir, struct err *err)
{
    const struct scan_found *found = &worker->found;
    size_t first = worker->differences.count, at = 0;
    int code = 0;
    while (!code) {
        bool row = worker->has_row && worker->row.parent == dir->id;
        if (!row && at == found->count)
            break;
        const struct scan_record *record = at < found->count ? &found->records[at] : NULL;
        bool differ = !record || record->type != ENTRY_NONE;
        struct bytes name = record ? record->name : worker->row.name;
        int order = !record ? -1 : !row ? 1 : bytes_compare(worker->row.name, name);
        if (order < 0) {
            differ = true;
            name = worker->row.name;
        } else if (order == 0) {
            differ = differ && differs(record, &worker->row);
        }
        if (differ && worker->differences.count - first <= SCAN_DIR_NAMES_MAX &&
            add_difference(&worker->differences, dir, name))
            code = err_set(err, ERR_NOMEM, 0, "no memory for names that differ");
        if (order >= 0)
            at++;
        if (order <= 0 && !code)
            code = next_row(worker, err);
    }
    return code;
}

static void mark(struct compare_worker *worker, struct entry *dir)
{
    dir->flags |= TREE_RELIST;
    worker->marked++;
}

static void watch_dir(struct scan_crew *crew, struct entry *entry, struct disk_dir *dir)
{
    const struct disk *disk = crew->env->disk;
    struct err err = {0};
    if (entry->watch >= 0)
        return;
    int32_t watch = -1;
    if (disk->ops->watch(disk->ctx, dir, entry->file, !entry->parent, &watch, &err)) {
        entry->flags |= TREE_UNWATCHED;
        if (crew->env->trouble)
            crew->env->trouble(crew->env->ctx, entry, err.os, err.text);
        return;
    }
    if (watch >= 0)
        entry->flags &= (uint8_t)~TREE_UNWATCHED;
    entry->watch = watch;
}

/* Keeps the names found since `first`, or marks the directory when they are too many. */
static bool keep_differences(struct compare_worker *worker, size_t first)
{
    size_t count = worker->differences.count - first;
    if (count == 0)
        return true;
    int64_t *room = &worker->compare->room;
    bool kept = count <= SCAN_DIR_NAMES_MAX;
    if (kept && __atomic_sub_fetch(room, (int64_t)count, __ATOMIC_RELAXED) < 0) {
        __atomic_add_fetch(room, (int64_t)count, __ATOMIC_RELAXED);
        worker->crowded = true;
        kept = false;
    }
    if (!kept)
        cut_differences(&worker->differences, first);
    return kept;
}

/* Lists and compares an open directory. *whole: all of it was seen and fits. */
static int compare_open(struct compare_worker *worker, struct entry *entry, struct disk_dir *dir,
                        bool *whole, struct err *err)
{
    struct scan_crew *crew = &worker->compare->crew;
    int os = 0;
    *whole = false;
    watch_dir(crew, entry, dir); /* before the listing: what happens from now on is a hint */
    enum disk_answer answer = scan_lister_names(&worker->lister, crew->env->disk, dir, &os);
    if (answer == DISK_UNKNOWN)
        scan_crew_trouble(crew, entry, os, "cannot list the directory");
    if (answer != DISK_PRESENT)
        return 0;
    size_t unknown, first = worker->differences.count;
    scan_found_reset(&worker->found);
    int code = scan_lister_look(&worker->lister, crew, entry, dir, &worker->found, &unknown);
    if (code)
        return err_set(err, code, 0, "no memory to list a directory");
    code = merge(worker, entry, err);
    if (code)
        return code;
    worker->dirs++;
    worker->entries += (int64_t)worker->found.count;
    *whole = keep_differences(worker, first) && unknown == 0;
    return 0;
}

static bool is_frozen(const struct compare *compare, const struct entry *dir)
{
    for (; compare->frozen_count > 0 && dir; dir = dir->parent)
        for (size_t i = 0; i < compare->frozen_count; i++)
            if (compare->frozen[i] == dir)
                return true;
    return false;
}

static int compare_dir(struct compare_worker *worker, struct entry *entry, struct err *err)
{
    struct compare *compare = worker->compare;
    const struct disk *disk = compare->crew.env->disk;
    /* Rows of directories that were passed over. */
    while (worker->has_row && worker->row.parent < entry->id) {
        int code = next_row(worker, err);
        if (code)
            return code;
    }
    if (is_frozen(compare, entry)) {
        mark(worker, entry);
        return 0;
    }
    struct disk_dir *dir;
    int os;
    bool here, whole = false;
    enum disk_answer answer = scan_reach_open(&worker->reach, entry, &dir, &os, &here);
    if (worker->reach.root_lost)
        return err_set(err, ERR_NOTFOUND, 0,
                       "the folder is gone, or another directory is in its place");
    if (answer == DISK_UNKNOWN && here)
        scan_crew_trouble(&compare->crew, entry, os, "cannot open the directory");
    int code = 0;
    if (answer == DISK_PRESENT) {
        code = compare_open(worker, entry, dir, &whole, err);
        disk->ops->close(disk->ctx, dir);
    }
    if (whole)
        entry->flags &= (uint8_t)~TREE_RELIST;
    else
        mark(worker, entry);
    return code;
}

/* ---- a worker ---- */

static int compare_chunk(struct compare_worker *worker, size_t first, size_t last, struct err *err)
{
    struct compare *compare = worker->compare;
    int64_t dirs = worker->dirs, entries = worker->entries;
    int code = reader_cursor_range(worker->cursor, compare->dirs[first]->id,
                                   compare->dirs[last - 1]->id, err);
    if (!code)
        code = next_row(worker, err);
    for (size_t i = first; i < last && !code && !scan_crew_ended(&compare->crew); i++)
        code = compare_dir(worker, compare->dirs[i], err);
    scan_crew_progress(&compare->crew, worker->dirs - dirs, worker->entries - entries);
    return code;
}

static int work(struct compare_worker *worker, struct err *err)
{
    struct compare *compare = worker->compare;
    int code = reader_open(compare->journal_dir, &worker->reader, err);
    if (!code)
        code = reader_cursor_open(worker->reader, &worker->cursor, err);
    while (!code && !scan_crew_ended(&compare->crew)) {
        size_t first = __atomic_fetch_add(&compare->next, SCAN_CHUNK_DIRS, __ATOMIC_RELAXED);
        if (first >= compare->dir_count)
            break;
        size_t last = first + SCAN_CHUNK_DIRS;
        code = compare_chunk(worker, first, last < compare->dir_count ? last : compare->dir_count,
                             err);
    }
    return code;
}

static void *compare_thread(void *arg)
{
    struct compare *compare = arg;
    struct err err = {0};
    struct compare_worker *worker = calloc(1, sizeof *worker);
    int code;
    if (worker) {
        worker->compare = compare;
        scan_reach_init(&worker->reach, compare->crew.env->disk);
        scan_lister_init(&worker->lister);
        scan_found_init(&worker->found);
        init_differences(&worker->differences);
        code = work(worker, &err);

        pthread_mutex_lock(&compare->lock);
        if (!code && append_differences(&compare->all, &worker->differences))
            code = err_set(&err, ERR_NOMEM, 0, "no memory for names that differ");
        compare->dirs_done += worker->dirs;
        compare->entries_done += worker->entries;
        compare->marked += worker->marked;
        compare->crowded |= worker->crowded;
        pthread_mutex_unlock(&compare->lock);

        reader_cursor_close(worker->cursor);
        reader_close(worker->reader);
        deinit_differences(&worker->differences);
        scan_found_deinit(&worker->found);
        scan_lister_deinit(&worker->lister);
        scan_reach_deinit(&worker->reach);
        free(worker);
    } else {
        code = err_set(&err, ERR_NOMEM, 0, "no memory to scan");
    }
    if (code)
        scan_crew_fail(&compare->crew, &err);
    return NULL;
}

/* ---- the calling thread ---- */

static int collect_dir(void *ctx, struct entry *dir)
{
    struct compare *compare = ctx;
    if (compare->dir_count == compare->dir_cap)
        return ERR_LIMIT; /* cannot be: the tree said how many there are */
    compare->dirs[compare->dir_count++] = dir;
    return 0;
}

static int compare_ids(const void *x, const void *y)
{
    const struct entry *a = *(struct entry *const *)x, *b = *(struct entry *const *)y;
    return (a->id > b->id) - (a->id < b->id);
}

static int collect_dirs(struct compare *compare, struct tree *tree, struct err *err)
{
    compare->dir_cap = tree_dir_count(tree) + 1; /* whether the root is counted does not matter */
    compare->dirs = calloc(compare->dir_cap, sizeof(*compare->dirs));
    if (!compare->dirs)
        return err_set(err, ERR_NOMEM, 0, "no memory for %zu directories", compare->dir_cap);
    int code = tree_each_dir(tree, collect_dir, compare);
    if (code)
        return err_set(err, code, 0, "the tree holds more directories than it says");
    qsort(compare->dirs, compare->dir_count, sizeof(*compare->dirs), compare_ids);
    return 0;
}

/* Pass 0: the rules of all directories that have some, since a rule governs what is below. */
static int load_rules(struct compare *compare, struct err *err)
{
    const struct scan_env *env = compare->crew.env;
    struct scan_reach reach;
    size_t with_rules = 0;
    int code = 0;
    for (size_t i = 0; i < compare->dir_count; i++)
        with_rules += (compare->dirs[i]->flags & TREE_RULES) != 0;
    if (with_rules == 0)
        return 0;
    compare->frozen = calloc(with_rules, sizeof(*compare->frozen));
    if (!compare->frozen)
        return err_set(err, ERR_NOMEM, 0, "no memory for ignore rules");
    scan_reach_init(&reach, env->disk);
    for (size_t i = 0; i < compare->dir_count && !code; i++) {
        struct entry *entry = compare->dirs[i];
        struct disk_dir *dir;
        int os;
        bool here;
        /* A directory that cannot be opened now is not compared later either. */
        if (!(entry->flags & TREE_RULES) ||
            scan_reach_open(&reach, entry, &dir, &os, &here) != DISK_PRESENT)
            continue;
        os = scan_load_rules(env, entry, dir);
        env->disk->ops->close(env->disk->ctx, dir);
        if (os) {
            scan_crew_trouble(&compare->crew, entry, os, "cannot read '" RULES_FILE_NAME "'");
            compare->frozen[compare->frozen_count++] = entry;
        }
        code = scan_crew_ended(&compare->crew) ? scan_crew_outcome(&compare->crew, err) : 0;
    }
    scan_reach_deinit(&reach);
    return code;
}

static struct bytes name_of(const struct difference *item, const char *text)
{
    return bytes_of(text + item->offset, item->len);
}

/* By directory id, then name: what is found does not depend on which worker was faster. */
static int compare_differences(const void *x, const void *y, void *text)
{
    const struct difference *a = x, *b = y;
    if (a->dir != b->dir)
        return a->dir->id < b->dir->id ? -1 : 1;
    return bytes_compare(name_of(a, text), name_of(b, text));
}

static int make_result(struct compare *compare, struct scan_result *out, struct err *err)
{
    struct differences *all = &compare->all;
    struct scan_name *items = calloc(all->count + 1, sizeof *items);
    if (!items)
        return err_set(err, ERR_NOMEM, 0, "no memory for names that differ");
    if (all->count > 1)
        qsort_r(all->items, all->count, sizeof *all->items, compare_differences, all->text.data);
    for (size_t i = 0; i < all->count; i++)
        items[i] =
            (struct scan_name){all->items[i].dir->file, all->items[i].offset, all->items[i].len};
    *out = (struct scan_result){.items = items,
                                .count = all->count,
                                .names = all->text.data,
                                .dirs = compare->dirs_done,
                                .entries = compare->entries_done,
                                .marked = compare->marked,
                                .crowded = compare->crowded};
    free(all->items);
    init_differences(all); /* its bytes are the result's now */
    return 0;
}

int scan_compare(const struct scan_env *env, struct tree *tree, const char *journal_dir,
                 struct scan_result *out, struct err *err)
{
    struct compare compare = {.journal_dir = journal_dir, .room = SCAN_NAMES_MAX};
    scan_crew_init(&compare.crew, env);
    pthread_mutex_init(&compare.lock, NULL);
    init_differences(&compare.all);

    int code = collect_dirs(&compare, tree, err);
    if (!code)
        code = load_rules(&compare, err);
    if (!code) {
        size_t chunks = (compare.dir_count + SCAN_CHUNK_DIRS - 1) / SCAN_CHUNK_DIRS;
        int threads = scan_crew_size(env->threads, scan_crew_processors());
        if ((size_t)threads > chunks)
            threads = (int)chunks;
        code = scan_crew_start(&compare.crew, threads, compare_thread, &compare, err);
        scan_crew_join(&compare.crew);
    }
    if (!code)
        code = scan_crew_outcome(&compare.crew, err);
    if (!code)
        code = make_result(&compare, out, err);

    deinit_differences(&compare.all);
    free(compare.dirs);
    free(compare.frozen);
    pthread_mutex_destroy(&compare.lock);
    scan_crew_deinit(&compare.crew);
    return code;
}

void scan_result_deinit(struct scan_result *result)
{
    if (!result)
        return;
    free(result->items);
    free(result->names);
    *result = (struct scan_result){0};
}
