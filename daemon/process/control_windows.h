/* control_windows.h: the server's end of the control pipe in the main thread's wait. */
#ifndef SPOOR_CONTROL_WINDOWS_H
#define SPOOR_CONTROL_WINDOWS_H

#include "control.h"

/* The events that the server waits for, one of each client at most (CONTROL_CLIENTS_MAX, which
 * leaves room below MAXIMUM_WAIT_OBJECTS); returns how many. They hold until the next call of
 * this module. */
size_t control_wait_handles(const struct control *control, void **handles, size_t max);
/* Afterwards: takes clients, reads, writes, whichever has happened. For each complete request
 * calls `handle` with a client number for control_answer(), at once or later. */
void control_serve(struct control *control,
                   void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                   void *ctx);

#endif
