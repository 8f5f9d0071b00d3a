/* fileid.h: what makes a file the same file under another name.
 *
 * Linux: inode number and birth time (statx), so that a reused number is not the
 * same file; never the device, which changes between boots (RULES 2). Windows: the
 * 128-bit file id. Compared within one folder only. */
#ifndef SPOOR_FILEID_H
#define SPOOR_FILEID_H

struct file_id {
    uint64_t a; /* Linux: inode number */
    uint64_t b; /* Linux: birth time, nanoseconds; 0 where the file system has none */
};

static inline bool file_id_equal(struct file_id x, struct file_id y)
{
    return x.a == y.a && x.b == y.b;
}

#endif
