/* helper_temp.h: a directory of a test's own, files in it, and children with fewer rights. */
#ifndef SPOOR_HELPER_TEMP_H
#define SPOOR_HELPER_TEMP_H

#define TEMP_CHILD_SKIP 77 /* a child says: not possible here */

struct temp_dir {
    char path[128];
    int fd; /* handle of it */
};

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

/* Makes <prefix>0, <prefix>1, ... `count` names of one new file: cheaper than as many files. */
void temp_link_many(const struct temp_dir *dir, const char *prefix, int count);

/* Runs work(ctx) in a child process and returns its exit code; what it prints is shown. */
int temp_child(int (*work)(void *ctx), void *ctx);
/* In a child: become a user without rights. False when that is not possible. */
bool temp_drop_rights(void);
/* Open descriptors of this process. */
int temp_count_descriptors(void);

#endif
