/* windows_parse.c: one change record from the bytes of a completed read.
 *
 * The layouts are those of FILE_NOTIFY_INFORMATION and FILE_NOTIFY_EXTENDED_INFORMATION in winnt.h:
 * a record says how far it is to the next (0: none follows), what happened, in the second layout
 * times, sizes, attributes and two file ids, then the path's length in bytes and the path, UTF-16
 * without a NUL. They are spelt out here instead of included, so that the parser needs no Windows
 * and no alignment. Pure; any thread. What the actions mean is left to the caller. */
#include "windows_parse.h"

#include "err.h"

/* Of the distance to the next. Windows gives multiples of four or eight, Wine 8 of two. */
#define RECORD_ALIGNMENT 2

enum paths_field { PATHS_LENGTH_AT = 8, PATHS_NAME_AT = 12 };

enum ids_field {
    IDS_ATTRIBUTES_AT = 56,
    IDS_FILE_AT = 64,
    IDS_PARENT_AT = 72,
    IDS_LENGTH_AT = 80,
    IDS_NAME_AT = 84,
};

static uint32_t read_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t read_u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Neither NUL nor '/' can be in a name of Windows: bytes that hold one are no path of its making,
 * and would be two names here; nor is a name empty. */
static bool is_path(const char *at, size_t units)
{
    uint16_t unit, before = '\\';
    for (size_t i = 0; i < units; i++, before = unit) {
        memcpy(&unit, at + i * sizeof unit, sizeof unit);
        if (unit == 0 || unit == '/' || (unit == '\\' && before == '\\'))
            return false;
    }
    return units == 0 || before != '\\';
}

int windows_parse(enum windows_layout layout, const char *buffer, size_t len, size_t *offset,
                  struct windows_record *out)
{
    bool ids = layout == WINDOWS_IDS;
    size_t head = ids ? IDS_NAME_AT : PATHS_NAME_AT;
    if (*offset == len)
        return 0;
    if (*offset > len || len - *offset < head)
        return ERR_INVALID;
    const char *at = buffer + *offset;
    size_t left = len - *offset, next = read_u32(at);
    size_t path_bytes = read_u32(at + (ids ? IDS_LENGTH_AT : PATHS_LENGTH_AT));
    if (path_bytes % 2 != 0 || path_bytes > left - head || !is_path(at + head, path_bytes / 2))
        return ERR_INVALID;
    /* The next begins behind this one's path, and within the buffer. */
    if (next != 0 && (next < head + path_bytes || next >= left || next % RECORD_ALIGNMENT != 0))
        return ERR_INVALID;
    *out = (struct windows_record){
        .action = read_u32(at + 4), .path = at + head, .units = path_bytes / 2};
    if (ids) {
        out->attributes = read_u32(at + IDS_ATTRIBUTES_AT);
        out->file = read_u64(at + IDS_FILE_AT);
        out->parent = read_u64(at + IDS_PARENT_AT);
    }
    *offset = next != 0 ? *offset + next : len;
    return 1;
}
