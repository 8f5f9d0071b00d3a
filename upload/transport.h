/* transport.h: one HTTP request at a time over libcurl, and the way to abandon it.
 *
 * Everything a section says of the connection (TLS, certificates, token, timeouts) is
 * applied here. Secrets never reach a message. Errors: ERR_NETWORK (no answer), ERR_TIMEOUT,
 * ERR_CANCELLED, ERR_LIMIT (answer too large), ERR_DENIED or ERR_NOTFOUND (token file). */
#ifndef SPOOR_TRANSPORT_H
#define SPOOR_TRANSPORT_H

#include "buf.h"
#include "bytes.h"

struct config_upload;
struct err;
struct transport;

#define TRANSPORT_ANSWER_MAX (1 << 20) /* bytes of an answer that is kept */

struct transport_request {
    const char *url;
    const char *const *headers; /* "Name: value", NULL at the end; NULL none */
    bool post;                  /* else GET */
    struct bytes body;          /* of a post; must live through the call */
    /* Takes a 2xx answer's body in pieces; nonzero ends the request and is returned. NULL: the
     * body is gathered in the answer. */
    int (*piece)(void *ctx, const char *bytes, size_t len);
    void *ctx;
};

struct transport_answer {
    int status;
    int64_t retry_after_ms; /* 0 none */
    bool has_acked, has_epoch, has_sum;
    int64_t acked; /* Spoor-Acked */
    int64_t epoch; /* Spoor-Epoch */
    uint64_t sum;  /* Spoor-Sum */
    int64_t gen;   /* Spoor-Generation, 0 none */
    struct buf body;
};

void transport_answer_init(struct transport_answer *answer);
void transport_answer_deinit(struct transport_answer *answer);

/* `config` must live as long. Sets libcurl up for the process (counted). */
int transport_open(const struct config_upload *config, struct transport **out, struct err *err);
void transport_close(struct transport *transport);
/* One thread at a time. Blocks until answered, failed, timed out or cancelled; an answer with any
 * status is a success. *answer is emptied first. */
int transport_perform(struct transport *transport, const struct transport_request *request,
                      struct transport_answer *answer, struct err *err);
/* Ends the request in flight and refuses later ones. Any thread, at once. */
void transport_cancel(struct transport *transport);

/* For messages: ": " and the first line of what the server said (of a page its text), escaped;
 * nothing when it said nothing. At most TRANSPORT_EXCERPT_MAX bytes. */
#define TRANSPORT_EXCERPT_MAX 1024
void transport_add_excerpt(struct buf *out, const struct transport_answer *answer);

/* "{url}/v1/journals/{journal}/{what}", the slashes at url's end cut; appended. */
void transport_add_url(struct buf *out, const char *url, const char *journal, const char *what);

#endif
