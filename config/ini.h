/* ini.h: the configuration's line syntax and nothing of its meaning.
 *
 * [section] or [section "name"], key = value, # and ; comments on lines of their own, a
 * backslash at the line's end joins the next line, values may stand in double quotes (with
 * \" \\ \n \t) to keep blanks or a leading #. Any thread. */
#ifndef SPOOR_INI_H
#define SPOOR_INI_H

struct err;

#define INI_LINE_MAX 65536

struct ini_item {
    const char *section; /* "folder" */
    const char *name;    /* "docs", or "" */
    const char *key;     /* NULL: the section header itself */
    const char *value;
    int line; /* counted from 1 */
};

/* Calls `visit` for each header and each key in order; a nonzero return ends the walk and is
 * returned. Syntax errors: ERR_INVALID with "FILE:LINE: ...". Strings live for the call only. */
int ini_parse(const char *file, const char *text, size_t len,
              int (*visit)(void *ctx, const struct ini_item *item, struct err *err), void *ctx,
              struct err *err);

#endif
