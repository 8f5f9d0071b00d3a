/* consistent.h: the first half of reconcile: facts that contradict each other, because the
 * world moved between the looks, are voided until the rest fits together. Private to
 * reconcile.c and emit.c. */
#ifndef SPOOR_CONSISTENT_H
#define SPOOR_CONSISTENT_H

#include "facts.h"
#include "tree.h"

/* The entry flag that marks a directory whose disappearance is decided in this round; its subtree
 * goes with it. Set by consistent(); it ends with the entry, since the plan deletes each of them.
 */
#define TREE_GONE 128

struct consistent {
    struct tree *tree;
    struct facts *facts;
    bool defer;
    struct entry **gone; /* entries that carry TREE_GONE */
    size_t gone_count, gone_cap;
};

/* 0 or ERR_NOMEM. Sets `voided` in facts. */
int consistent(struct consistent *state);
/* Frees the list; touches no entry, since those marked are gone by now. */
void consistent_end(struct consistent *state);

/* The tree's entry under a fact's name; NULL when none, or its directory is not in the tree. */
struct entry *fact_entry(const struct tree *tree, const struct fact *fact);
/* The very same file: identity and type. */
bool fact_is(const struct fact *fact, const struct entry *entry);
/* The valid fact that says where this directory is; NULL when no valid fact does. */
struct fact *fact_place(const struct facts *facts, struct file_id dir);
/* The valid fact about this entry's name, or NULL. */
struct fact *fact_about(const struct facts *facts, const struct entry *entry);

enum fate { FATE_STAYS, FATE_PLACED, FATE_GONE };
/* What happens to a directory of the tree: the nearest ancestor (or itself) that is decided. */
enum fate dir_fate(const struct facts *facts, const struct entry *dir);

#endif
