/* inodes.h: files that were touched under names which lie outside the folder, by their inode
 * numbers, until the folder's thread finds the names that the tree has for them (RULES 8): between
 * two rounds, so that they are looked up in what is committed (RULES 4). The folder guards it. */
#ifndef SPOOR_INODES_H
#define SPOOR_INODES_H

#include "change.h"

#define INODES_MAX 65536 /* beyond it the caller must scan */

struct inode_hint {
    uint64_t number;
    int64_t first_ns; /* monotonic; 0: the slot is free */
    struct actor actor;
    uint8_t hints; /* enum hint_flag, gathered */
};

struct inodes {
    struct inode_hint *slots; /* a power of two of them, open addressing */
    size_t cap, count;
    int64_t first_ns; /* since when there are any */
};

/* now_ns is above 0; actor may be NULL. False: it is full or memory is out; all that it held is
 * forgotten. */
bool inodes_add(struct inodes *inodes, uint64_t number, uint8_t hints, const struct actor *actor,
                int64_t now_ns);
void inodes_clear(struct inodes *inodes);

#endif
