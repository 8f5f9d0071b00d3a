/* sim_kernel.h: what sim_kernel.c asks of each way to be told of changes, and what these have in
 * common. Private to them. */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include <sys/types.h>

#include "sim.h"

/* Opens a descriptor that can be closed and waited for, and notes its number. */
int sim_kernel_open(int *fd);
/* The engine has just read that records were lost. */
void sim_kernel_lost(struct sim *sim);

/* sim_inotify.c */
void sim_inotify_tell(struct sim *sim, const struct sim_event *event);
void sim_inotify_drop(struct sim *sim, int dir);
void sim_inotify_overflow(struct sim *sim);
void sim_inotify_reset(struct sim *sim);
void sim_inotify_barrier(struct sim *sim, const char *name);
/* As FIONREAD counts. */
size_t sim_inotify_queued(const struct sim *sim);
/* Bytes put out, 0 nothing is queued. */
ssize_t sim_inotify_read(struct sim *sim, char *out, size_t size);

/* sim_fanotify.c, likewise */
void sim_fanotify_tell(struct sim *sim, const struct sim_event *event);
void sim_fanotify_overflow(struct sim *sim);
void sim_fanotify_reset(struct sim *sim);
void sim_fanotify_barrier(struct sim *sim, const char *name);
size_t sim_fanotify_queued(const struct sim *sim);
ssize_t sim_fanotify_read(struct sim *sim, char *out, size_t size);

/* sim_windows.c: nothing is read by a descriptor. */
void sim_windows_tell(struct sim *sim, const struct sim_event *event);
void sim_windows_overflow(struct sim *sim);
void sim_windows_reset(struct sim *sim);

#endif
