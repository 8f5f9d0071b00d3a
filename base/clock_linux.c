/* clock_linux.c: reading the two clocks.
 *
 * clock_gettime(2) with these clocks cannot fail on a kernel we run on and, being served by
 * the vDSO, costs no system call. CLOCK_MONOTONIC stands still in suspend, so a back-off of
 * a minute does not fire in a burst at wake-up. Any thread. */
#include "clock.h"

static int64_t read_ns(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now); /* fails for an unknown clock only */
    return (int64_t)now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}
