/* wake_linux.c: a flag that wakes a waiting thread, on eventfd(2).
 *
 * The counter of an eventfd stays readable until read, so a set before the wait is not lost;
 * write(2) on it is async-signal-safe, and being nonblocking it fails with EAGAIN only when the
 * counter is full, which is to say: set. Any thread; one waiter. */
#include "wake.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "clock.h"
#include "err.h"

int wake_open(struct wake *wake, struct err *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return err_os(err, errno, "cannot make an eventfd");
    wake->fd = fd;
    return 0;
}

void wake_close(struct wake *wake)
{
    if (!wake || wake->fd < 0)
        return;
    (void)close(wake->fd); /* nothing buffered that could be lost */
    wake->fd = -1;
}

void wake_set(struct wake *wake)
{
    const uint64_t one = 1;
    int saved = errno; /* also called from signal handlers */

    while (write(wake->fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}

bool wake_clear(struct wake *wake)
{
    uint64_t count = 0;
    ssize_t n;

    do {
        n = read(wake->fd, &count, sizeof count);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof count;
}

bool wake_wait(struct wake *wake, int64_t deadline_mono_ns)
{
    for (;;) {
        struct pollfd waited = {.fd = wake->fd, .events = POLLIN};
        struct timespec left = {0};
        bool bounded = deadline_mono_ns != INT64_MAX;
        int64_t left_ns = bounded ? deadline_mono_ns - clock_mono_ns() : 0;

        if (left_ns > 0) {
            left.tv_sec = (time_t)(left_ns / CLOCK_NS_PER_S);
            left.tv_nsec = (long)(left_ns % CLOCK_NS_PER_S);
        }
        int n = ppoll(&waited, 1, bounded ? &left : NULL, NULL);
        if (n > 0 && wake_clear(wake))
            return true;
        /* EINTR and a wake-up that somebody else took: wait on, for what is left. */
        if (bounded && left_ns <= 0)
            return false;
    }
}
