/* wake_windows.c: a flag that wakes a waiting thread, on an event object that one wait resets.
 *
 * A set before the wait is not lost; SetEvent may be called from any thread, also from the one
 * that Windows starts for Ctrl-C. Any thread; one waiter. */
#include "wake.h"

#include <windows.h>

#include "clock.h"
#include "native_windows.h"

#define WAIT_MS_MAX INT64_C(3600000) /* below INFINITE; a longer wait is several */

static HANDLE event_of(const struct wake *wake)
{
    return (HANDLE)(intptr_t)wake->fd;
}

int wake_open(struct wake *wake, struct err *err)
{
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);

    if (!event)
        return err_native(err, GetLastError(), "cannot make an event");
    wake->fd = (int)(intptr_t)event;
    return 0;
}

void wake_close(struct wake *wake)
{
    if (!wake || wake->fd == -1)
        return;
    (void)CloseHandle(event_of(wake)); /* nothing that could be lost */
    wake->fd = -1;
}

void wake_set(struct wake *wake)
{
    (void)SetEvent(event_of(wake)); /* fails for a bad handle only */
}

bool wake_clear(struct wake *wake)
{
    return WaitForSingleObject(event_of(wake), 0) == WAIT_OBJECT_0;
}

bool wake_wait(struct wake *wake, int64_t deadline_mono_ns)
{
    for (;;) {
        DWORD wait_ms = INFINITE;
        if (deadline_mono_ns != INT64_MAX) {
            int64_t left_ns = deadline_mono_ns - clock_mono_ns();
            if (left_ns <= 0)
                return wake_clear(wake);
            int64_t left_ms = (left_ns - 1) / CLOCK_NS_PER_MS + 1; /* never too early */
            wait_ms = (DWORD)(left_ms < WAIT_MS_MAX ? left_ms : WAIT_MS_MAX);
        }
        if (WaitForSingleObject(event_of(wake), wait_ms) == WAIT_OBJECT_0)
            return true;
    }
}
