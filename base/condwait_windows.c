/* condwait_windows.c: see condwait.h.
 *
 * winpthreads waits by the wall clock alone, but makes of the deadline how long to wait before it
 * waits: a clock that is set meanwhile does not matter, so the deadline is told as what is left
 * from now on. Any thread. */
#include "condwait.h"

#include "clock.h"
#include "err.h"

int condwait_init(pthread_cond_t *cond)
{
    return pthread_cond_init(cond, NULL) ? ERR_NOMEM : 0;
}

void condwait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_mono_ns)
{
    int64_t left_ns = deadline_mono_ns - clock_mono_ns();
    int64_t wall_ns = clock_wall_ns() + (left_ns > 0 ? left_ns : 0);
    struct timespec until = {.tv_sec = (time_t)(wall_ns / CLOCK_NS_PER_S),
                             .tv_nsec = (long)(wall_ns % CLOCK_NS_PER_S)};

    (void)pthread_cond_timedwait(cond, mutex, &until); /* or its time has come */
}
