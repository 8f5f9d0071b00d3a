/* watch_table.c: watch number -> directory, by open addressing with linear probing.
 *
 * Numbers come from a counter that the kernel turns over only after INT_MAX (idr_alloc_cyclic in
 * fs/notify/inotify/inotify_user.c), so an array indexed by number would grow with the age of the
 * daemon; the hash grows with the number of directories, 24 bytes a slot at most 7/8 full.
 * Removal shifts the run back instead of leaving tombstones, so it never needs a rebuild. */
#include "watch_table.h"

#include "err.h"

#define TABLE_FIRST_SLOTS 64

static size_t home_of(const struct watch_table *table, int32_t number)
{
    /* Fibonacci hashing: consecutive numbers land far apart. */
    uint64_t mixed = (uint64_t)(uint32_t)number * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (table->cap - 1);
}

static struct watched *probe(const struct watch_table *table, int32_t number)
{
    size_t at = home_of(table, number);
    while (table->slots[at].number >= 0 && table->slots[at].number != number)
        at = (at + 1) & (table->cap - 1);
    return &table->slots[at];
}

void watch_table_init(struct watch_table *table)
{
    *table = (struct watch_table){0};
}

void watch_table_deinit(struct watch_table *table)
{
    free(table->slots);
    watch_table_init(table);
}

int watch_table_reserve(struct watch_table *table, struct err *err)
{
    if ((table->count + 1) * 8 <= table->cap * 7)
        return 0;
    size_t cap = table->cap ? table->cap * 2 : TABLE_FIRST_SLOTS;
    if (cap > WATCH_TABLE_MAX)
        return err_set(err, ERR_LIMIT, 0, "too many watches: %zu", table->count);
    struct watch_table grown = {.slots = calloc(cap, sizeof *grown.slots), .cap = cap};
    if (!grown.slots)
        return err_set(err, ERR_NOMEM, 0, "no memory for %zu watches", cap);
    for (size_t i = 0; i < cap; i++)
        grown.slots[i].number = -1;
    for (size_t i = 0; i < table->cap; i++)
        if (table->slots[i].number >= 0)
            *probe(&grown, table->slots[i].number) = table->slots[i];
    grown.count = table->count;
    free(table->slots);
    *table = grown;
    return 0;
}

struct watched *watch_table_put(struct watch_table *table, int32_t number)
{
    struct watched *slot = probe(table, number);
    if (slot->number < 0) {
        *slot = (struct watched){.number = number};
        table->count++;
    }
    return slot;
}

struct watched *watch_table_find(const struct watch_table *table, int32_t number)
{
    if (table->count == 0 || number < 0)
        return NULL;
    struct watched *slot = probe(table, number);
    return slot->number >= 0 ? slot : NULL;
}

void watch_table_remove(struct watch_table *table, int32_t number)
{
    struct watched *slot = watch_table_find(table, number);
    if (!slot)
        return;
    size_t hole = (size_t)(slot - table->slots);
    size_t mask = table->cap - 1;
    for (size_t at = (hole + 1) & mask; table->slots[at].number >= 0; at = (at + 1) & mask) {
        size_t home = home_of(table, table->slots[at].number);
        /* Moves back only what does not have its home between the hole and itself. */
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole].number = -1;
    table->count--;
}
