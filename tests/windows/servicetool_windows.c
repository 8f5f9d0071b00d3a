/* servicetool_windows.c: what test_service.py asks of the service manager and no command of ours
 * does:
 *
 *     servicetool control CODE   sends the service a control code
 *     servicetool config         prints how it is installed, a line each
 *     servicetool source         prints what the event log has registered for it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#define NAME   L"Spoor"
#define SOURCE L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\Spoor"

static union {
    unsigned char bytes[8192];
    QUERY_SERVICE_CONFIGW config;
    SERVICE_DESCRIPTIONW description;
    SERVICE_FAILURE_ACTIONSW failure;
    SERVICE_FAILURE_ACTIONS_FLAG flag;
    SERVICE_DELAYED_AUTO_START_INFO delayed;
    SERVICE_PRESHUTDOWN_INFO preshutdown;
} out;

static int failed(const char *what)
{
    printf("%s: error %lu\n", what, GetLastError());
    return 1;
}

static int read_setting(SC_HANDLE service, DWORD level, const char *what)
{
    DWORD needed = 0;

    memset(&out, 0, sizeof out);
    if (QueryServiceConfig2W(service, level, out.bytes, sizeof out, &needed))
        return 1;
    (void)failed(what); /* printed: the test knows which system knows what */
    return 0;
}

static int print_config(SC_HANDLE service)
{
    DWORD needed = 0;

    if (!QueryServiceConfigW(service, &out.config, sizeof out, &needed))
        return failed("config");
    printf("type %lu\nstart %lu\n", out.config.dwServiceType, out.config.dwStartType);
    printf("line %ls\n", out.config.lpBinaryPathName);
    printf("account %ls\n", out.config.lpServiceStartName);
    if (read_setting(service, SERVICE_CONFIG_DESCRIPTION, "description"))
        printf("description %ls\n", out.description.lpDescription);
    if (read_setting(service, SERVICE_CONFIG_PRESHUTDOWN_INFO, "preshutdown"))
        printf("preshutdown %lu\n", out.preshutdown.dwPreshutdownTimeout);
    if (read_setting(service, SERVICE_CONFIG_DELAYED_AUTO_START_INFO, "delayed"))
        printf("delayed %d\n", out.delayed.fDelayedAutostart);
    if (read_setting(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, "flag"))
        printf("flag %d\n", out.flag.fFailureActionsOnNonCrashFailures);
    if (read_setting(service, SERVICE_CONFIG_FAILURE_ACTIONS, "failure")) {
        printf("failure reset %lu", out.failure.dwResetPeriod);
        for (DWORD i = 0; i < out.failure.cActions; i++)
            printf(" %d:%lu", (int)out.failure.lpsaActions[i].Type,
                   out.failure.lpsaActions[i].Delay);
        printf("\n");
    }
    return 0;
}

static int print_source(void)
{
    wchar_t file[1024];
    DWORD bytes = sizeof file, kinds = 0, size = sizeof kinds;

    if (RegGetValueW(HKEY_LOCAL_MACHINE, SOURCE, L"EventMessageFile",
                     RRF_RT_REG_EXPAND_SZ | RRF_NOEXPAND | RRF_RT_REG_SZ, NULL, file,
                     &bytes) != 0) {
        printf("none\n");
        return 0;
    }
    if (RegGetValueW(HKEY_LOCAL_MACHINE, SOURCE, L"TypesSupported", RRF_RT_REG_DWORD, NULL, &kinds,
                     &size) != 0)
        kinds = 0;
    printf("file %ls\nkinds %lu\n", file, kinds);
    return 0;
}

static int use_service(int argc, char **argv)
{
    SERVICE_STATUS status;
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager ? OpenServiceW(manager, NAME, SERVICE_ALL_ACCESS) : NULL;

    if (!service)
        return failed("open");
    if (argc == 2 && strcmp(argv[1], "config") == 0)
        return print_config(service);
    if (argc == 3 && strcmp(argv[1], "control") == 0)
        return ControlService(service, (DWORD)strtoul(argv[2], NULL, 10), &status)
                   ? 0
                   : failed("control");
    return 2;
}

int main(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "source") == 0 ? print_source() : use_service(argc, argv);
}
