/* service_windows.c: see service_windows.h.
 *
 * The main thread sits in the dispatcher (StartServiceCtrlDispatcherW), which makes a thread for
 * the service, where the daemon runs as it does everywhere, and calls the handler of control codes
 * in the main thread. The handler leaves a flag (daemon_wait_windows.h) and answers at once. While
 * the daemon starts, which takes the longer the larger its journals are, a timer tells the manager
 * that it goes on; a stop cuts itself off. Nothing is told after SERVICE_STOPPED, as
 * SetServiceStatus demands:
 * https://learn.microsoft.com/windows/win32/services/service-servicemain-function */
#include "service_windows.h"

#include "buf.h"
#include "config.h"
#include "daemon.h"
#include "daemon_wait_windows.h"
#include "err.h"
#include "eventlog_windows.h"
#include "events_windows.h"
#include "native_windows.h"

#include <shlobj.h>

#define START_TICK_MS   2000
#define START_TICKS_MAX 300 /* ten minutes; then the manager may say that it hangs */
#define LOG_PATH_MAX    4096
#define ACCEPTED                                                                                   \
    (SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN | SERVICE_ACCEPT_PRESHUTDOWN |                  \
     SERVICE_ACCEPT_PARAMCHANGE)

struct service {
    const char *config_file;
    HANDLE timer; /* while it starts */
    SRWLOCK lock; /* of what follows */
    SERVICE_STATUS_HANDLE manager;
    SERVICE_STATUS status; /* as it was told last */
    int ticks;
    bool failing; /* the daemon stops without having been asked */
};

/* The manager calls back without a context, so that this one is found by name. */
static struct service the_service = {.lock = SRWLOCK_INIT};

enum service_action service_action_of(unsigned long control)
{
    switch (control) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_SHUTDOWN:
    case SERVICE_CONTROL_PRESHUTDOWN: /* before the others: time for the last commits */
        return SERVICE_STOP_DAEMON;
    case SERVICE_CONTROL_PARAMCHANGE:
        return SERVICE_RELOAD;
    case SERVICE_CONTROL_INTERROGATE: /* the manager knows what it was told last */
        return SERVICE_IGNORE;
    default:
        return SERVICE_REFUSE;
    }
}

void service_forget_user(void)
{
    wchar_t common[MAX_PATH];

    if (SHGetFolderPathW(NULL, CSIDL_COMMON_APPDATA, NULL, SHGFP_TYPE_CURRENT, common) == S_OK)
        (void)SetEnvironmentVariableW(L"PROGRAMDATA", common); /* the old one may serve */
    (void)SetEnvironmentVariableW(L"USERPROFILE", NULL);       /* fails where there is none */
    (void)SetEnvironmentVariableW(L"LOCALAPPDATA", NULL);
}

/* ---- telling the manager ---- */

static void report_locked(struct service *service)
{
    /* An end is told once, and a manager that does not listen cannot be told so. */
    (void)SetServiceStatus(service->manager, &service->status);
}

/* SERVICE_RUNNING, or a state that is under way and takes at most `hint_ms` until it is told on. */
static void report(struct service *service, DWORD state, DWORD hint_ms)
{
    SERVICE_STATUS *status = &service->status;

    AcquireSRWLockExclusive(&service->lock);
    if (status->dwCurrentState != SERVICE_STOPPED) {
        status->dwCheckPoint = state == SERVICE_RUNNING          ? 0
                               : status->dwCurrentState == state ? status->dwCheckPoint + 1
                                                                 : 1;
        status->dwCurrentState = state;
        status->dwWaitHint = hint_ms;
        status->dwControlsAccepted = state == SERVICE_RUNNING ? ACCEPTED : 0;
        report_locked(service);
    }
    ReleaseSRWLockExclusive(&service->lock);
}

/* The last word. A code but 0 is a failure, after which the manager starts the service again. */
static void report_end(struct service *service, DWORD exit_code)
{
    SERVICE_STATUS *status = &service->status;

    AcquireSRWLockExclusive(&service->lock);
    if (status->dwCurrentState != SERVICE_STOPPED) {
        *status = (SERVICE_STATUS){
            .dwServiceType = SERVICE_WIN32_OWN_PROCESS,
            .dwCurrentState = SERVICE_STOPPED,
            .dwWin32ExitCode = exit_code ? ERROR_SERVICE_SPECIFIC_ERROR : NO_ERROR,
            .dwServiceSpecificExitCode = exit_code,
        };
        report_locked(service);
    }
    ReleaseSRWLockExclusive(&service->lock);
}

static void CALLBACK tick(void *ctx, BOOLEAN timed_out)
{
    struct service *service = ctx;

    (void)timed_out; /* always */
    AcquireSRWLockExclusive(&service->lock);
    if (service->status.dwCurrentState == SERVICE_START_PENDING &&
        service->ticks++ < START_TICKS_MAX) {
        service->status.dwCheckPoint++;
        report_locked(service);
    }
    ReleaseSRWLockExclusive(&service->lock);
}

static void begin_ticks(struct service *service)
{
    /* Without it a start that takes long is shown as one that hangs, and goes on all the same. */
    if (!CreateTimerQueueTimer(&service->timer, NULL, tick, service, START_TICK_MS, START_TICK_MS,
                               WT_EXECUTEDEFAULT))
        service->timer = NULL;
}

static void end_ticks(struct service *service)
{
    if (service->timer) /* waits for one that is under way */
        (void)DeleteTimerQueueTimer(NULL, service->timer, INVALID_HANDLE_VALUE);
    service->timer = NULL;
}

/* ---- what the daemon tells ---- */

static void on_ready(const struct config *config)
{
    struct buf log;

    end_ticks(&the_service);
    report(&the_service, SERVICE_RUNNING, 0);
    buf_init(&log, LOG_PATH_MAX);
    daemon_log_path(config, true, &log);
    eventlog_write(EVENT_STARTED, log.data ? log.data : "");
    buf_deinit(&log);
}

static void on_stopping(bool asked)
{
    the_service.failing = !asked;
    report(&the_service, SERVICE_STOP_PENDING, SERVICE_STOP_WAIT_MS);
}

/* A stop that was asked for and is cut off is one: nobody wants it started again for that. */
static void on_cut_off(void)
{
    eventlog_write(EVENT_FAILED,
                   "the stop took too long and was cut off; what was journaled stays");
    report_end(&the_service, the_service.failing ? SERVICE_EXIT_FAILED : 0);
}

static const struct daemon_host host = {
    .ready = on_ready, .stopping = on_stopping, .cut_off = on_cut_off};

/* ---- the service ---- */

static DWORD WINAPI on_control(DWORD control, DWORD type, void *data, void *ctx)
{
    struct service *service = ctx;

    (void)type; /* of codes that we do not take */
    (void)data;
    switch (service_action_of(control)) {
    case SERVICE_STOP_DAEMON:
        report(service, SERVICE_STOP_PENDING, SERVICE_STOP_WAIT_MS);
        daemon_wait_ask(DAEMON_ASKED_STOP);
        return NO_ERROR;
    case SERVICE_RELOAD:
        daemon_wait_ask(DAEMON_ASKED_RELOAD);
        return NO_ERROR;
    case SERVICE_IGNORE:
        return NO_ERROR;
    case SERVICE_REFUSE:
        break;
    }
    return ERROR_CALL_NOT_IMPLEMENTED;
}

/* 0, or the exit code after an error. */
static DWORD run_daemon(const char *config_file, struct err *err)
{
    const struct daemon_options options = {.ready_fd = -1, .background = true, .host = &host};
    struct config *config = NULL;

    service_forget_user();
    if (config_load(config_file, &config, err) != 0)
        return SERVICE_EXIT_CONFIG;
    if (config_check_paths(config, NULL, err) != 0) {
        config_free(config);
        return SERVICE_EXIT_CONFIG;
    }
    return daemon_run(&options, config, err) == 0 ? 0 : SERVICE_EXIT_FAILED;
}

static void WINAPI service_main(DWORD argc, wchar_t **argv)
{
    struct service *service = &the_service;
    struct err err = {0};

    (void)argc; /* what 'sc start' may add is of no use here */
    (void)argv;
    service->manager = RegisterServiceCtrlHandlerExW(SERVICE_NAME, on_control, service);
    if (!service->manager) {
        (void)err_native(&err, GetLastError(), "cannot register with the service manager");
        eventlog_write(EVENT_FAILED, err.text);
        return; /* nobody can be told; the manager gives up by itself */
    }
    service->status = (SERVICE_STATUS){.dwServiceType = SERVICE_WIN32_OWN_PROCESS};
    report(service, SERVICE_START_PENDING, 2 * START_TICK_MS);
    begin_ticks(service);
    log_also(eventlog_message);
    DWORD code = run_daemon(service->config_file, &err);
    log_also(NULL);
    end_ticks(service);
    if (code == 0)
        eventlog_write(EVENT_STOPPED, NULL);
    else
        eventlog_write(EVENT_FAILED, err.text);
    report_end(service, code);
}

int service_run(const char *config_file, struct err *err)
{
    wchar_t name[] = SERVICE_NAME;
    const SERVICE_TABLE_ENTRYW table[] = {{name, service_main}, {NULL, NULL}};

    the_service.config_file = config_file;
    if (StartServiceCtrlDispatcherW(table))
        return 0;
    DWORD os = GetLastError();
    if (os == ERROR_FAILED_SERVICE_CONTROLLER_CONNECT)
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "service run: this is what the service manager calls; 'spoor service start' "
                       "asks it to, and 'spoor run' runs the daemon here");
    return err_native(err, os, "cannot connect to the service manager");
}
