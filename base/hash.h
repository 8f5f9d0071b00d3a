/* hash.h: SipHash-2-4 (Aumasson and Bernstein), the one hash of the house: for
 * hash tables over names an attacker may choose, for the chain of row sums and
 * for the tree's running sum. Any thread. */
#ifndef SPOOR_HASH_H
#define SPOOR_HASH_H

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_bytes(struct hash_key key, const void *bytes, size_t len);

#endif
