/* helper_fileop.h: what users do to files, by one name on every system: for tests that must not
 * care which one it is. Paths are relative to the test's directory. Each says whether the system
 * did it; what the state of the names forbids it does not. */
#ifndef SPOOR_HELPER_FILEOP_H
#define SPOOR_HELPER_FILEOP_H

#include "helper_temp.h"

/* An open file, for writing. */
struct fileop_file {
    intptr_t handle;
};

bool fileop_create(const struct temp_dir *dir, const char *path); /* unless it is there; closed */
bool fileop_open(const struct temp_dir *dir, const char *path, struct fileop_file *out);
bool fileop_write(struct fileop_file file, const char *text);
void fileop_close(struct fileop_file file);
/* By its path, with nobody who has it open. */
bool fileop_truncate(const struct temp_dir *dir, const char *path, int64_t size);
/* Takes away the right to write, or gives it. */
bool fileop_protect(const struct temp_dir *dir, const char *path, bool writable);
bool fileop_mkdir(const struct temp_dir *dir, const char *path);
bool fileop_remove(const struct temp_dir *dir,
                   const char *path); /* a file, or an empty directory */
bool fileop_rename(const struct temp_dir *dir, const char *from, const char *to); /* over a file */
/* Two names trade places, where the system can. */
bool fileop_exchange(const struct temp_dir *dir, const char *path, const char *other);
bool fileop_link(const struct temp_dir *dir, const char *of, const char *path);
bool fileop_symlink(const struct temp_dir *dir, const char *target, const char *path);
/* What makes it the same file as before; 0: there is none. */
uint64_t fileop_identity(const struct temp_dir *dir, const char *path);

#endif
