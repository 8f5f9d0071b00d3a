/* windows_parse.h: records of ReadDirectoryChangesW and ReadDirectoryChangesExW to plain values: a
 * pure function over bytes, built and fuzzed on every system. */
#ifndef SPOOR_WINDOWS_PARSE_H
#define SPOOR_WINDOWS_PARSE_H

#include "bytes.h"

enum windows_layout {
    WINDOWS_PATHS, /* FILE_NOTIFY_INFORMATION: what happened, and a path */
    WINDOWS_IDS,   /* FILE_NOTIFY_EXTENDED_INFORMATION: and the file's and its directory's id */
};

/* FILE_ACTION_* of winnt.h. Others exist (of alternate streams, of object ids). */
enum windows_action {
    WINDOWS_ADDED = 1,
    WINDOWS_REMOVED = 2,
    WINDOWS_MODIFIED = 3,
    WINDOWS_RENAMED_OLD = 4,
    WINDOWS_RENAMED_NEW = 5,
};

#define WINDOWS_ATTRIBUTE_DIRECTORY 0x10u /* FILE_ATTRIBUTE_DIRECTORY */

struct windows_record {
    uint32_t action;     /* any number */
    const char *path;    /* in the buffer: `units` UTF-16 units, components parted by '\' */
    size_t units;        /* 0: the watched directory itself */
    uint32_t attributes; /* WINDOWS_IDS only, as the two that follow; else 0 */
    uint64_t file;       /* 64-bit file reference number */
    uint64_t parent;     /* that of the directory */
};

/* Reads the record at *offset and moves it on: to the next, or to `len` after the last. 1: filled;
 * 0: end; ERR_INVALID: the bytes are no whole record (the rest of the buffer must be treated as
 * lost). A read of no bytes is no empty list: it says that records were dropped (MSDN,
 * ReadDirectoryChangesW), which is the caller's to see. */
int windows_parse(enum windows_layout layout, const char *buffer, size_t len, size_t *offset,
                  struct windows_record *out);

#endif
