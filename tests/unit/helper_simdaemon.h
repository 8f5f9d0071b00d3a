/* helper_simdaemon.h: the engine (settle, observe, reconcile, all of it the real code) on the
 * naive disk of helper_simfs.h, with a strict server that replays every row by path and checks
 * after each commit. */
#ifndef HELPER_SIMDAEMON_H
#define HELPER_SIMDAEMON_H

#include <pthread.h>

#include "helper_simfs.h"
#include "observe.h"
#include "reconcile.h"

enum { SERVER_MAX = 256, SERVER_PATH = 128, SIM_ROWS = 4096 };

struct server_entry {
    char path[SERVER_PATH];
    int type;
    int64_t version;
};

struct server {
    struct server_entry entries[SERVER_MAX];
    int count;
};

struct sim_row {
    enum change_kind kind;
    int type;
    uint32_t flags;
    char path[SERVER_PATH], from[SERVER_PATH];
    struct actor actor;
};

struct simdaemon {
    struct simfs *fs;
    struct tree *tree;
    struct settle *settle;
    struct observe *observe;
    struct script *script;
    pthread_mutex_t lock;
    struct server server;
    int64_t next_seq;
    int64_t now_ns;
    struct actor actor;            /* of what is drained */
    struct sim_row rows[SIM_ROWS]; /* of all commits since sim_forget_rows() */
    int row_count;
    bool weak;           /* the disk does not keep its numbers */
    bool check_identity; /* an inode that lives on under one name keeps its entry */
    char why[512];       /* the first thing that was wrong; "" all is well */
};

int simdaemon_init(struct simdaemon *d, struct simfs *fs, size_t facts_max);
void simdaemon_deinit(struct simdaemon *d);
/* Back to an empty tree that has seen nothing. */
void simdaemon_restart(struct simdaemon *d);
/* Kernel queue to dirty set. */
void simdaemon_drain(struct simdaemon *d);
/* Every directory of the tree is to be listed. */
void simdaemon_poll(struct simdaemon *d);
int simdaemon_dirty(struct simdaemon *d);
/* One round over those dirty names whose bit is set in `chosen` (in the set's order), or with
 * `all`, over everything. False: something was wrong, see why. */
bool simdaemon_round(struct simdaemon *d, uint64_t chosen, bool all);
/* Rounds until nothing is dirty; then the tree must equal the disk. */
bool simdaemon_settle(struct simdaemon *d);

#endif
