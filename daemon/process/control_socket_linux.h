/* control_socket_linux.h: where both ends find the control socket. Any thread. */
#ifndef SPOOR_CONTROL_SOCKET_LINUX_H
#define SPOOR_CONTROL_SOCKET_LINUX_H

#include <sys/un.h>

/* The socket's name by way of the directory's descriptor (proc(5), /proc/PID/fd), so that the
 * length of the state directory's own path does not matter. */
void control_socket_address(int dirfd, struct sockaddr_un *out);

#endif
