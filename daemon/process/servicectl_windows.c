/* servicectl_windows.c: see servicectl_windows.h.
 *
 * A state is waited for by NotifyServiceStatusChangeW, which calls back in this thread while it
 * sleeps. Any thread, one at a time. */
#include "servicectl_windows.h"

#include <limits.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "eventlog_windows.h"
#include "native_windows.h"
#include "service_windows.h"
#include "servicectl_private_windows.h"

#include <shellapi.h>

#define CONFIG_BYTES_MAX 8192 /* of QUERY_SERVICE_CONFIGW: the most there can be (its page) */
#define STOPPED_OR_RUN   (SERVICE_NOTIFY_STOPPED | SERVICE_NOTIFY_RUNNING)

/* ---- the manager ---- */

static const char elevate[] = "this takes an administrator: open a terminal by 'Run as "
                              "administrator' and try again";

int servicectl_fail(DWORD os, const char *what, struct err *err)
{
    if (os == ERROR_ACCESS_DENIED)
        return err_set(err, ERR_DENIED, 0, "cannot %s the service: %s", what, elevate);
    if (os == ERROR_SERVICE_MARKED_FOR_DELETE)
        return err_set(err, ERR_BUSY, 0,
                       "cannot %s the service: Windows is removing it still; close what shows "
                       "services, as services.msc, and try again",
                       what);
    if (os == ERROR_SERVICE_DOES_NOT_EXIST)
        return err_set(err, ERR_NOTFOUND, 0,
                       "the service is not installed; 'spoor service install' installs it");
    return err_native(err, os, "cannot %s the service", what);
}

static int open_service(DWORD manager_rights, DWORD rights, const char *what, SC_HANDLE *out,
                        struct err *err)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, manager_rights);

    if (!manager)
        return servicectl_fail(GetLastError(), what, err);
    *out = OpenServiceW(manager, SERVICE_NAME, rights);
    DWORD os = *out ? 0 : GetLastError();
    (void)CloseServiceHandle(manager); /* the other handle stays good */
    return os == 0 ? 0 : servicectl_fail(os, what, err);
}

static int look(SC_HANDLE service, SERVICE_STATUS_PROCESS *out, struct err *err)
{
    DWORD bytes = 0;

    if (QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)out, sizeof *out, &bytes))
        return 0;
    return servicectl_fail(GetLastError(), "look at", err);
}

static void CALLBACK on_change(void *ctx)
{
    (void)ctx; /* that it was called ends the sleep, which is all */
}

/* Sleeps until the service is in one of the states, or the deadline; then says how it is. */
static int wait_for(SC_HANDLE service, DWORD states, int64_t deadline_mono_ns,
                    SERVICE_STATUS_PROCESS *out, struct err *err)
{
    /* The system writes to it as long as the service's handle is open. */
    static SERVICE_NOTIFYW notify;
    int rc = look(service, out, err);

    while (rc == 0 && !(states & (1u << (out->dwCurrentState - 1)))) {
        int64_t left_ms = (deadline_mono_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        if (left_ms <= 0)
            return err_set(err, ERR_TIMEOUT, 0, "the service has not %s in time",
                           states & SERVICE_NOTIFY_RUNNING ? "started" : "stopped");
        notify = (SERVICE_NOTIFYW){.dwVersion = SERVICE_NOTIFY_STATUS_CHANGE,
                                   .pfnNotifyCallback = on_change};
        DWORD os = NotifyServiceStatusChangeW(service, states, &notify);
        if (os != ERROR_SUCCESS)
            return servicectl_fail(os, "wait for", err);
        (void)SleepEx(left_ms < INT_MAX ? (DWORD)left_ms : INT_MAX, TRUE); /* it is looked at */
        rc = look(service, out, err);
    }
    return rc;
}

/* ---- start and stop ---- */

static int say_end(const SERVICE_STATUS_PROCESS *status, struct err *err)
{
    DWORD code = status->dwWin32ExitCode;

    if (code == ERROR_SERVICE_SPECIFIC_ERROR)
        return err_set(err, ERR_CANCELLED, 0,
                       "not started: the daemon ended with exit code %lu; the event log has the "
                       "reason (Application, source Spoor)",
                       status->dwServiceSpecificExitCode);
    if (code == 0)
        return err_set(err, ERR_CANCELLED, 0, "not started: the daemon was stopped at once");
    (void)err_native(err, code, "not started: the daemon's process ended");
    return ERR_CANCELLED;
}

int servicectl_start(int64_t deadline_mono_ns, bool *already, int64_t *pid, struct err *err)
{
    SERVICE_STATUS_PROCESS status;
    SC_HANDLE service;
    int rc = open_service(SC_MANAGER_CONNECT, SERVICE_START | SERVICE_QUERY_STATUS, "start",
                          &service, err);

    if (rc != 0)
        return rc;
    DWORD os = StartServiceW(service, 0, NULL) ? 0 : GetLastError();
    *already = os == ERROR_SERVICE_ALREADY_RUNNING;
    if (os != 0 && !*already)
        rc = servicectl_fail(os, "start", err);
    if (rc == 0)
        rc = wait_for(service, STOPPED_OR_RUN, deadline_mono_ns, &status, err);
    (void)CloseServiceHandle(service); /* nothing depends on it */
    if (rc == 0 && status.dwCurrentState == SERVICE_STOPPED)
        rc = say_end(&status, err);
    else if (rc == 0)
        *pid = status.dwProcessId;
    return rc;
}

static int stop(SC_HANDLE service, int64_t deadline_mono_ns, bool *already, struct err *err)
{
    SERVICE_STATUS_PROCESS status;
    SERVICE_STATUS told;
    /* While it starts it takes no codes. */
    int rc = wait_for(service, STOPPED_OR_RUN | SERVICE_NOTIFY_STOP_PENDING, deadline_mono_ns,
                      &status, err);

    if (rc != 0)
        return rc;
    *already = status.dwCurrentState == SERVICE_STOPPED;
    if (!ControlService(service, SERVICE_CONTROL_STOP, &told)) {
        DWORD os = GetLastError();
        /* It ended meanwhile, or is at it. */
        if (os != ERROR_SERVICE_NOT_ACTIVE && os != ERROR_SERVICE_CANNOT_ACCEPT_CTRL)
            return servicectl_fail(os, "stop", err);
    }
    return wait_for(service, SERVICE_NOTIFY_STOPPED, deadline_mono_ns, &status, err);
}

int servicectl_stop(int64_t deadline_mono_ns, bool *already, struct err *err)
{
    SC_HANDLE service;
    int rc = open_service(SC_MANAGER_CONNECT, SERVICE_STOP | SERVICE_QUERY_STATUS, "stop", &service,
                          err);

    if (rc != 0)
        return rc;
    rc = stop(service, deadline_mono_ns, already, err);
    (void)CloseServiceHandle(service); /* nothing depends on it */
    return rc;
}

int servicectl_uninstall(int64_t deadline_mono_ns, struct err *err)
{
    bool already;
    SC_HANDLE service;
    int rc = open_service(SC_MANAGER_CONNECT, SERVICE_STOP | SERVICE_QUERY_STATUS | DELETE,
                          "uninstall", &service, err);

    if (rc != 0)
        return rc;
    rc = stop(service, deadline_mono_ns, &already, err);
    if (rc == 0 && !DeleteService(service))
        rc = servicectl_fail(GetLastError(), "uninstall", err);
    (void)CloseServiceHandle(service); /* the last one removes it */
    return rc == 0 ? eventlog_unregister(err) : rc;
}

/* ---- what it was installed with ---- */

/* The argument after --config of a command line. */
static int config_argument(const wchar_t *line, struct buf *out, struct err *err)
{
    int count = 0, rc = ERR_NOTFOUND;
    wchar_t **arguments = CommandLineToArgvW(line, &count);

    if (!arguments)
        return err_set(err, ERR_NOMEM, 0, "no memory for a command line");
    for (int i = 0; rc != 0 && i + 1 < count; i++)
        if (wcscmp(arguments[i], L"--config") == 0) {
            native_add_narrow(out, arguments[i + 1], wcslen(arguments[i + 1]));
            rc = 0;
        }
    (void)LocalFree(arguments); /* cannot fail for what the system gave */
    return rc == 0
               ? 0
               : err_set(err, rc, 0, "the service was not installed by 'spoor service install'");
}

int servicectl_config(struct buf *out, struct err *err)
{
    unsigned char bytes[CONFIG_BYTES_MAX] __attribute__((aligned(16)));
    const QUERY_SERVICE_CONFIGW *config = (const void *)bytes;
    SC_HANDLE service;
    DWORD needed = 0;
    int rc = open_service(SC_MANAGER_CONNECT, SERVICE_QUERY_CONFIG, "look at", &service, err);

    if (rc != 0)
        return rc;
    if (!QueryServiceConfigW(service, (void *)bytes, sizeof bytes, &needed))
        rc = servicectl_fail(GetLastError(), "look at", err);
    else
        rc = config_argument(config->lpBinaryPathName, out, err);
    (void)CloseServiceHandle(service); /* only asked */
    return rc;
}
