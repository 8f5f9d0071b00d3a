/* fanotify_parse.c: one fanotify record from the bytes of a read.
 *
 * The layout is that of fanotify(7): struct fanotify_event_metadata (24 bytes or more, by its own
 * count), then information records, each with a type, a length, a file system id of 8 bytes, a
 * struct file_handle and, for some types, a name that ends in NUL. It is spelt out here instead of
 * included, so that the parser needs no Linux header and no alignment. Pure; any thread. What the
 * masks mean is left to the caller. */
#include "fanotify_parse.h"

#include "err.h"

#define HEAD_BYTES      24
#define VERSION         3 /* FANOTIFY_METADATA_VERSION */
#define INFO_HEAD_BYTES 4
#define FSID_BYTES      8
#define HANDLE_AT       (INFO_HEAD_BYTES + FSID_BYTES)
#define HANDLE_HEAD     8 /* its length and its type */

enum info_type {
    INFO_FID = 1,
    INFO_DFID_NAME = 2,
    INFO_DFID = 3,
    INFO_OLD_DFID_NAME = 10,
    INFO_NEW_DFID_NAME = 12,
};

/* include/linux/exportfs.h; what a handle of that type and length begins with. */
struct handle_layout {
    uint32_t type;
    uint32_t bytes;
    size_t number_at; /* of the inode's number in the handle */
    size_t number_bytes;
};

static const struct handle_layout layouts[] = {
    {0x01, 8, 0, 4},  /* FILEID_INO32_GEN: ext2, ext3, ext4 and others */
    {0x01, 12, 4, 8}, /* the same type with the generation in front: tmpfs */
    {0x81, 12, 0, 8}, /* FILEID_INO32_GEN with 64 bits: XFS */
    {0x4d, 20, 0, 8}, /* FILEID_BTRFS_WITHOUT_PARENT */
};

static uint32_t read_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint16_t read_u16(const char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The place of an information record of `len` bytes that is known to carry one. */
static int read_place(const char *at, size_t len, bool named, struct fanotify_place *out)
{
    if (len < HANDLE_AT + HANDLE_HEAD)
        return ERR_INVALID;
    size_t handle = read_u32(at + HANDLE_AT);
    if (handle > len - HANDLE_AT - HANDLE_HEAD)
        return ERR_INVALID;
    /* An empty handle stands for "no inode" (file system errors). */
    size_t id_len = FSID_BYTES + HANDLE_HEAD + handle;
    out->id = handle > 0 ? bytes_of(at + INFO_HEAD_BYTES, id_len) : bytes_of(NULL, 0);
    out->name = bytes_of(NULL, 0);
    if (!named)
        return 0;
    const char *name = at + INFO_HEAD_BYTES + id_len;
    size_t room = len - INFO_HEAD_BYTES - id_len;
    size_t name_len = strnlen(name, room);
    /* The kernel always ends the name. */
    if (name_len == room)
        return ERR_INVALID;
    out->name = name_len > 0 ? bytes_of(name, name_len) : bytes_of(NULL, 0);
    return 0;
}

static int read_info(const char *at, size_t len, struct fanotify_record *out)
{
    switch ((uint8_t)at[0]) {
    case INFO_FID:
        return read_place(at, len, false, &out->target);
    case INFO_DFID_NAME:
        return read_place(at, len, true, &out->dir);
    case INFO_DFID:
        return read_place(at, len, false, &out->dir);
    case INFO_OLD_DFID_NAME:
        return read_place(at, len, true, &out->from);
    case INFO_NEW_DFID_NAME:
        return read_place(at, len, true, &out->to);
    default:
        return 0; /* not asked for, or of a newer kernel: it says how long it is */
    }
}

bool fanotify_number(struct bytes id, uint64_t *out)
{
    if (id.len < FSID_BYTES + HANDLE_HEAD)
        return false;
    uint32_t bytes = read_u32(id.at + FSID_BYTES), type = read_u32(id.at + FSID_BYTES + 4);
    const char *handle = id.at + FSID_BYTES + HANDLE_HEAD;
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        const struct handle_layout *layout = &layouts[i];
        if (layout->type != type || layout->bytes != bytes ||
            id.len != FSID_BYTES + HANDLE_HEAD + bytes)
            continue;
        uint32_t low = read_u32(handle + layout->number_at);
        uint32_t high = layout->number_bytes > 4 ? read_u32(handle + layout->number_at + 4) : 0;
        *out = low | (uint64_t)high << 32;
        return true;
    }
    return false;
}

int fanotify_parse(const char *buffer, size_t len, size_t *offset, struct fanotify_record *out)
{
    if (*offset == len)
        return 0;
    if (*offset > len || len - *offset < HEAD_BYTES)
        return ERR_INVALID;
    const char *at = buffer + *offset;
    size_t event_len = read_u32(at);
    size_t head_len = read_u16(at + 6);
    if (event_len > len - *offset || head_len < HEAD_BYTES || head_len > event_len ||
        (uint8_t)at[4] != VERSION)
        return ERR_INVALID;
    *out = (struct fanotify_record){.pid = (int32_t)read_u32(at + 20)};
    memcpy(&out->mask, at + 8, sizeof out->mask);
    for (size_t info = head_len; info < event_len;) {
        if (event_len - info < INFO_HEAD_BYTES)
            return ERR_INVALID;
        size_t info_len = read_u16(at + info + 2);
        if (info_len < INFO_HEAD_BYTES || info_len > event_len - info ||
            read_info(at + info, info_len, out))
            return ERR_INVALID;
        info += info_len;
    }
    *offset += event_len;
    return 1;
}
