/* folder_rekey.c: a folder whose files are all others, yet the same: a restored backup, a cloned
 * disk, a file system that numbers its files anew with each mount. Names, types, sizes and times
 * agree, identities do not. Taking that for a million deletes and creates would be true and useless
 * (RULES 2): the identities are written anew, without a row. What does not agree is left to the
 * comparison. The folder's thread. */
#include "folder_private.h"

#include "journal.h"

struct rekey {
    struct folder *folder;
    const struct entry **chain; /* of one directory, itself first */
    int64_t count;
    bool weak;  /* the old identities mean nothing: none is proof of a move, and none may stay */
    bool write; /* else it is only counted */
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

int folder_write_identity(void *ctx, struct entry *entry, struct file_id file, int64_t ctime_ns)
{
    struct folder *folder = ctx;
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
    return script_add(folder->script, &edit) ? 0 : ERR_NOMEM;
}

static void renew(struct rekey *rekey, struct entry *entry, struct file_id file, int64_t ctime_ns)
{
    struct folder *folder = rekey->folder;
    rekey->count++;
    if (!rekey->write) {
        return;
    }
    if (entry_is_dir(entry) && entry->watch >= 0) {
        folder->disk.ops->unwatch(folder->disk.ctx, entry->watch); /* it tells of the old one */
        entry->watch = -1;
    }
    if (folder_write_identity(folder, entry, file, ctime_ns) != 0) {
        rekey->rc = err_set(rekey->err, ERR_NOMEM, 0, "re-keying: out of memory");
    }
}

/* What is not where it was may not keep a number that is somebody else's by now: it gets one that
 * no file has, until it is seen again. */
static void lose(struct rekey *rekey, struct entry *entry)
{
    struct file_id none = {(uint64_t)entry->id, UINT64_MAX};
    if (rekey->write && rekey->weak && !file_id_equal(entry->file, none)) {
        renew(rekey, entry, none, entry_is_dir(entry) ? 0 : entry->ctime_ns);
        rekey->count--; /* it is not the same as before: it is not known */
    }
}

/* What the tree has under another name was moved here: no copy, and never two entries of one. */
static bool is_known(const struct rekey *rekey, struct file_id file, enum entry_type type)
{
    struct tree *tree = rekey->folder->tree;
    if (rekey->weak) {
        return false;
    }
    if (type == ENTRY_DIR) {
        return file_id_equal(tree_root(tree)->file, file) || tree_dir(tree, file);
    }
    tree_load_file(tree, file);
    return tree_first(tree, file) != NULL;
}

static void rekey_file(struct rekey *rekey, struct entry *entry, struct disk_dir *open)
{
    const struct disk *disk = &rekey->folder->disk;
    const struct disk_entry *look = &rekey->look;
    enum disk_answer answer = disk->ops->look(disk->ctx, open, entry_name(entry), &rekey->look);
    if (answer != DISK_PRESENT || entry->type != look->type) {
        lose(rekey, entry);
    } else if (file_id_equal(entry->file, look->file)) {
        return;
    } else if (!tree_agrees(entry, look->type, &look->attrs)) {
        lose(rekey, entry);
    } else if (!is_known(rekey, look->file, look->type)) {
        renew(rekey, entry, look->file, look->attrs.ctime_ns);
    }
}

/* The files of a directory; `open` NULL: it is not there or cannot be read. */
static void rekey_files(struct rekey *rekey, struct entry *dir, struct disk_dir *open)
{
    tree_load_children(rekey->folder->tree, dir);
    for (struct entry *entry = dir->child; entry && rekey->rc == 0; entry = entry->next) {
        if (entry_is_dir(entry)) {
            continue;
        }
        if (open) {
            rekey_file(rekey, entry, open);
        } else {
            lose(rekey, entry);
        }
    }
    tree_unload_files(rekey->folder->tree);
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
        /* The comparison says what of it. */
        if (dir->parent) {
            lose(rekey, dir);
        }
        if (rekey->weak && rekey->write) {
            rekey_files(rekey, dir, NULL);
        }
    } else {
        bool same = !dir->parent || file_id_equal(dir->file, file);
        if (!same && !is_known(rekey, file, ENTRY_DIR)) {
            renew(rekey, dir, file, 0);
            same = true;
        }
        if (same) {
            rekey_files(rekey, dir, open);
        }
        folder->disk.ops->close(folder->disk.ctx, open);
    }
    if (rekey->rc == 0 && script_count(folder->script) >= FOLDER_COMMIT_EDITS) {
        rekey->rc = folder_commit(folder, rekey->err);
    }
    return rekey->rc ? rekey->rc : tree_failed(folder->tree, rekey->err);
}

static int walk(struct rekey *rekey)
{
    rekey->count = 0;
    script_clear(rekey->folder->script);
    int rc = tree_each_dir(rekey->folder->tree, rekey_dir, rekey);
    return rc ? rc : folder_commit(rekey->folder, rekey->err);
}

int folder_rekey(struct folder *folder, int64_t *count, struct err *err)
{
    struct rekey rekey = {.folder = folder, .err = err, .weak = folder->weak};
    rekey.chain = calloc(TREE_DEPTH_MAX, sizeof(struct entry *));
    if (!rekey.chain) {
        return err_set(err, ERR_NOMEM, 0, "re-keying: out of memory");
    }
    /* As long as the numbers have lasted, a number elsewhere is a move. */
    int rc = rekey.weak ? walk(&rekey) : 0;
    if (rc == 0 && (!rekey.weak || rekey.count > 0)) {
        rekey.write = true;
        rc = walk(&rekey);
    }
    free(rekey.chain);
    *count = rekey.count;
    return rc;
}
