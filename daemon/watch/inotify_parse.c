/* inotify_parse.c: one inotify record from the bytes of a read.
 *
 * The layout is that of struct inotify_event (inotify(7)): watch descriptor, mask, cookie and
 * the length of the name field, four bytes each in host order, then the name padded with NULs
 * to that length. It is spelt out here instead of included, so that the parser needs no Linux
 * header and no alignment. Pure; any thread. What the masks mean is left to the caller. */
#include "inotify_parse.h"

#include "err.h"

#define RECORD_HEAD_BYTES 16

static uint32_t read_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

int inotify_parse(const char *buffer, size_t len, size_t *offset, struct inotify_record *out)
{
    if (*offset == len)
        return 0;
    if (*offset > len || len - *offset < RECORD_HEAD_BYTES)
        return ERR_INVALID;
    const char *at = buffer + *offset;
    size_t field = read_u32(at + 12);
    if (field > len - *offset - RECORD_HEAD_BYTES)
        return ERR_INVALID;
    const char *name = at + RECORD_HEAD_BYTES;
    size_t name_len = strnlen(name, field);
    /* The kernel always ends the name: a field without a NUL is no record of its making. */
    if (field > 0 && name_len == field)
        return ERR_INVALID;
    out->watch = (int32_t)read_u32(at);
    out->mask = read_u32(at + 4);
    out->cookie = read_u32(at + 8);
    out->name = name_len > 0 ? bytes_of(name, name_len) : bytes_of(NULL, 0);
    *offset += RECORD_HEAD_BYTES + field;
    return 1;
}
