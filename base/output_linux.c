/* output_linux.c: see output.h. Any thread. */
#include "output.h"

#include <errno.h>
#include <poll.h>

int output_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd waited = {.fd = fd, .events = POLLOUT};
            (void)poll(&waited, 1, -1); /* whatever it says, the write tells */
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}
