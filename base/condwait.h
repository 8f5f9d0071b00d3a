/* condwait.h: condition variables whose waits end by the monotonic clock, which not every system's
 * threads know by themselves. Any thread. */
#ifndef SPOOR_CONDWAIT_H
#define SPOOR_CONDWAIT_H

#include <pthread.h>

/* 0, or ERR_NOMEM. Ends by pthread_cond_destroy(). */
int condwait_init(pthread_cond_t *cond);
/* As pthread_cond_wait(), but returns at the deadline too; like that it may return for nothing, so
 * the caller looks at its condition and at the clock. */
void condwait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_mono_ns);

#endif
