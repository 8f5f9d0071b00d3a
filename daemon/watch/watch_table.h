/* watch_table.h: which directory a kernel watch number stands for. Private to the inotify
 * back-end, which guards it with its lock. */
#ifndef SPOOR_WATCH_TABLE_H
#define SPOOR_WATCH_TABLE_H

#include "fileid.h"

struct err;

#define WATCH_TABLE_MAX (1u << 26) /* the kernel's own limit is far lower */

struct watched {
    struct file_id dir;
    int32_t number; /* -1: the slot is free */
    bool root;
};

struct watch_table {
    struct watched *slots; /* a power of two of them, open addressing */
    size_t cap, count;
};

/* An empty table; allocates nothing. */
void watch_table_init(struct watch_table *table);
void watch_table_deinit(struct watch_table *table);
/* Room for one more, so that the next watch_table_put() cannot fail. ERR_NOMEM, ERR_LIMIT. */
int watch_table_reserve(struct watch_table *table, struct err *err);
/* The slot of `number`, found or (after watch_table_reserve) made; it stays until the next
 * change of the table. A new one has no directory yet. */
struct watched *watch_table_put(struct watch_table *table, int32_t number);
/* NULL: no such watch. */
struct watched *watch_table_find(const struct watch_table *table, int32_t number);
void watch_table_remove(struct watch_table *table, int32_t number);

#endif
