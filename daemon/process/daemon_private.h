/* daemon_private.h: what daemon*.c share. Nobody else includes it. The main thread. */
#ifndef SPOOR_DAEMON_PRIVATE_H
#define SPOOR_DAEMON_PRIVATE_H

#include "confine.h"
#include "daemon.h"
#include "err.h"
#include "wake.h"

#define DAEMON_ERRANDS_MAX 64 /* also of clients that have gone meanwhile */

struct daemon_errand {
    struct folder_errand *errand; /* NULL: free */
    uint64_t client;
};

struct daemon {
    const struct daemon_options *options;
    struct config *config;
    int dirfd;
    int lock_fd;
    int log_fd; /* -1: stderr */
    struct daemon_wait *wait;
    struct wake wake;
    struct control *control;
    struct engine *engine;
    struct barriers *barriers;
    struct daemon_errand errands[DAEMON_ERRANDS_MAX];
    struct confine confine;
    int64_t started_mono_ns;
    bool stopping;
    struct err fatal; /* set when a reload left nothing to run */
};

/* daemon.c */
/* Points the log where `config` says. Again on every reload, so that a rotated file is let go. On
 * failure the old one stays. */
int daemon_set_log(struct daemon *daemon, const struct config *config, struct err *err);
/* Opens and starts what `config` says; on failure there is no engine. */
int daemon_open_engine(struct daemon *daemon, const struct config *config, struct err *err);

/* daemon_reload.c */
/* Reads the configuration again. Parsed and checked whole first; the old one stays unless the new
 * one runs. Logs what it did. */
int daemon_reload(struct daemon *daemon, struct err *err);

/* daemon_control.c */
/* What a client of the control channel asks; `ctx` is the struct daemon. */
void daemon_answer_request(void *ctx, uint64_t client, const char *request, size_t len);
/* Done, or not and why. */
void daemon_answer(struct daemon *daemon, uint64_t client, const char *error_or_null);

/* daemon_errand.c */
/* {"do":"consumer"}: answered at once when it cannot be, else by daemon_check_errands(). */
void daemon_handle_consumer(struct daemon *daemon, uint64_t client, const char *request,
                            size_t len);
/* Answers those that are through. */
void daemon_check_errands(struct daemon *daemon);

#endif
