/* handle_index.c: file handle -> watch number, by open addressing with linear probing.
 *
 * Handles are kept as 64 bits of their hash: two of a million directories share one with a
 * probability of 3e-8. Nothing is removed: a number that the table does not have any more is
 * dead, and the dead are left behind when the index is full and is built anew, 16 bytes a slot,
 * between 7/16 and 7/8 full. */
#include "handle_index.h"

#include "err.h"

#define INDEX_FIRST_SLOTS 64

static struct handle_slot *probe(const struct handle_index *index, uint64_t handle)
{
    size_t at = (size_t)handle & (index->cap - 1); /* it is a hash already */
    while (index->slots[at].handle != 0 && index->slots[at].handle != handle)
        at = (at + 1) & (index->cap - 1);
    return &index->slots[at];
}

static uint64_t never_free(uint64_t handle)
{
    return handle != 0 ? handle : 1;
}

void handle_index_init(struct handle_index *index)
{
    *index = (struct handle_index){0};
}

void handle_index_deinit(struct handle_index *index)
{
    free(index->slots);
    handle_index_init(index);
}

int handle_index_reserve(struct handle_index *index, const struct watch_table *table,
                         struct err *err)
{
    if ((index->used + 1) * 8 <= index->cap * 7)
        return 0;
    size_t cap = INDEX_FIRST_SLOTS;
    while ((table->count + 1) * 16 > cap * 7)
        cap *= 2;
    if (cap > WATCH_TABLE_MAX)
        return err_set(err, ERR_LIMIT, 0, "too many watches: %zu", table->count);
    struct handle_index grown = {.slots = calloc(cap, sizeof *grown.slots), .cap = cap};
    if (!grown.slots)
        return err_set(err, ERR_NOMEM, 0, "no memory for %zu file handles", cap);
    for (size_t i = 0; i < index->cap; i++) {
        const struct handle_slot *slot = &index->slots[i];
        if (slot->handle != 0 && watch_table_find(table, slot->number))
            handle_index_put(&grown, slot->handle, slot->number);
    }
    free(index->slots);
    *index = grown;
    return 0;
}

void handle_index_put(struct handle_index *index, uint64_t handle, int32_t number)
{
    struct handle_slot *slot = probe(index, never_free(handle));
    index->used += slot->handle == 0;
    *slot = (struct handle_slot){never_free(handle), number};
}

struct watched *handle_index_find(const struct handle_index *index, const struct watch_table *table,
                                  uint64_t handle)
{
    if (index->used == 0)
        return NULL;
    const struct handle_slot *slot = probe(index, never_free(handle));
    return slot->handle != 0 ? watch_table_find(table, slot->number) : NULL;
}
