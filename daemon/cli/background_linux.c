/* background_linux.c: see background.h: a child of its own session, made by fork(2). Main thread.
 */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"
#include "daemon.h"
#include "err.h"
#include "osfile.h"

#define START_PIPE_FD  3 /* the child's end; all above is closed */
#define ALARM_AGAIN_US 50000

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

int background_begin(const char *config_file, struct background *out, struct err *err)
{
    int fds[2];

    (void)config_file; /* the child has it read */
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_os(err, errno, "cannot make a pipe");
    pid_t pid = fork(); /* one thread so far: the child may do anything */
    int os = errno;
    (void)close(fds[pid == 0 ? 0 : 1]); /* the other's end: its end of file must be seen */
    if (pid < 0) {
        (void)close(fds[0]); /* nobody writes to it */
        return err_os(err, os, "cannot fork");
    }
    if (pid == 0) {
        int rc = detach(fds[1], err);
        if (rc != 0) {
            (void)!write(fds[1], err->text, strlen(err->text)); /* nobody else could be told */
            _exit(1);                                           /* the caller goes on alone */
        }
        *out = (struct background){.child = true, .pipe_fd = START_PIPE_FD};
        return 0;
    }
    *out = (struct background){.pipe_fd = fds[0], .pid = pid};
    return 0;
}

int background_pipe(void)
{
    return -1; /* the child goes on from background_begin() */
}

void background_wait(const struct background *begun, struct buf *how)
{
    int status = 0;

    while (waitpid((pid_t)begun->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status))
        buf_addf(how, "by signal %d", WTERMSIG(status));
    else
        buf_addf(how, "with exit code %d", WEXITSTATUS(status));
}

void background_close(struct background *begun)
{
    if (begun->pipe_fd >= 0)
        (void)close(begun->pipe_fd); /* read to its end */
}

/* ---- the lock ---- */

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

int background_wait_unlocked(const char *state_dir, int64_t deadline_mono_ns, struct err *err)
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
