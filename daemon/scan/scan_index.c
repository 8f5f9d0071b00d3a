/* scan_index.c: the first index of a folder: workers list, the folder's thread inserts.
 *
 * Directories are numbered in the order found and handed to the workers in chunks, through a
 * ring that the calling thread empties in the same order: so logical ids only grow from parent
 * to child, and the tree table is appended to, which is what SQLite does fastest. What a worker
 * needs of an entry (name, parent, file) was written before the entry was queued, under the ring's
 * lock; all that changes in an entry is left to the calling thread. The ring bounds the memory. */
#include "scan.h"

#include <errno.h>

#include "err.h"
#include "rules.h"
#include "scan_crew.h"
#include "scan_list.h"
#include "scan_reach.h"
#include "tree.h"

#define CHUNK_ENTRIES    4096  /* aimed at: of large directories a chunk takes fewer */
#define RING_ENTRIES_MAX 65536 /* found and not yet visited, beyond which no chunk is begun */

/* One directory and what became of it. */
struct listed {
    struct entry *entry;
    int32_t watch;
    bool visited;   /* its content is in the records */
    bool relist;    /* not all of it could be seen */
    bool unwatched; /* a watch was wanted and not to be had */
    bool rules;     /* it holds a RULES_FILE_NAME */
    size_t count;   /* records */
};

struct chunk {
    struct listed dirs[SCAN_CHUNK_DIRS];
    size_t dir_count;
    bool done;
    struct scan_found found; /* the worker's until done, then the calling thread's */
};

struct index_scan {
    struct scan_crew crew;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;  /* directories to list, room in the ring, or the end */
    pthread_cond_t done;  /* a chunk is done, or a worker has given up */
    struct entry **queue; /* directories found and not handed out: queue[head..tail) */
    size_t head, tail, cap;
    struct chunk ring[SCAN_RING_CHUNKS];
    size_t issued, consumed;        /* chunks, counted without end */
    size_t entries_waiting;         /* in chunks that are done */
    size_t entries_seen, dirs_seen; /* for the size of the next chunk */
    bool end;
};

/* ---- a worker ---- */

static void relist(struct index_scan *scan, struct listed *listed, enum disk_answer answer, int os,
                   const char *what)
{
    listed->relist = true;
    if (answer == DISK_UNKNOWN)
        scan_crew_trouble(&scan->crew, listed->entry, os, what);
}

static void watch_dir(struct index_scan *scan, struct listed *listed, struct disk_dir *dir)
{
    const struct entry *entry = listed->entry;
    const struct disk *disk = scan->crew.env->disk;
    struct err err = {0};
    if (disk->ops->watch(disk->ctx, dir, entry->file, !entry->parent, &listed->watch, &err)) {
        listed->watch = -1;
        listed->unwatched = true;
        if (scan->crew.env->trouble)
            scan->crew.env->trouble(scan->crew.env->ctx, entry, err.os, err.text);
    }
}

/* Drops what could not be looked at from records [first, count): the first index knows of no such
 * name, so there is nothing to keep. */
static void drop_unknown(struct scan_found *found, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < found->count; i++)
        if (found->records[i].type != ENTRY_NONE)
            found->records[kept++] = found->records[i];
    found->count = kept;
}

static int list_dir(struct index_scan *scan, struct scan_lister *lister, struct listed *listed,
                    struct disk_dir *dir, struct scan_found *found)
{
    int os = 0;
    watch_dir(scan, listed, dir); /* before the listing: what happens from now on is a hint */
    enum disk_answer answer = scan_lister_names(lister, scan->crew.env->disk, dir, &os);
    if (answer != DISK_PRESENT) {
        relist(scan, listed, answer, os, "cannot list the directory");
        return 0;
    }
    listed->rules = scan_lister_has(lister, bytes_str(RULES_FILE_NAME));
    os = listed->rules ? scan_load_rules(scan->crew.env, listed->entry, dir) : 0;
    if (os) {
        /* Without its rules nobody knows which names must not be told to the server. */
        relist(scan, listed, DISK_UNKNOWN, os, "cannot read '" RULES_FILE_NAME "'");
        return 0;
    }
    size_t first = found->count, unknown;
    int code = scan_lister_look(lister, &scan->crew, listed->entry, dir, found, &unknown);
    if (code)
        return code;
    if (unknown > 0) {
        listed->relist = true;
        drop_unknown(found, first);
    }
    listed->count = found->count - first;
    listed->visited = true;
    return 0;
}

static int index_dir(struct index_scan *scan, struct scan_reach *reach, struct scan_lister *lister,
                     struct listed *listed, struct scan_found *found)
{
    struct disk_dir *dir;
    int os;
    bool here;
    enum disk_answer answer = scan_reach_open(reach, listed->entry, &dir, &os, &here);
    if (reach->root_lost)
        return ERR_NOTFOUND;
    if (answer != DISK_PRESENT) {
        relist(scan, listed, answer, os, "cannot open the directory");
        return 0;
    }
    int code = list_dir(scan, lister, listed, dir, found);
    scan->crew.env->disk->ops->close(scan->crew.env->disk->ctx, dir);
    return code;
}

static void index_chunk(struct index_scan *scan, struct scan_reach *reach,
                        struct scan_lister *lister, struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->dir_count && !scan_crew_ended(&scan->crew); i++) {
        int code = index_dir(scan, reach, lister, &chunk->dirs[i], &chunk->found);
        if (code) {
            struct err err;
            err_set(&err, code, 0,
                    code == ERR_NOTFOUND
                        ? "the folder is gone, or another directory is in its place"
                        : "no memory to list a directory");
            scan_crew_fail(&scan->crew, &err);
        }
    }
    scan_crew_progress(&scan->crew, (int64_t)chunk->dir_count, (int64_t)chunk->found.count);
}

/* A chunk never waits for one issued after it, so the oldest is always allowed. */
static bool may_take_locked(const struct index_scan *scan)
{
    if (scan->head == scan->tail || scan->issued - scan->consumed == SCAN_RING_CHUNKS)
        return false;
    return scan->entries_waiting < RING_ENTRIES_MAX || scan->issued == scan->consumed;
}

static struct chunk *take_locked(struct index_scan *scan)
{
    struct chunk *chunk = &scan->ring[scan->issued++ % SCAN_RING_CHUNKS];
    size_t average = scan->entries_seen / (scan->dirs_seen + 1) + 1;
    size_t count = CHUNK_ENTRIES / average;
    if (count > SCAN_CHUNK_DIRS)
        count = SCAN_CHUNK_DIRS;
    if (count < 1)
        count = 1;
    if (count > scan->tail - scan->head)
        count = scan->tail - scan->head;
    chunk->dir_count = count;
    chunk->done = false;
    for (size_t i = 0; i < count; i++)
        chunk->dirs[i] = (struct listed){.entry = scan->queue[scan->head++], .watch = -1};
    return chunk;
}

static void *index_worker(void *arg)
{
    struct index_scan *scan = arg;
    struct scan_reach reach;
    struct scan_lister *lister = malloc(sizeof *lister);
    scan_reach_init(&reach, scan->crew.env->disk);
    if (lister)
        scan_lister_init(lister);
    else
        scan_crew_fail(&scan->crew, &(struct err){.code = ERR_NOMEM, .text = "no memory to scan"});

    pthread_mutex_lock(&scan->lock);
    for (;;) {
        while (!scan->end && !scan_crew_ended(&scan->crew) && !may_take_locked(scan))
            pthread_cond_wait(&scan->work, &scan->lock);
        if (scan->end || scan_crew_ended(&scan->crew))
            break;
        struct chunk *chunk = take_locked(scan);
        pthread_mutex_unlock(&scan->lock);
        index_chunk(scan, &reach, lister, chunk);
        pthread_mutex_lock(&scan->lock);
        chunk->done = true;
        scan->entries_waiting += chunk->found.count;
        scan->entries_seen += chunk->found.count;
        scan->dirs_seen += chunk->dir_count;
        pthread_cond_signal(&scan->done);
    }
    pthread_cond_signal(&scan->done); /* the caller looks whether we failed */
    pthread_mutex_unlock(&scan->lock);
    scan_reach_deinit(&reach);
    if (lister)
        scan_lister_deinit(lister);
    free(lister);
    return NULL;
}

/* ---- the calling thread ---- */

static int enqueue_locked(struct index_scan *scan, struct entry *entry, struct err *err)
{
    if (scan->tail == scan->cap && scan->head > scan->cap / 2) {
        memmove(scan->queue, scan->queue + scan->head,
                (scan->tail - scan->head) * sizeof(*scan->queue));
        scan->tail -= scan->head;
        scan->head = 0;
    }
    if (scan->tail == scan->cap) {
        size_t cap = scan->cap ? scan->cap * 2 : 1024;
        struct entry **grown = reallocarray(scan->queue, cap, sizeof(*grown));
        if (!grown)
            return err_set(err, ERR_NOMEM, 0, "no memory for %zu directories", cap);
        scan->queue = grown;
        scan->cap = cap;
    }
    scan->queue[scan->tail++] = entry;
    return 0;
}

static int enqueue(struct index_scan *scan, struct entry *const *children, size_t count,
                   struct err *err)
{
    int code = 0;
    bool any = false;
    pthread_mutex_lock(&scan->lock);
    for (size_t i = 0; i < count && !code; i++)
        if (children[i]) {
            code = enqueue_locked(scan, children[i], err);
            any = true;
        }
    if (any)
        pthread_cond_broadcast(&scan->work);
    pthread_mutex_unlock(&scan->lock);
    return code;
}

/* The next chunk in order, done; NULL at the end: nothing is left, or the scan has ended. */
static struct chunk *next_chunk(struct index_scan *scan)
{
    struct chunk *chunk = NULL;
    pthread_mutex_lock(&scan->lock);
    while (!scan_crew_ended(&scan->crew)) {
        if (scan->consumed == scan->issued && scan->head == scan->tail)
            break;
        struct chunk *oldest = &scan->ring[scan->consumed % SCAN_RING_CHUNKS];
        if (scan->consumed < scan->issued && oldest->done) {
            chunk = oldest;
            break;
        }
        pthread_cond_wait(&scan->done, &scan->lock);
    }
    pthread_mutex_unlock(&scan->lock);
    return chunk;
}

static void give_back(struct index_scan *scan, struct chunk *chunk)
{
    size_t count = chunk->found.count;
    scan_found_reset(&chunk->found);
    pthread_mutex_lock(&scan->lock);
    scan->consumed++;
    scan->entries_waiting -= count;
    pthread_cond_broadcast(&scan->work);
    pthread_mutex_unlock(&scan->lock);
}

static void mark_entry(const struct listed *listed)
{
    struct entry *entry = listed->entry;
    entry->watch = listed->watch;
    entry->flags &= (uint8_t) ~(TREE_RELIST | TREE_UNWATCHED);
    if (listed->relist)
        entry->flags |= TREE_RELIST;
    if (listed->unwatched)
        entry->flags |= TREE_UNWATCHED;
    if (listed->rules)
        entry->flags |= TREE_RULES;
}

struct visitor {
    int (*visit)(void *ctx, struct entry *dir, const struct scan_record *records, size_t count,
                 struct entry **children, struct err *err);
    void *ctx;
};

static int visit_chunk(struct index_scan *scan, const struct chunk *chunk,
                       const struct visitor *visitor, struct err *err)
{
    struct entry **children = NULL;
    size_t first = 0, cap = 0;
    int code = 0;
    for (size_t i = 0; i < chunk->dir_count && !code; i++) {
        const struct listed *listed = &chunk->dirs[i];
        mark_entry(listed);
        if (!listed->visited)
            continue;
        if (listed->count >= cap) {
            cap = listed->count + 64;
            free(children);
            children = malloc(cap * sizeof(*children));
            if (!children)
                return err_set(err, ERR_NOMEM, 0, "no memory for %zu entries", cap);
        }
        memset(children, 0, cap * sizeof(*children));
        const struct scan_record *records = listed->count ? &chunk->found.records[first] : NULL;
        code = visitor->visit(visitor->ctx, listed->entry, records, listed->count, children, err);
        if (!code)
            code = enqueue(scan, children, listed->count, err);
        first += listed->count;
    }
    free(children);
    return code;
}

static int consume(struct index_scan *scan, const struct visitor *visitor, struct err *err)
{
    struct chunk *chunk;
    while ((chunk = next_chunk(scan))) {
        int code = visit_chunk(scan, chunk, visitor, err);
        if (code)
            return code;
        give_back(scan, chunk);
    }
    return 0;
}

static void end_workers(struct index_scan *scan)
{
    pthread_mutex_lock(&scan->lock);
    scan->end = true;
    pthread_cond_broadcast(&scan->work);
    pthread_mutex_unlock(&scan->lock);
    scan_crew_join(&scan->crew);
}

int scan_index(const struct scan_env *env, struct entry *root,
               int (*visit)(void *ctx, struct entry *dir, const struct scan_record *records,
                            size_t count, struct entry **children, struct err *err),
               void *ctx, struct err *err)
{
    struct index_scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return err_set(err, ERR_NOMEM, 0, "no memory to scan");
    scan_crew_init(&scan->crew, env);
    pthread_mutex_init(&scan->lock, NULL);
    pthread_cond_init(&scan->work, NULL);
    pthread_cond_init(&scan->done, NULL);
    for (size_t i = 0; i < SCAN_RING_CHUNKS; i++)
        scan_found_init(&scan->ring[i].found);

    /* One processor is left to the thread that inserts: measured, it is what the index waits for.
     */
    int threads = scan_crew_size(env->threads, scan_crew_processors() - 1);
    int code = enqueue_locked(scan, root, err); /* nobody else is there yet */
    if (!code)
        code = scan_crew_start(&scan->crew, threads, index_worker, scan, err);
    if (!code)
        code = consume(scan, &(struct visitor){visit, ctx}, err);
    end_workers(scan);
    if (!code)
        code = scan_crew_outcome(&scan->crew, err);

    for (size_t i = 0; i < SCAN_RING_CHUNKS; i++)
        scan_found_deinit(&scan->ring[i].found);
    free(scan->queue);
    pthread_cond_destroy(&scan->done);
    pthread_cond_destroy(&scan->work);
    pthread_mutex_destroy(&scan->lock);
    scan_crew_deinit(&scan->crew);
    free(scan);
    return code;
}
