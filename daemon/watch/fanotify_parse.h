/* fanotify_parse.h: fanotify records (fanotify(7), groups that report file handles) to plain
 * values: a pure function over bytes, so that it can be fuzzed. */
#ifndef SPOOR_FANOTIFY_PARSE_H
#define SPOOR_FANOTIFY_PARSE_H

#include "bytes.h"

/* An inode, and with a directory's the name in it. Both are views of the buffer. */
struct fanotify_place {
    struct bytes id; /* file system id and file handle, as they lie in the record; empty: absent */
    struct bytes name; /* "." is the directory itself; empty: none was given */
};

struct fanotify_record {
    uint64_t mask;
    int32_t pid;
    struct fanotify_place target;   /* the inode concerned; no name */
    struct fanotify_place dir;      /* where its name is */
    struct fanotify_place from, to; /* of a rename; either may be absent */
};

/* Reads the record at *offset and moves it on. 1: filled; 0: end; ERR_INVALID: the bytes are no
 * whole record (the rest of the buffer must be treated as lost). */
int fanotify_parse(const char *buffer, size_t len, size_t *offset, struct fanotify_record *out);

/* The inode's number out of the id of a place, for the handles of ext2 to ext4, XFS, Btrfs and
 * tmpfs, whose layouts stay as they are since NFS servers hand them out. False: a handle of another
 * kind. */
bool fanotify_number(struct bytes id, uint64_t *out);

#endif
