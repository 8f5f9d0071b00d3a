/* config_paths.c: whether what is configured can be watched together, and whether the files that
 * it names can be had.
 *
 * Folders are compared by identity, never by spelling: bind mounts, symbolic links, "..", letters
 * of another case give one directory many names. What a system calls a path and what lies above one
 * is in config_paths_linux.c and config_paths_windows.c. Any thread. */
#include "buf.h"
#include "config_option.h"
#include "err.h"
#include "osfile.h"

#define PATH_BYTES_MAX   4096
#define SECRET_BYTES_MAX (64 << 10)

static bool is_missing(const struct osfile_identity *folder)
{
    return osfile_same(folder, &(struct osfile_identity){0});
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
        if (osfile_exists(OSFILE_CWD, path, NULL) == 1) {
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

static int line_of_path(const struct config *config, size_t index)
{
    return config_line_of(config, SCOPE_FOLDER, index, "path");
}

/* What went wrong with a folder's path, and where it is said; returns `rc`. */
static int of_folder(const struct config *config, size_t index, int rc, struct err *err)
{
    (void)err_prefix(err, "%s:%d: folder '%s'", config->file, line_of_path(config, index),
                     config->folders[index].name); /* the code is the caller's */
    return rc;
}

static int check_nesting(const struct config *config, size_t index,
                         const struct osfile_identity *folders, struct err *err)
{
    const struct config_folder *folder = &config->folders[index];
    size_t other;

    bool missing = is_missing(&folders[index]);
    for (other = 0; other < index; other++)
        if (missing ? strcmp(folder->path, config->folders[other].path) == 0
                    : osfile_same(&folders[index], &folders[other]))
            return err_set(err, ERR_INVALID, 0,
                           "%s:%d: folder '%s': '%s' is the same as folder '%s'", config->file,
                           line_of_path(config, index), folder->name, folder->path,
                           config->folders[other].name);
    if (missing)
        return 0; /* what it lies in shows when it is there */
    int rc = config_place_above(folder->path, 1, folders, config->folder_count, &other, err);
    if (rc != 0)
        return of_folder(config, index, rc, err);
    if (other < config->folder_count)
        return err_set(err, ERR_INVALID, 0,
                       "%s:%d: folder '%s': '%s' lies inside folder '%s'; each "
                       "change would be journaled twice",
                       config->file, line_of_path(config, index), folder->name, folder->path,
                       config->folders[other].name);
    return 0;
}

static int check_state_dir(const struct config *config, const struct osfile_identity *folders,
                           struct err *err)
{
    char path[PATH_BYTES_MAX];
    size_t inside = 0;
    struct osfile_identity there;
    int rc;

    (void)snprintf(path, sizeof path, "%s", config->daemon.state_dir); /* bounded on loading */
    for (inside = 0; inside < config->folder_count; inside++) {
        /* A folder that is missing is compared as it is spelt: it must not come to be as the state
         * directory's parent. */
        const char *folder = config->folders[inside].path;
        size_t len = strlen(folder);
        if (is_missing(&folders[inside]) && strncmp(path, folder, len) == 0 &&
            (path[len] == '/' || path[len] == '\0'))
            return err_set(err, ERR_INVALID, 0,
                           "%s: state_dir '%s': lies inside folder '%s', which would journal the "
                           "journal; set state_dir to a place outside",
                           config->file, path, config->folders[inside].name);
    }
    /* It may not exist yet: then the nearest ancestor that does decides. */
    while ((rc = config_place_identify(path, &there, err)) == ERR_NOTFOUND) {
        char *slash = strrchr(path, '/');
        if (!slash || slash[1] == '\0')
            break; /* not even the root, or the volume */
        slash[config_place_root(path) == slash - path] = '\0';
    }
    if (rc == 0)
        rc = config_place_above(path, 0, folders, config->folder_count, &inside, err);
    int line = config_line_of(config, SCOPE_DAEMON, 0, "state_dir");
    char place[16] = "";
    if (line)
        (void)snprintf(place, sizeof place, ":%d", line); /* an int fits */
    if (rc != 0) {
        (void)err_prefix(err, "%s%s: state_dir", config->file, place); /* the code is kept */
        return rc;
    }
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
    } else if (option->flags & OPTION_READABLE) {
        rc = osfile_may_read(path, err);
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

/* A folder that is not there (a disk that is not mounted yet, a server that is down) is noted and
 * keeps the identity of zeroes, which no directory has. */
static int identify_folder(const struct config *config, size_t index, struct osfile_identity *out,
                           struct buf *notes, struct err *err)
{
    struct err why = {0};
    int rc = config_place_identify(config->folders[index].path, out, &why);

    if (rc == 0)
        return 0;
    bool comes = config_place_may_come(&why);
    (void)of_folder(config, index, rc, &why); /* rc is known */
    if (comes) {
        if (notes)
            buf_addf(notes, "%s; it is waited for\n", why.text);
        return 0;
    }
    if (err)
        *err = why;
    return rc;
}

int config_check_paths(const struct config *config, struct buf *notes, struct err *err)
{
    struct osfile_identity folders[CONFIG_FOLDERS_MAX] = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config->folder_count; i++)
        rc = identify_folder(config, i, &folders[i], notes, err);
    for (size_t i = 0; rc == 0 && i < config->folder_count; i++)
        rc = check_nesting(config, i, folders, err);
    if (rc == 0)
        rc = check_state_dir(config, folders, err);
    return rc == 0 ? check_files(config, err) : rc;
}
