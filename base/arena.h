/* arena.h: memory that is freed all at once: what a round gathers. Blocks grow by
 * doubling up to 1 MiB; a reset keeps the first block. One thread. */
#ifndef SPOOR_ARENA_H
#define SPOOR_ARENA_H

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the newest first */
};

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena);
void arena_reset(struct arena *arena);
/* Uninitialised, aligned for any type; NULL when memory is out. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy with a NUL behind it; NULL when memory is out. */
char *arena_copy(struct arena *arena, const void *bytes, size_t len);

#endif
