/* test_service_windows.c: what the service makes of its manager's words, and how it is written down
 * for Windows: command line, account, texts of the event log. The service at work is in
 * tests/windows/test_service.py. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "cmdline_windows.h"
#include "control.h"
#include "daemon.h"
#include "daemon_wait_windows.h"
#include "err.h"
#include "events_windows.h"
#include "helper_temp.h"
#include "native_windows.h"
#include "service_windows.h"
#include "servicectl_private_windows.h"
#include "servicectl_windows.h"
#include "wake.h"

#include <shellapi.h>

static void test_control_codes(void **state)
{
    static const struct {
        DWORD control;
        enum service_action action;
    } cases[] = {
        {SERVICE_CONTROL_STOP, SERVICE_STOP_DAEMON},
        {SERVICE_CONTROL_SHUTDOWN, SERVICE_STOP_DAEMON},
        {SERVICE_CONTROL_PRESHUTDOWN, SERVICE_STOP_DAEMON},
        {SERVICE_CONTROL_PARAMCHANGE, SERVICE_RELOAD},
        {SERVICE_CONTROL_INTERROGATE, SERVICE_IGNORE},
        {SERVICE_CONTROL_PAUSE, SERVICE_REFUSE},
        {SERVICE_CONTROL_CONTINUE, SERVICE_REFUSE},
        {SERVICE_CONTROL_POWEREVENT, SERVICE_REFUSE},
        {SERVICE_CONTROL_SESSIONCHANGE, SERVICE_REFUSE},
        {128, SERVICE_REFUSE},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(service_action_of(cases[i].control), cases[i].action);
}

/* Each argument is found again by Windows' own parser. */
static void test_command_line(void **state)
{
    static const char *const arguments[] = {
        "run",
        "C:/Program Files/x y.conf",
        "C:\\dir with blank\\",
        "\\\\server\\share",
        "a\"b",
        "\\\"",
        "a\\\\\"b\\",
        "",
        "gr\xc3\xbc\xc3\x9f",
        "tab\there",
        "--x=\"quoted\"",
        "\\",
    };
    struct err err = {0};
    struct buf line;
    wchar_t *text = NULL;
    int count = 0;
    (void)state;

    cmdline_begin(&line, L"C:\\Program Files\\Spoor\\spoor.exe");
    for (size_t i = 0; i < ARRAY_LEN(arguments); i++)
        cmdline_add(&line, arguments[i]);
    assert_int_equal(cmdline_end(&line, &text, &err), 0);
    wchar_t **found = CommandLineToArgvW(text, &count);
    assert_non_null(found);
    assert_int_equal(count, 1 + ARRAY_LEN(arguments));
    assert_true(wcscmp(found[0], L"C:\\Program Files\\Spoor\\spoor.exe") == 0);
    for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
        wchar_t *want = NULL;
        assert_int_equal(native_wide(arguments[i], &want, &err), 0);
        if (wcscmp(found[1 + i], want) != 0)
            fail_msg("argument %zu, '%s', is '%ls' in: %ls", i, arguments[i], found[1 + i], text);
        free(want);
    }
    (void)LocalFree(found);
    free(text);
}

static void test_command_line_too_long(void **state)
{
    struct err err = {0};
    struct buf line;
    wchar_t *text = NULL;
    (void)state;

    cmdline_begin(&line, L"C:\\x.exe");
    for (int i = 0; i < 20000; i++)
        cmdline_add(&line, "argument");
    assert_int_equal(cmdline_end(&line, &text, &err), ERR_LIMIT);
    assert_null(text);
}

static void test_accounts(void **state)
{
    static const char *const without[] = {"LocalSystem",
                                          "localsystem",
                                          "NT AUTHORITY\\LocalService",
                                          "nt authority\\NetworkService",
                                          "NT SERVICE\\Spoor",
                                          "CORP\\spoor$"};
    static const char *const with[] = {
        ".\\ann", "CORP\\ann", "ann@corp.example.org", "NT AUTHORITY\\", "NT SERVICES\\x", "$", ""};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(without); i++)
        assert_true(servicectl_needs_no_password(without[i]));
    for (size_t i = 0; i < ARRAY_LEN(with); i++)
        assert_false(servicectl_needs_no_password(with[i]));
}

/* What a person can do about it is said. */
static void test_refusals(void **state)
{
    struct err err = {0};
    (void)state;

    assert_int_equal(servicectl_fail(ERROR_ACCESS_DENIED, "install", &err), ERR_DENIED);
    assert_string_equal(err.text, "cannot install the service: this takes an administrator: open a "
                                  "terminal by 'Run as administrator' and try again");
    assert_int_equal(servicectl_fail(ERROR_SERVICE_MARKED_FOR_DELETE, "install", &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "services.msc"));
    assert_int_equal(servicectl_fail(ERROR_SERVICE_DOES_NOT_EXIST, "start", &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "spoor service install"));
    assert_true(servicectl_fail(ERROR_SERVICE_DISABLED, "start", &err) < 0);
    assert_int_equal(err.os, ERROR_SERVICE_DISABLED);
}

static void no_ready(const struct config *config)
{
    (void)config;
}

static void no_stopping(bool asked)
{
    (void)asked;
}

static void no_cut_off(void)
{
}

/* What was asked before the daemon listened is not lost, and each is told once. */
static void test_asked(void **state)
{
    static const struct daemon_host host = {no_ready, no_stopping, no_cut_off};
    struct temp_dir dir;
    struct control *control = NULL;
    struct daemon_wait *wait = NULL;
    struct wake wake = {.fd = -1};
    struct err err = {0};
    unsigned asked = 0;
    (void)state;

    temp_dir_open(&dir);
    assert_int_equal(control_open(dir.path, &control, &err), 0);
    assert_int_equal(wake_open(&wake, &err), 0);
    daemon_wait_ask(DAEMON_ASKED_RELOAD);
    assert_int_equal(daemon_wait_open(&host, &wait, &err), 0);
    assert_int_equal(daemon_wait_sleep(wait, &wake, control, &asked, &err), 0);
    assert_int_equal(asked, DAEMON_ASKED_RELOAD);
    daemon_wait_ask(DAEMON_ASKED_RELOAD);
    daemon_wait_ask(DAEMON_ASKED_STOP);
    assert_int_equal(daemon_wait_sleep(wait, &wake, control, &asked, &err), 0);
    assert_int_equal(asked, DAEMON_ASKED_RELOAD | DAEMON_ASKED_STOP);
    wake_set(&wake);
    assert_int_equal(daemon_wait_sleep(wait, &wake, control, &asked, &err), 0);
    assert_int_equal(asked, 0);
    daemon_wait_close(wait);
    wake_close(&wake);
    control_close(control);
    temp_dir_close(&dir);
}

#define CUT_OFF_CODE 42

static void end_here(void)
{
    ExitProcess(CUT_OFF_CODE);
}

/* A process of its own: its stop hangs. */
static int hang_in_stop(void)
{
    static const struct daemon_host host = {no_ready, no_stopping, end_here};
    struct daemon_wait *wait = NULL;
    struct err err = {0};

    if (daemon_wait_open(&host, &wait, &err) != 0)
        return 1;
    daemon_wait_arm_exit(wait);
    Sleep(3 * DAEMON_FORCE_MS);
    return 2;
}

/* The manager is told before the process ends by force, or it would start the service again. */
static void test_cut_off(void **state)
{
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION child;
    struct err err = {0};
    struct buf line;
    wchar_t *program = NULL, *text = NULL;
    DWORD code = 0;
    (void)state;

    assert_int_equal(native_own_path(&program, &err), 0);
    cmdline_begin(&line, program);
    cmdline_add(&line, "hang");
    assert_int_equal(cmdline_end(&line, &text, &err), 0);
    assert_true(CreateProcessW(program, text, NULL, NULL, FALSE, 0, NULL, NULL, &start, &child));
    assert_int_equal(WaitForSingleObject(child.hProcess, 2 * DAEMON_FORCE_MS), WAIT_OBJECT_0);
    assert_true(GetExitCodeProcess(child.hProcess, &code));
    assert_int_equal(code, CUT_OFF_CODE);
    (void)CloseHandle(child.hThread);
    (void)CloseHandle(child.hProcess);
    free(program);
    free(text);
}

/* The event viewer finds them in the program's file. */
static void test_event_texts(void **state)
{
    static const struct {
        DWORD event;
        const wchar_t *text;
    } cases[] = {
        {EVENT_STARTED, L"Spoor runs. Its log: INSERT\r\n"},
        {EVENT_STOPPED, L"Spoor has stopped.\r\n"},
        {EVENT_FAILED, L"Spoor has stopped: INSERT\r\n"},
        {EVENT_WARNING, L"INSERT\r\n"},
        {EVENT_ERROR, L"INSERT\r\n"},
    };
    wchar_t text[128], *path = NULL, insert[] = L"INSERT";
    DWORD_PTR inserts[] = {(DWORD_PTR)insert};
    const char *program = getenv("SPOOR_EXE");
    (void)state;

    if (!program)
        skip(); /* run by hand */
    assert_int_equal(native_path(program, &path, NULL), 0);
    HMODULE module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_AS_DATAFILE);
    assert_non_null(module);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(FormatMessageW(FORMAT_MESSAGE_FROM_HMODULE | FORMAT_MESSAGE_ARGUMENT_ARRAY,
                                   module, cases[i].event, 0, text, ARRAY_LEN(text),
                                   (va_list *)(void *)inserts) > 0);
        if (wcscmp(text, cases[i].text) != 0)
            fail_msg("event %lx is '%ls'", cases[i].event, text);
    }
    (void)FreeLibrary(module);
    free(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_codes),
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_command_line_too_long),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_event_texts),
    };

    if (argc == 2 && strcmp(argv[1], "hang") == 0)
        return hang_in_stop();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
