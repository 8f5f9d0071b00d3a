/* tree.h: the tree table in memory: every directory always, a file only while a
 * round works on it.
 *
 * The tree is what reconcile reads and edits; the journal commits the same edits to
 * the tree table in one transaction. When that commit fails the tree is thrown away
 * and loaded again. Files come in through a `tree_source` (the journal; in tests
 * none, and then all files stay). A failed source sets tree_failed() and the round
 * is given up. One thread: the folder's. */
#ifndef SPOOR_TREE_H
#define SPOOR_TREE_H

#include "change.h"

struct err;
struct tree;

#define TREE_DEPTH_MAX 4096 /* directories above one another; deeper is an error of the disk */

#define TREE_RULES_NAME ".spoorignore" /* what sets TREE_RULES on the directory it lies in */

enum tree_flag {
    TREE_RELIST = 1,    /* directory: its content is unknown or unwatched; list it when seen */
    TREE_UNWATCHED = 2, /* directory: no watch could be had; it is polled */
    TREE_RULES = 4,     /* directory: holds a .spoorignore */
};

/* What a type does not use shares its room: never read size, mtime_ns, ctime_ns or target of a
 * directory, nor child, watch or entries of anything else; tree_attrs() knows. Entries stay where
 * they are in memory for as long as they are in the tree. */
struct entry {
    int64_t id;
    struct file_id file;
    struct entry *parent;            /* NULL: the root */
    struct entry *next, *prev;       /* among the loaded children of the parent */
    struct entry *by_name, *by_file; /* hash chains, private to tree.c */
    union {
        struct { /* not a directory */
            int64_t size, mtime_ns, ctime_ns;
            char *target; /* NULL unless a symlink */
        };
        struct {                 /* directory */
            struct entry *child; /* loaded children: all directories, files while loaded */
            struct entry *by_id; /* private to tree.c */
            uint32_t entries;    /* entries below it, whole subtree */
            int32_t watch;       /* watch descriptor, -1 none */
        };
    };
    char *name; /* NUL-terminated as a convenience; the bytes hold no NUL */
    uint32_t mode;
    uint16_t target_len;
    uint16_t name_len;
    uint8_t type;   /* enum entry_type */
    uint8_t flags;  /* enum tree_flag */
    char small[14]; /* where a short name lies */
};

/* Where files come from. Each call puts what it finds into the tree by tree_insert() and returns
 * 0 (nothing found is no error) or a negative code with `err` set. */
struct tree_source {
    void *ctx;
    int (*at)(void *ctx, struct tree *tree, struct entry *parent, struct bytes name,
              struct err *err);
    int (*by_file)(void *ctx, struct tree *tree, struct file_id file, struct err *err);
    int (*children)(void *ctx, struct tree *tree, struct entry *parent, struct err *err);
};

int tree_new(struct tree **out, const struct tree_source *source_or_null);
void tree_free(struct tree *tree);
/* Empties it down to a root without identity; the source stays. */
void tree_clear(struct tree *tree);

struct entry *tree_root(struct tree *tree);
void tree_set_root(struct tree *tree, struct file_id file, uint32_t mode);

/* Adds an entry. Used by loaders (counted false: it is in the counts already, or tree_set_counts()
 * will set them) and by edits (counted true: the ancestors' `entries` grow by one). An entry that
 * is there already under this key and id is returned as it is. NULL: memory is out. */
struct entry *tree_insert(struct tree *tree, struct entry *parent, struct bytes name, int64_t id,
                          enum entry_type type, struct file_id file,
                          const struct entry_attrs *attrs, bool counted);
/* Counts files of `parent` that are in the table and need not be loaded (the first index). */
void tree_count_files(struct entry *parent, uint32_t count);
/* Takes an entry out with all below it. */
void tree_remove(struct tree *tree, struct entry *entry);
/* Gives it another place; the target must be free and not at or below it. */
int tree_move(struct tree *tree, struct entry *entry, struct entry *parent, struct bytes name);
/* Two entries take each other's places; neither may be the other's ancestor. */
int tree_exchange(struct tree *tree, struct entry *x, struct entry *y);
/* Another file under the same entry. */
void tree_rekey(struct tree *tree, struct entry *entry, struct file_id file);
int tree_set_attrs(struct entry *entry, const struct entry_attrs *attrs);
struct entry_attrs tree_attrs(const struct entry *entry);
/* Could this be the entry under another identity: same type, size and time, or target? */
bool tree_agrees(const struct entry *entry, enum entry_type type, const struct entry_attrs *attrs);

/* What is loaded under this name. */
struct entry *tree_find(const struct tree *tree, const struct entry *parent, struct bytes name);
/* Asks memory, then the source. NULL: no such entry (or tree_failed()). The source knows nothing of
 * edits that are not committed: load all that a round needs before the first edit. */
struct entry *tree_at(struct tree *tree, struct entry *parent, struct bytes name);
/* Loads all children of a directory. */
void tree_load_children(struct tree *tree, struct entry *parent);
/* Loads every entry of this identity; then tree_first/next walk them. */
void tree_load_file(struct tree *tree, struct file_id file);
/* What is loaded with this identity, in no order. */
struct entry *tree_first(const struct tree *tree, struct file_id file);
struct entry *tree_next(const struct entry *entry);
/* The directory of this identity, NULL when the tree has none. */
struct entry *tree_dir(const struct tree *tree, struct file_id file);
struct entry *tree_dir_by_id(const struct tree *tree, int64_t id);
static inline bool entry_is_dir(const struct entry *entry)
{
    return entry->type == ENTRY_DIR;
}
static inline struct bytes entry_name(const struct entry *entry)
{
    return bytes_of(entry->name, entry->name_len);
}
/* True when `entry` is `top` or lies below it. */
bool tree_is_below(const struct entry *entry, const struct entry *top);

struct buf;
/* Appends the path, without leading '/'; the root's is empty. */
void tree_add_path(const struct entry *entry, struct buf *out);

/* Forgets files (not directories) that are loaded, and what was learned of absent names. Without
 * a source: does nothing, since the tree is then the only copy. */
void tree_unload_files(struct tree *tree);
/* Sets every directory's `entries` from per-directory child counts collected while loading:
 * tree_note_child() once for each row of the table, tree_set_counts() at the end. */
void tree_note_child(struct entry *parent);
void tree_set_counts(struct tree *tree);

/* Called for each watched directory that leaves the tree; it must not touch the tree. */
void tree_on_unwatch(struct tree *tree, void (*left)(void *ctx, int32_t watch), void *ctx);

/* 0, or the first error of the source since tree_clear(); copies it to err. */
int tree_failed(const struct tree *tree, struct err *err);
size_t tree_dir_count(const struct tree *tree);
int64_t tree_entry_count(const struct tree *tree); /* whole table, root not counted */

/* Calls visit for every directory, parents first; stops at a nonzero return and returns it. */
int tree_each_dir(struct tree *tree, int (*visit)(void *ctx, struct entry *dir), void *ctx);

#endif
