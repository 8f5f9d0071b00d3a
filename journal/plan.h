/* plan.h: what each valid fact asks for, once the facts are consistent: between reconcile.c,
 * which decides it, and emit.c, which puts it in an order that can be applied. */
#ifndef SPOOR_PLAN_H
#define SPOOR_PLAN_H

#include "facts.h"
#include "reconcile.h"
#include "tree.h"

enum plan_want {
    WANT_NOTHING, /* absent, or already as it should be */
    WANT_MOVE,    /* `source` comes to this name */
    WANT_CREATE,
};

struct plan_item {
    struct fact *fact;
    enum plan_want want;
    struct entry *source; /* the entry that moves here */
    struct entry *victim; /* the entry under this name that ends; NULL when done or none */
    struct entry *kept;   /* the entry whose attributes are compared at the end */
    bool moved;           /* `kept` came here by a move in this round */
    uint8_t hints;        /* of this name and of the name that the source left */
    struct actor actor;   /* of this name, else of the name that the source left */
};

struct plan {
    struct tree *tree;
    struct facts *facts;
    struct plan_item *items; /* one for each fact, same index (fact->clock - 1) */
    size_t count;
    bool weak;      /* as in struct reconcile_input */
    size_t waiting; /* items that still want something or hold a victim */
    struct script *script;
    int64_t next_seq;
    size_t parked; /* entries that stand at a temporary name now */
    int64_t park_count;
};

/* Emits everything, editing the tree row by row. 0, ERR_NOMEM, or ERR_CORRUPT. */
int plan_emit(struct plan *plan, struct err *err);
/* The plan's item for a name of the tree: of the fact about it, valid or not; NULL without one. */
struct plan_item *plan_about(const struct plan *plan, struct file_id dir, struct bytes name);

/* plan_attrs.c */
/* The kind of the row, if any, that brings `item->kept` to what the fact says. CHANGE_GAP stands
 * for "no row, but remember the ctime". 0: nothing differs. */
int plan_compare_attrs(const struct plan *plan, const struct plan_item *item);
/* A write through another name of the file is this one's change, too. */
struct actor plan_actor(const struct plan *plan, const struct plan_item *item);

#endif
