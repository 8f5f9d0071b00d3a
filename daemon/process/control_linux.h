/* control_linux.h: the server's end of the control socket on the main thread's poll(2). */
#ifndef SPOOR_CONTROL_LINUX_H
#define SPOOR_CONTROL_LINUX_H

#include "control.h"

#define CONTROL_FDS_MAX (CONTROL_CLIENTS_MAX + 1) /* what control_poll_fds() fills at most */

/* The server's descriptors for poll(): fills `fds` (struct pollfd), returns how many. */
struct pollfd;
size_t control_poll_fds(struct control *control, struct pollfd *fds, size_t max);
/* After poll: accepts, reads, writes. For each complete request calls `handle` with a client
 * number for control_answer(), at once or later. */
void control_serve(struct control *control, const struct pollfd *fds, size_t count,
                   void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                   void *ctx);

#endif
