/* output_windows.c: see output.h. To a console text goes by WriteConsoleW, so that its code page,
 * which belongs to the person and not to us, is left alone; to files and pipes go the bytes. Any
 * thread. */
#include "output.h"

#include <errno.h>
#include <io.h>
#include <limits.h>

#include "native_windows.h"
#include "wtf8.h"

#define CONSOLE_UNITS_MAX 8192 /* written at once */

/* Bytes at `bytes` that make at most CONSOLE_UNITS_MAX units, not ending within a character. */
static size_t piece_len(const char *bytes, size_t len)
{
    if (len <= CONSOLE_UNITS_MAX)
        return len;
    size_t end = CONSOLE_UNITS_MAX;
    while (end > CONSOLE_UNITS_MAX - 4 && ((unsigned char)bytes[end] & 0xc0) == 0x80)
        end--;
    return end;
}

static bool write_console(HANDLE console, const char *bytes, size_t len)
{
    uint16_t units[CONSOLE_UNITS_MAX];
    size_t count = 0;
    DWORD written = 0;

    if (wtf8_to_utf16((struct bytes){bytes, len}, units, CONSOLE_UNITS_MAX, &count) != 0)
        return false;
    for (size_t at = 0; at < count; at += written)
        if (!WriteConsoleW(console, units + at, (DWORD)(count - at), &written, NULL) ||
            written == 0)
            return false;
    return true;
}

int output_write(int fd, const char *bytes, size_t len)
{
    HANDLE file = native_handle(fd);
    DWORD mode;
    bool console = GetConsoleMode(file, &mode);

    while (len > 0) {
        size_t piece = console ? piece_len(bytes, len) : len;
        /* Bytes that are no text: as they are. */
        if (!console || !write_console(file, bytes, piece)) {
            int n = _write(fd, bytes, piece < INT_MAX ? (unsigned)piece : INT_MAX);
            if (n < 0) /* Windows' C library says EINVAL too when a pipe's reader has gone */
                return errno == EINVAL ? EPIPE : errno;
            if (n == 0)
                return EIO; /* and would be again */
            piece = (size_t)n;
        }
        bytes += piece;
        len -= piece;
    }
    return 0;
}
