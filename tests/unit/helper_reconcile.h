/* helper_reconcile.h: the one daemon and disk of a test program of reconcile (they are large), how
 * such a disk may look at the beginning, and what is said of it. */
#ifndef HELPER_RECONCILE_H
#define HELPER_RECONCILE_H

#include "helper_simdaemon.h"

enum { RECONCILE_SHAPES = 6 };

extern struct simdaemon daemon_;
extern struct simfs disk_;

/* Of a test group. */
int reconcile_setup(void **state);
int reconcile_teardown(void **state);
/* A disk of one of the shapes; nobody has seen it yet. */
void reconcile_shape(struct simfs *fs, int which);
/* disk_ is such a one, and the daemon knows it. False: something was wrong, see daemon_.why. */
bool reconcile_start(int which);
/* All rows since they were last forgotten: "move a>b, delete d". */
void reconcile_expect_rows(const char *expected);
void reconcile_print_failure(const struct sim_op *ops, int count, const char *what);

#endif
