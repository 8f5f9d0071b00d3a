/* collect.h: the reference sync server: accepts batches exactly once over HTTP and keeps
 * rows and the mirrored tree of each journal.
 *
 *   POST /v1/journals/{journal}/changes   a batch
 *   GET  /v1/journals/{journal}/cursor    {"journal","epoch","seq","sum","tree_sum","entries"}
 *   GET  /v1/journals/{journal}/tree      the tree, one object a line, depth first
 *   GET  /v1/journals                     one object a line
 *
 * libmicrohttpd's own thread serves; the store is used by that thread alone. */
#ifndef SPOOR_COLLECT_H
#define SPOOR_COLLECT_H

struct collect;
struct err;

#define COLLECT_JOURNALS_MAX 1024
#define COLLECT_BODY_MAX     (64 << 20) /* bytes of a request body as sent */

struct collect_options {
    const char *listen;     /* "127.0.0.1:8420", "[::1]:0"; port 0 takes a free one */
    const char *store;      /* directory, made 0700 when missing */
    const char *token_file; /* bearer token asked of every request; NULL none, then loopback only */
};

int collect_open(const struct collect_options *options, struct collect **out, struct err *err);
/* The port it listens on. */
int collect_port(const struct collect *collect);
/* Finishes the request in hand, closes the store. NULL allowed. */
void collect_close(struct collect *collect);

#endif
