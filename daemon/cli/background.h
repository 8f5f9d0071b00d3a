/* background.h: a daemon in a process of its own, away from its caller's terminal, and waiting for
 * one to be gone: what `spoor start` and `stop` need of the system. Main thread. */
#ifndef SPOOR_BACKGROUND_H
#define SPOOR_BACKGROUND_H

struct buf;
struct err;

struct background {
    bool child;    /* this is the new process (Linux); on Windows that one runs `spoor run` */
    int pipe_fd;   /* the caller reads the verdict, the child writes it; closed at the end */
    int64_t pid;   /* to the caller */
    void *process; /* Windows: its handle */
};

/* Makes the process, which is to run the daemon of that configuration. While there is one thread.
 * In the child an error is written to the pipe. */
int background_begin(const char *config_file, struct background *out, struct err *err);
/* The pipe that this process was given when another one made it by background_begin(), else -1.
 * Before any file is opened. */
int background_pipe(void);
/* Waits for the end of the process and appends how that was: "with exit code 1". */
void background_wait(const struct background *begun, struct buf *how);
void background_close(struct background *begun);

/* Is the state directory's lock free? With a deadline waits for it, with 0 just looks. ERR_BUSY,
 * resp. ERR_TIMEOUT, when it is not. */
int background_wait_unlocked(const char *state_dir, int64_t deadline_mono_ns, struct err *err);

#endif
