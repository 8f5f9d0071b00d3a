/* exchange.h: one HTTP request at the collector, from its first header to its answer.
 *
 * The head is judged when it arrives, the body gathered under limits, and the answer given
 * when all is in: a refusal sent earlier would meet a client that is still writing, and the
 * reset connection would cost it the answer. The HTTP thread. */
#ifndef SPOOR_EXCHANGE_H
#define SPOOR_EXCHANGE_H

#include <microhttpd.h>

struct collect_store;
struct exchange;

/* Bodies held at one time, of all connections. */
#define EXCHANGE_BUFFERED_MAX ((size_t)256 << 20)

/* What the requests of one collector share. */
struct exchange_shared {
    struct collect_store *store;
    const char *token; /* NULL: none is asked */
    size_t buffered_bytes;
};

/* NULL: no memory, the connection is to be closed. */
struct exchange *exchange_new(struct exchange_shared *shared, struct MHD_Connection *connection,
                              const char *url, const char *method);
void exchange_free(struct exchange *exchange);
/* False: more than anybody is willing to read; the connection is to be closed. */
bool exchange_take(struct exchange *exchange, const char *bytes, size_t len);
/* The request is whole: acts and queues the answer. */
enum MHD_Result exchange_answer(struct exchange *exchange);

#endif
