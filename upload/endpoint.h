/* endpoint.h: where an upload connects to, for whoever must allow it beforehand. Any thread. */
#ifndef SPOOR_ENDPOINT_H
#define SPOOR_ENDPOINT_H

struct config_upload;
struct err;

#define ENDPOINT_PORTS_MAX 4 /* the server's, and those of the proxies in the environment */

/* The TCP ports that the requests of this section may go to, as libcurl will choose them: that of
 * the url, and for a server that is not on this machine those of the proxies that the environment
 * names (libcurl-env(3)). Returns how many were filled. ERR_INVALID: a url or a proxy that cannot
 * be read, ERR_NOMEM. */
int endpoint_ports(const struct config_upload *config, uint16_t out[ENDPOINT_PORTS_MAX],
                   struct err *err);

/* A server on this machine, by the url's host; it is reached without a proxy and without DNS. */
bool endpoint_is_loopback(const char *url);

#endif
