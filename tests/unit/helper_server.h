/* helper_server.h: an HTTP server on loopback that misbehaves on script: raw sockets, one
 * request a connection, each answered by the next step; the last step repeats. */
#ifndef SPOOR_HELPER_SERVER_H
#define SPOOR_HELPER_SERVER_H

struct server;

struct server_step {
    /* Sent as it stands after the whole request was read, then the connection is closed. "{last}",
     * "{epoch}" and "{sum}" become the request's Spoor-Last, Spoor-Epoch and Spoor-Sum; of a
     * request that has none, those of the latest that had. NULL: closed without a word. */
    const char *answer;
    bool hang; /* neither answered nor closed until server_stop() */
};

#define SERVER_REQUESTS_MAX 64

struct server *server_start(const struct server_step *steps, size_t count);
void server_stop(struct server *server);
int server_port(const struct server *server);
/* Blocks until `count` requests have been read whole; false after 30 s. */
bool server_wait(struct server *server, size_t count);
size_t server_count(struct server *server);
/* "POST /path" of request `index`. */
const char *server_line(struct server *server, size_t index);
/* A header of it, or NULL; good until the next call. */
const char *server_header(struct server *server, size_t index, const char *name);
const char *server_body(struct server *server, size_t index, size_t *len);

#endif
