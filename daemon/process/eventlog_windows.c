/* eventlog_windows.c: see eventlog_windows.h. The source is opened for each event: there are few,
 * and nothing is kept that a restart of the log's own service could make stale. Any thread. */
#include "eventlog_windows.h"

#include "err.h"
#include "events_windows.h"
#include "native_windows.h"
#include "service_windows.h"

#define SOURCE_KEY    L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\" SERVICE_NAME
#define KINDS         (EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE)
#define SEVERITY_BITS 30 /* the event's two upper bits say how grave it is */

int eventlog_register(const wchar_t *file, struct err *err)
{
    const DWORD kinds = KINDS;
    HKEY key;
    LSTATUS os = RegCreateKeyExW(HKEY_LOCAL_MACHINE, SOURCE_KEY, 0, NULL, 0, KEY_SET_VALUE, NULL,
                                 &key, NULL);

    if (os == 0) {
        os = RegSetValueExW(key, L"EventMessageFile", 0, REG_EXPAND_SZ, (const BYTE *)file,
                            (DWORD)((wcslen(file) + 1) * sizeof *file));
        if (os == 0)
            os = RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&kinds,
                                sizeof kinds);
        (void)RegCloseKey(key); /* the system writes it when it likes */
    }
    return os == 0 ? 0 : err_native(err, (DWORD)os, "cannot register as a source of the event log");
}

int eventlog_unregister(struct err *err)
{
    LSTATUS os = RegDeleteKeyW(HKEY_LOCAL_MACHINE, SOURCE_KEY);

    return os == 0 || os == ERROR_FILE_NOT_FOUND
               ? 0
               : err_native(err, (DWORD)os, "cannot take the source out of the event log");
}

static WORD kind_of(unsigned long event)
{
    static const WORD kinds[] = {EVENTLOG_SUCCESS, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
                                 EVENTLOG_ERROR_TYPE};

    return kinds[event >> SEVERITY_BITS];
}

void eventlog_write(unsigned long event, const char *text)
{
    wchar_t *wide = NULL;
    HANDLE log;

    if (text && native_wide(text, &wide, NULL) != 0)
        return;
    log = RegisterEventSourceW(NULL, SERVICE_NAME);
    if (log) {
        const wchar_t *inserts[] = {wide};
        (void)ReportEventW(log, kind_of(event), 0, event, NULL, wide ? 1 : 0, 0, inserts, NULL);
        (void)DeregisterEventSource(log); /* whether or not it was written */
    }
    free(wide);
}

void eventlog_message(enum log_level level, const char *message)
{
    eventlog_write(level == LOG_ERROR ? EVENT_ERROR : EVENT_WARNING, message);
}
