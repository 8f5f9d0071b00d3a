/* err.c: error codes, their words, and messages put together where a fault is found.
 *
 * A message that does not fit is cut in its middle part, never in the system's words at its
 * end: a path of 4096 bytes must not hide why it could not be opened. Leaves showing and
 * escaping to log.c and to the command line. Any thread; no shared state. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>

static const char *const code_names[] = {
    "no error",
    "out of memory",
    "input or output error",
    "invalid",
    "limit reached",
    "not found",
    "exists already",
    "busy",
    "corrupt",
    "cancelled",
    "timed out",
    "not supported",
    "not permitted",
    "no space on the disk",
    "network failure",
    "conflict",
    "held",
};

const char *err_code_name(int code)
{
    if (code > 0 || code <= -(int)ARRAY_LEN(code_names))
        return "unknown error";
    return code_names[-code];
}

/* Appends "tail" to text of `size` bytes, cutting what is there (marked "...") to make room. */
static void append_cutting(char *text, size_t size, const char *tail)
{
    size_t have = strlen(text);
    size_t need = strlen(tail);

    if (need > size / 2)
        need = size / 2;
    if (have + need >= size) {
        have = size - 1 - need;
        memcpy(text + have - 3, "...", 3);
    }
    memcpy(text + have, tail, need);
    text[have + need] = '\0';
}

static int fill(struct err *err, int code, int os, const char *format, va_list args)
    PRINTF_LIKE(4, 0);

static int fill(struct err *err, int code, int os, const char *format, va_list args)
{
    char text[sizeof err->text];

    if (!err)
        return code;
    /* By way of a second buffer: the arguments may point into err->text. */
    int n = vsnprintf(text, sizeof text, format, args);
    if (n < 0)
        text[0] = '\0';
    else if ((size_t)n >= sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    if (os != 0) {
        char words[128];
        /* strerror() is safe in threads on the C libraries we build for: glibc (2.32 and
         * later) and the Windows runtime keep the text a thread, musl returns constants. */
        (void)snprintf(words, sizeof words, ": %s", strerror(os)); /* cut, never more */
        append_cutting(text, sizeof text, words);
    }
    memcpy(err->text, text, sizeof text);
    err->code = code;
    err->os = os;
    return code;
}

int(err_set)(struct err *err, int code, int os, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    code = fill(err, code, os, format, args);
    va_end(args);
    return code;
}

static int code_of_errno(int os)
{
    switch (os) {
    case ENOENT:
        return ERR_NOTFOUND;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

int(err_os)(struct err *err, int os, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = fill(err, code_of_errno(os), os, format, args);
    va_end(args);
    return code;
}

int(err_prefix)(struct err *err, const char *format, ...)
{
    struct err prefix = {0};
    va_list args;

    if (!err)
        return ERR_IO; /* the code is not known, but it was a failure */
    va_start(args, format);
    (void)fill(&prefix, 0, 0, format, args); /* returns the 0 it is given */
    va_end(args);

    char rest[sizeof err->text + 2];
    (void)snprintf(rest, sizeof rest, ": %s", err->text); /* fits by its size */
    size_t have = strlen(prefix.text);
    size_t room = sizeof prefix.text - 1 - have;
    size_t need = strlen(rest);
    memcpy(prefix.text + have, rest, need < room ? need : room);
    prefix.text[have + (need < room ? need : room)] = '\0';
    memcpy(err->text, prefix.text, sizeof err->text);
    return err->code;
}
