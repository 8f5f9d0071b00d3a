/* watch_places.c: see watch_places.h. Slots in a growing array, chained by two hash tables that
 * grow with it: 48 bytes a directory in a full one.
 *
 * A number is the slot's index and how often the slot was used before, so that one that is dead is
 * told from its successor; the slot that has been free for longest is used next. */
#include "watch_places.h"

#include "err.h"
#include "hash.h"

#define PLACES_FIRST_SLOTS 64
#define NOBODY             UINT32_MAX
#define INDEX_MASK         (WATCH_PLACES_MAX - 1)
#define USES_MASK          0x7f

static uint64_t hash_dir(struct file_id dir)
{
    /* Fibonacci hashing: neighbours land far apart. */
    return (dir.a ^ dir.b) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

static uint32_t *head_by_dir(const struct watch_places *places, struct file_id dir)
{
    return &places->heads[hash_dir(dir) & (places->cap - 1)];
}

static uint32_t *head_by_place(const struct watch_places *places, uint64_t at)
{
    return &places->heads[places->cap + (at & (places->cap - 1))]; /* it is a hash already */
}

static void join_dir(struct watch_places *places, uint32_t index)
{
    uint32_t *head = head_by_dir(places, places->slots[index].dir);
    places->slots[index].by_dir = *head;
    *head = index;
}

static void join_place(struct watch_places *places, uint32_t index)
{
    if (places->slots[index].at == 0)
        return;
    uint32_t *head = head_by_place(places, places->slots[index].at);
    places->slots[index].by_place = *head;
    *head = index;
}

static void leave_dir(struct watch_places *places, uint32_t index)
{
    uint32_t *at = head_by_dir(places, places->slots[index].dir);
    while (*at != index)
        at = &places->slots[*at].by_dir;
    *at = places->slots[index].by_dir;
}

static void leave_place(struct watch_places *places, uint32_t index)
{
    struct watch_place *place = &places->slots[index];
    if (place->at == 0)
        return;
    uint32_t *at = head_by_place(places, place->at);
    while (*at != index)
        at = &places->slots[*at].by_place;
    *at = place->by_place;
    place->at = 0;
}

void watch_places_init(struct watch_places *places)
{
    *places = (struct watch_places){.free_first = NOBODY, .free_last = NOBODY};
}

void watch_places_deinit(struct watch_places *places)
{
    free(places->slots);
    free(places->heads);
    watch_places_init(places);
}

uint64_t watch_place_of(struct file_id parent, struct bytes name)
{
    uint64_t hash = hash_bytes((struct hash_key){parent.a, parent.b}, name.at, name.len);
    return hash != 0 ? hash : 1;
}

static int grow(struct watch_places *places, struct err *err)
{
    size_t cap = places->cap ? places->cap * 2 : PLACES_FIRST_SLOTS;
    if (cap > WATCH_PLACES_MAX)
        return err_set(err, ERR_LIMIT, 0, "too many watched directories: %zu", places->count);
    uint32_t *heads = malloc(2 * cap * sizeof *heads);
    struct watch_place *slots = realloc(places->slots, cap * sizeof *slots);
    if (slots)
        places->slots = slots;
    if (!heads || !slots) {
        free(heads);
        return err_set(err, ERR_NOMEM, 0, "no memory for %zu watched directories", cap);
    }
    for (size_t i = 0; i < 2 * cap; i++)
        heads[i] = NOBODY;
    free(places->heads);
    places->heads = heads;
    places->cap = cap;
    for (uint32_t i = 0; i < places->used; i++)
        if (slots[i].number >= 0) {
            join_dir(places, i);
            join_place(places, i);
        }
    return 0;
}

/* A slot with its next number, in no chain. */
static uint32_t take_slot(struct watch_places *places)
{
    uint32_t index = places->free_first;
    if (index == NOBODY) {
        index = (uint32_t)places->used++;
        places->slots[index].number = (int32_t)index;
        return index;
    }
    struct watch_place *place = &places->slots[index];
    places->free_first = place->by_dir;
    if (places->free_first == NOBODY)
        places->free_last = NOBODY;
    uint32_t uses = place->by_place; /* kept there while it was free */
    place->number = (int32_t)(((uses + 1) & USES_MASK) << WATCH_PLACES_BITS | index);
    return index;
}

int watch_places_put(struct watch_places *places, struct file_id dir, uint64_t at,
                     struct watch_place **out, struct err *err)
{
    struct watch_place *place = watch_places_by_dir(places, dir);
    if (!place) {
        bool full = places->free_first == NOBODY && places->used == places->cap;
        int code = full ? grow(places, err) : 0;
        if (code)
            return code;
        uint32_t index = take_slot(places);
        place = &places->slots[index];
        place->dir = dir;
        place->at = 0;
        join_dir(places, index);
        places->count++;
    }
    watch_places_move(places, place, at);
    *out = place;
    return 0;
}

void watch_places_move(struct watch_places *places, struct watch_place *place, uint64_t at)
{
    struct watch_place *before = watch_places_at(places, at);
    if (before == place)
        return;
    if (before)
        leave_place(places, (uint32_t)(before - places->slots));
    leave_place(places, (uint32_t)(place - places->slots));
    place->at = at;
    join_place(places, (uint32_t)(place - places->slots));
}

void watch_places_remove(struct watch_places *places, struct watch_place *place)
{
    uint32_t index = (uint32_t)(place - places->slots);
    leave_dir(places, index);
    leave_place(places, index);
    place->by_place = (uint32_t)place->number >> WATCH_PLACES_BITS;
    place->by_dir = NOBODY;
    place->number = -1;
    if (places->free_last == NOBODY)
        places->free_first = index;
    else
        places->slots[places->free_last].by_dir = index;
    places->free_last = index;
    places->count--;
}

void watch_places_clear(struct watch_places *places)
{
    for (size_t i = 0; i < places->used; i++)
        if (places->slots[i].number >= 0)
            watch_places_remove(places, &places->slots[i]);
}

struct watch_place *watch_places_by_number(const struct watch_places *places, int32_t number)
{
    uint32_t index = (uint32_t)number & INDEX_MASK;
    if (number < 0 || index >= places->used || places->slots[index].number != number)
        return NULL;
    return &places->slots[index];
}

struct watch_place *watch_places_by_dir(const struct watch_places *places, struct file_id dir)
{
    uint32_t at = places->cap ? *head_by_dir(places, dir) : NOBODY;
    while (at != NOBODY && !file_id_equal(places->slots[at].dir, dir))
        at = places->slots[at].by_dir;
    return at != NOBODY ? &places->slots[at] : NULL;
}

struct watch_place *watch_places_at(const struct watch_places *places, uint64_t at)
{
    uint32_t index = places->cap && at ? *head_by_place(places, at) : NOBODY;
    while (index != NOBODY && places->slots[index].at != at)
        index = places->slots[index].by_place;
    return index != NOBODY ? &places->slots[index] : NULL;
}
