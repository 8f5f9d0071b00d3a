/* osfile.h: the daemon's own files: private directories, atomic replacement,
 * secrets, the lock. Paths here are of the host (the state directory), not of a
 * watched folder. Any thread. */
#ifndef SPOOR_OSFILE_H
#define SPOOR_OSFILE_H

struct buf;
struct err;

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

/* Takes an exclusive advisory lock on dirfd/name (created 0600), kept until the descriptor is
 * closed or the process dies, and writes our process id into it. Returns the descriptor, or
 * ERR_BUSY with the holder's process id in the message and in *holder (0 unknown; NULL allowed). */
int osfile_lock(int dirfd, const char *name, int64_t *holder, struct err *err);

/* Fills `out` with random bytes from the system. */
int osfile_random(void *out, size_t len, struct err *err);

#endif
