/* inode_filter.c: Bloom filters, each four times as large as the one before it, so that nobody need
 * say in advance how many files there are.
 *
 * Two bits a number in a level of 20 bits a number: 0.9 % of the numbers that were never put in are
 * found in a full level, (1 - exp(-2/20))^2. A million files take 2.7 MB. Words and counts are
 * atomic; a level is published by `count` once it is there. Any thread. */
#include "inode_filter.h"

#include "err.h"

#define BITS_A_NUMBER 20

/* The finalizer of SplitMix64: each bit of the number bears upon each of the result. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t bits_of(int level)
{
    return UINT64_C(1) << (INODE_FILTER_FIRST_BITS + 2 * level);
}

static bool has_bit(const struct inode_level *level, uint64_t bit)
{
    return __atomic_load_n(&level->bits[bit / 64], __ATOMIC_RELAXED) >> (bit % 64) & 1;
}

static void set_bit(const struct inode_level *level, uint64_t bit)
{
    (void)__atomic_fetch_or(&level->bits[bit / 64], UINT64_C(1) << (bit % 64), __ATOMIC_RELEASE);
}

/* Both bits of a hash in a level; halves of the hash choose them. */
static bool has(const struct inode_filter *filter, int at, uint64_t hash)
{
    const struct inode_level *level = &filter->levels[at];
    uint64_t mask = bits_of(at) - 1;
    return has_bit(level, hash & mask) && has_bit(level, (hash >> 32) & mask);
}

static bool find(const struct inode_filter *filter, int count, uint64_t hash)
{
    for (int at = count; at-- > 0;)
        if (has(filter, at, hash))
            return true;
    return false;
}

static void add_level_locked(struct inode_filter *filter, int count)
{
    uint64_t *bits = count < INODE_FILTER_LEVELS ? calloc(bits_of(count) / 64, sizeof *bits) : NULL;
    if (!bits) {
        __atomic_store_n(&filter->full, true, __ATOMIC_RELEASE);
        return;
    }
    filter->levels[count] = (struct inode_level){bits, bits_of(count) / BITS_A_NUMBER};
    __atomic_store_n(&filter->count, count + 1, __ATOMIC_RELEASE);
}

/* Takes a place in the newest level; -1: there is none to be had. */
static int take_place(struct inode_filter *filter)
{
    while (!__atomic_load_n(&filter->full, __ATOMIC_ACQUIRE)) {
        int count = __atomic_load_n(&filter->count, __ATOMIC_ACQUIRE);
        uint64_t *room = count > 0 ? &filter->levels[count - 1].room : NULL;
        uint64_t left = room ? __atomic_load_n(room, __ATOMIC_RELAXED) : 0;
        if (left > 0) {
            if (__atomic_compare_exchange_n(room, &left, left - 1, true, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED))
                return count - 1;
            continue;
        }
        pthread_mutex_lock(&filter->lock);
        if (__atomic_load_n(&filter->count, __ATOMIC_ACQUIRE) == count)
            add_level_locked(filter, count);
        pthread_mutex_unlock(&filter->lock);
    }
    return -1;
}

void inode_filter_init(struct inode_filter *filter, uint64_t key)
{
    *filter = (struct inode_filter){.key = key};
    pthread_mutex_init(&filter->lock, NULL);
}

void inode_filter_deinit(struct inode_filter *filter)
{
    for (int at = 0; at < filter->count; at++)
        free(filter->levels[at].bits);
    pthread_mutex_destroy(&filter->lock);
}

void inode_filter_put(struct inode_filter *filter, uint64_t number)
{
    uint64_t hash = mix(number ^ filter->key);
    int count = __atomic_load_n(&filter->count, __ATOMIC_ACQUIRE);
    /* A number whose bits are there by chance is found all the same. */
    if (find(filter, count, hash))
        return;
    int at = take_place(filter);
    if (at < 0)
        return;
    set_bit(&filter->levels[at], hash & (bits_of(at) - 1));
    set_bit(&filter->levels[at], (hash >> 32) & (bits_of(at) - 1));
}

bool inode_filter_may_hold(const struct inode_filter *filter, uint64_t number)
{
    if (__atomic_load_n(&filter->full, __ATOMIC_ACQUIRE))
        return true;
    int count = __atomic_load_n(&filter->count, __ATOMIC_ACQUIRE);
    return find(filter, count, mix(number ^ filter->key));
}
