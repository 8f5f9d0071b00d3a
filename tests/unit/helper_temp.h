/* helper_temp.h: a directory of a test's own, files in it, and children with fewer rights. */
#ifndef SPOOR_HELPER_TEMP_H
#define SPOOR_HELPER_TEMP_H

#define TEMP_CHILD_SKIP 77 /* a child says: not possible here */

struct temp_dir {
    char path[128];
    int fd; /* handle of it */
};

/* Makes a directory for temporary files and writes its path, of at most `size` bytes; the other
 * removes it with all below. Each ends the test when it fails. */
void temp_make(char *path, size_t size);
void temp_make_in_memory(char *path, size_t size); /* where that can be had */
void temp_delete(const char *path);

/* Gives the directory `of`, or a relative path from there, a second path. False where this user may
 * not, or the system cannot. */
bool temp_alias(const char *path, const char *of);
/* Is the system Wine, whose own limits are none of Windows'? */
bool temp_is_wine(void);
/* Sets a variable of this process' environment, or (NULL) removes it. */
void temp_set_env(const char *name, const char *value_or_null);
/* (Re)writes a file that only its user may read, or one that everybody may. */
void temp_secret(const char *path, const char *text, bool is_private);
/* May nobody but its user (and who may do anything) read or write it? */
bool temp_is_private(const char *path);
/* Bytes that a file occupies on its disk. */
int64_t temp_occupied(const char *path);

/* Makes it below $TMPDIR or /tmp; ends the test when that fails. */
void temp_dir_open(struct temp_dir *dir);
/* Removes it with all below, however deep. */
void temp_dir_close(struct temp_dir *dir);

/* Each ends the test when it fails. Paths are relative to the directory. */
void temp_write(const struct temp_dir *dir, const char *path, const char *text);
void temp_mkdir(const struct temp_dir *dir, const char *path);
void temp_rename(const struct temp_dir *dir, const char *from, const char *to);
/* Removes one file or empty directory. */
void temp_remove(const struct temp_dir *dir, const char *path);

/* Open descriptors, on Windows handles, of this process. */
int temp_count_descriptors(void);

/* On Linux only: makes <prefix>0, <prefix>1, ... `count` names of one new file: cheaper than as
 * many files. */
void temp_link_many(const struct temp_dir *dir, const char *prefix, int count);

/* On Linux only, and so are the next: runs work(ctx) in a child process and returns its exit code;
 * what it prints is shown. */
int temp_child(int (*work)(void *ctx), void *ctx);
/* In a child: become a user without rights. False when that is not possible. */
bool temp_drop_rights(void);

#endif
