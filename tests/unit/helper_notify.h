/* helper_notify.h: buffers as ReadDirectoryChangesW and ReadDirectoryChangesExW fill them. */
#ifndef SPOOR_HELPER_NOTIFY_H
#define SPOOR_HELPER_NOTIFY_H

#include "windows_parse.h"

#define WINDOWS_BUFFER_SIZE 65536

struct windows_buffer {
    enum windows_layout layout;
    size_t len;
    size_t last; /* where the last record begins */
    _Alignas(8) char at[WINDOWS_BUFFER_SIZE];
};

void windows_buffer_init(struct windows_buffer *buffer, enum windows_layout layout);
/* Appends a record. `path` is WTF-8 with '/' between its components; ids and attributes matter
 * where the layout has them. Ends the process when the buffer is full. */
void windows_buffer_add(struct windows_buffer *buffer, enum windows_action action, const char *path,
                        uint64_t file, uint64_t parent, bool dir);

#endif
