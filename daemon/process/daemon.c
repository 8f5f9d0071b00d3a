/* daemon.c: the whole process: lock, log, and the loop of its main thread until the stop.
 *
 * The main thread waits without a timeout (daemon_wait.h), for a signal, a control client or
 * progress that a `spoor sync` waits for: an idle daemon never wakes. The work is done by the
 * threads of the engine. A stop can be cut off by a second Ctrl-C, and cuts itself off when it
 * hangs. Both are safe: what is committed stays, what is not was never promised. */
#include "daemon_private.h"

#include <errno.h>

#include "barrier.h"
#include "buf.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "daemon_wait.h"
#include "engine.h"
#include "folder.h"
#include "log.h"
#include "osfile.h"
#include "privilege.h"

#define DAEMON_PATH_MAX 4096
#define EXIT_LEFT       1 /* a folder that hangs was left behind */

/* ---- the log ---- */

void daemon_log_path(const struct config *config, bool background, struct buf *out)
{
    if (config->daemon.log_file[0] != '\0')
        buf_add_str(out, config->daemon.log_file);
    else if (background)
        buf_addf(out, "%s/" DAEMON_LOG, config->daemon.state_dir);
}

/* The descriptor's number stays, as other threads write to it meanwhile. */
int daemon_set_log(struct daemon *daemon, const struct config *config, struct err *err)
{
    struct buf path;
    int fd = -1;
    int rc = 0;

    buf_init(&path, DAEMON_PATH_MAX);
    daemon_log_path(config, daemon->options->background, &path);
    if (!buf_ok(&path)) {
        rc = err_set(err, ERR_LIMIT, 0, "the path of the log file is too long");
        goto out;
    }
    if (path.len == 0) {
        log_setup(STDERR_FILENO, (enum log_level)config->daemon.log_level);
        goto out;
    }
    fd = osfile_open_log(path.data, err);
    if (fd < 0) {
        rc = fd;
        goto out;
    }
    if (daemon->log_fd < 0) {
        daemon->log_fd = fd;
        fd = -1;
    } else if ((rc = osfile_put(fd, daemon->log_fd, path.data, err)) != 0) {
        goto out;
    }
    /* What libraries and sanitizers print belongs there too when there is no terminal. */
    if (daemon->options->background && dup2(daemon->log_fd, STDERR_FILENO) < 0) {
        rc = err_os(err, errno, "cannot switch stderr to the log file '%s'", path.data);
        goto out;
    }
    log_setup(daemon->log_fd, (enum log_level)config->daemon.log_level);
out:
    if (fd >= 0)
        (void)close(fd); /* a duplicate, nothing was written by it */
    buf_deinit(&path);
    return rc;
}

/* ---- life ---- */

int daemon_open_engine(struct daemon *daemon, const struct config *config, struct err *err)
{
    int rc = engine_open(config, &daemon->wake, &daemon->engine, err);

    /* While there is one thread: rights are those of a thread (capabilities(7)). */
    if (rc == 0 && engine_wants_marks(daemon->engine))
        rc = privilege_give_up(err);
    if (rc == 0)
        rc = engine_start(daemon->engine, err);
    if (rc != 0) {
        engine_close(daemon->engine);
        daemon->engine = NULL;
    }
    return rc;
}

static int take_lock(struct daemon *daemon, struct err *err)
{
    const char *state_dir = daemon->config->daemon.state_dir;
    int64_t holder = 0;
    int rc = osfile_make_private_dir(state_dir, err);

    if (rc != 0)
        return rc;
    daemon->dirfd = osfile_open_dir(state_dir, err);
    if (daemon->dirfd < 0)
        return daemon->dirfd;
    daemon->lock_fd = osfile_lock(daemon->dirfd, DAEMON_LOCK, &holder, err);
    if (daemon->lock_fd == ERR_BUSY && holder != 0)
        return err_set(err, ERR_BUSY, 0, "a daemon runs already in '%s' (process %lld)", state_dir,
                       (long long)holder);
    return daemon->lock_fd < 0 ? daemon->lock_fd : 0;
}

static int open_all(struct daemon *daemon, struct err *err)
{
    int rc = take_lock(daemon, err);

    if (rc == 0)
        rc = daemon_set_log(daemon, daemon->config, err);
    if (rc == 0)
        rc = daemon_wait_open(daemon->options->host, &daemon->wait, err);
    if (rc == 0)
        rc = wake_open(&daemon->wake, err);
    if (rc == 0 && barriers_new(&daemon->barriers) != 0)
        rc = err_set(err, ERR_NOMEM, 0, "no memory for the daemon");
    if (rc == 0)
        rc = control_open(daemon->config->daemon.state_dir, &daemon->control, err);
    if (rc == 0)
        rc = confine_enter(&daemon->confine, daemon->config, daemon->options->background, err);
    if (rc == 0)
        rc = daemon_open_engine(daemon, daemon->config, err);
    return rc;
}

static void tell_ready(struct daemon *daemon)
{
    const char ready = DAEMON_READY;

    log_info("spoor " SPOOR_VERSION " runs: %zu folder%s, %zu upload%s, state in %s",
             daemon->config->folder_count, daemon->config->folder_count == 1 ? "" : "s",
             daemon->config->upload_count, daemon->config->upload_count == 1 ? "" : "s",
             daemon->config->daemon.state_dir);
    if (daemon->options->host)
        daemon->options->host->ready(daemon->config);
    if (daemon->options->ready_fd < 0)
        return;
    /* `spoor start` may have been killed meanwhile; the daemon is wanted all the same. */
    (void)!write(daemon->options->ready_fd, &ready, 1);
    (void)close(daemon->options->ready_fd); /* a pipe: nothing is written back */
}

static int serve(struct daemon *daemon, struct err *err)
{
    while (!daemon->stopping) {
        struct err failed = {0};
        unsigned asked = 0;
        int rc = daemon_wait_sleep(daemon->wait, &daemon->wake, daemon->control, &asked, err);
        if (rc != 0)
            return rc;
        if (asked & DAEMON_ASKED_STOP)
            daemon->stopping = true;
        else if (asked & DAEMON_ASKED_RELOAD)
            (void)daemon_reload(daemon, &failed); /* it has logged what it did */
        daemon_wait_serve(daemon->wait, daemon->control, daemon_answer_request, daemon);
        if (daemon->engine)
            barriers_check(daemon->barriers, daemon->engine, daemon->control);
        daemon_check_errands(daemon);
    }
    return 0;
}

/* How long a stop waits for folders: for one that hangs already not again as long. */
static int64_t hang_ns(const struct engine *engine)
{
    struct folder_status status;
    int64_t ms = DAEMON_FORCE_MS - DAEMON_STOP_MS;

    for (size_t f = 0; f < engine_folder_count(engine); f++) {
        folder_get_status(engine_folder(engine, f), &status);
        if (status.hung_ms > 0)
            ms = DAEMON_STOP_MS / 2;
    }
    return ms * CLOCK_NS_PER_MS;
}

/* A thread that waits for a file system cannot even be killed everywhere (FUSE, NFS): the kernel
 * keeps the process until there is an answer. What others wait for is given up now; that thread
 * never comes back from its call. */
static void leave_behind(struct daemon *daemon)
{
    control_close(daemon->control);
    log_error("stopped; process %d ends when the file system answers", (int)getpid());
    (void)close(daemon->lock_fd); /* frees the lock: `spoor stop` returns */
    if (daemon->options->host)
        daemon->options->host->cut_off();
    _exit(EXIT_LEFT);
}

static void close_all(struct daemon *daemon)
{
    int64_t began = clock_mono_ns();

    if (daemon->engine) {
        log_info("stopping");
        if (daemon->options->host)
            daemon->options->host->stopping(daemon->stopping && daemon->fatal.code == 0);
        daemon_wait_arm_exit(daemon->wait);
        engine_stop(daemon->engine);
    }
    if (daemon->control)
        barriers_refuse(daemon->barriers, daemon->control, "the daemon is stopping");
    if (daemon->engine) {
        if (!engine_wait_end(daemon->engine, began + hang_ns(daemon->engine)))
            leave_behind(daemon);
        engine_close(daemon->engine);
        daemon_check_errands(daemon); /* all are through, or were refused */
        log_info("stopped after %lld ms", (long long)((clock_mono_ns() - began) / CLOCK_NS_PER_MS));
    }
    control_close(daemon->control);
    barriers_free(daemon->barriers);
    confine_deinit(&daemon->confine);
    wake_close(&daemon->wake);
    daemon_wait_close(daemon->wait);
    log_setup(STDERR_FILENO, LOG_INFO);
    if (daemon->log_fd >= 0)
        (void)close(daemon->log_fd); /* a log's last line may be lost with a full disk */
    if (daemon->lock_fd >= 0)
        (void)close(daemon->lock_fd); /* frees the lock: `spoor stop` returns */
    if (daemon->dirfd >= 0)
        (void)close(daemon->dirfd); /* opened for reading */
    config_free(daemon->config);
}

int daemon_run(const struct daemon_options *options, struct config *config, struct err *err)
{
    struct daemon daemon = {
        .options = options,
        .config = config,
        .dirfd = -1,
        .lock_fd = -1,
        .log_fd = -1,
        .wake = {.fd = -1},
        .started_mono_ns = clock_mono_ns(),
    };
    int rc = open_all(&daemon, err);

    if (rc == 0) {
        tell_ready(&daemon);
        rc = serve(&daemon, err);
    }
    if (rc == 0 && daemon.fatal.code != 0)
        rc = err_set(err, daemon.fatal.code, daemon.fatal.os, "%s", daemon.fatal.text);
    close_all(&daemon);
    return rc;
}
