/* collect_address.c: where to listen. No name is resolved: what a server listens on must not
 * depend on somebody else's answer. */
#include "collect_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "err.h"
#include "num.h"

#define HOST_MAX 64

/* Splits at the last colon; brackets around an IPv6 host are cut. */
static bool split(const char *text, char host[HOST_MAX], int64_t *port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || num_parse_i64(colon + 1, 0, 65535, port))
        return false;
    size_t len = (size_t)(colon - text);
    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false;
    }
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return true;
}

int collect_address_parse(const char *text, struct collect_address *out, struct err *err)
{
    char host[HOST_MAX];
    int64_t port;
    struct collect_address address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address.socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.socket;
    if (!split(text, host, &port))
        return err_set(err, ERR_INVALID, 0,
                       "cannot listen on '%s': write HOST:PORT, as 127.0.0.1:8420 or [::1]:8420",
                       text);
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, numeric, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        address.loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    } else if (inet_pton(AF_INET6, numeric, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        address.ipv6 = true;
        address.loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    } else {
        return err_set(err, ERR_INVALID, 0,
                       "cannot listen on '%s': the host must be a numeric address or localhost",
                       text);
    }
    *out = address;
    return 0;
}
