/* inotify_parse.h: inotify records (inotify(7)) to plain values: a pure function over
 * bytes, so that it can be fuzzed. */
#ifndef SPOOR_INOTIFY_PARSE_H
#define SPOOR_INOTIFY_PARSE_H

#include "bytes.h"

struct inotify_record {
    int32_t watch; /* -1: overflow */
    uint32_t mask;
    uint32_t cookie;
    struct bytes name; /* empty: the watched directory itself */
};

/* Reads the record at *offset and moves it on. 1: filled; 0: end; ERR_INVALID: the bytes are no
 * whole record (the rest of the buffer must be treated as lost). */
int inotify_parse(const char *buffer, size_t len, size_t *offset, struct inotify_record *out);

#endif
