/* tree_private.h: what the files of the tree share: tree.c (entries and their places),
 * tree_table.c (the hash tables), tree_load.c (what comes from the source). */
#ifndef SPOOR_TREE_PRIVATE_H
#define SPOOR_TREE_PRIVATE_H

#include "err.h"
#include "hash.h"
#include "tree.h"

struct table {
    struct entry **buckets;
    size_t mask; /* bucket count - 1 */
    size_t count;
};

struct tree {
    struct table names;
    struct table files;
    struct table ids;
    struct entry *root;
    struct hash_key key;
    struct tree_source source;
    bool has_source;
    struct entry **loaded; /* files, in the order they were loaded */
    size_t loaded_count, loaded_cap;
    size_t dir_count;
    void (*unwatch)(void *ctx, int32_t watch);
    void *unwatch_ctx;
    struct err failure;
};

enum tree_which { BY_NAME, BY_FILE, BY_ID };

/* tree_table.c: by (parent, name) and by file identity for all that is loaded, by logical id for
 * directories (files are never asked for by id). */
bool tree_table_reserve(struct tree *tree, enum tree_which which); /* room for one more */
void tree_table_add(struct tree *tree, enum tree_which which, struct entry *entry);
void tree_table_drop(struct tree *tree, enum tree_which which, struct entry *entry);
/* The first entry of the chain in which such an entry would be. */
struct entry *tree_chain_name(const struct tree *tree, const struct entry *parent,
                              struct bytes name);
struct entry *tree_chain_file(const struct tree *tree, struct file_id file);
struct entry *tree_chain_id(const struct tree *tree, int64_t id);

/* tree.c: takes one entry without children out of every table and frees it. */
void tree_drop_entry(struct tree *tree, struct entry *entry);

/* tree_load.c */
bool tree_remember_loaded(struct tree *tree, struct entry *entry);
void tree_forget_loaded(struct tree *tree, const struct entry *entry);
/* The first failure stays until tree_clear(). */
void tree_fail(struct tree *tree, int code, const struct err *err);

#endif
