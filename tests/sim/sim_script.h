/* sim_script.h: what happens in one simulated run, as a list that can be made from a seed, printed,
 * read again and shortened. */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "sim_disk.h"

struct buf;
struct err;

enum { SIM_OPS_MAX = 256 };

/* How the engine learns of changes. The numbers stand in scripts. */
enum sim_kernel_kind {
    SIM_INOTIFY,
    SIM_FANOTIFY,
    SIM_POLL,
    SIM_WINDOWS,       /* records with ids */
    SIM_WINDOWS_PATHS, /* records with paths only */
    SIM_KERNELS
};

const char *sim_kernel_name(int kernel);

struct sim_config {
    uint64_t seed; /* of what the system gives out as random */
    int64_t settle_ms, delay_ms;
    int64_t queue_max; /* records in the kernel's queue before it overflows */
    int64_t watch_max; /* watches the system allows */
    int64_t batch_rows, batch_delay_ms;
    int64_t kernel;    /* enum sim_kernel_kind */
    int64_t coarse_ms; /* the disk's clock ticks so often */
    /* Not in older scripts: */
    int64_t poll_s;      /* unwatched directories are listed so often */
    int64_t retention_s; /* acknowledged rows are kept for so long; 0 for ever */
    int64_t fold;        /* 1: rows not yet sent are folded */
    int64_t weak;        /* 1: the disk's identities do not last */
};

struct sim_script {
    struct sim_config config;
    struct sim_op ops[SIM_OPS_MAX];
    int count;
};

static inline bool sim_is_windows(const struct sim_config *config)
{
    return config->kernel == SIM_WINDOWS || config->kernel == SIM_WINDOWS_PATHS;
}

void sim_script_make(uint64_t seed, struct sim_script *out);
void sim_script_print(const struct sim_script *script, struct buf *out);
/* ERR_INVALID with the line's number. */
int sim_script_parse(const char *text, size_t len, struct sim_script *out, struct err *err);
/* splitmix64 */
uint64_t sim_random(uint64_t *state);

#endif
