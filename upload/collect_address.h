/* collect_address.h: "127.0.0.1:8420" or "[::1]:0" to a socket address. Any thread. */
#ifndef SPOOR_COLLECT_ADDRESS_H
#define SPOOR_COLLECT_ADDRESS_H

#include <sys/socket.h>

struct err;

struct collect_address {
    struct sockaddr_storage socket;
    bool ipv6;
    bool loopback; /* reached from this machine only */
};

/* Numeric hosts and "localhost" (127.0.0.1); the port may be 0. ERR_INVALID with what is wrong. */
int collect_address_parse(const char *text, struct collect_address *out, struct err *err);

#endif
