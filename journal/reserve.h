/* reserve.h: space kept back for the moment the disk is full, so that an acknowledgement
 * still commits and rows can be purged. One file beside the database, one file of code a
 * system. The folder's thread. */
#ifndef SPOOR_RESERVE_H
#define SPOOR_RESERVE_H

struct err;

#define RESERVE_FILE "journal.reserve"

/* Before the database is opened: gives the reserve up when the disk is all but full. */
void reserve_before_open(int dirfd);
/* Then, and before a reader opens it: ERR_FULL where opening could kill the process. SQLite maps
 * the -shm file and touches one byte of each 4 KiB of it beforehand; where blocks are smaller than
 * a page the rest is holes, and on a full disk writing to them is SIGBUS (seen on ext4 with 1 KiB
 * blocks). */
int reserve_check_map(int dirfd, struct err *err);
/* After, and again while it is missing: makes the reserve where there is room for it. True when it
 * is there now. */
bool reserve_make(int dirfd);
/* True when there was a reserve and it is given up. */
bool reserve_release(int dirfd);

#endif
