/* helper_notify.c: see helper_notify.h. Written by the layouts of winnt.h and not by the parser's
 * constants: offsets are those of the fields in order, each aligned to its size. */
#include "helper_notify.h"

#include "err.h"
#include "wtf8.h"

struct paths_head {
    uint32_t next, action, path_bytes;
};

struct ids_head {
    uint32_t next, action;
    int64_t created, modified, changed, accessed, allocated, size;
    uint32_t attributes, reparse_tag;
    uint64_t file, parent;
    uint32_t path_bytes;
};

void windows_buffer_init(struct windows_buffer *buffer, enum windows_layout layout)
{
    *buffer = (struct windows_buffer){.layout = layout};
}

void windows_buffer_add(struct windows_buffer *buffer, enum windows_action action, const char *path,
                        uint64_t file, uint64_t parent, bool dir)
{
    uint16_t units[1024];
    size_t count = 0;
    if (wtf8_to_utf16(bytes_str(path), units, ARRAY_LEN(units), &count))
        abort();
    for (size_t i = 0; i < count; i++)
        if (units[i] == '/')
            units[i] = '\\';
    struct ids_head ids = {.action = action,
                           .size = 7,
                           .attributes = dir ? WINDOWS_ATTRIBUTE_DIRECTORY : 0x20,
                           .file = file,
                           .parent = parent,
                           .path_bytes = (uint32_t)(count * 2)};
    struct paths_head paths = {.action = action, .path_bytes = (uint32_t)(count * 2)};
    bool with_ids = buffer->layout == WINDOWS_IDS;
    /* The head ends where the name begins: no padding at its end. */
    size_t head = with_ids ? offsetof(struct ids_head, path_bytes) + 4 : sizeof paths;
    size_t start = (buffer->len + 7) / 8 * 8;
    if (start + head + count * 2 > sizeof buffer->at)
        abort();
    uint32_t distance = (uint32_t)(start - buffer->last);
    if (buffer->len > 0)
        memcpy(buffer->at + buffer->last, &distance, sizeof distance);
    memcpy(buffer->at + start, with_ids ? (const void *)&ids : &paths, head);
    memcpy(buffer->at + start + head, units, count * 2);
    buffer->last = start;
    buffer->len = start + head + count * 2;
}
