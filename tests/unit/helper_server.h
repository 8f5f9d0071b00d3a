/* helper_server.h: an HTTP server on loopback that misbehaves on script: raw sockets, one
 * request a connection, each answered by the next step; the last step repeats. */
#ifndef SPOOR_HELPER_SERVER_H
#define SPOOR_HELPER_SERVER_H

struct server;

struct server_step {
    /* Sent as it stands after the whole request was read, then the connection is closed. "{last}",
     * "{epoch}", "{sum}" and "{generation}" become the request's Spoor-Last, Spoor-Epoch, Spoor-Sum
     * and the generation in its path; of a request that has none, those of the latest that had.
     * What follows "{drip}" is sent a byte at a time, 20 ms apart.
     * NULL: closed without a word. */
    const char *answer;
    bool hang; /* neither answered nor closed until server_stop() */
};

#define SERVER_REQUESTS_MAX 64

/* Answers of a server that takes what it is sent, and of one that was sent nothing yet. */
#define SERVER_OK                                                                                  \
    "HTTP/1.1 200 OK\r\nSpoor-Acked: {last}\r\nSpoor-Epoch: {epoch}\r\nSpoor-Sum: {sum}\r\n"       \
    "Spoor-Generation: {generation}\r\nContent-Length: 0\r\n\r\n"
#define SERVER_NOTHING_YET "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

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
