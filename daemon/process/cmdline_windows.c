/* cmdline_windows.c: see cmdline_windows.h. Any thread. */
#include "cmdline_windows.h"

#include "buf.h"
#include "err.h"
#include "native_windows.h"

#define LINE_BYTES_MAX ((size_t)3 * 32767) /* of CreateProcessW's longest, in the worst case */

void cmdline_begin(struct buf *line, const wchar_t *program)
{
    buf_init(line, LINE_BYTES_MAX);
    buf_add_char(line, '"');
    native_add_narrow(line, program, wcslen(program)); /* a path: no quote is in it */
    buf_add_char(line, '"');
}

/* A backslash means itself, unless a quote follows: then two are one. The closing quote does. */
void cmdline_add(struct buf *line, const char *argument)
{
    buf_add_str(line, " \"");
    for (const char *at = argument;; at++) {
        size_t slashes = strspn(at, "\\");
        bool quote = at[slashes] == '"' || at[slashes] == '\0';
        for (size_t i = 0; i < slashes * (quote ? 2 : 1); i++)
            buf_add_char(line, '\\');
        at += slashes;
        if (*at == '\0')
            break;
        if (*at == '"')
            buf_add_char(line, '\\');
        buf_add_char(line, *at);
    }
    buf_add_char(line, '"');
}

int cmdline_end(struct buf *line, wchar_t **out, struct err *err)
{
    int rc = buf_ok(line) ? native_wide(line->data, out, err)
                          : err_set(err, ERR_LIMIT, 0, "a command line is too long");

    buf_deinit(line);
    return rc;
}
