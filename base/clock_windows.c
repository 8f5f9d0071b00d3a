/* clock_windows.c: reading the two clocks.
 *
 * QueryUnbiasedInterruptTime does not count the time a machine sleeps, so that a back-off of a
 * minute does not fire in a burst at wake-up; it steps with the system's timer (up to 16 ms),
 * which waits do too. GetSystemTimePreciseAsFileTime is finer than a microsecond. Neither can fail
 * with an argument that is good. Any thread. */
#include "clock.h"

#include <windows.h>

#define UNIT_NS    100                         /* of both clocks */
#define UNIX_EPOCH INT64_C(116444736000000000) /* 1970 in units since 1601 */

int64_t clock_mono_ns(void)
{
    ULONGLONG units = 0;

    (void)QueryUnbiasedInterruptTime(&units); /* fails for NULL only */
    return (int64_t)units * UNIT_NS;
}

int64_t clock_wall_ns(void)
{
    FILETIME now;

    GetSystemTimePreciseAsFileTime(&now);
    int64_t units = (int64_t)(((uint64_t)now.dwHighDateTime << 32) | now.dwLowDateTime);
    return (units - UNIX_EPOCH) * UNIT_NS;
}

int64_t clock_wall_ms(void)
{
    return clock_wall_ns() / CLOCK_NS_PER_MS;
}
