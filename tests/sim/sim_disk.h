/* sim_disk.h: the simulated file system: a few dozen inodes, six names, and what a user can do to
 * them. It tells the simulated kernel of everything and knows nothing of the engine. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "change.h"

struct sim;

enum { SIM_NODES = 200, SIM_NAMES = 6, SIM_DEPTH = 6, SIM_TARGETS = 3, SIM_RULES = 5 };
enum { SIM_NAME_LOWER = 0, SIM_NAME_UPPER = 3 }; /* one name in two cases, on a Windows disk */
enum { SIM_NAME_RULES = 5 };                     /* the name of rule files */
enum { SIM_FREE = 0, SIM_ROOT = 1, SIM_OUTSIDE = 2, SIM_OTHER_ROOT = 3, SIM_FIRST = 4 };

struct sim_node {
    uint8_t type; /* enum entry_type; 0 free */
    uint16_t kids[SIM_NAMES];
    uint64_t inode;
    uint64_t birth_ns;
    int64_t size, mtime_ns, ctime_ns;
    uint32_t mode;
    uint8_t target;  /* of a symlink */
    uint8_t rules;   /* which text a rule file holds */
    uint8_t writers; /* open for writing so often */
    uint8_t links;   /* names */
    bool many_links; /* has or had several names */
    bool covered;    /* another file system is mounted over it */
    int32_t watch;   /* 0 none */
};

struct sim_disk {
    struct sim_node nodes[SIM_NODES];
    int next;
    int at_path; /* which directory lies at the folder's path; 0 none */
    uint64_t next_inode;
    uint64_t freed_inode; /* the number that was freed last, to be given out again */
    /* As Windows has it: two of the names differ in case alone and cannot both be there, a file's
     * number is never given again, nothing is exchanged. */
    bool windows;
    bool weak; /* no birth times; files are numbered anew whenever the disk is mounted */
};

/* A name by its path from the root of the folder, or of what lies outside. */
struct sim_path {
    uint8_t names[SIM_DEPTH];
    uint8_t depth;
    bool outside;
};

/* A name in a directory, whether there is something or not. */
struct sim_place {
    int dir, name, node; /* dir 0: there is no such directory */
};

/* What happened to the simulated disk, before any kernel has told it in its own way. */
enum sim_told {
    TOLD_CREATE,
    TOLD_DELETE,
    TOLD_MODIFY,
    TOLD_CLOSE, /* after writing */
    TOLD_ATTRIB,
    TOLD_RENAME, /* place: where it was; to: where it is */
    TOLD_LINKS,  /* an inode has one name more or less: it has a node alone, or the older name */
    TOLD_ROOT_MOVED, /* the folder's root itself */
};

struct sim_event {
    enum sim_told kind;
    bool dir; /* it is a directory that it happened to */
    struct sim_place place, to;
};

enum sim_kind {
    SIM_CREATE,
    SIM_MKDIR,
    SIM_WRITE,    /* open, write, close */
    SIM_BEGIN,    /* open and write */
    SIM_END,      /* close what was so opened */
    SIM_MAPPED,   /* written through a map: the close alone is told */
    SIM_RESTORE,  /* written, size and times put back */
    SIM_TRUNCATE, /* by path: a write without a close */
    SIM_CHMOD,
    SIM_TOUCH,
    SIM_SYMLINK,
    SIM_FIFO,
    SIM_LINK,
    SIM_REMOVE, /* rm -r */
    SIM_RENAME,
    SIM_EXCHANGE,
    SIM_COVER,   /* mount over a directory */
    SIM_UNCOVER, /* and unmount */
    SIM_ROOT_AWAY,
    SIM_ROOT_SWAP, /* away, and another directory in its place */
    SIM_ROOT_BACK,
    SIM_KINDS_OF_USERS,
    /* what happens to the engine and around it */
    SIM_RUN = SIM_KINDS_OF_USERS, /* read the kernel's queue, do what is due */
    SIM_STEP,                     /* do what is due without reading it */
    SIM_WAIT,                     /* number: ms */
    SIM_SYNC,
    SIM_CRASH, /* number: at so many-th call of the system */
    SIM_RESTART,
    SIM_OVERFLOW,
    SIM_JUMP,   /* number: seconds by which the wall clock jumps */
    SIM_FAULT,  /* number: what the server does with a request to come */
    SIM_SERVER, /* number: what happens to the server's store */
    SIM_FLUSH,  /* what the users did so far is on the platter */
    SIM_POWER,  /* power is lost: the users' disk is as it was at the last flush */
    SIM_KINDS,
};

struct sim_op {
    enum sim_kind kind;
    int torn; /* users' kinds: waits for so many calls of the engine, 0 at once */
    int64_t number;
    struct sim_path path, to;
};

void sim_disk_init(struct sim_disk *disk, bool windows, bool weak);
/* Mounted anew. */
void sim_disk_mount(struct sim_disk *disk);
/* After a loss of power: the disk is `flushed` again; nothing is watched or open any more. */
void sim_disk_revert(struct sim_disk *disk, const struct sim_disk *flushed);
/* What cannot be done (no such file, not empty, ...) does nothing, as in life. `sim` NULL: nobody
 * is told. */
void sim_disk_do(struct sim_disk *disk, struct sim *sim, const struct sim_op *op, int64_t wall_ns);
/* Does the operation name this node at one of its ends? */
bool sim_disk_concerns(const struct sim_disk *disk, const struct sim_op *op, int node);
/* All directories may be read, nothing is covered, the root is in its place. */
void sim_disk_heal(struct sim_disk *disk, struct sim *sim, int64_t wall_ns);

struct bytes sim_name(const struct sim_disk *disk, int index);
int sim_name_index(const struct sim_disk *disk, struct bytes name); /* -1: none of ours */
/* The name under which a directory holds what is asked for by `name`, as the disk finds it; -1:
 * none of ours. What is held under it may be nothing. */
int sim_stored_name(const struct sim_disk *disk, int dir, struct bytes name);
/* What it is called in eight and three characters, on a disk as Windows has it. */
struct bytes sim_short_name(int index);
const char *sim_target(int index);
/* The text of a rule file. */
const char *sim_rules(int index);
static inline struct file_id sim_file(const struct sim_node *node)
{
    return (struct file_id){node->inode, node->birth_ns};
}
/* Where a directory lies; dir 0 for those that lie nowhere. */
struct sim_place sim_place_of(const struct sim_disk *disk, int dir);
/* Directories at or below `top`, breadth first; returns how many. */
int sim_dirs_below(const struct sim_disk *disk, int top, int out[SIM_NODES]);

#endif
