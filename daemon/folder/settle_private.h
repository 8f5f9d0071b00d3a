/* settle_private.h: the dirty set's memory, shared by settle.c (names) and settle_marks.c
 * (directories to be listed). */
#ifndef SPOOR_SETTLE_PRIVATE_H
#define SPOOR_SETTLE_PRIVATE_H

#include "hash.h"
#include "settle.h"

enum { SETTLE_FIRST_BUCKETS = 256 };

struct link {
    struct node *prev, *next;
};

struct node {
    struct node *chain;
    struct link age; /* in `age`, or in `later` */
    struct link quiet;
    struct file_id dir;
    int64_t first_ns, last_ns, due_ns;
    uint16_t name_len;
    uint8_t hints, deferrals, failures;
    bool open;  /* written and not closed: held */
    bool later; /* in `later` instead of `age` */
    bool in_quiet;
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
    struct list age, quiet, later;
    struct mark_node **marks;
    size_t marks_mask, mark_count;
    struct mark_node *marks_head, *marks_tail;
    size_t unknown_count;  /* names in `later` after a failed look */
    size_t put_back_count; /* names in `later` for another reason */
    size_t failed_marks;
};

static inline uint64_t settle_hash(struct file_id dir, struct bytes name)
{
    return hash_bytes((struct hash_key){dir.a, dir.b}, name.at, name.len);
}

/* Takes every mark out. */
void settle_clear_marks(struct settle *settle);

#endif
