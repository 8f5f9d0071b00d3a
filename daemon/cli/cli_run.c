/* cli_run.c: `spoor run`, `start` and `stop`.
 *
 * `start` is `run` in a child of its own session. A pipe tells the caller how it went: one byte
 * when everything runs, else the error's text, else the pipe just closes. `stop` asks by the
 * control socket and then waits for the lock, which the kernel frees when the process is gone
 * however it went. Main thread. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "daemon.h"
#include "err.h"
#include "osfile.h"
#include "reader.h"

#define STOP_TIMEOUT_NS (15 * CLOCK_NS_PER_S) /* longer than a daemon takes that is cut off */
#define START_TEXT_MAX  1024
#define START_PATH_MAX  4096
#define START_PIPE_FD   3 /* the child's end; all above is closed */
#define ALARM_AGAIN_US  50000

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

int cli_run(const struct cli *cli)
{
    struct daemon_options options = {.ready_fd = -1};
    struct err err = {0};
    int code = EXIT_OK;
    struct config *config = load_checked(cli, &code);

    if (!config)
        return code;
    return daemon_run(&options, config, &err) == 0 ? EXIT_OK : cli_fail(&err);
}

/* ---- start ---- */

/* Leaves the caller's session, terminal, directory and files. */
static int detach(int pipe_fd, struct err *err)
{
    int null_fd = open("/dev/null", O_RDWR);

    if (null_fd < 0)
        return err_os(err, errno, "cannot open '/dev/null'");
    if (setsid() < 0 || chdir("/") != 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(null_fd, STDOUT_FILENO) < 0)
        return err_os(err, errno, "cannot detach from the terminal");
    if (pipe_fd != START_PIPE_FD && dup2(pipe_fd, START_PIPE_FD) < 0)
        return err_os(err, errno, "cannot keep the pipe to 'spoor start'");
    /* Whatever the caller had open, as a lock or the other end of a pipe, is not ours to keep. */
    if (close_range(START_PIPE_FD + 1, ~0U, 0) != 0)
        return err_os(err, errno, "cannot close inherited files");
    if (fcntl(START_PIPE_FD, F_SETFD, FD_CLOEXEC) != 0)
        return err_os(err, errno, "cannot keep the pipe to 'spoor start'");
    return 0;
}

static int run_child(struct config *config, int pipe_fd)
{
    struct daemon_options options = {.ready_fd = START_PIPE_FD, .background = true};
    struct err err = {0};

    if (detach(pipe_fd, &err) != 0) {
        (void)!write(pipe_fd, err.text, strlen(err.text)); /* nobody else could be told */
        config_free(config);
        return EXIT_FAILED;
    }
    if (daemon_run(&options, config, &err) == 0)
        return EXIT_OK;
    /* Before it was ready the caller waits for this; afterwards the pipe is closed, which is why
     * stderr, now the log, gets it too. */
    if (write(START_PIPE_FD, err.text, strlen(err.text)) < 0)
        cli_say("spoor: %s", err.text);
    return EXIT_FAILED;
}

/* What the child says until it is ready or gone. */
static void read_verdict(int fd, struct buf *out)
{
    char chunk[START_TEXT_MAX];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf_add(out, chunk, (size_t)n);
        if (out->len > 0 && out->data[0] == DAEMON_READY)
            return;
    }
}

static int report_start(const struct config *config, pid_t pid, int fd)
{
    struct buf verdict, log;
    int status = 0;
    int code = EXIT_FAILED;

    buf_init(&verdict, START_TEXT_MAX);
    buf_init(&log, START_PATH_MAX);
    daemon_log_path(config, true, &log);
    read_verdict(fd, &verdict);
    if (verdict.len == 1 && verdict.data[0] == DAEMON_READY) {
        cli_say("spoor: started (process %lld), log in %s", (long long)pid, log.data);
        code = EXIT_OK;
        goto out;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (verdict.len > 0)
        cli_say("spoor: not started: %s", verdict.data);
    else if (WIFSIGNALED(status))
        cli_say("spoor: not started: ended by signal %d; see %s", WTERMSIG(status), log.data);
    else
        cli_say("spoor: not started: ended with exit code %d; see %s", WEXITSTATUS(status),
                log.data);
out:
    buf_deinit(&verdict);
    buf_deinit(&log);
    return code;
}

int cli_start(const struct cli *cli)
{
    struct err err = {0};
    int fds[2];
    int code = EXIT_OK;
    struct config *config = load_checked(cli, &code);

    if (!config)
        return code;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        (void)err_os(&err, errno, "cannot make a pipe"); /* said below */
        config_free(config);
        return cli_fail(&err);
    }
    pid_t pid = fork(); /* one thread so far: the child may do anything */
    if (pid == 0) {
        (void)close(fds[0]); /* the caller's end */
        return run_child(config, fds[1]);
    }
    int os = errno;
    (void)close(fds[1]); /* the child's end: its end of file must be seen */
    if (pid < 0) {
        (void)err_os(&err, os, "cannot fork"); /* said below */
        code = cli_fail(&err);
    } else {
        code = report_start(config, pid, fds[0]);
    }
    (void)close(fds[0]); /* read to its end */
    config_free(config);
    return code;
}

/* ---- stop ---- */

static void interrupt_only(int signal)
{
    (void)signal; /* its arrival ends flock(2) with EINTR, which is all */
}

/* Fires at the deadline and then again and again: the first may come just before flock(2). */
static int arm_alarm(int64_t left_ns, struct err *err)
{
    struct sigaction action = {.sa_handler = interrupt_only}; /* without SA_RESTART */
    struct itimerval timer = {.it_interval = {.tv_usec = ALARM_AGAIN_US}};

    if (left_ns < CLOCK_NS_PER_MS)
        left_ns = CLOCK_NS_PER_MS; /* zero would mean never */
    timer.it_value.tv_sec = (time_t)(left_ns / CLOCK_NS_PER_S);
    timer.it_value.tv_usec = (suseconds_t)(left_ns % CLOCK_NS_PER_S / 1000);
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &timer, NULL) != 0)
        return err_os(err, errno, "cannot set a timer");
    return 0;
}

/* Is the state directory's lock free? With a deadline waits for it, with 0 just looks. ERR_BUSY,
 * resp. ERR_TIMEOUT, when it is not. */
static int wait_unlocked(const char *state_dir, int64_t deadline_mono_ns, struct err *err)
{
    int rc = 0;
    int fd = -1;
    int dirfd = osfile_open_dir(state_dir, err);

    if (dirfd == ERR_NOTFOUND)
        return 0; /* no daemon was ever here */
    if (dirfd < 0)
        return dirfd;
    fd = openat(dirfd, DAEMON_LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        if (errno != ENOENT)
            rc = err_os(err, errno, "cannot open '%s/" DAEMON_LOCK "'", state_dir);
        goto out;
    }
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        goto out;
    if (errno != EWOULDBLOCK) {
        rc = err_os(err, errno, "cannot try the lock '%s/" DAEMON_LOCK "'", state_dir);
    } else if (deadline_mono_ns == 0) {
        rc = err_set(err, ERR_BUSY, 0, "'%s/" DAEMON_LOCK "': held", state_dir);
    } else {
        rc = arm_alarm(deadline_mono_ns - clock_mono_ns(), err);
        while (rc == 0 && flock(fd, LOCK_SH) != 0)
            if (errno != EINTR || clock_mono_ns() >= deadline_mono_ns)
                rc = err_set(err, ERR_TIMEOUT, 0, "the daemon in '%s' has not stopped in time",
                             state_dir);
    }
out:
    if (fd >= 0)
        (void)close(fd); /* gives the lock up */
    (void)close(dirfd);  /* opened for reading */
    return rc;
}

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
    if (wait_unlocked(state_dir, deadline_mono_ns, &err) != 0)
        return cli_fail(&err);
    if (pid != 0)
        cli_say("spoor: stopped (process %lld)", (long long)pid);
    else
        cli_say("spoor: stopped");
    return EXIT_OK;
}

int cli_stop(const struct cli *cli)
{
    struct err err = {0};
    struct buf answer;
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);
    int64_t timeout_ns = cli->timeout_ns < 0 ? STOP_TIMEOUT_NS : cli->timeout_ns;
    int64_t deadline = 0;

    if (!config)
        return code;
    if (__builtin_add_overflow(clock_mono_ns(), timeout_ns, &deadline))
        deadline = INT64_MAX - 1;
    const char *state_dir = config->daemon.state_dir;
    buf_init(&answer, CONTROL_LINE_MAX);
    int rc = control_call(state_dir, "{\"do\":\"stop\"}", deadline, &answer, &err);
    if (rc == ERR_NOTFOUND && wait_unlocked(state_dir, 0, NULL) == 0)
        cli_say("spoor: not running");
    else if (rc == 0 || rc == ERR_NOTFOUND || rc == ERR_NETWORK)
        code = finish_stop(state_dir, &answer, deadline); /* it stops, or was stopping already */
    else
        code = cli_fail(&err);
    buf_deinit(&answer);
    config_free(config);
    return code;
}
