/* config_paths_linux.c: the configuration's paths on this system: where things are by default,
 * how a path is written, and which directories lie above one.
 *
 * A directory is told by device and inode of the opened one; the ancestors are found by walking
 * "..", which follows the tree as it is mounted now. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "buf.h"
#include "config_option.h"
#include "err.h"
#include "osfile.h"

#define PATH_BYTES_MAX   4096           /* PATH_MAX, with its NUL */
#define DEPTH_MAX        PATH_BYTES_MAX /* directories above one another that are walked */
#define PASSWD_BYTES_MAX (64 << 10)

/* $HOME, or what the user database says; "" when neither gives an absolute path. */
static void home_dir(char out[PATH_BYTES_MAX])
{
    const char *home = getenv("HOME");
    char *scratch = NULL;
    struct passwd entry, *found = NULL;

    if (!home || *home != '/') {
        scratch = malloc(PASSWD_BYTES_MAX);
        home = "";
        if (scratch && getpwuid_r(geteuid(), &entry, scratch, PASSWD_BYTES_MAX, &found) == 0 &&
            found && found->pw_dir && *found->pw_dir == '/')
            home = found->pw_dir;
    }
    int n = snprintf(out, PATH_BYTES_MAX, "%s", home);
    if (n < 0 || n >= PATH_BYTES_MAX)
        out[0] = '\0';
    free(scratch);
}

/* $variable/spoor, or ~/fallback/spoor; the XDG base directory rules say that a relative path in
 * the variable is to be ignored. "" when there is no home either. */
static void xdg_dir(const char *variable, const char *fallback, char out[PATH_BYTES_MAX])
{
    const char *value = getenv(variable);
    char home[PATH_BYTES_MAX];
    int n;

    if (value && *value == '/') {
        n = snprintf(out, PATH_BYTES_MAX, "%s/spoor", value);
    } else {
        home_dir(home);
        n = *home ? snprintf(out, PATH_BYTES_MAX, "%s/%s/spoor", home, fallback) : -1;
    }
    if (n < 0 || n >= PATH_BYTES_MAX)
        out[0] = '\0';
}

/* Copies a path without doubled slashes, "." components and a trailing slash. */
static void tidy(const char *path, char *out)
{
    char *start = out;

    while (*path) {
        size_t len;
        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len > 0 && !(len == 1 && *path == '.')) {
            *out++ = '/';
            memcpy(out, path, len);
            out += len;
        }
        path += len;
    }
    if (out == start)
        *out++ = '/';
    *out = '\0';
}

int config_resolve_path(const char *base_dir, const char *text, char **out, struct err *err)
{
    char home[PATH_BYTES_MAX];
    const char *front = base_dir;

    if (*text == '~') {
        if (text[1] != '\0' && text[1] != '/')
            return err_set(err, ERR_INVALID, 0, "of the forms with ~ only ~/ is known");
        home_dir(home);
        if (!*home)
            return err_set(err, ERR_INVALID, 0, "there is no home directory; set HOME");
        front = home;
        text++;
    } else if (*text == '/') {
        front = "";
    }
    size_t room = strlen(front) + strlen(text) + 3;
    char *joined = malloc(room);
    char *path = malloc(room);
    int rc = 0;
    if (!joined || !path) {
        rc = err_set(err, ERR_NOMEM, 0, "out of memory");
        goto out;
    }
    (void)snprintf(joined, room, "%s/%s", front, text); /* sized above */
    tidy(joined, path);
    if (strlen(path) >= PATH_BYTES_MAX) {
        rc = err_set(err, ERR_LIMIT, 0, "the path is longer than %d bytes", PATH_BYTES_MAX - 1);
        goto out;
    }
    *out = path;
    path = NULL;
out:
    free(joined);
    free(path);
    return rc;
}

int config_absolute_path(const char *path, char **out, struct err *err)
{
    char *cwd = NULL, *absolute = NULL;
    int rc = 0;

    if (*path == '/') {
        absolute = strdup(path);
    } else {
        cwd = getcwd(NULL, 0); /* allocates, as glibc and musl do */
        if (!cwd) {
            rc = err_set(err, ERR_NOTFOUND, 0, "cannot load '%s': the current directory is gone",
                         path);
            goto out;
        }
        if (asprintf(&absolute, "%s/%s", cwd, path) < 0)
            absolute = NULL;
    }
    if (absolute)
        *out = absolute;
    else
        rc = err_set(err, ERR_NOMEM, 0, "cannot load '%s': out of memory", path);
out:
    free(cwd);
    return rc;
}

int config_default_state_dir(const char *file, char **out, struct err *err)
{
    char path[PATH_BYTES_MAX];
    (void)file; /* who runs this says it */

    if (geteuid() == 0)
        (void)snprintf(path, sizeof path, "/var/lib/spoor"); /* fits */
    else
        xdg_dir("XDG_STATE_HOME", ".local/state", path);
    if (!*path)
        return err_set(err, ERR_INVALID, 0,
                       "there is no home directory to put it in; set HOME, or state_dir");
    return config_resolve_path("/", path, out, err);
}

void config_search_paths(struct buf *out)
{
    char dir[PATH_BYTES_MAX];

    xdg_dir("XDG_CONFIG_HOME", ".config", dir);
    if (*dir)
        buf_addf(out, "%s/spoor.conf\n", dir);
    buf_add_str(out, "/etc/spoor/spoor.conf\n");
}

int config_place_root(const char *path)
{
    (void)path;
    return 0;
}

/* Of what the kernel knows already: a file system that hangs would keep us for ever. */
static int identify(int fd, struct osfile_identity *out)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) != 0)
        return errno;
    *out = (struct osfile_identity){
        .volume = makedev(st.stx_dev_major, st.stx_dev_minor),
        .low = st.stx_ino,
    };
    return 0;
}

bool config_place_may_come(const struct err *err)
{
    int os = err->os;

    return err->code == ERR_NOTFOUND || os == EIO || os == ENOTCONN || os == ESTALE ||
           os == ETIMEDOUT || os == EHOSTDOWN || os == EHOSTUNREACH || os == ENODEV || os == ENXIO;
}

int config_place_identify(const char *path, struct osfile_identity *out, struct err *err)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_os(err, errno, "cannot open '%s'", path);
    int os = identify(fd, out);
    (void)close(fd); /* opened to look only */
    return os == 0 ? 0 : err_os(err, os, "cannot look at '%s'", path);
}

int config_place_above(const char *path, int skip, const struct osfile_identity *targets,
                       size_t count, size_t *out, struct err *err)
{
    struct osfile_identity here = {0}, above = {0};
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int os = fd < 0 ? errno : identify(fd, &here);
    size_t found = count;

    for (int depth = 0; os == 0 && depth < DEPTH_MAX; depth++) {
        for (size_t i = 0; depth >= skip && i < count; i++)
            if (osfile_same(&here, &targets[i])) {
                found = i;
                goto out;
            }
        int parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0) {
            os = errno;
            break;
        }
        (void)close(fd); /* an O_PATH handle has nothing to lose */
        fd = parent;
        os = identify(fd, &above);
        if (os == 0 && osfile_same(&here, &above)) /* ".." of the root is the root */
            break;
        here = above;
    }
out:
    if (fd >= 0)
        (void)close(fd); /* as above */
    if (os != 0)
        return err_os(err, os, "cannot look above '%s'", path);
    *out = found;
    return 0;
}
