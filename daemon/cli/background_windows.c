/* background_windows.c: see background.h: `spoor run` in a process without a console, made by
 * CreateProcessW. It inherits one handle alone, the pipe's (PROC_THREAD_ATTRIBUTE_HANDLE_LIST),
 * whose number it finds in its environment; whatever else the caller has open stays the caller's.
 * Main thread. */
#include "background.h"

#include <limits.h>

#include "buf.h"
#include "clock.h"
#include "cmdline_windows.h"
#include "daemon.h"
#include "err.h"
#include "native_windows.h"
#include "num.h"

#define PIPE_VARIABLE   "SPOOR_START_PIPE"
#define PIPE_TEXT_BYTES 24

static int command_line(const wchar_t *program, const char *config_file, wchar_t **out,
                        struct err *err)
{
    struct buf line;

    cmdline_begin(&line, program);
    cmdline_add(&line, "run");
    cmdline_add(&line, "--config");
    cmdline_add(&line, config_file);
    return cmdline_end(&line, out, err);
}

static DWORD create(const wchar_t *program, wchar_t *line, HANDLE pipe, PROCESS_INFORMATION *out)
{
    STARTUPINFOEXW start = {.StartupInfo.cb = sizeof start};
    wchar_t system_dir[MAX_PATH];
    SIZE_T bytes = 0;
    DWORD os = 0;

    (void)InitializeProcThreadAttributeList(NULL, 1, 0, &bytes); /* tells the size */
    start.lpAttributeList = calloc(1, bytes);
    if (!start.lpAttributeList)
        return ERROR_NOT_ENOUGH_MEMORY;
    /* Its current directory keeps a directory from being renamed: the system's own one then. */
    UINT length = GetSystemDirectoryW(system_dir, MAX_PATH);
    if (length == 0 || length >= MAX_PATH ||
        !InitializeProcThreadAttributeList(start.lpAttributeList, 1, 0, &bytes)) {
        os = length >= MAX_PATH ? ERROR_FILENAME_EXCED_RANGE : GetLastError();
        free(start.lpAttributeList);
        return os;
    }
    if (!UpdateProcThreadAttribute(start.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                   &pipe, sizeof pipe, NULL, NULL) ||
        !CreateProcessW(program, line, NULL, NULL, TRUE,
                        DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | EXTENDED_STARTUPINFO_PRESENT,
                        NULL, system_dir, &start.StartupInfo, out))
        os = GetLastError();
    DeleteProcThreadAttributeList(start.lpAttributeList);
    free(start.lpAttributeList);
    return os;
}

/* A pipe whose writing end a child inherits, and the child told of it. */
static DWORD make_pipe(HANDLE *reading, HANDLE *writing)
{
    char text[PIPE_TEXT_BYTES];

    if (!CreatePipe(reading, writing, NULL, 0))
        return GetLastError();
    (void)snprintf(text, sizeof text, "%lld", (long long)(intptr_t)*writing);
    if (!SetHandleInformation(*writing, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) ||
        !SetEnvironmentVariableA(PIPE_VARIABLE, text)) {
        DWORD os = GetLastError();
        (void)CloseHandle(*reading);
        (void)CloseHandle(*writing);
        return os;
    }
    return 0;
}

int background_begin(const char *config_file, struct background *out, struct err *err)
{
    PROCESS_INFORMATION info = {0};
    HANDLE reading = NULL, writing = NULL;
    wchar_t *program = NULL, *line = NULL;
    int rc = native_own_path(&program, err);

    if (rc == 0)
        rc = command_line(program, config_file, &line, err);
    DWORD os = rc == 0 ? make_pipe(&reading, &writing) : 0;
    if (rc == 0 && os == 0) {
        os = create(program, line, writing, &info);
        (void)CloseHandle(writing); /* the child's: its end of file must be seen */
        if (os != 0)
            (void)CloseHandle(reading); /* nobody writes to it */
    }
    if (rc == 0 && os != 0)
        rc = err_native(err, os, "cannot start a process");
    free(program);
    free(line);
    if (rc != 0)
        return rc;
    (void)CloseHandle(info.hThread); /* not asked for */
    *out = (struct background){
        .pipe_fd = native_fd(reading), .pid = info.dwProcessId, .process = info.hProcess};
    return 0;
}

int background_pipe(void)
{
    char text[PIPE_TEXT_BYTES];
    int64_t number = 0;
    DWORD len = GetEnvironmentVariableA(PIPE_VARIABLE, text, sizeof text);

    if (len == 0 || len >= sizeof text || num_parse_i64(text, 1, INT_MAX, &number) != 0)
        return -1;
    HANDLE pipe = (HANDLE)(intptr_t)number;
    /* Not by our own children, which there are none of, nor by chance another handle's number. */
    if (GetFileType(pipe) != FILE_TYPE_PIPE || !SetHandleInformation(pipe, HANDLE_FLAG_INHERIT, 0))
        return -1;
    return native_fd(pipe);
}

void background_wait(const struct background *begun, struct buf *how)
{
    DWORD code = 0;

    /* Cannot fail for a handle that CreateProcessW gave. */
    (void)WaitForSingleObject(begun->process, INFINITE);
    (void)GetExitCodeProcess(begun->process, &code);
    buf_addf(how, code > INT_MAX ? "with exit code 0x%lx" : "with exit code %lu", code);
}

void background_close(struct background *begun)
{
    if (begun->pipe_fd >= 0)
        (void)close(begun->pipe_fd); /* read to its end */
    if (begun->process)
        (void)CloseHandle(begun->process); /* it goes on without us */
}

/* ---- the lock ---- */

/* No lock can be waited for with a deadline, but its holder can, whom it names. */
static int wait_for(const char *state_dir, int64_t holder, int64_t deadline_mono_ns,
                    struct err *err)
{
    int64_t left_ms = (deadline_mono_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)holder);

    if (!process && GetLastError() == ERROR_INVALID_PARAMETER)
        return 0; /* gone meanwhile */
    if (!process)
        return err_native(err, GetLastError(), "cannot wait for process %lld", (long long)holder);
    left_ms = left_ms < 0 ? 0 : left_ms < INT_MAX ? left_ms : INT_MAX;
    DWORD waited = WaitForSingleObject(process, (DWORD)left_ms);
    (void)CloseHandle(process); /* only waited for */
    if (waited == WAIT_OBJECT_0)
        return 0;
    return err_set(err, ERR_TIMEOUT, 0, "the daemon in '%s' has not stopped in time", state_dir);
}

int background_wait_unlocked(const char *state_dir, int64_t deadline_mono_ns, struct err *err)
{
    int64_t holder = 0;
    int dirfd = osfile_open_dir(state_dir, err);

    if (dirfd == ERR_NOTFOUND)
        return 0; /* no daemon was ever here */
    if (dirfd < 0)
        return dirfd;
    int fd = osfile_lock(dirfd, DAEMON_LOCK, &holder, err);
    int rc = fd < 0 ? fd : 0;
    if (fd >= 0)
        (void)close(fd); /* gives the lock up */
    (void)close(dirfd);  /* opened for reading */
    if (rc == ERR_BUSY && deadline_mono_ns != 0 && holder != 0)
        rc = wait_for(state_dir, holder, deadline_mono_ns, err);
    return rc;
}
