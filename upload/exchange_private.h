/* exchange_private.h: what exchange*.c share. Nobody else includes it. */
#ifndef SPOOR_EXCHANGE_PRIVATE_H
#define SPOOR_EXCHANGE_PRIVATE_H

#include "buf.h"
#include "exchange.h"
#include "mirror.h"

struct err;

enum route {
    ROUTE_NONE,
    ROUTE_LIST,
    ROUTE_CHANGES,
    ROUTE_CURSOR,
    ROUTE_TREE,
    ROUTE_PART,
    ROUTE_COMMIT,
};

struct exchange {
    struct exchange_shared *shared;
    struct MHD_Connection *connection;
    enum route route;
    char journal[JOURNAL_ID_SIZE];
    int64_t gen, part; /* of ROUTE_PART and ROUTE_COMMIT */
    struct buf body;
    size_t discarded;
    unsigned refused; /* the status, decided before the body was read; 0 not refused */
    char why[512];
};

/* A request header, NULL when it is absent. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/* Notes a refusal; exchange_send_refusal() sends it. */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);
enum MHD_Result exchange_send_refusal(struct exchange *exchange);
/* The store failed: the sender keeps its rows and tries again. */
enum MHD_Result exchange_send_failure(struct exchange *exchange, const struct err *err);
/* Where the mirror stands, in the headers that senders go by; `brief`: the body is the number
 * alone, else the whole cursor. */
enum MHD_Result exchange_send_cursor(struct exchange *exchange, unsigned status,
                                     const struct mirror *mirror, bool brief);

/* exchange_apply.c: the posts. */
enum MHD_Result exchange_answer_changes(struct exchange *exchange);
enum MHD_Result exchange_answer_part(struct exchange *exchange);
enum MHD_Result exchange_answer_commit(struct exchange *exchange);

#endif
