/* daemon_wait_windows.c: see daemon_wait.h. One wait for console events, the wake and the control
 * pipe.
 *
 * Windows tells of Ctrl-C, of the console's closing, of logoff and shutdown by a thread that it
 * starts for it in the process (HandlerRoutine, consoleapi). That thread leaves a flag and sets an
 * event. After the last three the process ends as soon as the handler returns, so it waits for the
 * daemon, as long as the system lets it. There is no SIGHUP: a reload comes by the control pipe, to
 * a service also from its manager. A service is told by its console of every user's logoff
 * (HandlerRoutine), and must handle that by doing nothing, or it would be ended. */
#include "daemon_wait_windows.h"

#include "control_windows.h"
#include "daemon.h"
#include "err.h"
#include "native_windows.h"
#include "wake.h"

#define EXIT_FORCED 130 /* as after SIGINT on other systems */

struct daemon_wait {
    HANDLE asked;  /* event: told to stop */
    HANDLE ended;  /* event, reset by hand: the daemon is through */
    bool exiting;  /* atomic: nobody waits any more */
    unsigned bits; /* atomic: what was asked, of enum daemon_asked */
    const struct daemon_host *host;
};

/* The system's handler is given no context, so that this one is found by name. Never freed: a
 * handler may be in its wait until the process ends. */
static struct daemon_wait the_wait;

static void say(const char *text, size_t len)
{
    DWORD n = 0;

    /* Nobody is left to be told of a failure. */
    (void)WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, (DWORD)len, &n, NULL);
}

void daemon_wait_ask(unsigned asked)
{
    (void)__atomic_fetch_or(&the_wait.bits, asked, __ATOMIC_RELEASE);
    HANDLE event = __atomic_load_n(&the_wait.asked, __ATOMIC_ACQUIRE);
    if (event)
        (void)SetEvent(event); /* fails for a bad handle only */
}

static BOOL WINAPI on_console(DWORD kind)
{
    static const char twice[] = "spoor: interrupted twice: stopped at once\n";
    bool person = kind == CTRL_C_EVENT || kind == CTRL_BREAK_EVENT;

    if (the_wait.host)
        return TRUE; /* a logoff is not ours, of a shutdown the manager tells */
    if (person && __atomic_load_n(&the_wait.exiting, __ATOMIC_ACQUIRE)) {
        say(twice, sizeof twice - 1);
        (void)TerminateProcess(GetCurrentProcess(), EXIT_FORCED); /* does not return */
    }
    daemon_wait_ask(DAEMON_ASKED_STOP);
    if (!person)
        (void)WaitForSingleObject(the_wait.ended, DAEMON_FORCE_MS); /* whichever comes first */
    return TRUE;
}

int daemon_wait_open(const struct daemon_host *host, struct daemon_wait **out, struct err *err)
{
    struct daemon_wait *wait = &the_wait;
    HANDLE asked = CreateEventW(NULL, FALSE, TRUE, NULL); /* set: there may be bits already */

    wait->host = host;
    wait->ended = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!asked || !wait->ended)
        return err_native(err, GetLastError(), "cannot make an event");
    __atomic_store_n(&wait->asked, asked, __ATOMIC_RELEASE);
    /* The first call undoes an "ignore Ctrl-C" that was inherited: whoever sends one means it. */
    if (!SetConsoleCtrlHandler(NULL, FALSE) || !SetConsoleCtrlHandler(on_console, TRUE))
        return err_native(err, GetLastError(), "cannot listen for Ctrl-C");
    *out = wait;
    return 0;
}

void daemon_wait_close(struct daemon_wait *wait)
{
    if (wait)
        (void)SetEvent(wait->ended); /* the handles stay, see above */
}

int daemon_wait_sleep(struct daemon_wait *wait, struct wake *wake, struct control *control,
                      unsigned *asked, struct err *err)
{
    HANDLE handles[2 + CONTROL_HANDLES_MAX] = {wait->asked, (HANDLE)(intptr_t)wake->fd};
    size_t count = 2 + control_wait_handles(control, handles + 2, CONTROL_HANDLES_MAX);
    DWORD first = WaitForMultipleObjects((DWORD)count, handles, FALSE, INFINITE);

    if (first == WAIT_FAILED)
        return err_native(err, GetLastError(), "cannot wait for events");
    /* The wait has reset what it returned for; what else is set ends the next one. */
    *asked = __atomic_exchange_n(&wait->bits, 0, __ATOMIC_ACQUIRE);
    (void)wake_clear(wake); /* whether or not: the caller looks at the state itself */
    return 0;
}

void daemon_wait_serve(struct daemon_wait *wait, struct control *control,
                       void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                       void *ctx)
{
    (void)wait; /* the pipe's own events say what there is */
    control_serve(control, handle, ctx);
}

static void CALLBACK end_by_force(void *ctx, BOOLEAN timed_out)
{
    static const char hung[] = "spoor: the stop hung: ended by force\n";

    (void)ctx;
    (void)timed_out; /* always */
    say(hung, sizeof hung - 1);
    if (the_wait.host)
        the_wait.host->cut_off();
    (void)TerminateProcess(GetCurrentProcess(), EXIT_FORCED); /* does not return */
}

void daemon_wait_arm_exit(struct daemon_wait *wait)
{
    HANDLE timer;

    __atomic_store_n(&wait->exiting, true, __ATOMIC_RELEASE);
    /* Should it fail the stop is still a clean one, only without its guard. */
    (void)CreateTimerQueueTimer(&timer, NULL, end_by_force, NULL, DAEMON_FORCE_MS, 0,
                                WT_EXECUTEONLYONCE);
}
