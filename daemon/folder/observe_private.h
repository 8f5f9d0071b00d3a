/* observe_private.h: the state of a round, shared by observe.c (begin and end), observe_look.c
 * (names to facts), observe_list.c (directories to names), observe_weak.c (identities that do
 * not last) and observe_stored.c (names that are found under other bytes). */
#ifndef SPOOR_OBSERVE_PRIVATE_H
#define SPOOR_OBSERVE_PRIVATE_H

#include "arena.h"
#include "buf.h"
#include "observe.h"
#include "reach.h"

/* Names to be looked at, with what the dirty set knew of them; their bytes live as long as the
 * round. */
struct observe_items {
    struct settle_name *at;
    size_t count, cap;
    size_t next; /* a queue reads from here */
};

/* What the round knows of a directory beyond its facts. */
struct observe_dir {
    struct observe_dir *chain;
    struct file_id dir;
    bool pending; /* to be listed */
    bool deep;    /* ... with all directories below it */
    bool listed;
    bool failed;  /* tried, and could not be */
    bool watched; /* `watch` was made in this round */
    bool kept;    /* ... and is the one that the tree has */
    bool limit;   /* it could not be watched: the system's limit */
    bool away;    /* not where the tree has it, and not found */
    bool again;   /* its rules changed when names were already decided: list it once more, later */
    bool later;   /* list it in the next round: what was told of one name was meant for another, or
                     it went while it was listed */
    uint8_t failures;
    int32_t watch;
    int32_t replaced;          /* the watch that the tree had for it before, -1 none */
    const struct bytes *names; /* sorted, where names may be found under other bytes; else NULL */
    size_t name_count;
};

struct observe {
    struct observe_env env;
    struct facts *facts;
    struct facts *unknown; /* names whose look gave no answer */
    struct facts *peeked;
    struct facts *queued; /* keys that are or were in `queue` or `blocked`: each once a round */
    struct reach *reach;
    struct arena arena;
    struct observe_items queue, blocked, failed;
    struct observe_items selves;  /* directories told by themselves, as the name "." */
    struct observe_items resting; /* looked at while busy, or partial: may be due once more */
    struct observe_dir **dirs;    /* in the order they turned up */
    size_t dir_count, dir_cap;
    struct observe_dir **dir_table;
    size_t dir_mask;
    struct disk_entry look;     /* of the latest look */
    struct rules_level *levels; /* TREE_DEPTH_MAX: directories above a name */
    struct buf names, path, text;
    int64_t now_ns;
    int64_t since_ns; /* what the round took was dirty since then, at the longest */
    bool defer;
    int rc; /* sticky: memory */
};

/* observe_look.c */
void observe_push(struct observe *o, struct file_id dir, struct bytes name);
/* The same with what the dirty set knew of it. */
void observe_queue_item(struct observe *o, const struct settle_name *item);
/* The round takes something that is dirty since then. */
void observe_since(struct observe *o, int64_t first_ns);
/* Is the name a fact, or unknown, or waiting to be looked at? */
bool observe_has(const struct observe *o, struct file_id dir, struct bytes name);
void observe_push_item(struct observe *o, struct observe_items *items,
                       const struct settle_name *item);
/* Looks at everything queued. */
void observe_run_queue(struct observe *o);
/* Queues again what was blocked and can be reached now; true when anything was. */
bool observe_retry_blocked(struct observe *o);
/* The look itself: the answer, and o->look. */
enum disk_answer observe_look(struct observe *o, struct disk_dir *dir, struct file_id dir_id,
                              struct bytes name);
/* Turns the latest look (answer, o->look) into a fact and queues what follows from it. */
void observe_note(struct observe *o, const struct settle_name *item, enum disk_answer answer);
/* Is it ignored? By the place a fact gave its directory, else by the tree. */
bool observe_ignored(struct observe *o, struct file_id dir, struct bytes name, bool is_dir);
/* True when the name's directory is in the tree or was placed by a fact. */
bool observe_knows_dir(const struct observe *o, struct file_id dir);
/* The newest fact that places this directory, or NULL. */
const struct fact *observe_place(const struct observe *o, struct file_id dir);
void observe_trouble(struct observe *o, struct file_id dir, struct bytes name, int os);

/* observe_list.c */
struct observe_dir *observe_dir_of(struct observe *o, struct file_id dir);
void observe_set_pending(struct observe *o, struct file_id dir, bool deep);
/* Reads dir/.spoorignore, or learns that there is none; a change has the directory listed deeply.
 * False: it cannot be read, so what it hides is not known. */
bool observe_load_rules(struct observe *o, struct file_id dir, struct disk_dir *open, bool present);
/* Lists what is to be listed, within the budget; true when something was. */
bool observe_list_dirs(struct observe *o);
bool observe_lists_left(struct observe *o);
/* The names of o->names, sorted; in the arena. NULL: no memory. */
struct bytes *observe_sort_names(struct observe *o, size_t *count);
int observe_compare_names(const void *x, const void *y); /* for qsort() and bsearch() */
/* Looks at the identity of every dirty name: one that holds a missing entry, or one below it, or is
 * a directory unknown so far, is queued. */
void observe_peek(struct observe *o);
/* Marks the tree's entries that lost their name and turned up nowhere (TREE_MISSING). */
struct observe_missing {
    size_t count;
    bool has_dir;
};
struct observe_missing observe_mark_missing(struct observe *o, bool on);

#define TREE_MISSING 32

/* observe_stored.c */
/* What the latest look (answer, o->look) at a hinted name is worth: present only if the directory
 * holds these very bytes. `again`: something was told of the name since the round began. */
enum disk_answer observe_stored(struct observe *o, const struct settle_name *item,
                                struct disk_dir *open, bool again, enum disk_answer answer);

/* observe_weak.c */
/* Gives entries that are the same under another identity that identity; true when any was. */
bool observe_renew_weak(struct observe *o);
/* Must a directory that the tree knows be listed deeply where it turns up under another name? By
 * its identity alone it may be another one, or other rules may apply to what is below. */
bool observe_lists_moved(const struct observe *o);

#endif
