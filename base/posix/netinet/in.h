/* netinet/in.h: of POSIX, which Windows has in other headers. Only on its include path. */
#ifndef SPOOR_POSIX_NETINET_IN_H
#define SPOOR_POSIX_NETINET_IN_H

#include <winsock2.h>
#include <ws2tcpip.h>

#endif
