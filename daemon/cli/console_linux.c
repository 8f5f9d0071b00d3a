/* console_linux.c: see console.h. Main thread. */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "err.h"

/* A closed 0, 1 or 2 would be given to the next file that is opened: a database that gets the
 * error messages. */
static bool fill_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

bool console_open(int *argc, char ***argv)
{
    (void)argc; /* as they are */
    (void)argv;
    /* A closed pipe is an answer of write(2), also in libcurl's threads. */
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail with these arguments */
    return fill_standard_fds();
}

static void stop_signals(sigset_t *out)
{
    (void)sigemptyset(out); /* these cannot fail with valid numbers */
    (void)sigaddset(out, SIGTERM);
    (void)sigaddset(out, SIGINT);
}

/* Threads inherit the mask, so the signals stay for us. */
int console_listen(struct err *err)
{
    sigset_t set;

    stop_signals(&set);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0
               ? 0
               : err_os(err, errno, "cannot set the signal mask");
}

void console_wait_stop(void)
{
    sigset_t set;
    int signal = 0;

    stop_signals(&set);
    while (sigwait(&set, &signal) != 0) {
        /* EINTR only, after a stop and continue */
    }
}
