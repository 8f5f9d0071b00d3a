/* rowread.h: a row from its wire form back to a struct change, by SQLite's JSON
 * functions. The writer is upload/row.c; upload/PROTOCOL.md has the form. One thread. */
#ifndef SPOOR_ROWREAD_H
#define SPOOR_ROWREAD_H

#include "change.h"

struct err;
struct rowread;

#define ROWREAD_LINE_MAX (4 << 20) /* bytes of one row: two paths of TREE_DEPTH_MAX names */

int rowread_open(struct rowread **out, struct err *err);
void rowread_close(struct rowread *reader);
/* One object without its newline. Checks every field: kind and type known, paths valid (not
 * empty, no empty, "." or ".." component, no NUL, no leading or trailing '/'), numbers in range.
 * Bytes of *out live until the next call. ERR_INVALID with what is wrong. Unknown keys are let be.
 */
int rowread_parse(struct rowread *reader, const char *line, size_t len, struct change *out,
                  struct err *err);
/* The folder that the row parsed last names, "" none; lives until the next call. */
const char *rowread_folder(const struct rowread *reader);
/* The same for a line of tree --json (no seq, kind). */
struct reader_entry;
int rowread_parse_entry(struct rowread *reader, const char *line, size_t len,
                        struct reader_entry *out, struct err *err);

#endif
