/* sim.h: the simulated world: a disk, a kernel, two clocks, a server, and the whole engine between
 * them, on one thread, by one seed.
 *
 * The engine is the production code down to the system calls of inotify and fanotify; only the
 * operating system is replaced: functions of libc and of disk_linux.c and clock_linux.c at link
 * time, the look at the folder through disk.h, threads by calls. Such functions get no context,
 * hence the one variable `sim_world`. What the engine does is never random: the script alone says
 * what happens when. */
#ifndef SIM_H
#define SIM_H

#include "buf.h"
#include "err.h"
#include "journal.h"
#include "sim_disk.h"
#include "sim_script.h"
#include "sim_walk.h"

enum {
    SIM_QUEUE = 512,   /* records the simulated kernel can hold */
    SIM_TORN = 32,     /* operations that wait for a look */
    SIM_FAULTS = 16,   /* answers that the server has in store */
    SIM_ENTRIES = 512, /* entries of the replica */
    SIM_ROOT_PATH = 128,
};

struct sim_record {
    int32_t watch;
    uint32_t mask, cookie;
    char name[24]; /* "" none */
};

struct sim_inotify {
    int32_t next_watch, barrier_watch;
    uint32_t next_cookie;
    struct sim_record queue[SIM_QUEUE];
    int count;
    bool overflowed; /* a record says so already */
};

/* Places by directory and name, as fanotify has them; dir 0: the record has no such part. */
struct sim_fan_record {
    uint64_t mask;
    int32_t pid;
    struct sim_place place, from, to;
    int target;    /* the inode; 0 none */
    char name[24]; /* of a barrier's file, which lies in no simulated directory */
};

struct sim_fanotify {
    struct sim_fan_record queue[SIM_QUEUE];
    int count;
    bool overflowed;
};

struct sim_windows_record {
    uint32_t action;
    uint64_t file, parent;
    bool dir;
    char path[SIM_PATH]; /* by '\\' */
};

/* One buffer: when it is full, all that is in it is dropped, and said by a read without bytes. */
struct sim_windows {
    struct sim_windows_record queue[SIM_QUEUE];
    int count;
    bool lost;
    struct sim_windows_watch *watch; /* the engine's; NULL none */
};

/* What the engine's descriptors stand for; -1: not open. */
struct sim_kernel {
    int inotify_fd, fanotify_fd;
    uint64_t barrier_number;
    struct sim_inotify inotify;
    struct sim_fanotify fanotify;
    struct sim_windows windows;
};

/* One entry as a replica has it, by its path. */
struct sim_entry {
    char path[SIM_PATH];
    int64_t id;
    struct entry_attrs attrs; /* target points into `target` */
    char target[16];
    enum entry_type type;
    bool seen;
};

/* A replica that is fed the rows as they are committed, and asks no code of the engine. */
struct sim_replica {
    struct sim_entry entries[SIM_ENTRIES];
    int count;
    int64_t seq;
    uint64_t sum;
    bool gap_open;
    int gaps;
};

/* What is known of one node's entry in the tree. */
struct sim_identity {
    int64_t entry;  /* the one it must keep, 0 none */
    int64_t latest; /* seen in the tree as it is now, the last of so many */
    int entries;
    bool kept;
};

struct sim {
    struct sim_config config;
    struct sim_disk disk, flushed;
    struct sim_place opened[SIM_NODES]; /* by which way the engine last opened a directory */
    struct sim_kernel kernel;
    struct sim_replica replica;
    struct sim_identity identity[SIM_NODES];
    bool rules_changed;           /* since the last sync */
    bool frozen;                  /* a directory was unreadable at some time */
    struct sim_op torn[SIM_TORN]; /* done one by one between the engine's looks */
    int torn_count;
    uint64_t told; /* changes of which the kernel was to tell */
    int crash_in;  /* calls of the system until a crash, 0 none */
    bool crashed;  /* what the engine does from now on never happened */
    int64_t mono_ns, wall_offset_ns;
    uint64_t random; /* what the operating system gives out as such */
    uint8_t faults[SIM_FAULTS];
    int fault_count;
    bool must_ask; /* the client may send no rows before it has asked where the server stands */
    int losses, losses_told; /* overflows read, and gap rows seen, since the start */
    char dir[SIM_ROOT_PATH]; /* on the real disk: state, mirror */
    struct sim_engine *engine;
    struct watch *watch;           /* the engine's */
    struct mirror *mirror;         /* the server's store; NULL: not open */
    char journal[JOURNAL_ID_SIZE]; /* of which journal; "" nobody asked yet */
    bool server_lost;              /* it may have lost what the client was told it has */
    int64_t snapshots;             /* that it took */
    struct reader *reader;         /* of the checks; as long as the engine lives */
    struct buf rows;               /* every row that was committed, as text */
    bool indexed;                  /* the first index is in the journal */
    int64_t looks, commits, crashes;
    char why[512]; /* the first thing that was wrong; "" all is well */
};

extern struct sim *sim_world;

/* Notes what is wrong, once. Returns false. */
bool sim_wrong(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);

/* sim_kernel.c */
void sim_kernel_tell(struct sim *sim, const struct sim_event *event);
void sim_kernel_drop(struct sim *sim, int dir); /* the directory is gone: its watch ends */
void sim_kernel_overflow(struct sim *sim);
void sim_kernel_reset(struct sim *sim);
/* Puts the barrier's file into the queue: call after watch_barrier(). */
void sim_kernel_barrier(struct sim *sim);

/* sim_look.c: the engine asks something of the system here: others get a turn, or it dies. */
void sim_seam(void);

/* sim_engine.c: all return false when something was wrong, or when the engine died meanwhile and
 * could not be started again. */
bool sim_engine_start(struct sim *sim);
bool sim_engine_restart(struct sim *sim, bool crash);
/* A crash of the whole machine. */
bool sim_engine_lose_power(struct sim *sim);
void sim_engine_stop(struct sim *sim);
/* What can be done now, with or without reading the kernel's queue first. */
bool sim_engine_run(struct sim *sim, bool drain);
/* The clock goes on; whatever becomes due is done. */
bool sim_engine_wait(struct sim *sim, int64_t ns);
/* `spoor sync`; *done false: it cannot be now (the root is lost). */
bool sim_engine_sync(struct sim *sim, bool *done);
/* Until the server has all. */
bool sim_engine_deliver(struct sim *sim);
bool sim_engine_troubled(struct sim *sim);
const char *sim_engine_dir(const struct sim *sim);
int64_t sim_engine_last_seq(const struct sim *sim); /* -1: the journal is not open */
bool sim_engine_knows_root(const struct sim *sim);
/* The moment of death: what the disk holds now is what the next start finds. */
void sim_engine_snapshot(struct sim *sim);

/* 0, or -1 with errno. */
int sim_copy_file(const char *from, const char *to);

/* sim_check.c */
/* The rows that came since the last call: applicable, gapless, chained, and the tree they make is
 * the tree table. */
bool sim_check_rows(struct sim *sim);
/* The replica against the disk; `links`: names of files that have or had several may be stale. */
bool sim_check_disk(struct sim *sim, bool links);
/* The server's tree against the replica. */
bool sim_check_mirror(struct sim *sim);

/* sim_identity.c: after each operation; what moves between two looks; and each commit. */
void sim_identity_changed(struct sim *sim);
void sim_identity_forget(struct sim *sim, int node);
struct reader_entry;
void sim_identity_begin(struct sim *sim);
void sim_identity_note(struct sim *sim, const struct reader_entry *seen);
bool sim_identity_check(struct sim *sim);

/* sim_server.c */
void sim_server_close(struct sim *sim);
/* False: it has nothing. */
bool sim_server_open(struct sim *sim);
/* A backup is made (`how` % 3 is 0), is put back (1, if there is one), or all is wiped (2). */
void sim_server_lose(struct sim *sim, int64_t how);

/* sim_run.c: an operation of the user's, now; `between_looks`: in the middle of what the engine
 * does. */
void sim_do(struct sim *sim, const struct sim_op *op, bool between_looks);
/* The whole script from an empty state; the outcome is in sim->why. */
void sim_run(struct sim *sim, const struct sim_script *script);

#endif
