/* helper_fileop_linux.c: see helper_fileop.h. */
#include "helper_fileop.h"

#include <fcntl.h>
#include <sys/stat.h>

bool fileop_create(const struct temp_dir *dir, const char *path)
{
    int fd = openat(dir->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && close(fd) == 0;
}

bool fileop_open(const struct temp_dir *dir, const char *path, struct fileop_file *out)
{
    int fd = openat(dir->fd, path, O_WRONLY | O_CLOEXEC);
    out->handle = fd;
    return fd >= 0;
}

bool fileop_write(struct fileop_file file, const char *text)
{
    return write((int)file.handle, text, strlen(text)) == (ssize_t)strlen(text);
}

void fileop_close(struct fileop_file file)
{
    close((int)file.handle);
}

bool fileop_truncate(const struct temp_dir *dir, const char *path, int64_t size)
{
    char whole[256];
    int len = snprintf(whole, sizeof whole, "%s/%s", dir->path, path);
    return len < (int)sizeof whole && truncate(whole, size) == 0;
}

bool fileop_protect(const struct temp_dir *dir, const char *path, bool writable)
{
    return fchmodat(dir->fd, path, writable ? 0700 : 0500, 0) == 0;
}

bool fileop_mkdir(const struct temp_dir *dir, const char *path)
{
    return mkdirat(dir->fd, path, 0700) == 0;
}

bool fileop_remove(const struct temp_dir *dir, const char *path)
{
    return unlinkat(dir->fd, path, 0) == 0 || unlinkat(dir->fd, path, AT_REMOVEDIR) == 0;
}

bool fileop_rename(const struct temp_dir *dir, const char *from, const char *to)
{
    return renameat(dir->fd, from, dir->fd, to) == 0;
}

bool fileop_exchange(const struct temp_dir *dir, const char *path, const char *other)
{
    return renameat2(dir->fd, path, dir->fd, other, RENAME_EXCHANGE) == 0;
}

bool fileop_link(const struct temp_dir *dir, const char *of, const char *path)
{
    return linkat(dir->fd, of, dir->fd, path, 0) == 0;
}

bool fileop_symlink(const struct temp_dir *dir, const char *target, const char *path)
{
    return symlinkat(target, dir->fd, path) == 0;
}

uint64_t fileop_identity(const struct temp_dir *dir, const char *path)
{
    struct stat st;
    return fstatat(dir->fd, path, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_ino;
}
