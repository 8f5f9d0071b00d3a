/* cli_run.c: `spoor run`, `start`, `stop` and `reload`.
 *
 * `start` is `run` in a process of its own (background.h). A pipe tells the caller how it went: one
 * byte when everything runs, else the error's text, else the pipe just closes. `stop` asks by the
 * control channel and then waits for the lock, which the system frees when the process is gone
 * however it went. Main thread. */
#include "cli.h"

#include "background.h"
#include "buf.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "daemon.h"
#include "err.h"
#include "reader.h"

#define STOP_TIMEOUT_NS   (15 * CLOCK_NS_PER_S) /* longer than a daemon takes that is cut off */
#define RELOAD_TIMEOUT_NS (60 * CLOCK_NS_PER_S) /* that, and all is opened anew */
#define START_TEXT_MAX    1024
#define START_PATH_MAX    4096

/* The configuration, complete: also what can only be seen on the disk. */
static struct config *load_checked(const struct cli *cli, int *code)
{
    struct err err = {0};
    struct buf notes;
    struct config *config = cli_load_config(cli, code);

    if (!config)
        return NULL;
    buf_init(&notes, CONFIG_FILE_MAX);
    int rc = config_check_paths(config, &notes, &err);
    cli_say_lines(&notes);
    buf_deinit(&notes);
    if (rc == 0)
        return config;
    (void)cli_fail(&err); /* the code is that of the configuration */
    *code = EXIT_CONFIG;
    config_free(config);
    return NULL;
}

/* The daemon that `start` began, which reads the pipe's other end. */
static int run_child(struct config *config, int pipe_fd)
{
    struct daemon_options options = {.ready_fd = pipe_fd, .background = true};
    struct err err = {0};

    if (daemon_run(&options, config, &err) == 0)
        return EXIT_OK;
    /* Before it was ready the caller waits for this; afterwards the pipe is closed, which is why
     * stderr, now the log, gets it too. */
    if (write(pipe_fd, err.text, strlen(err.text)) < 0)
        cli_say("spoor: %s", err.text);
    return EXIT_FAILED;
}

int cli_run(const struct cli *cli)
{
    struct daemon_options options = {.ready_fd = -1};
    struct err err = {0};
    int code = EXIT_OK;
    int pipe_fd = background_pipe();
    struct config *config = load_checked(cli, &code);

    if (!config)
        return code;
    if (pipe_fd >= 0)
        return run_child(config, pipe_fd);
    return daemon_run(&options, config, &err) == 0 ? EXIT_OK : cli_fail(&err);
}

/* ---- start ---- */

/* What the child says until it is ready or gone. */
static void read_verdict(int fd, struct buf *out)
{
    char chunk[START_TEXT_MAX];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            return;
        buf_add(out, chunk, (size_t)n);
        if (out->len > 0 && out->data[0] == DAEMON_READY)
            return;
    }
}

static int report_start(const struct config *config, const struct background *begun)
{
    struct buf verdict, log, end;
    int code = EXIT_FAILED;

    buf_init(&verdict, START_TEXT_MAX);
    buf_init(&log, START_PATH_MAX);
    buf_init(&end, START_TEXT_MAX);
    daemon_log_path(config, true, &log);
    read_verdict(begun->pipe_fd, &verdict);
    if (verdict.len == 1 && verdict.data[0] == DAEMON_READY) {
        cli_say("spoor: started (process %lld), log in %s", (long long)begun->pid, log.data);
        code = EXIT_OK;
        goto out;
    }
    background_wait(begun, &end);
    if (verdict.len > 0)
        cli_say("spoor: not started: %s", verdict.data);
    else
        cli_say("spoor: not started: ended %s; see %s", end.data ? end.data : "", log.data);
out:
    buf_deinit(&verdict);
    buf_deinit(&log);
    buf_deinit(&end);
    return code;
}

int cli_start(const struct cli *cli)
{
    struct background begun = {.pipe_fd = -1};
    struct err err = {0};
    int code = EXIT_OK;
    struct config *config = load_checked(cli, &code);

    if (!config)
        return code;
    int rc = background_begin(config->file, &begun, &err);
    if (rc != 0)
        code = cli_fail(&err);
    else if (begun.child)
        return run_child(config, begun.pipe_fd);
    else
        code = report_start(config, &begun);
    background_close(&begun);
    config_free(config);
    return code;
}

/* ---- stop ---- */

/* Says what became of it; `answer` is the daemon's, if it gave one. */
static int finish_stop(const char *state_dir, const struct buf *answer, int64_t deadline_mono_ns)
{
    struct err err = {0};
    int64_t pid = 0;

    /* The daemon's own answers, also "is stopping already", name its process. */
    if (answer->len > 0 &&
        reader_json_get_i64(answer->data, answer->len, "$.pid", &pid, NULL) != 0) {
        cli_say("spoor: the daemon did not take the request: %s", answer->data);
        return EXIT_FAILED;
    }
    if (background_wait_unlocked(state_dir, deadline_mono_ns, &err) != 0)
        return cli_fail(&err);
    if (pid != 0)
        cli_say("spoor: stopped (process %lld)", (long long)pid);
    else
        cli_say("spoor: stopped");
    return EXIT_OK;
}

/* By --timeout, or so long. */
static int64_t deadline_of(const struct cli *cli, int64_t timeout_ns)
{
    int64_t deadline = 0;

    if (cli->timeout_ns >= 0)
        timeout_ns = cli->timeout_ns;
    if (__builtin_add_overflow(clock_mono_ns(), timeout_ns, &deadline))
        deadline = INT64_MAX - 1;
    return deadline;
}

int cli_stop(const struct cli *cli)
{
    struct err err = {0};
    struct buf answer;
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);
    int64_t deadline = deadline_of(cli, STOP_TIMEOUT_NS);

    if (!config)
        return code;
    const char *state_dir = config->daemon.state_dir;
    buf_init(&answer, CONTROL_LINE_MAX);
    int rc = control_call(state_dir, "{\"do\":\"stop\"}", deadline, &answer, &err);
    if (rc == ERR_NOTFOUND && background_wait_unlocked(state_dir, 0, NULL) == 0)
        cli_say("spoor: not running");
    else if (rc == 0 || rc == ERR_NOTFOUND || rc == ERR_NETWORK)
        code = finish_stop(state_dir, &answer, deadline); /* it stops, or was stopping already */
    else
        code = cli_fail(&err);
    buf_deinit(&answer);
    config_free(config);
    return code;
}

/* ---- reload ---- */

int cli_reload(const struct cli *cli)
{
    struct err err = {0};
    struct buf answer, refusal;
    int code = EXIT_OK;
    struct config *config = load_checked(cli, &code); /* what is wrong is best said here */

    if (!config)
        return code;
    buf_init(&answer, CONTROL_LINE_MAX);
    buf_init(&refusal, CONTROL_LINE_MAX);
    int rc = control_call(config->daemon.state_dir, "{\"do\":\"reload\"}",
                          deadline_of(cli, RELOAD_TIMEOUT_NS), &answer, &err);
    if (rc == 0 && reader_json_get(answer.data, answer.len, "$.error", &refusal, NULL) == 0)
        rc = err_set(&err, ERR_CONFLICT, 0, "the old configuration stays: %s", refusal.data);
    if (rc == 0)
        cli_say("spoor: the configuration is in force");
    else
        code = cli_fail(&err);
    buf_deinit(&answer);
    buf_deinit(&refusal);
    config_free(config);
    return code;
}
