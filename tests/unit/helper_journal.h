/* helper_journal.h: a journal in a temporary directory, and a naive model of the folder
 * from which edits are made: the model keeps its entries in a plain array and finds them
 * by walking it. What the journal, a reader or a mirror hold is compared with it. */
#ifndef SPOOR_HELPER_JOURNAL_H
#define SPOOR_HELPER_JOURNAL_H

#include "change.h"
#include "err.h"
#include "journal.h"
#include "reader.h"

struct model_entry {
    int64_t id, parent;
    char *name;
    enum entry_type type;
    struct entry_attrs attrs; /* target owned */
    struct file_id file;
};

struct box {
    char dir[128];
    struct journal *journal;
    struct err err;
    int64_t wall_ms; /* of the next commit; grows by 1000 */
    uint64_t next_ino;
    struct model_entry *entries;
    size_t entry_count, entry_cap;
    struct edit *edits; /* not committed yet */
    size_t edit_count, edit_cap;
    int64_t rows; /* of these, those that make a row */
    char **strings;
    size_t string_count, string_cap;
};

/* A temporary directory with an open journal of folder "docs". */
void box_open(struct box *box);
/* Closes the journal, if open, and removes the directory. */
void box_close(struct box *box);
/* Closes and opens the journal. */
void box_reopen(struct box *box);
/* The same, expecting `code`; the journal is open when that is 0. */
void box_expect_open(struct box *box, int code);
/* d, d/f, d/e, d/e/g, l -> d/f, fifo: rows and ids 1 to 6, in one commit. */
void box_fill(struct box *box);
/* A path in the box, until the next call. */
const char *box_file(const struct box *box, const char *name);
void box_put_file(const struct box *box, const char *name, const void *bytes, size_t len);
/* Loads the tree and forgets it; the code of that. */
int box_load(struct box *box);

/* Each changes the model and adds an edit. Paths are NUL-terminated, relative. */
void box_create(struct box *box, const char *path, enum entry_type type);
void box_link(struct box *box, const char *path, const char *target);
void box_write(struct box *box, const char *path);
void box_replace(struct box *box, const char *path); /* modify by another file */
void box_chmod(struct box *box, const char *path, uint32_t mode);
void box_touch(struct box *box, const char *path); /* quiet */
void box_delete(struct box *box, const char *path);
void box_move(struct box *box, const char *from, const char *to); /* replaces a file there */
void box_exchange(struct box *box, const char *from, const char *to);
/* Any of these at random over a small set of names; may add nothing. */
void box_random(struct box *box, unsigned *seed);

/* A copy of a string that lives as long as the box. */
char *box_keep(struct box *box, const char *text);

/* Commits what was added, asserting success; returns the last seq. */
int64_t box_commit(struct box *box);
/* Forgets the edits (the model keeps them). */
void box_drop_edits(struct box *box);

size_t model_find(const struct box *box, const char *path); /* entry_count: nothing */
int64_t model_count_below(const struct box *box, int64_t id);
/* The path, in memory of the box. */
char *model_path(struct box *box, size_t index);

/* Opens a reader of the box. */
struct reader *box_reader(struct box *box);
/* A tree given entry by entry, against the model: the same set, in the order of reader_tree(). */
struct tree_check {
    struct box *box;
    bool files; /* identity and ctime too */
    size_t seen;
    char last[4096];
};
int tree_check_entry(void *check, const struct reader_entry *entry);
/* The journal's tree, read and loaded, is the model. */
void box_check(struct box *box);

/* Runs SQL on the box's database by a connection of its own; asserts success. */
void box_sql(struct box *box, const char *text);
/* The one value that a SELECT gives, as text ("" NULL), in memory of the box. */
const char *box_select(struct box *box, const char *text);

/* All rows first..last as a batch in wire form. */
struct buf;
struct mirror_batch;
void box_batch(struct box *box, int64_t first, int64_t last, struct buf *rows,
               struct mirror_batch *out);

#endif
