/* scan.h: finding out what the tree does not say yet: the first index of a folder, and
 * the comparison of disk and tree after a start or an overflow. Both use worker threads
 * that list and stat; what they find is handed to the folder's thread, which alone edits.
 *
 * Each directory is watched before it is listed. scan_index.c and scan_compare.c have the
 * algorithms, tests/bench their measures. */
#ifndef SPOOR_SCAN_H
#define SPOOR_SCAN_H

#include "change.h"
#include "disk.h"

struct entry;
struct err;
struct rules;
struct tree;

#define SCAN_CHUNK_DIRS  32
#define SCAN_RING_CHUNKS 64
#define SCAN_NAMES_MAX   65536 /* differing names kept; beyond, directories are marked instead */
#define SCAN_DIR_NAMES_MAX                                                                         \
    1000 /* differing names of one directory, beyond: the directory is marked */
#define SCAN_THREADS_MAX 16

struct scan_env {
    const struct disk *disk;
    struct rules *rules;
    int threads;      /* 0: index: max(1, processors - 1); compare: processors */
    const bool *stop; /* read with __atomic_load_n; the scan ends with ERR_CANCELLED */
    /* A directory could not be read, or not watched (os ENOSPC: the limit). From any worker. */
    void (*trouble)(void *ctx, const struct entry *dir, int os, const char *text);
    /* So many directories and entries are done. From any worker. */
    void (*progress)(void *ctx, int64_t dirs, int64_t entries);
    void *ctx;
};

struct scan_record {
    struct bytes name;
    enum entry_type type;
    struct file_id file;
    struct entry_attrs attrs;
};

/* The first index: breadth first from `root` (a tree that holds only its root). Calls `visit` on
 * the calling thread once a directory, in the order directories were found, with its entries
 * sorted by name and ignored ones left out; visit adds them to the tree and fills children[i] with
 * the entry it made for each directory among the records (NULL: do not descend). An unreadable
 * directory is visited not at all: it gets TREE_RELIST and `trouble`. Sets `watch` of each
 * directory's entry. */
int scan_index(const struct scan_env *env, struct entry *root,
               int (*visit)(void *ctx, struct entry *dir, const struct scan_record *records,
                            size_t count, struct entry **children, struct err *err),
               void *ctx, struct err *err);

/* What the comparison found: names to be looked at, and directories (by TREE_RELIST on their
 * entries) that were not compared: moved or replaced, unreadable, or with too many differences. */
struct scan_name {
    struct file_id dir;
    uint32_t offset; /* into names */
    uint16_t len;
};
struct scan_result {
    struct scan_name *items;
    size_t count;
    char *names;
    int64_t dirs, entries; /* compared */
    int64_t marked;        /* directories with TREE_RELIST set by this scan */
    bool crowded;          /* SCAN_NAMES_MAX was reached */
};

/* Compares every directory of the tree with the disk, without changing either; the tree and the
 * journal in `journal_dir` must hold still meanwhile (the calling thread is their only writer and
 * waits here). Each worker reads the tree table by a connection of its own, one range statement a
 * chunk. A name differs when it is on one side only, or identity, type, size, mtime, mode, target
 * or ctime differ (directories: identity and mode). Watches directories that are not yet watched.
 */
int scan_compare(const struct scan_env *env, struct tree *tree, const char *journal_dir,
                 struct scan_result *out, struct err *err);
void scan_result_deinit(struct scan_result *result);

#endif
