/* connection.h: what a section says of its connection (TLS, proxy, credentials, limits), put into
 * a libcurl handle. Secrets are read from their files for each request, so that a rotated one
 * needs no restart, and are in no message. The transport's thread. */
#ifndef SPOOR_CONNECTION_H
#define SPOOR_CONNECTION_H

#include <curl/curl.h>

struct config_upload;
struct err;

#define CONNECTION_SECRET_MAX 8192 /* bytes of a file with a token or a password */

/* `loopback`: the server is on this machine, and reached without the environment's proxy. Errors:
 * ERR_DENIED, ERR_NOTFOUND, ERR_INVALID of a secret's file; ERR_INVALID: libcurl refuses. */
int connection_set_up(CURL *easy, const struct config_upload *config, bool loopback,
                      struct err *err);
/* The bearer token's header, if there is to be one. */
int connection_add_token(const struct config_upload *config, struct curl_slist **headers,
                         struct err *err);

#endif
