/* inode_filter.h: which inode numbers may be those of the folder's files. Private to the fanotify
 * back-end.
 *
 * The mark covers the whole file system: most records that name no directory of ours are of files
 * that are not ours either, and must cost nothing. A number that was put in is always found; of the
 * others a few in a hundred are, too. Numbers are put in by any thread and never taken out. */
#ifndef SPOOR_INODE_FILTER_H
#define SPOOR_INODE_FILTER_H

#include <pthread.h>

#define INODE_FILTER_LEVELS     9  /* each four times as large as the one before */
#define INODE_FILTER_FIRST_BITS 16 /* 2^16 bits: 8 KiB; all levels: 683 MiB, for 286 million */

struct inode_level {
    uint64_t *bits;
    uint64_t room; /* how many more numbers, atomic */
};

struct inode_filter {
    uint64_t key; /* random: nobody chooses numbers that collide */
    struct inode_level levels[INODE_FILTER_LEVELS];
    int count;            /* of levels, atomic */
    bool full;            /* atomic: no memory, or no level left; every number may be ours */
    pthread_mutex_t lock; /* guards making a level */
};

void inode_filter_init(struct inode_filter *filter, uint64_t key);
void inode_filter_deinit(struct inode_filter *filter);
void inode_filter_put(struct inode_filter *filter, uint64_t number);
bool inode_filter_may_hold(const struct inode_filter *filter, uint64_t number);

#endif
