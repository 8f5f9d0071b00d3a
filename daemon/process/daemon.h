/* daemon.h: the whole process behind `spoor run`: opens everything first, starts downstream
 * first (uploads, then folders), serves the control socket and signals on the main thread,
 * stops upstream first, joins all. */
#ifndef SPOOR_DAEMON_H
#define SPOOR_DAEMON_H

struct buf;
struct config;
struct err;

#define DAEMON_STOP_MS  2000        /* from SIGTERM to exit */
#define DAEMON_FORCE_MS 10000       /* then a stop that hangs (a dead file system) is cut off */
#define DAEMON_LOCK     "lock"      /* in the state directory, held while a daemon runs */
#define DAEMON_LOG      "spoor.log" /* there too, when in the background and nothing else is set */
#define DAEMON_READY    'R'         /* the byte written to ready_fd */

/* Who is told how it goes, where a manager of services runs the daemon. */
struct daemon_host {
    void (*ready)(const struct config *config); /* everything runs */
    void (*stopping)(bool asked);               /* the stop begins; not asked: it failed */
    void (*cut_off)(void); /* a stop that hangs ends the process now; from any thread */
};

struct daemon_options {
    int ready_fd;    /* -1, or a pipe: one byte is written when everything runs (spoor start); it is
                        closed then */
    bool background; /* the log never goes to stderr, which is pointed at the log file */
    const struct daemon_host *host; /* NULL: nobody */
};

/* Takes the state directory's lock, runs until SIGTERM, SIGINT or a control "stop". 0 after a
 * clean stop. ERR_BUSY: another instance holds the state directory (its process id in the text).
 * Takes over `config`, which a reload may replace, and frees it. The only thread of its process
 * that does anything calls it, once. */
int daemon_run(const struct daemon_options *options, struct config *config, struct err *err);

/* The file the log goes to, appended; nothing when that is stderr. */
void daemon_log_path(const struct config *config, bool background, struct buf *out);

#endif
