/* arpa/inet.h: of POSIX, which Windows has in other headers. Only on its include path. */
#ifndef SPOOR_POSIX_ARPA_INET_H
#define SPOOR_POSIX_ARPA_INET_H

#include <winsock2.h>
#include <ws2tcpip.h>

#endif
