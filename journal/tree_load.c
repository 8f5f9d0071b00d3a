/* tree_load.c: what the tree gets from its source: single names, identities, the children of a
 * directory; and how it forgets files at the end of a round. */
#include "tree_private.h"

bool tree_remember_loaded(struct tree *tree, struct entry *entry)
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

void tree_forget_loaded(struct tree *tree, const struct entry *entry)
{
    /* Found from the end: what is dropped was loaded lately. */
    for (size_t i = tree->has_source ? tree->loaded_count : 0; i-- > 0;) {
        if (tree->loaded[i] == entry) {
            tree->loaded[i] = tree->loaded[--tree->loaded_count];
            return;
        }
    }
}

void tree_fail(struct tree *tree, int code, const struct err *err)
{
    if (tree->failure.code == 0) {
        if (err && err->code) {
            tree->failure = *err;
        } else {
            (void)err_set(&tree->failure, code, 0, "tree table: %s", err_code_name(code));
        }
    }
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
        tree_fail(tree, rc, &err);
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
        tree_fail(tree, rc, &err);
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
        tree_fail(tree, rc, &err);
    }
}

void tree_unload_files(struct tree *tree)
{
    while (tree->loaded_count) {
        tree_drop_entry(tree, tree->loaded[tree->loaded_count - 1]);
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
        tree_fail(tree, ERR_NOMEM, NULL);
        return;
    }
    (void)tree_each_dir(tree, collect_dir, &list); /* collect_dir never stops it */
    for (size_t i = list.count; i-- > 1;) {
        list.items[i]->parent->entries += list.items[i]->entries;
    }
    free(list.items);
}

int tree_failed(const struct tree *tree, struct err *err)
{
    if (tree->failure.code && err) {
        *err = tree->failure;
    }
    return tree->failure.code;
}
