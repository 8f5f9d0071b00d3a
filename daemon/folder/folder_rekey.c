/* folder_rekey.c: a folder whose files are all others, yet the same: a restored backup, a cloned
 * disk. Names, types, sizes and times agree, identities do not. Taking that for a million deletes
 * and creates would be true and useless (RULES 2): the identities are written anew, without a row.
 * What does not agree is left to the comparison. The folder's thread. */
#include "folder_private.h"

#include "journal.h"

struct rekey {
    struct folder *folder;
    const struct entry **chain; /* of one directory, itself first */
    int64_t count;
    struct disk_entry look;
    int rc;
    struct err *err;
};

/* Opens a directory of the tree by names alone. */
static enum disk_answer open_by_names(struct rekey *rekey, const struct entry *dir,
                                      struct disk_dir **out, struct file_id *file)
{
    const struct disk *disk = &rekey->folder->disk;
    size_t depth = 0;
    int os;
    for (const struct entry *e = dir; e->parent; e = e->parent) {
        if (depth == TREE_DEPTH_MAX) {
            return DISK_UNKNOWN;
        }
        rekey->chain[depth++] = e;
    }
    enum disk_answer answer = disk->ops->open_root(disk->ctx, out, file, &os);
    while (answer == DISK_PRESENT && depth > 0) {
        struct disk_dir *above = *out;
        answer =
            disk->ops->open(disk->ctx, above, entry_name(rekey->chain[--depth]), out, file, &os);
        disk->ops->close(disk->ctx, above);
    }
    return answer;
}

static void write_identity(struct rekey *rekey, struct entry *entry, struct file_id file,
                           int64_t ctime_ns)
{
    struct folder *folder = rekey->folder;
    tree_rekey(folder->tree, entry, file);
    if (!entry_is_dir(entry)) {
        entry->ctime_ns = ctime_ns;
    }
    struct edit edit = {.kind = CHANGE_ATTRIB,
                        .quiet = true,
                        .type = (enum entry_type)entry->type,
                        .entry = entry->id,
                        .parent = entry->parent->id,
                        .name = entry_name(entry),
                        .attrs = tree_attrs(entry),
                        .file = file,
                        .path = entry_name(entry)}; /* for messages: a quiet edit has no row */
    if (!script_add(folder->script, &edit)) {
        rekey->rc = err_set(rekey->err, ERR_NOMEM, 0, "re-keying: out of memory");
    }
    rekey->count++;
}

/* What the tree has under another name was moved here: no copy, and never two entries of one. */
static bool is_known(const struct rekey *rekey, struct file_id file, enum entry_type type)
{
    struct tree *tree = rekey->folder->tree;
    if (type == ENTRY_DIR) {
        return file_id_equal(tree_root(tree)->file, file) || tree_dir(tree, file);
    }
    tree_load_file(tree, file);
    return tree_first(tree, file) != NULL;
}

/* The same thing under another identity? */
static bool agrees(const struct entry *entry, const struct disk_entry *look)
{
    if (entry->type != look->type || file_id_equal(entry->file, look->file)) {
        return false;
    }
    if (entry->type == ENTRY_FILE) {
        return entry->size == look->attrs.size && entry->mtime_ns == look->attrs.mtime_ns;
    }
    return entry->type == ENTRY_OTHER ||
           bytes_equal(bytes_of(entry->target, entry->target_len), look->attrs.target);
}

static void rekey_files(struct rekey *rekey, struct entry *dir, struct disk_dir *open)
{
    struct folder *folder = rekey->folder;
    tree_load_children(folder->tree, dir);
    for (struct entry *entry = dir->child; entry && rekey->rc == 0; entry = entry->next) {
        if (!entry_is_dir(entry) &&
            folder->disk.ops->look(folder->disk.ctx, open, entry_name(entry), &rekey->look) ==
                DISK_PRESENT &&
            agrees(entry, &rekey->look) && !is_known(rekey, rekey->look.file, rekey->look.type)) {
            write_identity(rekey, entry, rekey->look.file, rekey->look.attrs.ctime_ns);
        }
    }
    tree_unload_files(folder->tree);
}

static int rekey_dir(void *ctx, struct entry *dir)
{
    struct rekey *rekey = ctx;
    struct folder *folder = rekey->folder;
    struct disk_dir *open;
    struct file_id file;
    if (folder_stopping(folder)) {
        return err_set(rekey->err, ERR_CANCELLED, 0, "re-keying was stopped");
    }
    if (open_by_names(rekey, dir, &open, &file) != DISK_PRESENT) {
        return 0; /* not there: the comparison says what of it */
    }
    bool same = !dir->parent || file_id_equal(dir->file, file);
    if (!same && !is_known(rekey, file, ENTRY_DIR)) {
        write_identity(rekey, dir, file, 0);
        same = true;
    }
    if (same) {
        rekey_files(rekey, dir, open);
    }
    folder->disk.ops->close(folder->disk.ctx, open);
    if (rekey->rc == 0 && script_count(folder->script) >= FOLDER_COMMIT_EDITS) {
        rekey->rc = folder_commit(folder, rekey->err);
    }
    return rekey->rc ? rekey->rc : tree_failed(folder->tree, rekey->err);
}

int folder_rekey(struct folder *folder, int64_t *count, struct err *err)
{
    struct rekey rekey = {.folder = folder, .err = err};
    rekey.chain = calloc(TREE_DEPTH_MAX, sizeof(struct entry *));
    if (!rekey.chain) {
        return err_set(err, ERR_NOMEM, 0, "re-keying: out of memory");
    }
    script_clear(folder->script);
    int rc = tree_each_dir(folder->tree, rekey_dir, &rekey);
    rc = rc ? rc : folder_commit(folder, err);
    free(rekey.chain);
    *count = rekey.count;
    return rc;
}
