/* sandbox.h: what the running daemon may reach, worked out from its configuration, and the doors
 * closed to all else.
 *
 * The plan (sandbox_plan.c) is a list of paths and ports; sandbox_linux.c makes a Landlock domain
 * of it (landlock(7)). A domain can never be widened, by a reload or an exec: a reload whose plan
 * is not covered by the one in force must be refused. Rules hold for what lies at a path when the
 * sandbox is entered; that is why the directories of files that others replace by renaming
 * (configuration, token, certificates) are in the plan, not the files alone, and why a folder's
 * parent may be listed. Main thread, before any other is made: later threads inherit. */
#ifndef SPOOR_SANDBOX_H
#define SPOOR_SANDBOX_H

struct buf;
struct config;
struct err;

#define SANDBOX_PORTS_MAX 512
#define SANDBOX_RULES_MAX 4096

enum sandbox_right {
    SANDBOX_LIST = 1,   /* read directories */
    SANDBOX_READ = 2,   /* read files */
    SANDBOX_APPEND = 4, /* write files, and make them */
    SANDBOX_OWN = 8,    /* all that one does in a directory of one's own; never execute */
};

/* `asked`: the path as configured, for which this rule stands; NULL for what any daemon needs. */
struct sandbox_rule {
    char *asked;
    char *path;
    unsigned rights; /* of enum sandbox_right, for the path and all below it */
};

struct sandbox {
    struct sandbox_rule *rules;
    size_t rule_count;
    uint16_t ports[SANDBOX_PORTS_MAX]; /* TCP, to connect to */
    size_t port_count;
};

/* The plan for `config`; `log_path` is the log file, "" when it is stderr. The state directory must
 * exist. What people should know (a folder that cannot be protected, more granted than seems
 * needed) is appended to `notes`, a line each; NULL allowed. ERR_NOMEM, ERR_LIMIT, ERR_INVALID. */
int sandbox_new(const struct config *config, const char *log_path, struct sandbox **out,
                struct buf *notes, struct err *err);
void sandbox_free(struct sandbox *sandbox); /* NULL allowed */

/* 0 when all that is configured in `want` is granted by `have` already (`ports` false: connections
 * are not confined), else ERR_UNSUPPORTED with the first path or port that is not. */
int sandbox_covers(const struct sandbox *have, const struct sandbox *want, bool ports,
                   struct err *err);

/* For ever, for this thread and all made after it: no privileges by exec (no_new_privs), no core
 * dumps and no reading of our memory by others of our user (PR_SET_DUMPABLE, RLIMIT_CORE). */
int sandbox_harden(struct err *err);

/* Enters a Landlock domain after sandbox_harden(). *abi is the kernel's version, 0 when it has no
 * Landlock: then nothing is confined. From ABI 2 files can be moved between the directories of
 * the state, from ABI 4 connections are confined, from ABI 6 signals and abstract sockets. After a
 * failure nothing is confined. */
int sandbox_enter(const struct sandbox *sandbox, int *abi, struct err *err);
#define SANDBOX_ABI_PORTS 4

#endif
