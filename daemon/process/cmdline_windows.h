/* cmdline_windows.h: a command line of Windows, which a program gets as one text and takes apart
 * itself, put together so that CommandLineToArgvW and the C library find each argument again:
 * https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments. Any thread. */
#ifndef SPOOR_CMDLINE_WINDOWS_H
#define SPOOR_CMDLINE_WINDOWS_H

#include <wchar.h>

struct buf;
struct err;

/* Initialises `line` with the program's path, in quotes: without them a path with a blank would be
 * tried from its beginning up to there too (CreateProcessW). */
void cmdline_begin(struct buf *line, const wchar_t *program);
void cmdline_add(struct buf *line, const char *argument);
/* The line as Windows takes it, which the caller frees; frees `line`. ERR_LIMIT: too long. */
int cmdline_end(struct buf *line, wchar_t **out, struct err *err);

#endif
