/* inodes.c: see inodes.h. */
#include "inodes.h"

#define FIRST_SLOTS 64

static struct inode_hint *probe(const struct inodes *inodes, uint64_t number)
{
    /* Fibonacci hashing: numbers that were given in turn, as most are, spread over the slots. */
    size_t at = (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (inodes->cap - 1);
    while (inodes->slots[at].first_ns && inodes->slots[at].number != number)
        at = (at + 1) & (inodes->cap - 1);
    return &inodes->slots[at];
}

static bool grow(struct inodes *inodes)
{
    struct inodes grown = {.cap = inodes->cap ? inodes->cap * 2 : FIRST_SLOTS,
                           .count = inodes->count,
                           .first_ns = inodes->first_ns};
    if (inodes->count == INODES_MAX)
        return false;
    grown.slots = calloc(grown.cap, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < inodes->cap; i++)
        if (inodes->slots[i].first_ns)
            *probe(&grown, inodes->slots[i].number) = inodes->slots[i];
    free(inodes->slots);
    *inodes = grown;
    return true;
}

bool inodes_add(struct inodes *inodes, uint64_t number, uint8_t hints, const struct actor *actor,
                int64_t now_ns)
{
    bool room = inodes->count * 2 < inodes->cap && inodes->count < INODES_MAX;
    struct inode_hint *hint = inodes->cap ? probe(inodes, number) : NULL;
    if (!hint || !hint->first_ns) {
        if (!room && !grow(inodes)) {
            inodes_clear(inodes);
            return false;
        }
        hint = probe(inodes, number);
        *hint = (struct inode_hint){.number = number, .first_ns = now_ns};
        if (inodes->count++ == 0)
            inodes->first_ns = now_ns;
    }
    hint->hints |= hints;
    if (actor && actor->pid)
        hint->actor = *actor;
    return true;
}

void inodes_clear(struct inodes *inodes)
{
    free(inodes->slots);
    *inodes = (struct inodes){0};
}
