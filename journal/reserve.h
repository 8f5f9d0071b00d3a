/* reserve.h: space kept back for the moment the disk is full, so that an acknowledgement
 * still commits and rows can be purged. One file beside the database, one file of code a
 * system. The folder's thread. */
#ifndef SPOOR_RESERVE_H
#define SPOOR_RESERVE_H

#define RESERVE_FILE "journal.reserve"

/* Before the database is opened: gives the reserve up when the disk is all but full. (On a full
 * ext4 with 1 KiB blocks opening a WAL database dies of SIGBUS, since the mapped -shm file has
 * holes: FACTS 5.4.) */
void reserve_before_open(int dirfd);
/* After: makes the reserve when it is missing and there is room for it. */
void reserve_after_open(int dirfd);
/* True when there was a reserve and it is given up. */
bool reserve_release(int dirfd);

#endif
