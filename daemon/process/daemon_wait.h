/* daemon_wait.h: what the daemon's main thread sleeps in: one wait without a time limit, for what
 * is asked of the process itself (signals, on Windows console events), for clients of the control
 * channel and for progress. Main thread. */
#ifndef SPOOR_DAEMON_WAIT_H
#define SPOOR_DAEMON_WAIT_H

struct control;
struct daemon_host;
struct daemon_wait;
struct err;
struct wake;

enum daemon_asked { DAEMON_ASKED_STOP = 1, DAEMON_ASKED_RELOAD = 2 };

/* From here on a signal no longer ends the process, it is waited for. Before any thread is made;
 * once in a process. With a `host` (NULL allowed; it must live as long) that one asks, not a
 * console, and is told when a stop is cut off. */
int daemon_wait_open(const struct daemon_host *host, struct daemon_wait **out, struct err *err);
/* NULL allowed. */
void daemon_wait_close(struct daemon_wait *wait);

/* Waits until there is something of these and clears the wake; what was asked of the process is in
 * *asked, of enum daemon_asked. */
int daemon_wait_sleep(struct daemon_wait *wait, struct wake *wake, struct control *control,
                      unsigned *asked, struct err *err);
/* After daemon_wait_sleep(): serves the clients it saw, each complete request by `handle`. */
void daemon_wait_serve(struct daemon_wait *wait, struct control *control,
                       void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                       void *ctx);

/* From here to the exit nobody waits any more: a second Ctrl-C ends the process at once, and so
 * does a stop that takes DAEMON_FORCE_MS. */
void daemon_wait_arm_exit(struct daemon_wait *wait);

#endif
