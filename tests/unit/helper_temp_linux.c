/* helper_temp_linux.c: see helper_temp.h. Removal never recurses: what lies in a subdirectory is
 * first moved up, so that no depth and no path length stops it. */
#include "helper_temp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NOBODY 65534

static void check(bool fine, const char *what, const char *path)
{
    if (!fine)
        fail_msg("%s '%s': %s", what, path, strerror(errno));
}

static void make_below(const char *parent, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/spoor-test-XXXXXX", parent);
    assert_true(n > 0 && (size_t)n < size);
    check(mkdtemp(path) != NULL, "cannot make", path);
}

void temp_set_env(const char *name, const char *value_or_null)
{
    assert_int_equal(value_or_null ? setenv(name, value_or_null, 1) : unsetenv(name), 0);
}

void temp_make(char *path, size_t size)
{
    make_below("/tmp", path, size);
}

void temp_make_in_memory(char *path, size_t size)
{
    make_below(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", path, size);
}

bool temp_alias(const char *path, const char *of)
{
    return symlink(of, path) == 0;
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *at)
{
    (void)info;
    (void)flag;
    (void)at;
    return remove(path);
}

void temp_delete(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

bool temp_is_wine(void)
{
    return false;
}

void temp_secret(const char *path, const char *text, bool is_private)
{
    FILE *file = fopen(path, "w");
    check(file != NULL, "cannot open", path);
    check(fputs(text, file) >= 0, "cannot write", path);
    check(fclose(file) == 0, "cannot write", path);
    check(chmod(path, is_private ? 0600 : 0644) == 0, "cannot chmod", path);
}

bool temp_is_private(const char *path)
{
    struct stat st;

    check(stat(path, &st) == 0, "cannot look at", path);
    return (st.st_mode & 0077) == 0;
}

int64_t temp_occupied(const char *path)
{
    struct stat st;

    check(stat(path, &st) == 0, "cannot look at", path);
    return (int64_t)st.st_blocks * 512;
}

void temp_dir_open(struct temp_dir *dir)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir->path, sizeof dir->path, "%.80s/spoor-test-XXXXXX", base && *base ? base : "/tmp");
    check(mkdtemp(dir->path) != NULL, "cannot make", dir->path);
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(dir->fd >= 0, "cannot open", dir->path);
    /* Children without rights shall get in. */
    check(fchmod(dir->fd, 0755) == 0, "cannot chmod", dir->path);
}

static bool is_dots(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Moves what `name` holds up into `top`; then removes it. */
static void dissolve(int top, const char *name, unsigned *number)
{
    int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fchmod(fd, 0700); /* a test may have taken the rights away */
    DIR *list = fdopendir(fd);
    struct dirent *entry;
    while (list && (entry = readdir(list))) {
        char moved[32];
        if (is_dots(entry->d_name) || !unlinkat(fd, entry->d_name, 0))
            continue;
        snprintf(moved, sizeof moved, "spoor-gone-%u", (*number)++);
        (void)renameat(fd, entry->d_name, top, moved);
    }
    if (list)
        closedir(list);
    (void)unlinkat(top, name, AT_REMOVEDIR);
}

void temp_dir_close(struct temp_dir *dir)
{
    unsigned number = 0;
    bool any = true;
    /* A bounded number of rounds: what cannot be removed is left behind, not waited for. */
    for (int round = 0; any && round < 100000; round++) {
        DIR *list = fdopendir(openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        struct dirent *entry;
        any = false;
        while (list && (entry = readdir(list))) {
            if (is_dots(entry->d_name))
                continue;
            any = true;
            if (unlinkat(dir->fd, entry->d_name, 0))
                dissolve(dir->fd, entry->d_name, &number);
        }
        if (list)
            closedir(list);
    }
    close(dir->fd);
    (void)rmdir(dir->path);
}

void temp_write(const struct temp_dir *dir, const char *path, const char *text)
{
    int fd = openat(dir->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check(fd >= 0, "cannot open", path);
    check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "cannot write", path);
    close(fd);
}

void temp_mkdir(const struct temp_dir *dir, const char *path)
{
    check(mkdirat(dir->fd, path, 0755) == 0, "cannot make", path);
}

void temp_rename(const struct temp_dir *dir, const char *from, const char *to)
{
    check(renameat(dir->fd, from, dir->fd, to) == 0, "cannot rename", from);
}

void temp_remove(const struct temp_dir *dir, const char *path)
{
    int failed = unlinkat(dir->fd, path, 0);
    if (failed && errno == EISDIR)
        failed = unlinkat(dir->fd, path, AT_REMOVEDIR);
    check(!failed, "cannot remove", path);
}

void temp_link_many(const struct temp_dir *dir, const char *prefix, int count)
{
    char first[300], path[300];
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%.280s%d", prefix, i);
        /* ext4 takes 65,000 links to one file. */
        if (i % 50000 == 0) {
            memcpy(first, path, sizeof first);
            temp_write(dir, path, "");
        } else {
            check(linkat(dir->fd, first, dir->fd, path, 0) == 0, "cannot link", path);
        }
    }
}

int temp_child(int (*work)(void *ctx), void *ctx)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0, "cannot fork", "");
    if (child == 0) {
        int code = work(ctx);
        fflush(NULL);
        _exit(code);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool temp_drop_rights(void)
{
    if (geteuid() != 0)
        return true; /* there are none */
    return !setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY);
}

int temp_count_descriptors(void)
{
    int count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (list && readdir(list))
        count++;
    if (list)
        closedir(list);
    return count;
}
