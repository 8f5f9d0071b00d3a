/* disk_facts_windows.c: see disk_facts_windows.h. Reparse points that stand for another place are
 * links (symbolic links, junctions, mounted volumes), others (clouds, compression) are what they
 * look like. Any thread. */
#include "disk_facts_windows.h"

#include "wtf8.h"

#define UNIX_EPOCH INT64_C(116444736000000000) /* 1970 in units since 1601 */
#define UNIT_NS    100

static int64_t ns_of(LARGE_INTEGER time)
{
    return (time.QuadPart - UNIX_EPOCH) * UNIT_NS;
}

DWORD disk_facts_ask(HANDLE handle, struct disk_facts *out)
{
    FILE_ATTRIBUTE_TAG_INFO tag;
    struct osfile_identity identity;

    if (!GetFileInformationByHandleEx(handle, FileBasicInfo, &out->basic, sizeof out->basic) ||
        !GetFileInformationByHandleEx(handle, FileStandardInfo, &out->standard,
                                      sizeof out->standard))
        return GetLastError();
    DWORD os = native_identify(handle, &identity);
    if (os != 0)
        return os;
    out->tag = 0;
    if (out->basic.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) {
        if (!GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &tag, sizeof tag))
            return GetLastError();
        out->tag = tag.ReparseTag;
    }
    out->file = (struct file_id){identity.low, identity.high};
    out->volume = identity.volume;
    return 0;
}

enum entry_type disk_facts_type(const struct disk_facts *facts)
{
    if (facts->tag == IO_REPARSE_TAG_SYMLINK || facts->tag == IO_REPARSE_TAG_MOUNT_POINT)
        return ENTRY_SYMLINK;
    if (facts->tag && IsReparseTagNameSurrogate(facts->tag))
        return ENTRY_OTHER;
    return facts->basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY ? ENTRY_DIR : ENTRY_FILE;
}

/* There are no modes: what may be written is 0644, a directory 0755, as for a user of the default
 * umask. */
struct entry_attrs disk_facts_attrs(const struct disk_facts *facts, enum entry_type type)
{
    struct entry_attrs attrs = {0};
    if (type == ENTRY_FILE) {
        attrs.size = facts->standard.EndOfFile.QuadPart;
        attrs.mtime_ns = ns_of(facts->basic.LastWriteTime);
    }
    if (type == ENTRY_DIR)
        attrs.mode = 0755;
    else if (type != ENTRY_SYMLINK)
        attrs.mode = facts->basic.FileAttributes & FILE_ATTRIBUTE_READONLY ? 0444 : 0644;
    if (type != ENTRY_DIR)
        attrs.ctime_ns = ns_of(facts->basic.ChangeTime);
    return attrs;
}

DWORD disk_facts_target(HANDLE handle, struct disk_entry *out)
{
    unsigned char *bytes = malloc(MAXIMUM_REPARSE_DATA_BUFFER_SIZE);
    DWORD got = 0, os = 0;
    size_t len = 0;
    if (!bytes)
        return ERROR_NOT_ENOUGH_MEMORY;
    if (!DeviceIoControl(handle, FSCTL_GET_REPARSE_POINT, NULL, 0, bytes,
                         MAXIMUM_REPARSE_DATA_BUFFER_SIZE, &got, NULL)) {
        os = GetLastError();
        goto out;
    }
    /* REPARSE_DATA_BUFFER (ntifs.h): tag, length, reserved; then offsets and lengths of the
     * substitute name and the print name, and for a symbolic link flags, before the names. */
    uint32_t tag;
    uint16_t head[4];
    memcpy(&tag, bytes, sizeof tag);
    size_t names = tag == IO_REPARSE_TAG_SYMLINK ? 20 : 16;
    if (got < names) {
        os = ERROR_INVALID_DATA;
        goto out;
    }
    memcpy(head, bytes + 8, sizeof head);
    size_t at = names + head[0], size = head[1];
    if (at + size > got) {
        os = ERROR_INVALID_DATA;
        goto out;
    }
    if (size >= 8 && memcmp(bytes + at, L"\\??\\", 8) == 0) {
        at += 8;
        size -= 8;
    }
    if (wtf8_from_utf16(bytes + at, size / 2, out->target, sizeof out->target, &len))
        os = ERROR_INVALID_DATA;
    else
        out->attrs.target = bytes_of(out->target, len);
out:
    free(bytes);
    return os;
}
