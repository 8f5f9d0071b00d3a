/* helper_kill_windows.c: see helper_kill.h. The program is started again with the directory in its
 * environment and a pipe for its standard output, and ended by TerminateProcess. */
#include "helper_kill.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_temp.h"
#include "native_windows.h"

#define CHILD_VARIABLE "SPOOR_TEST_CHILD"

void kill_main(void (*work)(const char *dir))
{
    const char *dir = getenv(CHILD_VARIABLE);

    if (!dir)
        return;
    work(dir);
    exit(1);
}

void kill_tell(int64_t number)
{
    DWORD done = 0;

    if (!WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), &number, sizeof number, &done, NULL))
        exit(1);
}

static HANDLE start_child(const char *dir, HANDLE told)
{
    STARTUPINFOW start = {.cb = sizeof start,
                          .dwFlags = STARTF_USESTDHANDLES,
                          .hStdOutput = told,
                          .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
    PROCESS_INFORMATION child = {0};
    wchar_t self[MAX_PATH];

    DWORD len = GetModuleFileNameW(NULL, self, MAX_PATH);
    assert_true(len > 0 && len < MAX_PATH);
    temp_set_env(CHILD_VARIABLE, dir);
    BOOL started = CreateProcessW(self, NULL, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child);
    temp_set_env(CHILD_VARIABLE, NULL);
    if (!started)
        fail_msg("cannot start myself again: Windows error %lu", GetLastError());
    (void)CloseHandle(child.hThread); /* not asked for */
    return child.hProcess;
}

static bool read_number(HANDLE told, int64_t *out)
{
    int64_t number = 0;
    DWORD done = 0;

    if (!ReadFile(told, &number, sizeof number, &done, NULL) || done != sizeof number)
        return false;
    *out = number;
    return true;
}

int64_t kill_after(const char *dir, int count)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    HANDLE told = NULL, mouth = NULL;
    int64_t number = 0;

    assert_true(CreatePipe(&told, &mouth, &inherited, 0));
    assert_true(SetHandleInformation(told, HANDLE_FLAG_INHERIT, 0));
    HANDLE child = start_child(dir, mouth);
    assert_true(CloseHandle(mouth));
    for (int i = 0; i < count; i++)
        assert_true(read_number(told, &number));
    assert_true(TerminateProcess(child, 9));
    assert_int_equal(WaitForSingleObject(child, INFINITE), WAIT_OBJECT_0);
    while (read_number(told, &number)) {
    }
    assert_true(CloseHandle(told));
    assert_true(CloseHandle(child));
    return number;
}
