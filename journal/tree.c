/* tree.c: see tree.h. Entries, their places and their counts. */
#include "tree_private.h"

#include "buf.h"
#include "osfile.h"

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

void tree_drop_entry(struct tree *tree, struct entry *entry)
{
    tree_table_drop(tree, BY_NAME, entry);
    tree_table_drop(tree, BY_FILE, entry);
    if (entry_is_dir(entry)) {
        tree_table_drop(tree, BY_ID, entry);
        tree->dir_count--;
        if (entry->watch >= 0 && tree->unwatch) {
            tree->unwatch(tree->unwatch_ctx, entry->watch);
        }
    } else {
        tree_forget_loaded(tree, entry);
    }
    unlink_child(entry);
    free_entry(entry);
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
    if (!tree->root || !tree_table_reserve(tree, BY_NAME) || !tree_table_reserve(tree, BY_FILE) ||
        !tree_table_reserve(tree, BY_ID)) {
        tree_free(tree);
        return ERR_NOMEM;
    }
    tree_table_add(tree, BY_FILE, tree->root);
    tree_table_add(tree, BY_ID, tree->root);
    tree->dir_count = 1;
    *out = tree;
    return 0;
}

static struct entry *deepest_child(struct entry *entry)
{
    /* The analyzer does not see that a dropped entry has left its parent's list. */
    while (entry_is_dir(entry) && entry->child) { /* NOLINT(clang-analyzer-unix.Malloc) */
        entry = entry->child;
    }
    return entry;
}

static void drop_below(struct tree *tree, struct entry *top)
{
    while (top->child) {
        tree_drop_entry(tree, deepest_child(top));
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
    if (known || !tree_table_reserve(tree, BY_NAME) || !tree_table_reserve(tree, BY_FILE) ||
        !tree_table_reserve(tree, BY_ID) || !(entry = new_entry(name, id, type, file)) ||
        tree_set_attrs(entry, attrs) != 0 ||
        (!entry_is_dir(entry) && !tree_remember_loaded(tree, entry))) {
        if (entry) {
            free_entry(entry);
        }
        tree_fail(tree, known ? ERR_CORRUPT : ERR_NOMEM, NULL);
        return NULL;
    }
    link_child(parent, entry);
    tree_table_add(tree, BY_NAME, entry);
    tree_table_add(tree, BY_FILE, entry);
    if (entry_is_dir(entry)) {
        tree_table_add(tree, BY_ID, entry);
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
    tree_drop_entry(tree, entry);
}

int tree_move(struct tree *tree, struct entry *entry, struct entry *parent, struct bytes name)
{
    uint32_t moved = weight(entry);
    tree_table_drop(tree, BY_NAME, entry);
    int rc = set_name(entry, name);
    if (rc == 0) {
        take_weight(entry->parent, moved);
        unlink_child(entry);
        link_child(parent, entry);
        add_weight(parent, moved);
    }
    tree_table_add(tree, BY_NAME, entry);
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
    tree_table_drop(tree, BY_NAME, y);
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
    tree_table_add(tree, BY_NAME, y);
    free(x_name);
    return rc;
}

void tree_rekey(struct tree *tree, struct entry *entry, struct file_id file)
{
    tree_table_drop(tree, BY_FILE, entry);
    entry->file = file;
    tree_table_add(tree, BY_FILE, entry);
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

bool tree_agrees(const struct entry *entry, enum entry_type type, const struct entry_attrs *attrs)
{
    if (entry->type != type || type == ENTRY_DIR) {
        return entry->type == type;
    }
    return entry->size == attrs->size && entry->mtime_ns == attrs->mtime_ns &&
           bytes_equal(bytes_of(entry->target, entry->target_len), attrs->target);
}

struct entry *tree_find(const struct tree *tree, const struct entry *parent, struct bytes name)
{
    struct entry *entry = tree_chain_name(tree, parent, name);
    while (entry && (entry->parent != parent || !bytes_equal(entry_name(entry), name))) {
        entry = entry->by_name;
    }
    return entry;
}

struct entry *tree_first(const struct tree *tree, struct file_id file)
{
    struct entry *entry = tree_chain_file(tree, file);
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
    struct entry *entry = tree_chain_id(tree, id);
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

void tree_on_unwatch(struct tree *tree, void (*left)(void *ctx, int32_t watch), void *ctx)
{
    tree->unwatch = left;
    tree->unwatch_ctx = ctx;
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
