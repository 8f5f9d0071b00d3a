/* sys/socket.h: of POSIX, which Windows has in other headers. Only on its include path. */
#ifndef SPOOR_POSIX_SYS_SOCKET_H
#define SPOOR_POSIX_SYS_SOCKET_H

#include <winsock2.h>
#include <ws2tcpip.h>

#define SHUT_RDWR    SD_BOTH
#define MSG_NOSIGNAL 0 /* there are no signals */

#endif
