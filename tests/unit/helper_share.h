/* helper_share.h: how much of an enumeration a test is to run. */
#ifndef HELPER_SHARE_H
#define HELPER_SHARE_H

/* SPOOR_TEST_SHARE in the environment: every so many-th case; 1 without it. */
int test_share(void);

#endif
