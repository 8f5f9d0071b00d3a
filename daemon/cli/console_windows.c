/* console_windows.c: see console.h. Ctrl-C comes in a thread that the system starts for it. Main
 * thread. */
#include "console.h"

#include <fcntl.h>
#include <io.h>

#include "buf.h"
#include "err.h"
#include "native_windows.h"

#include <shellapi.h>

#define ARGUMENTS_BYTES_MAX ((size_t)4 << 20) /* of a command line of 32767 units, and to spare */

/* Of the process, as the handler that is told of Ctrl-C is: it is given no context. */
static HANDLE stop_event;

/* A closed 0, 1 or 2 would be given to the next file that is opened. */
static bool fill_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (_get_osfhandle(fd) < 0) {
            int null_fd = _open("NUL", _O_RDWR | _O_BINARY);
            if (null_fd < 0 || (null_fd != fd && _dup2(null_fd, fd) != 0))
                return false;
            if (null_fd != fd)
                (void)_close(null_fd); /* it has a duplicate now */
        }
        if (_setmode(fd, _O_BINARY) < 0) /* a line ends by one byte, as everywhere */
            return false;
    }
    return true;
}

/* The C library's own arguments have lost what its code page lacks. They live as long as we. */
static bool take_arguments(int *argc, char ***argv)
{
    int count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **narrow = wide ? calloc((size_t)count + 1, sizeof *narrow) : NULL;
    bool good = narrow != NULL;

    for (int i = 0; good && i < count; i++) {
        struct buf text;
        buf_init(&text, ARGUMENTS_BYTES_MAX);
        native_add_narrow(&text, wide[i], wcslen(wide[i]));
        narrow[i] = buf_ok(&text) ? strdup(text.data ? text.data : "") : NULL;
        good = narrow[i] != NULL;
        buf_deinit(&text);
    }
    if (wide)
        (void)LocalFree(wide); /* cannot fail for what the system gave */
    if (!good)
        return false;
    *argc = count;
    *argv = narrow;
    return true;
}

bool console_open(int *argc, char ***argv)
{
    return fill_standard_fds() && take_arguments(argc, argv);
}

static BOOL WINAPI on_console(DWORD kind)
{
    (void)kind; /* each of them is the end */
    return SetEvent(stop_event);
}

int console_listen(struct err *err)
{
    stop_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!stop_event || !SetConsoleCtrlHandler(NULL, FALSE) ||
        !SetConsoleCtrlHandler(on_console, TRUE))
        return err_native(err, GetLastError(), "cannot listen for Ctrl-C");
    return 0;
}

void console_wait_stop(void)
{
    (void)WaitForSingleObject(stop_event, INFINITE); /* fails for a bad handle only */
}
