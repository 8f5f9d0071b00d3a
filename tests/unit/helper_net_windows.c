/* helper_net_windows.c: see helper_net.h. */
#include "helper_net.h"

#include <winsock2.h>
#include <ws2tcpip.h>

void net_init(void)
{
    WSADATA data;

    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        abort();
}

static struct sockaddr_in at_port(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
}

int net_listen(int backlog, int *port)
{
    struct sockaddr_in address = at_port(0);
    socklen_t len = sizeof address;
    int listener = (int)socket(AF_INET, SOCK_STREAM, 0); /* handles fit 32 bits */

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
        listen(listener, backlog) || getsockname(listener, (struct sockaddr *)&address, &len))
        abort();
    *port = ntohs(address.sin_port);
    return listener;
}

int net_dial(int port, bool wait)
{
    struct sockaddr_in address = at_port(port);
    int fd = (int)socket(AF_INET, SOCK_STREAM, 0);
    u_long nonblocking = !wait;

    if (fd < 0 || ioctlsocket(fd, FIONBIO, &nonblocking) != 0)
        abort();
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || !wait)
        return fd;         /* or in progress */
    (void)closesocket(fd); /* was never connected */
    return -1;
}

int net_close(int socket)
{
    return closesocket(socket);
}
