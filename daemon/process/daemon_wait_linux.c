/* daemon_wait_linux.c: see daemon_wait.h. One poll(2) for a signalfd(2), the wake and the control
 * socket.
 *
 * Signals are blocked in every thread and read from a descriptor, but while stopping: then SIGINT
 * ends the process at once, and so does SIGALRM when the stop hangs. Main thread. */
#include "daemon_wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "control_linux.h"
#include "daemon.h"
#include "err.h"
#include "wake.h"

#define EXIT_FORCED 130 /* as a shell reports a program that SIGINT ended */

struct daemon_wait {
    int signal_fd;
    struct pollfd clients[CONTROL_FDS_MAX];
    size_t client_count;
};

static void exit_now(int signal)
{
    static const char twice[] = "spoor: interrupted twice: stopped at once\n";
    static const char hung[] = "spoor: the stop hung: ended by force\n";

    /* write(2) and _exit(2) are async-signal-safe; nobody is left to be told of a failure. */
    if (signal == SIGINT)
        (void)!write(STDERR_FILENO, twice, sizeof twice - 1);
    else
        (void)!write(STDERR_FILENO, hung, sizeof hung - 1);
    _exit(EXIT_FORCED);
}

/* Threads inherit the mask. */
static int open_signals(struct daemon_wait *wait, struct err *err)
{
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void)sigemptyset(&set);        /* cannot fail, */
    (void)sigaddset(&set, SIGTERM); /* nor can these with valid numbers */
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    /* Blocked signals are queued even where they were ignored before us (signal(7)), as SIGINT is
     * by a shell for its background jobs: whoever sends one means it. */
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_os(err, errno, "cannot set the signal mask");
    wait->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (wait->signal_fd < 0)
        return err_os(err, errno, "cannot make a signalfd");
    return 0;
}

int daemon_wait_open(const struct daemon_host *host, struct daemon_wait **out, struct err *err)
{
    struct daemon_wait *wait = calloc(1, sizeof *wait);
    (void)host; /* systemd asks by signals, as everybody does */
    int rc = wait ? open_signals(wait, err) : err_set(err, ERR_NOMEM, 0, "no memory for signals");

    if (rc != 0)
        free(wait);
    else
        *out = wait;
    return rc;
}

void daemon_wait_close(struct daemon_wait *wait)
{
    if (!wait)
        return;
    (void)close(wait->signal_fd); /* nothing is in it that anybody waits for */
    free(wait);
}

static unsigned read_signals(const struct daemon_wait *wait)
{
    struct signalfd_siginfo info;
    unsigned asked = 0;

    while (read(wait->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        asked |= info.ssi_signo == SIGHUP ? DAEMON_ASKED_RELOAD : DAEMON_ASKED_STOP;
    return asked;
}

int daemon_wait_sleep(struct daemon_wait *wait, struct wake *wake, struct control *control,
                      unsigned *asked, struct err *err)
{
    struct pollfd fds[2 + CONTROL_FDS_MAX] = {
        {.fd = wait->signal_fd, .events = POLLIN},
        {.fd = wake->fd, .events = POLLIN},
    };
    size_t count = control_poll_fds(control, fds + 2, CONTROL_FDS_MAX);
    int n;

    do
        n = poll(fds, 2 + count, -1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(err, errno, "cannot wait for events");
    if (fds[1].revents)
        (void)wake_clear(wake); /* whether or not: we look at the state itself */
    *asked = fds[0].revents ? read_signals(wait) : 0;
    memcpy(wait->clients, fds + 2, count * sizeof *fds);
    wait->client_count = count;
    return 0;
}

void daemon_wait_serve(struct daemon_wait *wait, struct control *control,
                       void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                       void *ctx)
{
    control_serve(control, wait->clients, wait->client_count, handle, ctx);
}

void daemon_wait_arm_exit(struct daemon_wait *wait)
{
    struct sigaction action = {.sa_handler = exit_now};
    sigset_t set;

    (void)wait;              /* its descriptor is read no more */
    (void)sigemptyset(&set); /* as above */
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGALRM);
    /* Should one of these fail the stop is still a clean one, only without its guard. */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGALRM, &action, NULL);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)alarm(DAEMON_FORCE_MS / 1000); /* gives the old alarm's rest: there was none */
}
