/* facts.c: see facts.h. */
#include "facts.h"

#include "arena.h"
#include "err.h"
#include "hash.h"

enum { FIRST_BUCKETS = 64 };

struct facts {
    struct arena arena;
    struct fact **items; /* in the order they were added */
    size_t count, cap;
    struct fact **by_key;
    struct fact **by_file;
    size_t mask; /* of both tables */
    uint64_t clock;
};

static uint64_t hash_key(struct file_id dir, struct bytes name)
{
    return hash_bytes((struct hash_key){dir.a, dir.b}, name.at, name.len);
}

static uint64_t hash_file(struct file_id file)
{
    uint64_t x = (file.a ^ (file.b >> 7)) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

static void thread_in(struct facts *facts, struct fact *fact)
{
    struct fact **slot = &facts->by_key[hash_key(fact->dir, fact->name) & facts->mask];
    fact->chain = *slot;
    *slot = fact;
    if (fact->present) {
        slot = &facts->by_file[hash_file(fact->file) & facts->mask];
        fact->chain_file = *slot;
        *slot = fact;
    }
}

/* Room for one more in the list and, at one fact a bucket, in the tables. */
static bool reserve(struct facts *facts)
{
    if (facts->count < facts->cap) {
        return true;
    }
    size_t cap = facts->cap ? facts->cap * 2 : FIRST_BUCKETS;
    struct fact **items = realloc(facts->items, cap * sizeof(struct fact *));
    if (!items) {
        return false;
    }
    facts->items = items;
    struct fact **by_key = calloc(cap, sizeof(struct fact *));
    struct fact **by_file = calloc(cap, sizeof(struct fact *));
    if (!by_key || !by_file) {
        free(by_key);
        free(by_file);
        return false;
    }
    free(facts->by_key);
    free(facts->by_file);
    facts->by_key = by_key;
    facts->by_file = by_file;
    facts->cap = cap;
    facts->mask = cap - 1;
    for (size_t i = 0; i < facts->count; i++) {
        thread_in(facts, items[i]);
    }
    return true;
}

int facts_new(struct facts **out)
{
    struct facts *facts = calloc(1, sizeof *facts);
    if (!facts || !reserve(facts)) {
        facts_free(facts);
        return ERR_NOMEM;
    }
    arena_init(&facts->arena);
    *out = facts;
    return 0;
}

void facts_free(struct facts *facts)
{
    if (!facts) {
        return;
    }
    arena_deinit(&facts->arena);
    free(facts->items);
    free(facts->by_key);
    free(facts->by_file);
    free(facts);
}

void facts_clear(struct facts *facts)
{
    arena_reset(&facts->arena);
    memset(facts->by_key, 0, (facts->mask + 1) * sizeof(struct fact *));
    memset(facts->by_file, 0, (facts->mask + 1) * sizeof(struct fact *));
    facts->count = 0;
    facts->clock = 0;
}

struct fact *facts_add(struct facts *facts, const struct fact *fact)
{
    struct fact *copy = arena_alloc(&facts->arena, sizeof *copy);
    if (!copy || !reserve(facts)) {
        return NULL;
    }
    *copy = *fact;
    copy->name.at = arena_copy(&facts->arena, fact->name.at, fact->name.len);
    if (!copy->name.at) {
        return NULL;
    }
    if (fact->attrs.target.len) {
        copy->attrs.target.at =
            arena_copy(&facts->arena, fact->attrs.target.at, fact->attrs.target.len);
        if (!copy->attrs.target.at) {
            return NULL;
        }
    } else {
        copy->attrs.target.at = NULL;
    }
    copy->clock = ++facts->clock;
    copy->voided = false;
    facts->items[facts->count++] = copy;
    thread_in(facts, copy);
    return copy;
}

struct fact *facts_find(const struct facts *facts, struct file_id dir, struct bytes name)
{
    struct fact *fact = facts->by_key[hash_key(dir, name) & facts->mask];
    while (fact && !(file_id_equal(fact->dir, dir) && bytes_equal(fact->name, name))) {
        fact = fact->chain;
    }
    return fact;
}

static struct fact *matching(struct fact *fact, struct file_id file)
{
    while (fact && !file_id_equal(fact->file, file)) {
        fact = fact->chain_file;
    }
    return fact;
}

struct fact *facts_first_file(const struct facts *facts, struct file_id file)
{
    return matching(facts->by_file[hash_file(file) & facts->mask], file);
}

struct fact *facts_next_file(const struct fact *fact)
{
    return matching(fact->chain_file, fact->file);
}

size_t facts_count(const struct facts *facts)
{
    return facts->count;
}

struct fact *facts_get(const struct facts *facts, size_t index)
{
    return facts->items[index];
}
