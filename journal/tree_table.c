/* tree_table.c: the tree's three hash tables. Chains are intrusive; a table doubles when it
 * holds as many entries as buckets. */
#include "tree_private.h"

enum { FIRST_BUCKETS = 64 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

static uint64_t hash_name(const struct tree *tree, const struct entry *parent, struct bytes name)
{
    struct hash_key key = {tree->key.k0 ^ (uint64_t)parent->id, tree->key.k1};
    return hash_bytes(key, name.at, name.len);
}

static uint64_t hash_file(const struct tree *tree, struct file_id file)
{
    return mix(file.a ^ tree->key.k0 ^ mix(file.b ^ tree->key.k1));
}

static uint64_t hash_id(const struct tree *tree, int64_t id)
{
    return mix((uint64_t)id ^ tree->key.k0);
}

/* --- the three tables: where an entry's chain pointer lies and what it hashes to --- */

static struct entry **chain_of(struct entry *entry, enum tree_which which)
{
    switch (which) {
    case BY_NAME:
        return &entry->by_name;
    case BY_FILE:
        return &entry->by_file;
    default:
        return &entry->by_id;
    }
}

static uint64_t hash_of(const struct tree *tree, const struct entry *entry, enum tree_which which)
{
    switch (which) {
    case BY_NAME:
        return hash_name(tree, entry->parent, entry_name(entry));
    case BY_FILE:
        return hash_file(tree, entry->file);
    default:
        return hash_id(tree, entry->id);
    }
}

static struct table *table_of(struct tree *tree, enum tree_which which)
{
    switch (which) {
    case BY_NAME:
        return &tree->names;
    case BY_FILE:
        return &tree->files;
    default:
        return &tree->ids;
    }
}

static bool table_grow(struct tree *tree, enum tree_which which)
{
    struct table *table = table_of(tree, which);
    size_t old_count = table->buckets ? table->mask + 1 : 0;
    size_t new_count = old_count ? old_count * 2 : FIRST_BUCKETS;
    struct entry **buckets = calloc(new_count, sizeof(struct entry *));
    if (!buckets) {
        return false;
    }
    for (size_t i = 0; i < old_count; i++) {
        struct entry *entry = table->buckets[i];
        while (entry) {
            struct entry **chain = chain_of(entry, which);
            struct entry *rest = *chain;
            struct entry **slot = &buckets[hash_of(tree, entry, which) & (new_count - 1)];
            *chain = *slot;
            *slot = entry;
            entry = rest;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->mask = new_count - 1;
    return true;
}

bool tree_table_reserve(struct tree *tree, enum tree_which which)
{
    const struct table *table = table_of(tree, which);
    return (table->buckets && table->count <= table->mask) || table_grow(tree, which);
}

void tree_table_add(struct tree *tree, enum tree_which which, struct entry *entry)
{
    struct table *table = table_of(tree, which);
    struct entry **slot = &table->buckets[hash_of(tree, entry, which) & table->mask];
    *chain_of(entry, which) = *slot;
    *slot = entry;
    table->count++;
}

void tree_table_drop(struct tree *tree, enum tree_which which, struct entry *entry)
{
    struct table *table = table_of(tree, which);
    struct entry **link = &table->buckets[hash_of(tree, entry, which) & table->mask];
    while (*link != entry) {
        link = chain_of(*link, which);
    }
    *link = *chain_of(entry, which);
    table->count--;
}

struct entry *tree_chain_name(const struct tree *tree, const struct entry *parent,
                              struct bytes name)
{
    return tree->names.buckets[hash_name(tree, parent, name) & tree->names.mask];
}

struct entry *tree_chain_file(const struct tree *tree, struct file_id file)
{
    return tree->files.buckets[hash_file(tree, file) & tree->files.mask];
}

struct entry *tree_chain_id(const struct tree *tree, int64_t id)
{
    return tree->ids.buckets[hash_id(tree, id) & tree->ids.mask];
}
