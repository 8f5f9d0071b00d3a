/* osfile.h: the daemon's own files: private directories, atomic replacement,
 * secrets, the lock. Paths here are of the host (the state directory), not of a
 * watched folder. What is private on Linux is so by mode bits, on Windows by an
 * access list that names the user, administrators and the system. A descriptor
 * ends by close(). Any thread. */
#ifndef SPOOR_OSFILE_H
#define SPOOR_OSFILE_H

struct buf;
struct err;

#define OSFILE_CWD (-100) /* for `dirfd`: the name is a path of the host, not of a handle */

/* Which file a path leads to now: compared whole, for as long as a process runs. */
struct osfile_identity {
    uint64_t volume, high, low;
};

/* Makes the directory and its missing parents, the last one 0700; an existing last one must be
 * a directory owned by us (or root's, when we are root) and not writable by others. */
int osfile_make_private_dir(const char *path, struct err *err);

/* Opens a directory as a handle for the *at calls. Returns the descriptor or an error code. */
int osfile_open_dir(const char *path, struct err *err);

/* Reads a whole file of at most `limit` bytes, appended to `out`. */
int osfile_read(int dirfd, const char *name, size_t limit, struct buf *out, struct err *err);

/* As osfile_read, but refuses a file that group or others can read, and strips one final
 * line end. For tokens and passwords; the message never holds the content. */
int osfile_read_secret(const char *path, size_t limit, struct buf *out, struct err *err);

/* Replaces dirfd/name atomically and durably: temporary file 0600, fdatasync, rename, fsync of
 * the directory. On failure the old content stands. */
int osfile_replace(int dirfd, const char *name, const void *bytes, size_t len, struct err *err);

/* Makes dirfd/name, empty and 0600, unless it is there. */
int osfile_make(int dirfd, const char *name, struct err *err);

/* Opens dirfd/name for reading and writing, made 0600 when it is absent. Returns the descriptor or
 * an error code. */
int osfile_open(int dirfd, const char *name, struct err *err);

/* 1 when dirfd/name is there, 0 when not, else an error code. */
int osfile_exists(int dirfd, const char *name, struct err *err);

/* The bytes of dirfd/name; 0 where it is absent. */
int osfile_size(int dirfd, const char *name, int64_t *out, struct err *err);

/* Renames dirfd/from unless it is absent; ERR_EXISTS rather than over something. */
int osfile_move_aside(int dirfd, const char *from, const char *to, struct err *err);

/* 0 when every byte of dirfd/name can be read, or it is absent. */
int osfile_check_readable(int dirfd, const char *name, struct err *err);

/* After this returns, renames within the directory survive a power loss; `path` is for the
 * message. */
int osfile_sync_dir(int dirfd, const char *path, struct err *err);

/* Calls `visit` with every name in the directory but "." and ".."; what it returns but 0 ends the
 * walk and is returned. */
int osfile_list(int dirfd, int (*visit)(void *ctx, const char *name, struct err *err), void *ctx,
                struct err *err);

/* A new file in the directory, for writing and reading, that is gone when its descriptor is closed.
 * Returns the descriptor or an error code. */
int osfile_spool(int dirfd, struct err *err);

/* Opens a log file for appending, made 0600 when it is absent; others may move it away meanwhile.
 * Returns the descriptor or an error code. */
int osfile_open_log(const char *path, struct err *err);

/* Lets the descriptor `at`, which is open, lead where `fd` does, at no moment nowhere; `path` is
 * for the message. `fd` stays the caller's. */
int osfile_put(int fd, int at, const char *path, struct err *err);

/* False where there is nothing or it cannot be told. */
bool osfile_identify(const char *path, struct osfile_identity *out);

static inline bool osfile_same(const struct osfile_identity *a, const struct osfile_identity *b)
{
    return a->volume == b->volume && a->high == b->high && a->low == b->low;
}

/* 0 when this process may read the file. */
int osfile_may_read(const char *path, struct err *err);

/* Takes an exclusive advisory lock on dirfd/name (created 0600), kept until the descriptor is
 * closed or the process dies, and writes our process id into it. Returns the descriptor, or
 * ERR_BUSY with the holder's process id in the message and in *holder (0 unknown; NULL allowed). */
int osfile_lock(int dirfd, const char *name, int64_t *holder, struct err *err);

/* Fills `out` with random bytes from the system. */
int osfile_random(void *out, size_t len, struct err *err);

/* Appends what the system calls this machine (machine-id(5), MachineGuid), one line at most; an
 * error code where it has no name. Never to be shown. */
int osfile_machine(struct buf *out, struct err *err);

#endif
