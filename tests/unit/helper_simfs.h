/* helper_simfs.h: a naive disk for the engine's tests: a handful of inodes, three names, an
 * inotify that tells of watched directories only, behind the same table of functions as the real
 * one. Copied by assignment. */
#ifndef HELPER_SIMFS_H
#define HELPER_SIMFS_H

#include "disk.h"
#include "facts.h"

enum { SIM_NODES = 96, SIM_NAMES = 3, SIM_EVENTS = 1024, SIM_ROOT = 1, SIM_OUTSIDE = 2 };

struct sim_node {
    uint8_t type; /* enum entry_type; 0 free */
    bool watched;
    uint16_t number;          /* its inode number */
    uint16_t kids[SIM_NAMES]; /* node numbers, 0 none */
    int32_t version;          /* its content */
    int32_t changes;          /* its ctime */
};

struct sim_event {
    uint16_t dir; /* its number */
    uint8_t name;
    uint8_t hints;
};

struct simfs {
    struct sim_node nodes[SIM_NODES];
    struct sim_event events[SIM_EVENTS]; /* the kernel's queue */
    int event_count;
    int next;
    uint16_t next_number;
    bool folds;     /* "b" is "a" in another case: one of them in a directory, found as both */
    bool all_links; /* a write tells every name of the inode (as fanotify's FID can) */
    int writer;     /* has_writer()'s answer for every file; but for 0, writes end by no close */
    void (*before_look)(void *ctx); /* the world goes on between two looks; NULL not */
    void *ctx;
};

enum sim_kind { SIM_CREATE, SIM_MKDIR, SIM_WRITE, SIM_REMOVE, SIM_RENAME, SIM_EXCHANGE, SIM_LINK };

struct sim_op {
    enum sim_kind kind;
    int dir, name, dir2, name2;
};

void sim_init(struct simfs *fs);
/* All operations possible now over the first `max_dirs` directories inside (and, with `outside`,
 * some outside); returns how many, at most max. */
int sim_ops(const struct simfs *fs, int max_dirs, bool outside, bool links, struct sim_op *out,
            int max);
void sim_do(struct simfs *fs, const struct sim_op *op);
/* The kernel says so, whatever happened; only of a directory that is watched. */
void sim_tell(struct simfs *fs, int dir, int name, uint8_t hints);
/* "rename 1/a 3/b" */
void sim_print(const struct sim_op *op, char *out, size_t size);

/* A file system that does not keep its numbers: this inode has another from now on, and nobody
 * watches it any more. */
void sim_renumber(struct simfs *fs, int node);

struct file_id sim_file(const struct simfs *fs, int node);
struct bytes sim_name(int index);
int sim_name_index(struct bytes name); /* -1: none of ours */

extern const struct disk_ops sim_disk_ops; /* ctx: the struct simfs */

#endif
