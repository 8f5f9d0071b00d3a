/* confine_windows.c: see confine.h. Windows has nothing like Landlock that a program may ask for
 * itself, so that the daemon is confined by its user's rights alone; `sandbox = yes`, which is the
 * default, keeps nobody from starting it; log and `status` say what there is. Main thread. */
#include "confine.h"

#include "config.h"
#include "err.h"
#include "log.h"

int confine_enter(struct confine *confine, const struct config *config, bool background,
                  struct err *err)
{
    (void)background; /* a plan would need them */
    (void)err;
    if (confine->entered)
        return 0;
    confine->entered = true;
    confine->wanted = config->daemon.sandbox;
    confine->word = confine->wanted ? "none" : "off";
    if (confine->wanted)
        log_info("sandbox: there is none on Windows: files and connections are not confined");
    else
        log_info("sandbox: off, as configured");
    return 0;
}

/* Either way nothing is confined, so any configuration can run. */
int confine_check(const struct confine *confine, const struct config *config, bool background,
                  struct err *err)
{
    (void)confine;
    (void)config;
    (void)background;
    (void)err;
    return 0;
}

void confine_deinit(struct confine *confine)
{
    (void)confine; /* it has no plan */
}
