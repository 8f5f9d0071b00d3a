/* arena.c: see arena.h. */
#include "arena.h"

#include <stdalign.h>

enum { FIRST_BLOCK_BYTES = 16 << 10, LARGEST_BLOCK_BYTES = 1 << 20 };

struct arena_block {
    struct arena_block *older;
    size_t used;
    size_t size;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena)
{
    arena->blocks = NULL;
}

void arena_deinit(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    arena->blocks = NULL;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block && block->older) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    if (block && block->size > LARGEST_BLOCK_BYTES) {
        free(block);
        block = NULL;
    }
    if (block) {
        block->used = 0;
    }
    arena->blocks = block;
}

static struct arena_block *grow(struct arena *arena, size_t wanted)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK_BYTES;
    if (size > LARGEST_BLOCK_BYTES) {
        size = LARGEST_BLOCK_BYTES;
    }
    if (size < wanted) {
        size = wanted;
    }
    if (size > SIZE_MAX - sizeof(struct arena_block)) {
        return NULL;
    }
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block) {
        return NULL;
    }
    block->older = arena->blocks;
    block->used = 0;
    block->size = size;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size_t rounded = (size + align - 1) / align * align;
    struct arena_block *block = arena->blocks;
    if (!block || block->size - block->used < rounded) {
        block = grow(arena, rounded);
        if (!block) {
            return NULL;
        }
    }
    void *result = block->data + block->used;
    block->used += rounded;
    return result;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t len)
{
    if (len >= SIZE_MAX / 2) {
        return NULL;
    }
    char *copy = arena_alloc(arena, len + 1);
    if (!copy) {
        return NULL;
    }
    if (len) {
        memcpy(copy, bytes, len);
    }
    copy[len] = '\0';
    return copy;
}
