/* confine.h: the daemon's own confinement: entered once, told in the log, asked at each reload. */
#ifndef SPOOR_CONFINE_H
#define SPOOR_CONFINE_H

struct config;
struct err;
struct sandbox;

struct confine {
    struct sandbox *plan; /* of the configuration at start; NULL: not confined by paths */
    int abi;              /* of Landlock; 0 none */
    const char *word;     /* for `status`: landlock, none (there is none here), off */
    bool entered;
    bool wanted; /* [daemon] sandbox, at start */
};

/* Confines the process as `config` says, for ever, and logs what came of it. Main thread, before
 * any other is made, before SQLite is used, and when all is open that only the start needs.
 * `background`: as in struct daemon_options. Does nothing the second time. */
int confine_enter(struct confine *confine, const struct config *config, bool background,
                  struct err *err);
/* Can this configuration run within what was entered? ERR_UNSUPPORTED: a restart is needed. */
int confine_check(const struct confine *confine, const struct config *config, bool background,
                  struct err *err);
void confine_deinit(struct confine *confine); /* frees the plan; the process stays confined */

#endif
