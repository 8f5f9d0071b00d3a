/* config_paths_linux.c: the configuration's paths on this system: where things are by default,
 * and whether what is configured can be watched together.
 *
 * Folders are compared by identity (device and inode of the opened directory), never by spelling:
 * bind mounts, symbolic links and ".." give one directory many names. The ancestors of a folder
 * are found by walking "..", which follows the tree as it is mounted now. Any thread. */
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
#define SECRET_BYTES_MAX (64 << 10)
#define PASSWD_BYTES_MAX (64 << 10)

struct identity {
    dev_t dev;
    ino_t ino;
};

static bool same(struct identity a, struct identity b)
{
    return a.dev == b.dev && a.ino == b.ino;
}

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

int config_default_state_dir(char **out, struct err *err)
{
    char path[PATH_BYTES_MAX];

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

int config_find(char **out, struct err *err)
{
    struct buf paths;
    int rc = ERR_NOTFOUND;

    buf_init(&paths, 4 * PATH_BYTES_MAX);
    config_search_paths(&paths);
    if (!buf_ok(&paths)) {
        rc = err_set(err, ERR_NOMEM, 0, "cannot look for a configuration: out of memory");
        goto out;
    }
    for (char *at = paths.data; *at;) {
        char *end = strchr(at, '\n');
        char *path = strndup(at, (size_t)(end - at));
        if (!path) {
            rc = err_set(err, ERR_NOMEM, 0, "cannot look for a configuration: out of memory");
            goto out;
        }
        if (access(path, F_OK) == 0) {
            *out = path;
            rc = 0;
            goto out;
        }
        free(path);
        at = end + 1;
    }
    buf_truncate(&paths, paths.len - 1);
    for (char *at = strchr(paths.data, '\n'); at; at = strchr(at, '\n'))
        *at = ' ';
    rc = err_set(err, ERR_NOTFOUND, 0,
                 "no configuration found, looked for: %s; make one of these, or name one with "
                 "--config",
                 paths.data);
out:
    buf_deinit(&paths);
    return rc;
}

/* Of what the kernel knows already: a file system that hangs would keep us for ever. */
static int identify(int fd, struct identity *out)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) != 0)
        return errno;
    *out = (struct identity){makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino};
    return 0;
}

/* Looks for one of `targets` among the directory and its ancestors: from the directory itself
 * on (skip 0) or from its parent on (skip 1). *out is the target's index, or `count`. Takes fd
 * over and closes it. Returns 0 or an errno. */
static int find_above(int fd, int skip, const struct identity *targets, size_t count, size_t *out)
{
    struct identity here = {0}, above = {0};
    int os = identify(fd, &here);

    *out = count;
    for (int depth = 0; os == 0 && depth < DEPTH_MAX; depth++) {
        for (size_t i = 0; depth >= skip && i < count; i++)
            if (same(here, targets[i])) {
                *out = i;
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
        if (os == 0 && same(here, above)) /* ".." of the root is the root */
            break;
        here = above;
    }
out:
    (void)close(fd); /* as above */
    return os;
}

static int line_of_path(const struct config *config, size_t index)
{
    return config_line_of(config, SCOPE_FOLDER, index, "path");
}

static int open_folder(const struct config *config, size_t index, int *out_fd, struct err *err)
{
    const struct config_folder *folder = &config->folders[index];
    int fd = open(folder->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_os(err, errno, "%s:%d: folder '%s': cannot open '%s'", config->file,
                      line_of_path(config, index), folder->name, folder->path);
    *out_fd = fd;
    return 0;
}

static int check_nesting(const struct config *config, size_t index, const struct identity *folders,
                         struct err *err)
{
    const struct config_folder *folder = &config->folders[index];
    size_t other;
    int fd = -1; /* gcc -O3 does not see that it is set */

    bool missing = same(folders[index], (struct identity){0});
    for (other = 0; other < index; other++)
        if (missing ? strcmp(folder->path, config->folders[other].path) == 0
                    : same(folders[index], folders[other]))
            return err_set(err, ERR_INVALID, 0,
                           "%s:%d: folder '%s': '%s' is the same as folder '%s'", config->file,
                           line_of_path(config, index), folder->name, folder->path,
                           config->folders[other].name);
    if (missing)
        return 0; /* what it lies in shows when it is there */
    int rc = open_folder(config, index, &fd, err);
    if (rc != 0)
        return rc;
    int os = find_above(fd, 1, folders, config->folder_count, &other);
    if (os != 0)
        return err_os(err, os, "%s:%d: folder '%s': cannot look above '%s'", config->file,
                      line_of_path(config, index), folder->name, folder->path);
    if (other < config->folder_count)
        return err_set(err, ERR_INVALID, 0,
                       "%s:%d: folder '%s': '%s' lies inside folder '%s'; each "
                       "change would be journaled twice",
                       config->file, line_of_path(config, index), folder->name, folder->path,
                       config->folders[other].name);
    return 0;
}

static int check_state_dir(const struct config *config, const struct identity *folders,
                           struct err *err)
{
    char path[PATH_BYTES_MAX];
    size_t inside = 0;
    int fd;

    (void)snprintf(path, sizeof path, "%s", config->daemon.state_dir); /* bounded on loading */
    for (inside = 0; inside < config->folder_count; inside++) {
        /* A folder that is missing is compared as it is spelt: it must not come to be as the state
         * directory's parent. */
        const char *folder = config->folders[inside].path;
        size_t len = strlen(folder);
        if (same(folders[inside], (struct identity){0}) && strncmp(path, folder, len) == 0 &&
            (path[len] == '/' || path[len] == '\0'))
            return err_set(err, ERR_INVALID, 0,
                           "%s: state_dir '%s': lies inside folder '%s', which would journal the "
                           "journal; set state_dir to a place outside",
                           config->file, path, config->folders[inside].name);
    }
    /* It may not exist yet: then the nearest ancestor that does decides. */
    while ((fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        slash[slash == path] = '\0';
    }
    int os = fd < 0 ? errno : find_above(fd, 0, folders, config->folder_count, &inside);
    int line = config_line_of(config, SCOPE_DAEMON, 0, "state_dir");
    char place[16] = "";
    if (line)
        (void)snprintf(place, sizeof place, ":%d", line); /* an int fits */
    if (os != 0)
        return err_os(err, os, "%s%s: state_dir: cannot open '%s'", config->file, place, path);
    if (inside < config->folder_count)
        return err_set(err, ERR_INVALID, 0,
                       "%s%s: state_dir '%s': lies inside folder '%s', which would journal the "
                       "journal; set state_dir to a place outside",
                       config->file, place, config->daemon.state_dir, config->folders[inside].name);
    return 0;
}

static int check_file(const struct option *option, const char *path, struct err *err)
{
    struct buf secret;
    int rc = 0;

    if (!*path)
        return 0;
    if (option->flags & OPTION_SECRET) {
        buf_init(&secret, SECRET_BYTES_MAX);
        rc = osfile_read_secret(path, SECRET_BYTES_MAX, &secret, err);
        if (secret.data)
            explicit_bzero(secret.data, secret.cap);
        buf_deinit(&secret);
    } else if (option->flags & OPTION_READABLE && access(path, R_OK) != 0) {
        rc = err_os(err, errno, "cannot open '%s'", path);
    }
    return rc;
}

static int check_files(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        if (!(option->flags & (OPTION_SECRET | OPTION_READABLE)))
            continue;
        for (size_t at = 0; at < config_section_count(config, option->scope); at++) {
            const char *section = config_section(config, option->scope, at);
            int rc =
                check_file(option, *(char *const *)(const void *)(section + option->offset), err);
            if (rc != 0)
                return err_prefix(err, "%s:%d: %s '%s': %s", config->file,
                                  config_line_of(config, option->scope, at, option->key),
                                  config_scope_name(option->scope),
                                  config_section_name(config, option->scope, at), option->key);
        }
    }
    return 0;
}

/* The file system fails, for a while perhaps: no fault of the configuration. */
static bool is_trouble(int os)
{
    return os == EIO || os == ENOTCONN || os == ESTALE || os == ETIMEDOUT || os == EHOSTDOWN ||
           os == EHOSTUNREACH || os == ENODEV || os == ENXIO;
}

/* A folder that is not there (a disk that is not mounted yet, a server that is down) is noted and
 * keeps the identity 0:0, which no directory has. */
static int identify_folder(const struct config *config, size_t index, struct identity *out,
                           struct buf *notes, struct err *err)
{
    struct err why = {0};
    int fd = -1;
    int rc = open_folder(config, index, &fd, &why);

    if (rc == ERR_NOTFOUND || (rc != 0 && is_trouble(why.os))) {
        if (notes)
            buf_addf(notes, "%s; it is waited for\n", why.text);
        return 0;
    }
    if (rc != 0) {
        if (err)
            *err = why;
        return rc;
    }
    int os = identify(fd, out);
    (void)close(fd); /* opened to look only */
    if (os != 0)
        return err_os(err, os, "%s:%d: folder '%s': cannot look at '%s'", config->file,
                      line_of_path(config, index), config->folders[index].name,
                      config->folders[index].path);
    return 0;
}

int config_check_paths(const struct config *config, struct buf *notes, struct err *err)
{
    struct identity folders[CONFIG_FOLDERS_MAX] = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config->folder_count; i++)
        rc = identify_folder(config, i, &folders[i], notes, err);
    for (size_t i = 0; rc == 0 && i < config->folder_count; i++)
        rc = check_nesting(config, i, folders, err);
    if (rc == 0)
        rc = check_state_dir(config, folders, err);
    return rc == 0 ? check_files(config, err) : rc;
}
