/* reconcile.h: facts + tree -> an ordered edit script. A pure function: it knows no
 * disk, no clock and no database.
 *
 * It first makes the facts consistent (the world moved between the looks: facts that
 * contradict each other are voided and their names looked at again later), then finds
 * moves by identity, then emits edits in an order in which each is applicable when its
 * turn comes: parents exist, targets are free, what leaves a directory leaves before it
 * dies; swaps become one exchange, longer cycles park one entry at a temporary name. The
 * tree is edited along the way, row by row. docs/proof.md (rules 3 and 4) names, for each thing
 * that must not be left out, the shortest sequence that breaks without it. */
#ifndef SPOOR_RECONCILE_H
#define SPOOR_RECONCILE_H

#include "change.h"

struct err;
struct facts;
struct script;
struct tree;

#define RECONCILE_DEFERRALS_MAX 3 /* then a name is decided with what is known */
#define RECONCILE_WAITS_MAX     6 /* for an identity whose old name is undecided */
#define RECONCILE_PARK_PREFIX   ".spoor-park-"

struct reconcile_input {
    struct facts *facts;
    bool defer;       /* a directory that could hold a missing entry is not listed yet */
    bool weak;        /* identities do not last (RULES 2): a file's alone is no proof of a move */
    int64_t next_seq; /* of the first row; a created entry's id is the seq of its row */
};

/* Appends to `script`, edits `tree`, sets `voided` and `deferrals` in the facts. On failure
 * (ERR_NOMEM, or ERR_CORRUPT for what should be impossible) the tree is undefined and must be
 * loaded again; nothing of the script may be committed. */
int reconcile(struct tree *tree, const struct reconcile_input *input, struct script *script,
              struct err *err);

/* The script and the memory of its bytes. */
int script_new(struct script **out);
void script_free(struct script *script);
void script_clear(struct script *script);
size_t script_count(const struct script *script);
size_t script_rows(const struct script *script); /* without the quiet edits */
/* One array of script_count() edits, from the index on; valid until the next add. */
struct edit *script_get(const struct script *script, size_t index);
/* Adds a copy of `edit`, its bytes copied too; NULL: no memory. */
struct edit *script_add(struct script *script, const struct edit *edit);

#endif
