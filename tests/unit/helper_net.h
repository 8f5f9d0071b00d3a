/* helper_net.h: TCP on this machine, for tests that speak to a server, or are one, by hand. recv()
 * and send() are used as they are; what differs between systems is here. */
#ifndef SPOOR_HELPER_NET_H
#define SPOOR_HELPER_NET_H

/* Once a program, before anything else of it or of a program's own networking: a connection that
 * breaks shall be an error, not a signal. */
void net_init(void);
/* A listening socket on a free port of 127.0.0.1; ends the program when there is none. */
int net_listen(int backlog, int *port);
/* A socket connected, or (wait false) about to be connected, to a port of 127.0.0.1; -1: refused.
 */
int net_dial(int port, bool wait);
/* 0 when it is done. */
int net_close(int socket);

#endif
