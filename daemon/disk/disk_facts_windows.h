/* disk_facts_windows.h: what an opened entry says of itself. Any thread. */
#ifndef SPOOR_DISK_FACTS_WINDOWS_H
#define SPOOR_DISK_FACTS_WINDOWS_H

#include "disk.h"
#include "native_windows.h"

struct disk_facts {
    struct file_id file;
    uint64_t volume;
    FILE_BASIC_INFO basic;
    FILE_STANDARD_INFO standard;
    DWORD tag; /* of a reparse point; 0: none */
};

/* Each returns 0 or a number of GetLastError(). */
DWORD disk_facts_ask(HANDLE handle, struct disk_facts *out);
enum entry_type disk_facts_type(const struct disk_facts *facts);
/* What belongs to the type (change.h), but for the target. */
struct entry_attrs disk_facts_attrs(const struct disk_facts *facts, enum entry_type type);
/* The target of a link as it is stored, without the kernel's own front. */
DWORD disk_facts_target(HANDLE handle, struct disk_entry *out);

#endif
