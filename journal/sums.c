/* sums.c: see sums.h. Words are laid out byte by byte, so that a big-endian machine
 * computes the same sums. Any thread. */
#include "sums.h"

#include "hash.h"

#define ROW_WORDS   16
#define ACTOR_WORDS 2 /* after them, where there is an actor */
#define ENTRY_WORDS 8

/* "spoor row chain" and "spoor tree sum" in ASCII, read as little-endian words. */
static const struct hash_key row_key = {UINT64_C(0x6f7220726f6f7073), UINT64_C(0x006e696168632077)};
static const struct hash_key tree_key = {UINT64_C(0x727420726f6f7073),
                                         UINT64_C(0x00006d7573206565)};

/* Spelt out, which compilers turn into one store where the machine is little-endian. */
static void put_word(unsigned char *at, uint64_t value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
    at[2] = (unsigned char)(value >> 16);
    at[3] = (unsigned char)(value >> 24);
    at[4] = (unsigned char)(value >> 32);
    at[5] = (unsigned char)(value >> 40);
    at[6] = (unsigned char)(value >> 48);
    at[7] = (unsigned char)(value >> 56);
}

static uint64_t hash_words(struct hash_key key, const uint64_t *words, size_t count)
{
    unsigned char bytes[(ROW_WORDS + ACTOR_WORDS) * 8];
    for (size_t i = 0; i < count; i++)
        put_word(bytes + 8 * i, words[i]);
    return hash_bytes(key, bytes, 8 * count);
}

static uint64_t hash_view(struct hash_key key, struct bytes view)
{
    return view.len ? hash_bytes(key, view.at, view.len) : 0;
}

struct entry_attrs sums_public(enum entry_type type, const struct entry_attrs *attrs)
{
    struct entry_attrs out = {0};
    if (type == ENTRY_FILE) {
        out.size = attrs->size;
        out.mtime_ns = attrs->mtime_ns;
    }
    if (type == ENTRY_SYMLINK)
        out.target = attrs->target;
    else
        out.mode = attrs->mode;
    return out;
}

uint64_t sums_row(uint64_t prev, const struct change *change)
{
    const uint64_t words[ROW_WORDS + ACTOR_WORDS] = {
        prev,
        (uint64_t)change->seq,
        (uint64_t)change->epoch,
        (uint64_t)change->time_ms,
        (uint64_t)change->entry,
        (uint64_t)change->kind + ((uint64_t)change->type << 8) + ((uint64_t)change->flags << 16),
        (uint64_t)change->attrs.size,
        (uint64_t)change->attrs.mtime_ns,
        change->attrs.mode,
        change->file.a,
        change->file.b,
        (uint64_t)change->entries,
        (uint64_t)change->other,
        hash_view(row_key, change->path),
        hash_view(row_key, change->from),
        hash_view(row_key, change->attrs.target),
        (uint64_t)change->actor.pid,
        hash_view(row_key, bytes_str(change->actor.program)),
    };
    return hash_words(row_key, words, change->actor.pid ? ARRAY_LEN(words) : ROW_WORDS);
}

uint64_t sums_entry(int64_t id, int64_t parent, struct bytes name, enum entry_type type,
                    const struct entry_attrs *attrs)
{
    struct entry_attrs shown = sums_public(type, attrs);
    const uint64_t words[ENTRY_WORDS] = {
        (uint64_t)id,
        (uint64_t)parent,
        (uint64_t)type,
        (uint64_t)shown.size,
        (uint64_t)shown.mtime_ns,
        shown.mode,
        hash_view(tree_key, name),
        hash_view(tree_key, shown.target),
    };
    return hash_words(tree_key, words, ENTRY_WORDS);
}
