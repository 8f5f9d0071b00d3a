/* sums.h: the two checksums by which a journal proves itself: the chain over its rows
 * and the running sum over its tree table (RULES 14, 29, 30). SQLite's own checks find
 * almost no flipped bit in a row; these do.
 *
 * Both are SipHash-2-4 under fixed keys: they guard against disks and forks, not against
 * somebody who can write the file. The bytes hashed are part of the protocol (client and
 * collector compare tree sums), so their layout may never change within a version.
 * Any thread. */
#ifndef SPOOR_SUMS_H
#define SPOOR_SUMS_H

#include "change.h"

/* The attributes that belong to the type, all else 0, ctime too: what rows and tree sums hold. */
struct entry_attrs sums_public(enum entry_type type, const struct entry_attrs *attrs);

/* The sum of a row given the sum of the row before it (the epoch's nonce before row 1).
 *
 * Hashed are 16 words of 64 bits, little-endian:
 *   prev, seq, epoch, time_ms, entry, kind + type * 2^8 + flags * 2^16, size, mtime_ns, mode,
 *   file.a, file.b, entries, other, H(path), H(from), H(target)
 * and, in a row with an actor only, two more: pid, H(program);
 * where H is the same hash of the bytes, and 0 when there are none. `change->sum` and ctime are not
 * read; attributes are taken as they are (the journal stores sums_public() of them). */
uint64_t sums_row(uint64_t prev, const struct change *change);

/* What one entry adds to tree_sum: the hash, under another key, of 8 words of 64 bits,
 * little-endian: id, parent, type, size, mtime_ns, mode, H(name), H(target), of the public
 * attributes. tree_sum is the sum of these mod 2^64; of an empty tree it is 0. */
uint64_t sums_entry(int64_t id, int64_t parent, struct bytes name, enum entry_type type,
                    const struct entry_attrs *attrs);

#endif
