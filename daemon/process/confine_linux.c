/* confine_linux.c: see confine.h. Main thread. */
#include "confine.h"

#include <errno.h>

#include "buf.h"
#include "config.h"
#include "daemon.h"
#include "err.h"
#include "log.h"
#include "sandbox.h"

#define NOTES_MAX    ((size_t)1 << 20)
#define LOG_PATH_MAX 4096

static void log_notes(const struct buf *notes)
{
    for (const char *at = notes->data; at && *at;) {
        const char *end = strchrnul(at, '\n');
        log_info("sandbox: %.*s", (int)(end - at), at);
        at = *end ? end + 1 : end;
    }
}

/* SQLite's large sorts spill into files without a name; the usual places for these are closed. It
 * asks getenv(3) when it is first used, which is after this. */
static int set_temporary_dir(const struct config *config, struct err *err)
{
    if (setenv("SQLITE_TMPDIR", config->daemon.state_dir, 1) != 0)
        return err_os(err, errno, "cannot set SQLITE_TMPDIR");
    return 0;
}

static int make_plan(const struct config *config, bool background, struct sandbox **out,
                     struct buf *notes, struct err *err)
{
    struct buf log;

    buf_init(&log, LOG_PATH_MAX);
    daemon_log_path(config, background, &log);
    int rc = buf_ok(&log) ? sandbox_new(config, log.data ? log.data : "", out, notes, err)
                          : err_set(err, ERR_LIMIT, 0, "the path of the log file is too long");
    buf_deinit(&log);
    return rc;
}

int confine_enter(struct confine *confine, const struct config *config, bool background,
                  struct err *err)
{
    struct buf notes;
    int rc;

    if (confine->entered)
        return 0;
    confine->entered = true;
    confine->wanted = config->daemon.sandbox;
    confine->word = confine->wanted ? "none" : "off";
    if (!confine->wanted) {
        log_info("sandbox: off, as configured");
        return 0;
    }
    buf_init(&notes, NOTES_MAX);
    rc = sandbox_harden(err);
    if (rc == 0)
        rc = set_temporary_dir(config, err);
    if (rc == 0)
        rc = make_plan(config, background, &confine->plan, &notes, err);
    if (rc == 0)
        rc = sandbox_enter(confine->plan, &confine->abi, err);
    if (rc != 0) {
        (void)err_prefix(err, "sandbox (see [daemon] sandbox)"); /* rc says it already */
    } else if (confine->abi == 0) {
        log_info("sandbox: this kernel gives no Landlock: files and connections are not confined");
    } else {
        confine->word = "landlock";
        log_notes(&notes);
        log_info("sandbox: Landlock %d: files%s are confined", confine->abi,
                 confine->abi >= SANDBOX_ABI_PORTS ? " and connections" : "");
    }
    buf_deinit(&notes);
    return rc;
}

int confine_check(const struct confine *confine, const struct config *config, bool background,
                  struct err *err)
{
    struct sandbox *plan = NULL;
    int rc = 0;

    if (confine->wanted != config->daemon.sandbox)
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "sandbox is another now: that takes a stop and a start");
    if (confine->abi == 0)
        return 0;
    rc = make_plan(config, background, &plan, NULL, err);
    if (rc == 0)
        rc = sandbox_covers(confine->plan, plan, confine->abi >= SANDBOX_ABI_PORTS, err);
    sandbox_free(plan);
    return rc;
}

void confine_deinit(struct confine *confine)
{
    sandbox_free(confine->plan);
    confine->plan = NULL;
}
