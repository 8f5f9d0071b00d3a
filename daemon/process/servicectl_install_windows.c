/* servicectl_install_windows.c: see servicectl_windows.h: what the service is to Windows.
 *
 * It is made by CreateServiceW, then told its further settings by ChangeServiceConfig2W, each of
 * which came with another Windows; a manager that lacks one (Wine's does) gets the rest. Any
 * thread. */
#include "servicectl_windows.h"

#include "buf.h"
#include "cmdline_windows.h"
#include "err.h"
#include "eventlog_windows.h"
#include "native_windows.h"
#include "service_windows.h"
#include "servicectl_private_windows.h"

#define DISPLAY_NAME L"Spoor"
#define DESCRIPTION                                                                                \
    L"Watches folders, journals every change in them and delivers the journal to a sync server."
#define RESET_S (24 * 60 * 60) /* after a day without a failure they are counted anew */

/* What lets its holder put another file in the place of this one. */
#define RIGHTS_FILE                                                                                \
    (FILE_WRITE_DATA | FILE_APPEND_DATA | DELETE | WRITE_DAC | WRITE_OWNER | GENERIC_WRITE)
#define RIGHTS_DIR (FILE_DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER | GENERIC_WRITE)
/* A program loads libraries that lie beside it: none may be added. */
#define RIGHTS_PROGRAM_DIR (RIGHTS_DIR | FILE_ADD_FILE)

static bool begins(const char *account, const char *front)
{
    size_t len = strlen(front);

    return _strnicmp(account, front, len) == 0 && account[len] != '\0';
}

/* One that Windows itself keeps the password of: the service's own, or a managed one. */
static bool is_virtual(const char *account)
{
    size_t len = strlen(account);

    return begins(account, "NT SERVICE\\") || (len > 1 && account[len - 1] == '$');
}

bool servicectl_needs_no_password(const char *account)
{
    return is_virtual(account) || begins(account, "NT AUTHORITY\\") ||
           _stricmp(account, "LocalSystem") == 0;
}

/* ---- who may change what it runs ---- */

static int check_others(const char *path, ULONG kind, ACCESS_MASK rights, struct err *err)
{
    const struct native_open how = {
        .access = READ_CONTROL | FILE_READ_ATTRIBUTES,
        .share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        .disposition = FILE_OPEN,
        .options = kind,
    };
    bool others = false, ours = false;
    HANDLE file;
    DWORD os = native_open_at(NULL, path, &how, &file);

    if (os == 0) {
        os = native_look_private(file, rights, &others, &ours);
        (void)CloseHandle(file); /* opened to look only */
    }
    if (os != 0)
        return err_native(err, os, "cannot look at '%s'", path);
    if (others || !ours)
        return err_set(err, ERR_DENIED, 0,
                       "'%s': %s; who changes it has the rights of the service: put it where only "
                       "administrators may write",
                       path, ours ? "others can write to it" : "it belongs to another user");
    return 0;
}

/* A file and the directory it lies in. */
static int check_place(const char *path, ACCESS_MASK dir_rights, struct err *err)
{
    size_t len = strlen(path);
    int rc = check_others(path, FILE_NON_DIRECTORY_FILE, RIGHTS_FILE, err);

    while (len > 0 && path[len - 1] != '/' && path[len - 1] != '\\')
        len--;
    char *dir = rc == 0 ? strndup(path, len) : NULL; /* with its slash: it may be a root */
    if (rc == 0)
        rc = dir ? check_others(dir, FILE_DIRECTORY_FILE, dir_rights, err)
                 : err_set(err, ERR_NOMEM, 0, "'%s': out of memory", path);
    free(dir);
    return rc;
}

static int check_program(const wchar_t *program, struct err *err)
{
    struct buf path;
    int rc;

    buf_init(&path, (size_t)4 * NATIVE_PATH_MAX);
    native_add_narrow(&path, program, wcslen(program));
    rc = buf_ok(&path) ? check_place(path.data, RIGHTS_PROGRAM_DIR, err)
                       : err_set(err, ERR_NOMEM, 0, "no memory for a path");
    buf_deinit(&path);
    return rc;
}

/* ---- its settings ---- */

struct plan {
    wchar_t *program;
    wchar_t *line;
    wchar_t *account;        /* NULL: LocalSystem */
    const wchar_t *password; /* of none: "", and NULL for one that Windows keeps (CreateServiceW) */
};

/* Where the manager does not know the setting a line is noted. */
static int set(SC_HANDLE service, DWORD level, const void *setting, const char *name,
               struct buf *notes, struct err *err)
{
    if (ChangeServiceConfig2W(service, level, (void *)(uintptr_t)setting)) /* only read */
        return 0;
    DWORD os = GetLastError();
    if (os != ERROR_INVALID_LEVEL && os != ERROR_CALL_NOT_IMPLEMENTED && os != RPC_S_CANNOT_SUPPORT)
        return servicectl_fail(os, "set up", err);
    buf_addf(notes, "this Windows does not know for its services: %s\n", name);
    return 0;
}

static int set_all(SC_HANDLE service, struct buf *notes, struct err *err)
{
    static wchar_t description[] = DESCRIPTION;
    static wchar_t privileges[] = SE_CHANGE_NOTIFY_NAME L"\0"; /* a list: two zeroes end it */
    /* After every failure: of the process, and of the daemon that ends with an error. */
    static SC_ACTION actions[] = {
        {SC_ACTION_RESTART, 5000}, {SC_ACTION_RESTART, 30000}, {SC_ACTION_RESTART, 60000}};
    const SERVICE_FAILURE_ACTIONSW failure = {
        .dwResetPeriod = RESET_S, .cActions = ARRAY_LEN(actions), .lpsaActions = actions};
    const struct {
        DWORD level;
        const void *setting;
        const char *name;
    } settings[] = {
        {SERVICE_CONFIG_DESCRIPTION, &(SERVICE_DESCRIPTIONW){description}, "a description"},
        {SERVICE_CONFIG_DELAYED_AUTO_START_INFO, &(SERVICE_DELAYED_AUTO_START_INFO){TRUE},
         "a start after the rest"},
        {SERVICE_CONFIG_FAILURE_ACTIONS, &failure, "a start after a failure"},
        {SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &(SERVICE_FAILURE_ACTIONS_FLAG){TRUE},
         "a start after an end with an error"},
        {SERVICE_CONFIG_PRESHUTDOWN_INFO, &(SERVICE_PRESHUTDOWN_INFO){SERVICE_STOP_WAIT_MS},
         "time before a shutdown"},
        /* Of LocalSystem's many privileges the one that everybody has. */
        {SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, &(SERVICE_REQUIRED_PRIVILEGES_INFOW){privileges},
         "fewer privileges"},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(settings); i++)
        rc = set(service, settings[i].level, settings[i].setting, settings[i].name, notes, err);
    return rc;
}

/* Makes it, or, where it is there, opens it and sets anew what is given at the making. */
static int make(SC_HANDLE manager, const struct plan *plan, bool *existed, SC_HANDLE *out,
                struct err *err)
{
    const DWORD rights = SERVICE_CHANGE_CONFIG | SERVICE_START | DELETE;
    const wchar_t *account = plan->account ? plan->account : L"LocalSystem";

    *existed = false;
    *out = CreateServiceW(manager, SERVICE_NAME, DISPLAY_NAME, rights, SERVICE_WIN32_OWN_PROCESS,
                          SERVICE_AUTO_START, SERVICE_ERROR_NORMAL, plan->line, NULL, NULL, NULL,
                          account, plan->password);
    if (*out)
        return 0;
    DWORD os = GetLastError();
    if (os != ERROR_SERVICE_EXISTS)
        return servicectl_fail(os, "install", err);
    *existed = true;
    *out = OpenServiceW(manager, SERVICE_NAME, rights);
    if (*out && ChangeServiceConfigW(*out, SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START,
                                     SERVICE_ERROR_NORMAL, plan->line, NULL, NULL, NULL, account,
                                     plan->password, DISPLAY_NAME))
        return 0;
    os = GetLastError();
    if (*out)
        (void)CloseServiceHandle(*out); /* nothing was changed */
    *out = NULL;
    return servicectl_fail(os, "set up", err);
}

static int install(const struct plan *plan, bool *existed, struct buf *notes, struct err *err)
{
    SC_HANDLE service = NULL;
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CREATE_SERVICE);

    if (!manager)
        return servicectl_fail(GetLastError(), "install", err);
    int rc = make(manager, plan, existed, &service, err);
    if (rc == 0) {
        rc = set_all(service, notes, err);
        if (rc == 0)
            rc = eventlog_register(plan->program, err);
        if (rc != 0 && !*existed)
            (void)DeleteService(service);  /* the first fault is the one to report */
        (void)CloseServiceHandle(service); /* all is told */
    }
    (void)CloseServiceHandle(manager); /* as above */
    return rc;
}

static int make_line(struct plan *plan, const char *config_file, struct err *err)
{
    struct buf line;

    cmdline_begin(&line, plan->program);
    cmdline_add(&line, "service");
    cmdline_add(&line, "run");
    cmdline_add(&line, "--config");
    cmdline_add(&line, config_file);
    return cmdline_end(&line, &plan->line, err);
}

int servicectl_install(const char *config_file, const char *account, bool *existed,
                       struct buf *notes, struct err *err)
{
    struct plan plan = {.password = account && is_virtual(account) ? NULL : L""};
    int rc = 0;

    if (account && !servicectl_needs_no_password(account))
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "account '%s' has a password: install without it, then set account and "
                       "password in services.msc (Spoor, Properties, Log On), which also gives it "
                       "the right to log on as a service",
                       account);
    if (account)
        rc = native_wide(account, &plan.account, err);
    if (rc == 0)
        rc = native_own_path(&plan.program, err);
    if (rc == 0)
        rc = check_program(plan.program, err);
    if (rc == 0)
        rc = check_place(config_file, RIGHTS_DIR, err);
    if (rc == 0)
        rc = make_line(&plan, config_file, err);
    if (rc == 0)
        rc = install(&plan, existed, notes, err);
    free(plan.account);
    free(plan.program);
    free(plan.line);
    return rc;
}
