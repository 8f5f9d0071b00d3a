/* helper_control_windows.c: see helper_control.h. By a named pipe and its events. */
#include "helper_control.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "control_pipe_windows.h"
#include "control_windows.h"
#include "native_windows.h"

int control_turn(struct control *control, int wait_ms,
                 void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                 void *ctx)
{
    HANDLE events[CONTROL_HANDLES_MAX];
    DWORD count = (DWORD)control_wait_handles(control, events, CONTROL_HANDLES_MAX);
    DWORD first = WaitForMultipleObjects(count, events, FALSE, (DWORD)wait_ms);
    int ready = 0;

    assert_true(first == WAIT_TIMEOUT || first < WAIT_OBJECT_0 + count);
    for (DWORD i = 0; i < count; i++)
        ready += WaitForSingleObject(events[i], 0) == WAIT_OBJECT_0;
    control_serve(control, handle, ctx);
    return ready;
}

size_t control_client_count(struct control *control)
{
    HANDLE events[CONTROL_HANDLES_MAX];

    return control_wait_handles(control, events, CONTROL_HANDLES_MAX) - 1;
}

struct rawline rawline_open(const char *state_dir)
{
    wchar_t name[CONTROL_PIPE_NAME_MAX];

    assert_true(control_pipe_name(state_dir, name));
    HANDLE pipe = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE)
        fail_msg("cannot open the control pipe: Windows error %lu", GetLastError());
    return (struct rawline){(intptr_t)pipe};
}

void rawline_send(struct rawline line, const char *text)
{
    DWORD done = 0;

    assert_true(WriteFile((HANDLE)line.handle, text, (DWORD)strlen(text), &done, NULL));
    assert_int_equal(done, strlen(text));
}

size_t rawline_read(struct rawline line, char *out, size_t size)
{
    DWORD n = 0;
    size_t len = 0;

    while (ReadFile((HANDLE)line.handle, out + len, (DWORD)(size - 1 - len), &n, NULL)) {
        assert_true(n > 0); /* or the text has no room */
        len += n;
    }
    assert_int_equal(GetLastError(), ERROR_BROKEN_PIPE);
    out[len] = '\0';
    return len;
}

void rawline_read_some(struct rawline line, size_t bytes)
{
    char chunk[4096];
    DWORD n = 0;

    for (size_t len = 0; len < bytes; len += n) {
        assert_true(ReadFile((HANDLE)line.handle, chunk, sizeof chunk, &n, NULL));
        assert_true(n > 0);
    }
}

void rawline_close(struct rawline line)
{
    assert_true(CloseHandle((HANDLE)line.handle));
}
