/* settle_private.h: the dirty set's memory, shared by settle.c (what is due), settle_nodes.c
 * (names) and settle_marks.c (directories to be listed). */
#ifndef SPOOR_SETTLE_PRIVATE_H
#define SPOOR_SETTLE_PRIVATE_H

#include "hash.h"
#include "settle.h"

enum { SETTLE_FIRST_BUCKETS = 256 };

struct link {
    struct node *prev, *next;
};

/* Where a name stands. */
enum node_state {
    NODE_DIRTY, /* in age[level] and, unless it is held for a writer, in `quiet` */
    NODE_LATER, /* in `later`: put back, due at due_ns */
    NODE_REST,  /* in rest[level]: looked at while busy, and not dirty since */
};

struct node {
    struct node *chain;
    struct link place; /* in age[level], later or rest[level] */
    struct link quiet;
    struct file_id dir;
    int64_t first_ns, last_ns, due_ns;
    uint16_t name_len;
    uint8_t hints, deferrals, failures, level;
    uint8_t state; /* enum node_state */
    bool open;     /* written and not closed: held */
    bool partial;  /* journaled as partial: to be completed */
    bool in_quiet;
    struct actor actor; /* the last that is known */
    char name[];
};

struct list {
    struct node *head, *tail;
};

struct mark_node {
    struct mark_node *chain;
    struct mark_node *prev, *next; /* by due time */
    struct settle_mark mark;
};

struct settle {
    struct settle_times times;
    struct node **names;
    size_t names_mask, name_count;
    struct list age[SETTLE_LEVELS],
        rest[SETTLE_LEVELS]; /* each of one delay: first in, first due */
    struct list quiet, later;
    struct mark_node **marks;
    size_t marks_mask, mark_count;
    struct mark_node *marks_head, *marks_tail;
    size_t unknown_count; /* names in `later` after a failed look */
    size_t rest_count;
};

static inline uint64_t settle_hash(struct file_id dir, struct bytes name)
{
    return hash_bytes((struct hash_key){dir.a, dir.b}, name.at, name.len);
}

/* settle_nodes.c. A slot is where the table points at the node, or NULL there. */
struct node **settle_find(const struct settle *settle, struct file_id dir, struct bytes name);
/* In the table and in no list yet; NULL: no memory. */
struct node *settle_new_node(struct settle *settle, struct file_id dir, struct bytes name,
                             int64_t now_ns);
/* Takes a node out of everything; the caller frees it. */
struct node *settle_detach(struct settle *settle, struct node **slot);
/* How long a name of this level may stay dirty. */
int64_t settle_delay(const struct settle *settle, uint8_t level);
void settle_become_dirty(struct settle *settle, struct node *node);
/* It is dirty since then, should that be before what was known. */
void settle_date_back(struct settle *settle, struct node *node, int64_t first_ns);
void settle_join_later(struct settle *settle, struct node *node, int64_t due_ns);
void settle_join_rest(struct settle *settle, struct node *node, int64_t due_ns);
void settle_leave_place(struct settle *settle, struct node *node);
void settle_join_quiet(struct settle *settle, struct node *node); /* unless it is held */
void settle_leave_quiet(struct settle *settle, struct node *node);

/* settle_marks.c: takes every mark out. */
void settle_clear_marks(struct settle *settle);

#endif
