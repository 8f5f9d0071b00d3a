/* disk.h: looking at a folder, read only: the seam between the engine and the
 * operating system: disk_linux.c, disk_windows.c; tests put a simulated disk behind the same table.
 *
 * Directories are walked by handle, one component at a time, never following a link and
 * never crossing a mount point. A look has three answers, not two: present, absent,
 * unknown (RULES 1); only ENOENT and ENOTDIR mean absent. */
#ifndef SPOOR_DISK_H
#define SPOOR_DISK_H

#include "change.h"

struct buf;
struct err;
struct disk_dir; /* an open directory */

#define DISK_NAME_MAX   765  /* bytes of one name: 255 on Linux, 255 UTF-16 units on Windows */
#define DISK_TARGET_MAX 4096 /* bytes of a symlink's target */

enum disk_answer { DISK_PRESENT, DISK_ABSENT, DISK_UNKNOWN };

struct disk_entry {
    enum entry_type type;
    struct file_id file;
    uint32_t link_count;
    struct entry_attrs
        attrs; /* what does not belong to the type is 0; target points into `target` */
    char target[DISK_TARGET_MAX];
    int os; /* unknown: why (EXDEV: another file system is mounted there) */
};

struct disk_ops {
    /* The folder's root, found by its path. Unknown/absent leave *out NULL. */
    enum disk_answer (*open_root)(void *ctx, struct disk_dir **out, struct file_id *file, int *os);
    /* A directory by name in an open one. ABSENT also when the name is no directory. */
    enum disk_answer (*open)(void *ctx, struct disk_dir *parent, struct bytes name,
                             struct disk_dir **out, struct file_id *file, int *os);
    void (*close)(void *ctx, struct disk_dir *dir);
    enum disk_answer (*look)(void *ctx, struct disk_dir *dir, struct bytes name,
                             struct disk_entry *out);
    /* May a name of this directory be found under other bytes than the directory holds: another
     * case, an 8.3 name? NULL: never. */
    bool (*folds)(void *ctx, struct disk_dir *dir);
    /* Appends all names, each as a two-byte length (host order) and its bytes, unsorted. ABSENT:
     * the directory was removed since it was opened. UNKNOWN: the listing is incomplete and must
     * not be used. */
    enum disk_answer (*list)(void *ctx, struct disk_dir *dir, struct buf *names, int *os);
    /* Watches the directory from now on: call before listing it. *out -1 when it cannot be. */
    int (*watch)(void *ctx, struct disk_dir *dir, struct file_id file, bool root, int32_t *out,
                 struct err *err);
    void (*unwatch)(void *ctx, int32_t watch);
    /* Does a writer have this regular file open? 1 yes, 0 no, -1 cannot tell. A read lease
     * (fcntl F_SETLEASE) tells the owner without disturbing anyone. */
    int (*has_writer)(void *ctx, struct disk_dir *dir, struct bytes name);
    /* The content of a small regular file, appended to `out`: rule files. */
    enum disk_answer (*read_file)(void *ctx, struct disk_dir *dir, struct bytes name, size_t limit,
                                  struct buf *out, int *os);
};

struct disk {
    const struct disk_ops *ops;
    void *ctx;
};

struct watch;
/* The real one. `path` is the folder's absolute path; `watch` may be NULL (verify looks without
 * watching: `watch` then gives -1). Thread-safe: scan workers and the folder's thread share it. */
int disk_real_open(const char *path, struct watch *watch, struct disk *out, struct err *err);
void disk_real_close(struct disk *disk);
/* From now on each call writes the (monotonic) time of its beginning here, atomically: whoever
 * waits for an answer of the file system can say for how long. NULL: nowhere. */
void disk_real_beat(struct disk *disk, int64_t *beat_ns);
/* Type of the root's file system: statfs f_type; on Windows a number of its name. */
int disk_real_fs_type(struct disk *disk, int64_t *out, struct err *err);

/* Does the file system of this folder (its type and its root's identity) give files other numbers
 * from time to time, so that an identity alone proves nothing (RULES 2)? */
bool disk_identity_is_weak(int64_t fs_type, struct file_id root);
/* May directories of such a file system find a name under other bytes than they hold, without
 * saying so (struct disk_ops, folds)? */
bool disk_type_folds(int64_t fs_type);

#endif
