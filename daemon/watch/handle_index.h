/* handle_index.h: which watch number a directory's file handle stands for. Private to the fanotify
 * back-end, which guards it with its lock. What became of the number is watch_table.h's to say. */
#ifndef SPOOR_HANDLE_INDEX_H
#define SPOOR_HANDLE_INDEX_H

#include "watch_table.h"

struct handle_slot {
    uint64_t handle; /* 64 bits of hash of file system id and handle; 0: free */
    int32_t number;  /* dead when the table has no such number */
};

struct handle_index {
    struct handle_slot *slots; /* a power of two of them, open addressing */
    size_t cap, used;          /* used: dead ones as well */
};

/* An empty index; allocates nothing. */
void handle_index_init(struct handle_index *index);
void handle_index_deinit(struct handle_index *index);
/* Room for one more, so that the next handle_index_put() cannot fail; forgets what is dead when
 * there is none. ERR_NOMEM, ERR_LIMIT. */
int handle_index_reserve(struct handle_index *index, const struct watch_table *table,
                         struct err *err);
void handle_index_put(struct handle_index *index, uint64_t handle, int32_t number);
/* What `table` has for the handle, or NULL. */
struct watched *handle_index_find(const struct handle_index *index, const struct watch_table *table,
                                  uint64_t handle);

#endif
