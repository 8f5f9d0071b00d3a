/* config_paths_windows.c: the configuration's paths on this system: where things are by default,
 * how a path is written, and which directories lie above one.
 *
 * Inside the program directories are parted by "/" and drives are in capitals: "C:/Users/ann",
 * "//server/share/x". What somebody wrote may have "\" as well. A directory is told by volume and
 * file id of the opened one; its ancestors are those of its final path, which holds neither links
 * nor "..", so that they can be cut off it. Any thread. */
#include <ctype.h>

#include "buf.h"
#include "config_option.h"
#include "err.h"
#include "native_windows.h"

#define PATH_BYTES_MAX 4096 /* with its NUL */
#define ENV_UNITS_MAX  4096
#define SHARE_ALL      (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

static bool is_slash(char c)
{
    return c == '/' || c == '\\';
}

static bool has_drive(const char *path)
{
    return isalpha((unsigned char)path[0]) && path[1] == ':';
}

static bool is_absolute(const char *path)
{
    return (has_drive(path) && is_slash(path[2])) || (is_slash(path[0]) && is_slash(path[1]));
}

int config_place_root(const char *path)
{
    const char *server = path + 2;

    if (has_drive(path))
        return 2;
    if (!is_slash(path[0]) || !is_slash(path[1]))
        return 0;
    const char *share = server + strcspn(server, "/\\");
    share += *share != '\0';
    return (int)(share + strcspn(share, "/\\") - path);
}

/* Copies an absolute path with "/" alone, without doubled ones, "." components and one at the end;
 * `out` has room for it and two bytes more. */
static void tidy(const char *path, char *out)
{
    int root = config_place_root(path);
    char *start = out;

    for (int i = 0; i < root; i++)
        *out++ = is_slash(path[i]) ? '/' : path[i];
    if (has_drive(path))
        *start = (char)toupper((unsigned char)*start);
    char *top = out;
    for (path += root; *path;) {
        path += strspn(path, "/\\");
        size_t len = strcspn(path, "/\\");
        if (len > 0 && !(len == 1 && *path == '.')) {
            *out++ = '/';
            memcpy(out, path, len);
            out += len;
        }
        path += len;
    }
    if (out == top)
        *out++ = '/';
    *out = '\0';
}

/* The variable's value as a tidy absolute path; "" when it is none. */
static void env_path(const wchar_t *name, char out[PATH_BYTES_MAX])
{
    wchar_t units[ENV_UNITS_MAX];
    struct buf value;
    DWORD count = GetEnvironmentVariableW(name, units, ENV_UNITS_MAX);

    out[0] = '\0';
    if (count == 0 || count >= ENV_UNITS_MAX)
        return;
    buf_init(&value, PATH_BYTES_MAX - 3);
    native_add_narrow(&value, units, count);
    if (buf_ok(&value) && is_absolute(value.data))
        tidy(value.data, out);
    buf_deinit(&value);
}

static int join(const char *front, const char *text, char **out, struct err *err)
{
    size_t room = strlen(front) + strlen(text) + 4;
    char *joined = malloc(room);
    char *path = malloc(room);
    int rc = 0;

    if (!joined || !path) {
        rc = err_set(err, ERR_NOMEM, 0, "out of memory");
        goto out;
    }
    (void)snprintf(joined, room, "%s%s%s", front, *front ? "/" : "", text); /* sized above */
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

int config_resolve_path(const char *base_dir, const char *text, char **out, struct err *err)
{
    char front[PATH_BYTES_MAX];

    if (is_absolute(text))
        return join("", text, out, err);
    if (has_drive(text))
        return err_set(err, ERR_INVALID, 0,
                       "a drive without a slash means another place for each program; write %c:/",
                       *text);
    if (*text == '~') {
        if (text[1] != '\0' && !is_slash(text[1]))
            return err_set(err, ERR_INVALID, 0, "of the forms with ~ only ~/ is known");
        env_path(L"USERPROFILE", front);
        if (!*front)
            return err_set(err, ERR_INVALID, 0,
                           "there is no home directory here, as a service has none; write the path "
                           "out, or set USERPROFILE");
        return join(front, text + 1, out, err);
    }
    if (is_slash(*text)) { /* of the drive that the file lies on */
        (void)snprintf(front, sizeof front, "%.*s", config_place_root(base_dir), base_dir);
        return join(front, text, out, err);
    }
    return join(base_dir, text, out, err);
}

int config_absolute_path(const char *path, char **out, struct err *err)
{
    wchar_t *units = NULL;
    struct buf text;
    int rc = native_path(path, &units, err);

    if (rc != 0)
        return rc;
    /* \\?\C:\x or \\?\UNC\server\x: the front is ours, not the user's. */
    bool share = wcsncmp(units, L"\\\\?\\UNC\\", 8) == 0;
    const wchar_t *rest = units + (share ? 8 : 4);
    buf_init(&text, (size_t)4 * PATH_BYTES_MAX);
    if (share)
        buf_add_str(&text, "//");
    native_add_narrow(&text, rest, wcslen(rest));
    free(units);
    rc = buf_ok(&text) ? join("", text.data, out, err)
                       : err_set(err, ERR_NOMEM, 0, "cannot load '%s': out of memory", path);
    buf_deinit(&text);
    return rc;
}

/* Is it a file of the whole machine's, in %PROGRAMDATA%? */
static bool is_common(const char *file, const char *common)
{
    size_t len = strlen(common);

    return len > 0 && _strnicmp(file, common, len) == 0 && file[len] == '/';
}

/* The machine's configuration has its state beside it, whoever asks, so that an administrator's
 * commands find the service's. So has who has no folder of his own: a service. */
int config_default_state_dir(const char *file, char **out, struct err *err)
{
    char common[PATH_BYTES_MAX], own[PATH_BYTES_MAX];

    env_path(L"PROGRAMDATA", common);
    env_path(L"LOCALAPPDATA", own);
    const char *dir = is_common(file, common) || native_is_service_user() || !*own ? common : own;
    if (!*dir)
        return err_set(err, ERR_INVALID, 0,
                       "there is no place to put it in; set LOCALAPPDATA or PROGRAMDATA, or "
                       "state_dir");
    return join(dir, "Spoor/state", out, err);
}

void config_search_paths(struct buf *out)
{
    static const wchar_t *const names[] = {L"LOCALAPPDATA", L"PROGRAMDATA"};
    char dir[PATH_BYTES_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        env_path(names[i], dir);
        if (*dir)
            buf_addf(out, "%s/Spoor/spoor.conf\n", dir);
    }
}

bool config_place_may_come(const struct err *err)
{
    DWORD os = (DWORD)err->os;

    return err->code == ERR_NOTFOUND || os == ERROR_NOT_READY || os == ERROR_IO_DEVICE ||
           os == ERROR_NETNAME_DELETED || os == ERROR_UNEXP_NET_ERR || os == ERROR_SEM_TIMEOUT ||
           os == ERROR_DEV_NOT_EXIST || os == ERROR_HOST_UNREACHABLE ||
           os == ERROR_NETWORK_UNREACHABLE || os == ERROR_CONNECTION_REFUSED;
}

static DWORD open_place(const wchar_t *path, HANDLE *out)
{
    HANDLE dir = CreateFileW(path, FILE_READ_ATTRIBUTES, SHARE_ALL, NULL, OPEN_EXISTING,
                             FILE_FLAG_BACKUP_SEMANTICS, NULL);
    BY_HANDLE_FILE_INFORMATION facts;

    if (dir == INVALID_HANDLE_VALUE)
        return GetLastError();
    DWORD os = GetFileInformationByHandle(dir, &facts) ? 0 : GetLastError();
    if (os == 0 && !(facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY))
        os = ERROR_DIRECTORY;
    if (os != 0)
        (void)CloseHandle(dir); /* opened to look only */
    else
        *out = dir;
    return os;
}

int config_place_identify(const char *path, struct osfile_identity *out, struct err *err)
{
    wchar_t *units = NULL;
    HANDLE dir;
    int rc = native_path(path, &units, err);

    if (rc != 0)
        return rc;
    DWORD os = open_place(units, &dir);
    free(units);
    if (os != 0)
        return err_native(err, os, "cannot open '%s'", path);
    os = native_identify(dir, out);
    (void)CloseHandle(dir); /* opened to look only */
    return os == 0 ? 0 : err_native(err, os, "cannot look at '%s'", path);
}

/* The path that the directory has now, in the \\?\ form, instead of the one by which it was opened.
 * Some volumes have none that the mount manager knows (drivers of RAM disks and of clouds), and
 * Wine 8 tells none of more than 260 units: there the path as it was written has to do, so that
 * only the directories above the target of a junction in it are not seen. */
static DWORD take_final_path(HANDLE dir, wchar_t **path)
{
    wchar_t *units = malloc((NATIVE_PATH_MAX + 1) * sizeof *units);

    if (!units)
        return ERROR_NOT_ENOUGH_MEMORY;
    DWORD count = GetFinalPathNameByHandleW(dir, units, NATIVE_PATH_MAX, 0);
    bool known = count > 0 && count <= NATIVE_PATH_MAX;
    free(known ? *path : units);
    if (known)
        *path = units;
    return 0;
}

/* Cuts the last name off "\\?\C:\a\b" or "\\?\UNC\server\share\a"; false at the volume's root. */
static bool cut_name(wchar_t *path)
{
    bool share = wcsncmp(path, L"\\\\?\\UNC\\", 8) == 0;
    wchar_t *root = path + (share ? 8 : 4);

    for (int parts = share ? 2 : 1; parts > 0 && *root; parts--)
        root += wcscspn(root, L"\\") + 1;
    wchar_t *last = wcsrchr(path, L'\\');
    if (root >= path + wcslen(path) || !last)
        return false;
    last[last < root] = L'\0'; /* a drive keeps its backslash */
    return true;
}

int config_place_above(const char *path, int skip, const struct osfile_identity *targets,
                       size_t count, size_t *out, struct err *err)
{
    wchar_t *place = NULL;
    struct osfile_identity here;
    HANDLE dir;
    size_t found = count;
    int rc = native_path(path, &place, err);

    if (rc != 0)
        return rc;
    DWORD os = open_place(place, &dir);
    if (os == 0) {
        os = take_final_path(dir, &place);
        (void)CloseHandle(dir); /* opened to look only */
    }
    for (int depth = 0; os == 0 && found == count; depth++) {
        os = open_place(place, &dir);
        if (os != 0)
            break;
        os = native_identify(dir, &here);
        (void)CloseHandle(dir); /* as above */
        for (size_t i = 0; os == 0 && depth >= skip && found == count && i < count; i++)
            if (osfile_same(&here, &targets[i]))
                found = i;
        if (!cut_name(place))
            break;
    }
    free(place);
    if (os != 0)
        return err_native(err, os, "cannot look above '%s'", path);
    *out = found;
    return 0;
}
