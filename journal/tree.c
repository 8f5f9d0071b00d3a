/* tree.c: see tree.h. Three hash tables over the same entries: by (parent, name) and by file
 * identity for all that is loaded, by logical id for directories (files are never asked for by id).
 * Chains are intrusive; tables double when they hold as many entries as buckets. */
#include "tree.h"

#include "buf.h"
#include "err.h"
#include "hash.h"
#include "osfile.h"

enum { FIRST_BUCKETS = 64 };

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

enum which { BY_NAME, BY_FILE, BY_ID };

static struct entry **chain_of(struct entry *entry, enum which which)
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

static uint64_t hash_of(const struct tree *tree, const struct entry *entry, enum which which)
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

static struct table *table_of(struct tree *tree, enum which which)
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

static bool table_grow(struct tree *tree, enum which which)
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

static bool table_reserve(struct tree *tree, enum which which)
{
    const struct table *table = table_of(tree, which);
    return (table->buckets && table->count <= table->mask) || table_grow(tree, which);
}

static void table_add(struct tree *tree, enum which which, struct entry *entry)
{
    struct table *table = table_of(tree, which);
    struct entry **slot = &table->buckets[hash_of(tree, entry, which) & table->mask];
    *chain_of(entry, which) = *slot;
    *slot = entry;
    table->count++;
}

static void table_drop(struct tree *tree, enum which which, struct entry *entry)
{
    struct table *table = table_of(tree, which);
    struct entry **link = &table->buckets[hash_of(tree, entry, which) & table->mask];
    while (*link != entry) {
        link = chain_of(*link, which);
    }
    *link = *chain_of(entry, which);
    table->count--;
}

/* --- entries --- */

static int set_name(struct entry *entry, struct bytes name)
{
    if (name.len > UINT16_MAX) {
        return ERR_LIMIT;
    }
    char *at = entry->small;
    if (name.len >= sizeof entry->small) {
        at = malloc(name.len + 1);
        if (!at) {
            return ERR_NOMEM;
        }
    }
    char *old = entry->name;
    if (name.len) {
        memmove(at, name.at, name.len);
    }
    at[name.len] = '\0';
    if (old && old != entry->small) {
        free(old);
    }
    entry->name = at;
    entry->name_len = (uint16_t)name.len;
    return 0;
}

static void free_entry(struct entry *entry)
{
    if (entry->name && entry->name != entry->small) {
        free(entry->name);
    }
    if (!entry_is_dir(entry)) {
        free(entry->target);
    }
    free(entry);
}

static struct entry *new_entry(struct bytes name, int64_t id, enum entry_type type,
                               struct file_id file)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry) {
        return NULL;
    }
    entry->id = id;
    entry->type = (uint8_t)type;
    entry->file = file;
    if (entry_is_dir(entry)) {
        entry->watch = -1;
    }
    if (set_name(entry, name) != 0) {
        free(entry);
        return NULL;
    }
    return entry;
}

static void link_child(struct entry *parent, struct entry *entry)
{
    entry->parent = parent;
    entry->prev = NULL;
    entry->next = parent->child;
    if (parent->child) {
        parent->child->prev = entry;
    }
    parent->child = entry;
}

static void unlink_child(struct entry *entry)
{
    if (entry->prev) {
        entry->prev->next = entry->next;
    } else {
        entry->parent->child = entry->next;
    }
    if (entry->next) {
        entry->next->prev = entry->prev;
    }
    entry->prev = entry->next = NULL;
}

static uint32_t weight(const struct entry *entry)
{
    return entry_is_dir(entry) ? entry->entries + 1 : 1;
}

static void add_weight(struct entry *dir, uint32_t by)
{
    for (; dir; dir = dir->parent) {
        dir->entries += by;
    }
}

static void take_weight(struct entry *dir, uint32_t by)
{
    for (; dir; dir = dir->parent) {
        dir->entries -= by;
    }
}

static bool remember_loaded(struct tree *tree, struct entry *entry)
{
    if (!tree->has_source) {
        return true;
    }
    if (tree->loaded_count == tree->loaded_cap) {
        size_t cap = tree->loaded_cap ? tree->loaded_cap * 2 : 256;
        struct entry **grown = realloc(tree->loaded, cap * sizeof(struct entry *));
        if (!grown) {
            return false;
        }
        tree->loaded = grown;
        tree->loaded_cap = cap;
    }
    tree->loaded[tree->loaded_count++] = entry;
    return true;
}

/* Takes one entry without children out of every table and frees it. */
static void drop_entry(struct tree *tree, struct entry *entry)
{
    table_drop(tree, BY_NAME, entry);
    table_drop(tree, BY_FILE, entry);
    if (entry_is_dir(entry)) {
        table_drop(tree, BY_ID, entry);
        tree->dir_count--;
        if (entry->watch >= 0 && tree->unwatch) {
            tree->unwatch(tree->unwatch_ctx, entry->watch);
        }
    } else if (tree->has_source) {
        /* Its slot in `loaded` is found from the end: what is dropped was loaded lately. */
        for (size_t i = tree->loaded_count; i-- > 0;) {
            if (tree->loaded[i] == entry) {
                tree->loaded[i] = tree->loaded[--tree->loaded_count];
                break;
            }
        }
    }
    unlink_child(entry);
    free_entry(entry);
}

static void fail(struct tree *tree, int code, const struct err *err)
{
    if (tree->failure.code == 0) {
        if (err && err->code) {
            tree->failure = *err;
        } else {
            (void)err_set(&tree->failure, code, 0, "tree table: %s", err_code_name(code));
        }
    }
}

int tree_new(struct tree **out, const struct tree_source *source_or_null)
{
    struct tree *tree = calloc(1, sizeof *tree);
    if (!tree) {
        return ERR_NOMEM;
    }
    if (source_or_null) {
        tree->source = *source_or_null;
        tree->has_source = true;
    }
    /* Against names chosen to collide; without random bytes the table is slow then, not wrong. */
    if (osfile_random(&tree->key, sizeof tree->key, NULL) != 0) {
        tree->key = (struct hash_key){1, 2};
    }
    tree->root = new_entry(bytes_str(""), 0, ENTRY_DIR, (struct file_id){0, 0});
    if (!tree->root || !table_reserve(tree, BY_NAME) || !table_reserve(tree, BY_FILE) ||
        !table_reserve(tree, BY_ID)) {
        tree_free(tree);
        return ERR_NOMEM;
    }
    table_add(tree, BY_FILE, tree->root);
    table_add(tree, BY_ID, tree->root);
    tree->dir_count = 1;
    *out = tree;
    return 0;
}

static struct entry *deepest_child(struct entry *entry)
{
    while (entry_is_dir(entry) && entry->child) {
        entry = entry->child;
    }
    return entry;
}

static void drop_below(struct tree *tree, struct entry *top)
{
    while (top->child) {
        drop_entry(tree, deepest_child(top));
    }
}

void tree_clear(struct tree *tree)
{
    drop_below(tree, tree->root);
    tree_set_root(tree, (struct file_id){0, 0}, 0);
    tree->root->entries = 0;
    tree->root->watch = -1;
    tree->root->flags = 0;
    tree->failure = (struct err){0};
}

void tree_free(struct tree *tree)
{
    if (!tree) {
        return;
    }
    if (tree->root) {
        if (tree->ids.count) {
            drop_below(tree, tree->root);
        }
        free_entry(tree->root);
    }
    free(tree->names.buckets);
    free(tree->files.buckets);
    free(tree->ids.buckets);
    free(tree->loaded);
    free(tree);
}

struct entry *tree_root(struct tree *tree)
{
    return tree->root;
}

void tree_set_root(struct tree *tree, struct file_id file, uint32_t mode)
{
    tree_rekey(tree, tree->root, file);
    tree->root->mode = mode;
}

struct entry *tree_insert(struct tree *tree, struct entry *parent, struct bytes name, int64_t id,
                          enum entry_type type, struct file_id file,
                          const struct entry_attrs *attrs, bool counted)
{
    struct entry *known = tree_find(tree, parent, name);
    if (known && known->id == id) {
        return known;
    }
    struct entry *entry = NULL;
    if (known || !table_reserve(tree, BY_NAME) || !table_reserve(tree, BY_FILE) ||
        !table_reserve(tree, BY_ID) || !(entry = new_entry(name, id, type, file)) ||
        tree_set_attrs(entry, attrs) != 0 ||
        (!entry_is_dir(entry) && !remember_loaded(tree, entry))) {
        if (entry) {
            free_entry(entry);
        }
        fail(tree, known ? ERR_CORRUPT : ERR_NOMEM, NULL);
        return NULL;
    }
    link_child(parent, entry);
    table_add(tree, BY_NAME, entry);
    table_add(tree, BY_FILE, entry);
    if (entry_is_dir(entry)) {
        table_add(tree, BY_ID, entry);
        tree->dir_count++;
    }
    if (counted) {
        add_weight(parent, 1);
    }
    return entry;
}

void tree_count_files(struct entry *parent, uint32_t count)
{
    add_weight(parent, count);
}

void tree_remove(struct tree *tree, struct entry *entry)
{
    take_weight(entry->parent, weight(entry));
    if (entry_is_dir(entry)) {
        drop_below(tree, entry);
    }
    drop_entry(tree, entry);
}

int tree_move(struct tree *tree, struct entry *entry, struct entry *parent, struct bytes name)
{
    uint32_t moved = weight(entry);
    table_drop(tree, BY_NAME, entry);
    int rc = set_name(entry, name);
    if (rc == 0) {
        take_weight(entry->parent, moved);
        unlink_child(entry);
        link_child(parent, entry);
        add_weight(parent, moved);
    }
    table_add(tree, BY_NAME, entry);
    return rc;
}

int tree_exchange(struct tree *tree, struct entry *x, struct entry *y)
{
    struct entry *x_parent = x->parent;
    struct entry *y_parent = y->parent;
    char *x_name = malloc((size_t)x->name_len + 1);
    if (!x_name) {
        return ERR_NOMEM;
    }
    size_t x_len = x->name_len;
    memcpy(x_name, x->name, x_len + 1);
    /* Both leave the table of names first: for a moment they share a key. */
    table_drop(tree, BY_NAME, y);
    int rc = tree_move(tree, x, y_parent, entry_name(y));
    if (rc == 0) {
        uint32_t moved = weight(y);
        rc = set_name(y, bytes_of(x_name, x_len));
        if (rc == 0) {
            take_weight(y_parent, moved);
            unlink_child(y);
            link_child(x_parent, y);
            add_weight(x_parent, moved);
        }
    }
    table_add(tree, BY_NAME, y);
    free(x_name);
    return rc;
}

void tree_rekey(struct tree *tree, struct entry *entry, struct file_id file)
{
    table_drop(tree, BY_FILE, entry);
    entry->file = file;
    table_add(tree, BY_FILE, entry);
}

int tree_set_attrs(struct entry *entry, const struct entry_attrs *attrs)
{
    entry->mode = attrs->mode;
    if (entry_is_dir(entry)) {
        return 0;
    }
    char *target = NULL;
    if (attrs->target.len) {
        if (attrs->target.len > UINT16_MAX) {
            return ERR_LIMIT;
        }
        target = malloc(attrs->target.len);
        if (!target) {
            return ERR_NOMEM;
        }
        memcpy(target, attrs->target.at, attrs->target.len);
    }
    free(entry->target);
    entry->target = target;
    entry->target_len = (uint16_t)attrs->target.len;
    entry->size = attrs->size;
    entry->mtime_ns = attrs->mtime_ns;
    entry->ctime_ns = attrs->ctime_ns;
    return 0;
}

struct entry_attrs tree_attrs(const struct entry *entry)
{
    struct entry_attrs attrs = {.mode = entry->mode};
    if (!entry_is_dir(entry)) {
        attrs.size = entry->size;
        attrs.mtime_ns = entry->mtime_ns;
        attrs.ctime_ns = entry->ctime_ns;
        attrs.target = bytes_of(entry->target, entry->target_len);
    }
    return attrs;
}

struct entry *tree_find(const struct tree *tree, const struct entry *parent, struct bytes name)
{
    struct entry *entry = tree->names.buckets[hash_name(tree, parent, name) & tree->names.mask];
    while (entry && (entry->parent != parent || !bytes_equal(entry_name(entry), name))) {
        entry = entry->by_name;
    }
    return entry;
}

struct entry *tree_at(struct tree *tree, struct entry *parent, struct bytes name)
{
    struct entry *entry = tree_find(tree, parent, name);
    if (entry || !tree->has_source) {
        return entry;
    }
    struct err err = {0};
    int rc = tree->source.at(tree->source.ctx, tree, parent, name, &err);
    if (rc != 0) {
        fail(tree, rc, &err);
        return NULL;
    }
    return tree_find(tree, parent, name);
}

void tree_load_children(struct tree *tree, struct entry *parent)
{
    if (!tree->has_source) {
        return;
    }
    struct err err = {0};
    int rc = tree->source.children(tree->source.ctx, tree, parent, &err);
    if (rc != 0) {
        fail(tree, rc, &err);
    }
}

void tree_load_file(struct tree *tree, struct file_id file)
{
    if (!tree->has_source) {
        return;
    }
    struct err err = {0};
    int rc = tree->source.by_file(tree->source.ctx, tree, file, &err);
    if (rc != 0) {
        fail(tree, rc, &err);
    }
}

struct entry *tree_first(const struct tree *tree, struct file_id file)
{
    struct entry *entry = tree->files.buckets[hash_file(tree, file) & tree->files.mask];
    while (entry && !file_id_equal(entry->file, file)) {
        entry = entry->by_file;
    }
    return entry;
}

struct entry *tree_next(const struct entry *entry)
{
    struct entry *next = entry->by_file;
    while (next && !file_id_equal(next->file, entry->file)) {
        next = next->by_file;
    }
    return next;
}

struct entry *tree_dir(const struct tree *tree, struct file_id file)
{
    struct entry *entry = tree_first(tree, file);
    while (entry && !entry_is_dir(entry)) {
        entry = tree_next(entry);
    }
    return entry;
}

struct entry *tree_dir_by_id(const struct tree *tree, int64_t id)
{
    struct entry *entry = tree->ids.buckets[hash_id(tree, id) & tree->ids.mask];
    while (entry && entry->id != id) {
        entry = entry->by_id;
    }
    return entry;
}

bool tree_is_below(const struct entry *entry, const struct entry *top)
{
    while (entry && entry != top) {
        entry = entry->parent;
    }
    return entry != NULL;
}

void tree_add_path(const struct entry *entry, struct buf *out)
{
    size_t len = 0;
    for (const struct entry *e = entry; e->parent; e = e->parent) {
        len += (size_t)e->name_len + (e->parent->parent ? 1 : 0);
    }
    if (len == 0) {
        return;
    }
    char *end = buf_extend(out, len);
    if (!end) {
        return;
    }
    end += len;
    for (const struct entry *e = entry; e->parent; e = e->parent) {
        end -= e->name_len;
        memcpy(end, e->name, e->name_len);
        if (e->parent->parent) {
            *--end = '/';
        }
    }
}

void tree_unload_files(struct tree *tree)
{
    while (tree->loaded_count) {
        drop_entry(tree, tree->loaded[tree->loaded_count - 1]);
    }
}

void tree_note_child(struct entry *parent)
{
    parent->entries++;
}

struct dir_list {
    struct entry **items;
    size_t count;
};

static int collect_dir(void *ctx, struct entry *dir)
{
    struct dir_list *list = ctx;
    list->items[list->count++] = dir;
    return 0;
}

void tree_set_counts(struct tree *tree)
{
    struct dir_list list = {malloc(tree->dir_count * sizeof(struct entry *)), 0};
    if (!list.items) {
        fail(tree, ERR_NOMEM, NULL);
        return;
    }
    (void)tree_each_dir(tree, collect_dir, &list); /* collect_dir never stops it */
    for (size_t i = list.count; i-- > 1;) {
        list.items[i]->parent->entries += list.items[i]->entries;
    }
    free(list.items);
}

void tree_on_unwatch(struct tree *tree, void (*left)(void *ctx, int32_t watch), void *ctx)
{
    tree->unwatch = left;
    tree->unwatch_ctx = ctx;
}

int tree_failed(const struct tree *tree, struct err *err)
{
    if (tree->failure.code && err) {
        *err = tree->failure;
    }
    return tree->failure.code;
}

size_t tree_dir_count(const struct tree *tree)
{
    return tree->dir_count;
}

int64_t tree_entry_count(const struct tree *tree)
{
    return tree->root->entries;
}

/* The entry itself or the first of its following siblings that is a directory. */
static struct entry *next_dir_sibling(struct entry *entry)
{
    while (entry && !entry_is_dir(entry)) {
        entry = entry->next;
    }
    return entry;
}

int tree_each_dir(struct tree *tree, int (*visit)(void *ctx, struct entry *dir), void *ctx)
{
    struct entry *dir = tree->root;
    while (dir) {
        int rc = visit(ctx, dir);
        if (rc != 0) {
            return rc;
        }
        struct entry *next = next_dir_sibling(dir->child);
        while (!next && dir->parent) {
            next = next_dir_sibling(dir->next);
            dir = dir->parent;
        }
        dir = next;
    }
    return 0;
}
