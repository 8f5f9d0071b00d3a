/* watch_places.h: directories that were added, by number, by identity, and by where they are: for a
 * kernel whose records say paths. Private to the Windows back-end, which guards it with its lock.
 *
 * A place is (identity of the parent, name), so that a directory's own move moves all below it. It
 * is what records and watch_add() have said so far, in their order; it may be wrong for a while,
 * and the caller makes up for that (windows_records.c). */
#ifndef SPOOR_WATCH_PLACES_H
#define SPOOR_WATCH_PLACES_H

#include "bytes.h"
#include "fileid.h"

struct err;

#define WATCH_PLACES_BITS 24
#define WATCH_PLACES_MAX  (1u << WATCH_PLACES_BITS)

struct watch_place {
    struct file_id dir;
    uint64_t at;               /* 64 bits of hash of parent and name; 0: no place */
    int32_t number;            /* never the same again for long; -1: the slot is free */
    uint32_t by_dir, by_place; /* chains, private */
};

struct watch_places {
    struct watch_place *slots; /* their index is in the number */
    size_t used, cap;
    size_t count;
    uint32_t *heads; /* 2 x cap: by directory, then by place */
    uint32_t free_first, free_last;
};

/* An empty table; allocates nothing. */
void watch_places_init(struct watch_places *places);
void watch_places_deinit(struct watch_places *places);

/* What `at` is for a name in a directory; never 0. */
uint64_t watch_place_of(struct file_id parent, struct bytes name);

/* Adds a directory, or gives one that is there another place; whoever was at that place has none
 * any more. It stays where it is in memory until the next one is added. ERR_NOMEM, ERR_LIMIT. */
int watch_places_put(struct watch_places *places, struct file_id dir, uint64_t at,
                     struct watch_place **out, struct err *err);
void watch_places_move(struct watch_places *places, struct watch_place *place, uint64_t at);
void watch_places_remove(struct watch_places *places, struct watch_place *place);
/* Removes all. */
void watch_places_clear(struct watch_places *places);
/* NULL: no such directory. */
struct watch_place *watch_places_by_number(const struct watch_places *places, int32_t number);
struct watch_place *watch_places_by_dir(const struct watch_places *places, struct file_id dir);
struct watch_place *watch_places_at(const struct watch_places *places, uint64_t at);

#endif
