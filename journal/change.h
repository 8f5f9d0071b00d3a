/* change.h: the vocabulary of the house: what an entry is, what can happen to it,
 * and the two shapes a change takes: an `edit` (what reconcile decided, with the
 * keys of the tree table) and a `change` (the journal's row, as people and servers
 * see it). No code but the names of the enums. */
#ifndef SPOOR_CHANGE_H
#define SPOOR_CHANGE_H

#include "bytes.h"
#include "fileid.h"

enum entry_type {
    ENTRY_NONE = 0,
    ENTRY_FILE = 1,
    ENTRY_DIR = 2,
    ENTRY_SYMLINK = 3,
    ENTRY_OTHER = 4, /* FIFO, socket, device: an entry without content */
};

enum change_kind {
    CHANGE_CREATE = 1,   /* a new entry at a free path under a known directory */
    CHANGE_MODIFY = 2,   /* content (size, mtime) or the link target is another */
    CHANGE_ATTRIB = 3,   /* mode or other attributes only */
    CHANGE_MOVE = 4,     /* `from` became `path`, with all below it; may replace a file there */
    CHANGE_EXCHANGE = 5, /* `from` and `path` swapped places, each with all below it */
    CHANGE_DELETE = 6,   /* gone, with all below it */
    CHANGE_GAP = 7,      /* events were lost (open), or the scan after that is through (closed) */
};

/* change.flags, stored as they are. */
enum change_flag {
    CHANGE_PARTIAL = 1,   /* a writer was known to have the file open */
    CHANGE_REPLACED = 2,  /* modify: another file took the name (atomic save); the id stays */
    CHANGE_END = 4,       /* the last row of its commit: a batch may be cut after it */
    CHANGE_PARKED = 8,    /* an entry stands at a temporary name after this row: never cut here */
    CHANGE_IGNORED = 16,  /* delete: the entry is ignored now, it may still be on disk */
    CHANGE_GAP_OPEN = 32, /* gap: open; without it: closed */
    /* why the gap: one of */
    CHANGE_OVERFLOW = 64,   /* the kernel's queue overflowed */
    CHANGE_INTERNAL = 128,  /* our own limit on dirty names was reached */
    CHANGE_ROOT_LOST = 256, /* the folder itself went away for a while */
};

#define ACTOR_PROGRAM_SIZE 16 /* with its NUL: the kernel's own limit (TASK_COMM_LEN) */

/* The process that did it, as far as the kernel told (fanotify alone does): the last one known to
 * have touched the name since it was looked at before. */
struct actor {
    int32_t pid;                      /* 0: not known */
    char program[ACTOR_PROGRAM_SIZE]; /* "": it was gone before it could be asked */
};

/* The journaled attributes of an entry. What does not belong to its type is 0: a directory has
 * mode; a symlink has target; other has mode; a file has size, mtime and mode. ctime is kept to
 * detect changes, never journaled, never part of the promise (RULES 9). */
struct entry_attrs {
    int64_t size; /* bytes */
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint32_t mode; /* permission bits, 07777 */
    struct bytes target;
};

/* One step of a script: changes the tree table, and (unless quiet) adds one row. Bytes are the
 * script's. Logical ids: an entry's id is the seq of the row that created it; the root is 0. */
struct edit {
    enum change_kind kind;
    bool quiet; /* no row: ctime or identity of an entry is brought up to date */
    enum entry_type type;
    uint32_t flags; /* enum change_flag; the journal adds CHANGE_END */
    int64_t entry;
    int64_t parent; /* key in the tree table before the edit; create: the new key */
    struct bytes name;
    int64_t to_parent; /* move: the new key; exchange: the other entry's key */
    struct bytes to_name;
    int64_t other;   /* exchange: the other entry; move: the entry that is replaced, or 0 */
    int64_t entries; /* delete and move of a directory: entries below it */
    struct entry_attrs attrs; /* after the edit */
    struct file_id file;      /* after the edit */
    struct bytes path;        /* relative to the folder, at the time of this row */
    struct bytes from;        /* move, exchange */
    struct actor actor;
};

/* One row of the journal. Bytes belong to whoever produced it (see there). */
struct change {
    int64_t seq;
    int64_t epoch;
    int64_t time_ms; /* wall clock of the commit */
    int64_t entry;
    enum change_kind kind;
    enum entry_type type;
    uint32_t flags;
    struct bytes path;
    struct bytes from;
    struct entry_attrs attrs; /* ctime_ns is 0 */
    struct file_id file;
    int64_t entries;
    int64_t other; /* as in struct edit */
    struct actor actor;
    uint64_t sum; /* chained over all rows since the epoch's nonce */
};

/* "file" "directory" "symlink" "other"; "create" "modify" "attrib" "move" "exchange" "delete"
 * "gap"; the gap's reason "overflow" "internal" "root-lost". The reverse gives 0 for unknown words.
 */
const char *entry_type_name(enum entry_type type);
enum entry_type entry_type_parse(const char *text);
const char *change_kind_name(enum change_kind kind);
enum change_kind change_kind_parse(const char *text);
const char *change_reason_name(uint32_t flags); /* NULL when none */
uint32_t change_reason_parse(const char *text);

#endif
