/* privilege_windows.c: see privilege.h. No watch of Windows wants a right that its user lacks, so
 * none was taken that could be given up. Main thread. */
#include "privilege.h"

int privilege_give_up(struct err *err)
{
    (void)err; /* nothing can fail */
    return 0;
}
