/* control_call_windows.c: the control pipe, a client's end (CreateFileW, overlapped). Any thread.
 */
#include "control_pipe_windows.h"
#include "control_private.h"
#include "err.h"
#include "native_windows.h"

struct control_line {
    HANDLE pipe;
    HANDLE event; /* of what is under way */
};

bool control_pipe_name(const char *state_dir, wchar_t out[CONTROL_PIPE_NAME_MAX])
{
    struct osfile_identity id;

    if (!osfile_identify(state_dir, &id))
        return false;
    int n = _snwprintf(out, CONTROL_PIPE_NAME_MAX, L"\\\\.\\pipe\\spoor-%016llx-%016llx%016llx",
                       (unsigned long long)id.volume, (unsigned long long)id.high,
                       (unsigned long long)id.low);
    return n > 0 && n < CONTROL_PIPE_NAME_MAX;
}

/* As the system's waits count it; for ever is INFINITE, which is -1 too. */
static DWORD left_ms(int64_t deadline_mono_ns)
{
    return (DWORD)control_left_ms(deadline_mono_ns);
}

/* While no daemon runs anybody may make a pipe of its name, and hear what we ask. */
static int check_owner(HANDLE pipe, const char *state_dir, struct err *err)
{
    bool others = false, ours = false;
    DWORD os = native_look_private(pipe, 0, &others, &ours);

    if (os != 0)
        return err_native(err, os, "cannot see who serves the control pipe of '%s'", state_dir);
    if (!ours)
        return err_set(err, ERR_DENIED, 0, "the control pipe of '%s' is another user's", state_dir);
    return 0;
}

static int open_pipe(const char *state_dir, int64_t deadline_mono_ns, HANDLE *out, struct err *err)
{
    wchar_t name[CONTROL_PIPE_NAME_MAX];

    if (!control_pipe_name(state_dir, name))
        return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
    for (;;) {
        /* Whoever answers may learn who we are, but not act as us. */
        HANDLE pipe = CreateFileW(
            name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
            FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        DWORD os = GetLastError();
        if (pipe != INVALID_HANDLE_VALUE) {
            *out = pipe;
            return 0;
        }
        if (os == ERROR_FILE_NOT_FOUND)
            return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
        if (os != ERROR_PIPE_BUSY)
            return err_native(err, os, "cannot reach the daemon of '%s'", state_dir);
        DWORD ms = left_ms(deadline_mono_ns);
        if (ms == 0) /* which would mean the server's own choice */
            return control_too_late(err);
        /* Until an instance listens; that it fails shows at the next try. */
        (void)WaitNamedPipeW(name, ms);
    }
}

int control_line_open(const char *state_dir, int64_t deadline_mono_ns, struct control_line **out,
                      struct err *err)
{
    struct control_line *line = calloc(1, sizeof *line);
    int rc = 0;

    if (!line)
        return err_set(err, ERR_NOMEM, 0, "no memory for a call of the daemon");
    line->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!line->event)
        rc = err_native(err, GetLastError(), "cannot make an event");
    if (rc == 0)
        rc = open_pipe(state_dir, deadline_mono_ns, &line->pipe, err);
    if (rc == 0)
        rc = check_owner(line->pipe, state_dir, err);
    if (rc != 0)
        control_line_close(line);
    else
        *out = line;
    return rc;
}

void control_line_close(struct control_line *line)
{
    if (!line)
        return;
    if (line->pipe)
        (void)CloseHandle(line->pipe); /* all was said */
    if (line->event)
        (void)CloseHandle(line->event); /* nothing waits for it */
    free(line);
}

/* Waits for what was begun; after the deadline it is cancelled, and the kernel done with it. *os as
 * GetLastError(), 0 when it went well with *count bytes. */
static int finish(HANDLE pipe, OVERLAPPED *over, BOOL done, int64_t deadline_mono_ns, DWORD *os,
                  DWORD *count, struct err *err)
{
    *os = done ? 0 : GetLastError();
    if (*os != 0 && *os != ERROR_IO_PENDING)
        return 0;
    bool late = WaitForSingleObject(over->hEvent, left_ms(deadline_mono_ns)) == WAIT_TIMEOUT;
    if (late)
        (void)CancelIoEx(pipe, over); /* not found: it is through already */
    *os = GetOverlappedResult(pipe, over, count, TRUE) ? 0 : GetLastError();
    return late ? control_too_late(err) : 0;
}

int control_line_send(struct control_line *line, const char *bytes, size_t len,
                      int64_t deadline_mono_ns, struct err *err)
{
    int rc = 0;

    for (size_t sent = 0; rc == 0 && sent < len;) {
        OVERLAPPED over = {.hEvent = line->event};
        DWORD os = 0, n = 0;
        BOOL done = WriteFile(line->pipe, bytes + sent, (DWORD)(len - sent), NULL, &over);
        rc = finish(line->pipe, &over, done, deadline_mono_ns, &os, &n, err);
        if (os == ERROR_NO_DATA || os == ERROR_BROKEN_PIPE)
            break; /* refused: the reason can still be read */
        if (rc == 0 && os != 0)
            rc = err_native(err, os, "cannot ask the daemon");
        sent += n;
    }
    return rc;
}

int control_line_read(struct control_line *line, char *chunk, size_t size, int64_t deadline_mono_ns,
                      size_t *count, struct err *err)
{
    OVERLAPPED over = {.hEvent = line->event};
    DWORD os = 0, n = 0;
    BOOL done = ReadFile(line->pipe, chunk, (DWORD)size, NULL, &over);
    int rc = finish(line->pipe, &over, done, deadline_mono_ns, &os, &n, err);

    if (rc != 0)
        return rc;
    if (os != 0 && os != ERROR_BROKEN_PIPE && os != ERROR_PIPE_NOT_CONNECTED)
        return err_native(err, os, "cannot read the daemon's answer");
    *count = n;
    return 0;
}
