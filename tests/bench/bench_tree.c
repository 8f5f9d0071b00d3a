/* bench_tree.c: makes the folder that the benchmark watches, and changes it by rule.
 *
 *   bench_tree make ROOT DIRS FILES BYTES   DIRS directories below ROOT, FILES files in each
 *   bench_tree change ROOT DIRS COUNT       COUNT changes, each worth exactly one journal row
 *
 * The shape is fixed: directories are numbered 1.. and directory n lies in directory (n - 1) / 10,
 * so that any of them is reached by name without reading the disk. Changes touch each directory at
 * most once, so that none cancels another. What is measured is the caller's (bench.py).
 * One thread; leaves errors to the exit code. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "err.h"
#include "num.h"

#define FAN_OUT   10
#define DIRS_MAX  10000000
#define FILES_MAX 100000
#define BYTES_MAX 65536
#define DEPTH_MAX 16
#define NAME_SIZE 64

static int fail(const char *what, const char *name)
{
    (void)fprintf(stderr, "bench_tree: cannot %s '%s': %s\n", what, name, strerror(errno));
    return -1;
}

static void dir_name(int64_t dir, char out[NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "d%lld", (long long)dir); /* fits: 19 digits at most */
}

static void file_name(int64_t dir, int64_t file, char out[NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "file_%lld_%lld.txt", (long long)dir, (long long)file);
}

/* Opens directory `dir` below `root` by walking down from it. */
static int open_dir(int root, int64_t dir)
{
    int64_t chain[DEPTH_MAX];
    int depth = 0;
    for (int64_t at = dir; at > 0 && depth < DEPTH_MAX; at = (at - 1) / FAN_OUT)
        chain[depth++] = at;
    int fd = dup(root);
    while (fd >= 0 && depth > 0) {
        char name[NAME_SIZE];
        dir_name(chain[--depth], name);
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(fd); /* read only: nothing to lose */
        fd = below;
        if (fd < 0)
            return fail("open directory", name);
    }
    return fd;
}

static int write_file(int at, const char *name, int64_t dir, size_t bytes)
{
    static char text[BYTES_MAX];
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail("create", name);
    memset(text, 'x', bytes);
    (void)snprintf(text, sizeof text, "%lld ", (long long)dir); /* only to differ a little */
    ssize_t done = write(fd, text, bytes);
    if (close(fd) != 0 || done != (ssize_t)bytes)
        return fail("write", name);
    return 0;
}

static int make_tree(int root, int64_t dirs, int64_t files, size_t bytes)
{
    for (int64_t dir = 1; dir <= dirs; dir++) {
        char name[NAME_SIZE];
        int parent = open_dir(root, (dir - 1) / FAN_OUT);
        if (parent < 0)
            return -1;
        dir_name(dir, name);
        int made = mkdirat(parent, name, 0755);
        int fd = made == 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        (void)close(parent);
        if (fd < 0)
            return fail("make directory", name);
        int rc = 0;
        for (int64_t file = 0; rc == 0 && file < files; file++) {
            file_name(dir, file, name);
            rc = write_file(fd, name, dir, bytes);
        }
        (void)close(fd);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* One change of directory `dir`, its kind by turns. */
static int change_dir(int root, int64_t dir, int64_t turn)
{
    char first[NAME_SIZE];
    int fd = open_dir(root, dir);
    if (fd < 0)
        return -1;
    int rc = 0;
    file_name(dir, 0, first);
    switch (turn % 5) {
    case 0:
        rc = write_file(fd, "new.txt", dir, 100);
        break;
    case 1:
        rc = write_file(fd, first, dir, 333); /* another size: seen whatever the clock's grain */
        break;
    case 2:
        rc = unlinkat(fd, first, 0) == 0 ? 0 : fail("remove", first);
        break;
    case 3:
        rc = renameat(fd, first, fd, "renamed.txt") == 0 ? 0 : fail("rename", first);
        break;
    default: /* to another directory: a move only if the identity is recognised */
        rc = renameat(fd, first, root, first) == 0 ? 0 : fail("move", first);
        break;
    }
    (void)close(fd);
    return rc;
}

/* Directories are taken in steps spread over the whole tree. */
static int change_tree(int root, int64_t dirs, int64_t count)
{
    for (int64_t turn = 0; turn < count; turn++) {
        if (change_dir(root, 1 + turn * (dirs / count), turn) != 0)
            return -1;
    }
    return 0;
}

static bool number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    if (num_parse_i64(text, min, max, out) == 0)
        return true;
    (void)fprintf(stderr, "bench_tree: '%s' is no number from %lld to %lld\n", text, (long long)min,
                  (long long)max);
    return false;
}

int main(int argc, char **argv)
{
    int64_t dirs = 0;
    int64_t count = 0;
    int64_t bytes = 0;
    bool make = argc == 6 && strcmp(argv[1], "make") == 0;
    bool change = argc == 5 && strcmp(argv[1], "change") == 0;
    if (!make && !change) {
        (void)fputs("usage: bench_tree make ROOT DIRS FILES BYTES\n"
                    "       bench_tree change ROOT DIRS COUNT\n",
                    stderr);
        return 2;
    }
    if (!number(argv[3], 1, DIRS_MAX, &dirs) ||
        !number(argv[4], 1, make ? FILES_MAX : dirs, &count) ||
        (make && !number(argv[5], 32, BYTES_MAX, &bytes)))
        return 2;
    int root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        (void)fail("open directory", argv[2]);
        return 1;
    }
    int rc = make ? make_tree(root, dirs, count, (size_t)bytes) : change_tree(root, dirs, count);
    (void)close(root);
    return rc == 0 ? 0 : 1;
}
