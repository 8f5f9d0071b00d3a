/* helper_net_linux.c: see helper_net.h. */
#include "helper_net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

void net_init(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
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
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
        listen(listener, backlog) || getsockname(listener, (struct sockaddr *)&address, &len))
        abort();
    *port = ntohs(address.sin_port);
    return listener;
}

int net_dial(int port, bool wait)
{
    struct sockaddr_in address = at_port(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);

    if (fd < 0)
        abort();
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || !wait)
        return fd;   /* or in progress */
    (void)close(fd); /* was never connected */
    return -1;
}

int net_close(int socket)
{
    return close(socket);
}
