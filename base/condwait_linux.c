/* condwait_linux.c: see condwait.h. Any thread. */
#include "condwait.h"

#include "clock.h"
#include "err.h"

int condwait_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    if (pthread_condattr_init(&monotonic) != 0)
        return ERR_NOMEM;
    int rc = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    rc = rc ? rc : pthread_cond_init(cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic); /* never fails on one that was initialised */
    return rc ? ERR_NOMEM : 0;
}

void condwait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_mono_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_mono_ns / CLOCK_NS_PER_S),
                             .tv_nsec = (long)(deadline_mono_ns % CLOCK_NS_PER_S)};

    (void)pthread_cond_timedwait(cond, mutex, &until); /* or its time has come */
}
