/* daemon_reload.c: another configuration for a daemon that runs. Everything is closed and opened
 * anew: nothing is lost by that, since what happens meanwhile is found by the scan of a start.
 * The main thread. */
#include "daemon_private.h"

#include "barrier.h"
#include "buf.h"
#include "clock.h"
#include "config.h"
#include "engine.h"
#include "folder.h"
#include "log.h"

#define DAEMON_TEXT_MAX ((size_t)64 << 20) /* of a configuration, shown */

/* What `spoor config show` prints without the origins: equal when nothing has to change. */
static void describe(const struct config *config, struct buf *out)
{
    struct buf shown;

    buf_init(&shown, out->limit);
    config_show(config, true, &shown);
    const char *at = shown.data ? shown.data : "";
    while (*at) {
        const char *end = strchrnul(at, '\n');
        const char *origin = memmem(at, (size_t)(end - at), "\"origin\":", 9);
        buf_add(out, at, (size_t)((origin ? origin : end) - at));
        buf_add_char(out, '\n');
        at = *end ? end + 1 : end;
    }
    out->failed |= shown.failed;
    buf_deinit(&shown);
}

static bool same_config(const struct config *x, const struct config *y)
{
    struct buf x_text, y_text;

    buf_init(&x_text, DAEMON_TEXT_MAX);
    buf_init(&y_text, DAEMON_TEXT_MAX);
    describe(x, &x_text);
    describe(y, &y_text);
    bool same = buf_ok(&x_text) && buf_ok(&y_text) && x_text.len == y_text.len &&
                memcmp(x_text.data, y_text.data, x_text.len) == 0;
    buf_deinit(&x_text);
    buf_deinit(&y_text);
    return same;
}

static int load_again(struct daemon *daemon, struct config **out, struct err *err)
{
    struct config *config = NULL;
    int rc = config_load(daemon->config->file, &config, err);

    if (rc == 0)
        rc = config_check_paths(config, NULL, err);
    if (rc == 0 && strcmp(config->daemon.state_dir, daemon->config->daemon.state_dir) != 0)
        rc = err_set(err, ERR_UNSUPPORTED, 0,
                     "state_dir is another now: that takes a stop and a start");
    if (rc == 0)
        rc = confine_check(&daemon->confine, config, daemon->options->background, err);
    if (rc == 0)
        rc = daemon_set_log(daemon, config, err);
    if (rc != 0) {
        config_free(config);
        return rc;
    }
    *out = config;
    return 0;
}

/* To close a folder is to wait for its thread, which may wait for a file system that hangs. */
static int find_hung(const struct daemon *daemon, struct err *err)
{
    struct folder_status status;

    for (size_t f = 0; f < engine_folder_count(daemon->engine); f++) {
        folder_get_status(engine_folder(daemon->engine, f), &status);
        if (status.hung_ms > 0)
            return err_set(err, ERR_BUSY, 0,
                           "folder '%s': its file system has not answered for %lld s, and would be "
                           "waited for",
                           status.name, (long long)(status.hung_ms / 1000));
    }
    return 0;
}

int daemon_reload(struct daemon *daemon, struct err *err)
{
    struct config *config = NULL;
    int rc = find_hung(daemon, err);

    if (rc == 0)
        rc = load_again(daemon, &config, err);
    if (rc != 0) {
        log_error("reload: %s; the old configuration stays", err->text);
        return rc;
    }
    if (same_config(config, daemon->config)) {
        config_free(config);
        log_info("reload: nothing has changed; waiting uploads try again now");
        engine_retry(daemon->engine, SIZE_MAX);
        return 0;
    }
    engine_stop(daemon->engine);
    if (!engine_wait_end(daemon->engine, clock_mono_ns() + DAEMON_FORCE_MS * CLOCK_NS_PER_MS)) {
        log_error("reload: a folder hangs and cannot be opened again: stopping");
        daemon->stopping = true;
        config_free(config);
        return err_set(err, ERR_BUSY, 0, "a folder hangs: the daemon stops");
    }
    engine_close(daemon->engine);
    daemon->engine = NULL;
    rc = daemon_open_engine(daemon, config, err);
    if (rc == 0) {
        struct config *old = daemon->config;
        daemon->config = config;
        config_free(old);
        log_info("reload: the new configuration runs");
    } else {
        log_error("reload: %s; going back to the old configuration", err->text);
        config_free(config);
        (void)daemon_set_log(daemon, daemon->config, NULL); /* the new log file serves as well */
        if (daemon_open_engine(daemon, daemon->config, &daemon->fatal) != 0) {
            log_error("reload: the old configuration fails too: %s; stopping", daemon->fatal.text);
            daemon->stopping = true;
            return rc;
        }
    }
    barriers_restart(daemon->barriers, daemon->engine, daemon->control);
    return rc;
}
