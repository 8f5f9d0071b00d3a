/* control_windows.h: the server's end of the control pipe in the main thread's wait. */
#ifndef SPOOR_CONTROL_WINDOWS_H
#define SPOOR_CONTROL_WINDOWS_H

#include "control.h"

#define CONTROL_HANDLES_MAX                                                                        \
    (CONTROL_CLIENTS_MAX + 1) /* what control_wait_handles() gives at most */

/* The events that the server waits for, one of each client and one of the listener; returns how
 * many. They hold until the next call of this module. */
size_t control_wait_handles(const struct control *control, void **handles, size_t max);
/* Afterwards: takes clients, reads, writes, whichever has happened. For each complete request
 * calls `handle` with a client number for control_answer(), at once or later. */
void control_serve(struct control *control,
                   void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                   void *ctx);

#endif
