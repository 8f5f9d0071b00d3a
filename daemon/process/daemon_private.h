/* daemon_private.h: what daemon*.c share. Nobody else includes it. The main thread. */
#ifndef SPOOR_DAEMON_PRIVATE_H
#define SPOOR_DAEMON_PRIVATE_H

#include "confine.h"
#include "daemon.h"
#include "err.h"
#include "wake.h"

struct daemon {
    const struct daemon_options *options;
    struct config *config;
    int dirfd;
    int lock_fd;
    int log_fd; /* -1: stderr */
    int signal_fd;
    struct wake wake;
    struct control *control;
    struct engine *engine;
    struct barriers *barriers;
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

#endif
