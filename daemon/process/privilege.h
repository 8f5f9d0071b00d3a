/* privilege.h: giving up what the start needed and the work does not. */
#ifndef SPOOR_PRIVILEGE_H
#define SPOOR_PRIVILEGE_H

struct err;

/* Gives up all capabilities of this thread and of those it starts, for good, but the two to read
 * what others own (a folder need not be ours) and to ask for leases on it. Call while there is
 * one thread. Nothing happens to who has none. */
int privilege_give_up(struct err *err);

#endif
