/* exchange.c: the collector's requests (PROTOCOL.md).
 *
 * A batch is applied here, on the HTTP thread, before its answer is queued: what was
 * acknowledged is committed. Texts of refusals are for the sender's log; they name what
 * was wrong and never hold a secret. */
#include "exchange.h"

#include <stdarg.h>

#include "buf.h"
#include "collect.h"
#include "collect_store.h"
#include "err.h"
#include "gzip.h"
#include "json.h"
#include "log.h"
#include "mirror.h"
#include "num.h"
#include "sha256.h"
#include "text.h"
#include "wire.h"

#define PATH_PREFIX   "/v1/journals"
#define LIST_MAX      (4 << 20)                      /* bytes of the list of journals */
#define DISCARD_MAX   (4 * (size_t)COLLECT_BODY_MAX) /* bytes read of a body that is refused */
#define HTTP_NO_SPACE 507

enum route { ROUTE_NONE, ROUTE_LIST, ROUTE_CHANGES, ROUTE_CURSOR, ROUTE_TREE };

struct exchange {
    struct exchange_shared *shared;
    struct MHD_Connection *connection;
    enum route route;
    char journal[JOURNAL_ID_SIZE];
    struct buf body;
    size_t discarded;
    unsigned refused; /* the status, decided before the body was read; 0 not refused */
    char why[512];
};

static const char *header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static void refuse(struct exchange *exchange, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void refuse(struct exchange *exchange, unsigned status, const char *format, ...)
{
    va_list args;
    exchange->refused = status;
    va_start(args, format);
    (void)vsnprintf(exchange->why, sizeof exchange->why, format, args); /* cut is fine */
    va_end(args);
}

static enum route find_route(const char *url, char journal[JOURNAL_ID_SIZE])
{
    static const struct {
        const char *name;
        enum route route;
    } routes[] = {
        {"changes", ROUTE_CHANGES},
        {"cursor", ROUTE_CURSOR},
        {"tree", ROUTE_TREE},
    };
    size_t prefix = strlen(PATH_PREFIX);
    if (strncmp(url, PATH_PREFIX, prefix) != 0)
        return ROUTE_NONE;
    url += prefix;
    if (*url == '\0')
        return ROUTE_LIST;
    const char *slash = *url == '/' ? strchr(url + 1, '/') : NULL;
    size_t len = slash ? (size_t)(slash - url) - 1 : 0;
    if (len == 0 || len >= JOURNAL_ID_SIZE)
        return ROUTE_NONE;
    memcpy(journal, url + 1, len);
    journal[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(slash + 1, routes[i].name) == 0)
            return collect_store_is_id(journal) ? routes[i].route : ROUTE_NONE;
    }
    return ROUTE_NONE;
}

/* In time that does not depend on where the first difference is. */
static bool same_secret(const char *given, const char *wanted)
{
    size_t len = strlen(given);
    size_t want = strlen(wanted);
    unsigned char differs = len != want;
    for (size_t i = 0; i < len; i++)
        differs |= (unsigned char)(given[i] ^ wanted[want ? i % want : 0]);
    return !differs;
}

static bool is_allowed(const struct exchange *exchange)
{
    static const char scheme[] = "Bearer ";
    const char *token = exchange->shared->token;
    const char *given = header(exchange, "Authorization");
    if (!token)
        return true;
    return given && strncmp(given, scheme, sizeof scheme - 1) == 0 &&
           same_secret(given + sizeof scheme - 1, token);
}

static const char *allowed_method(enum route route)
{
    return route == ROUTE_CHANGES ? "POST" : "GET";
}

static void judge_head(struct exchange *exchange, const char *url, const char *method)
{
    int64_t length;
    exchange->route = find_route(url, exchange->journal);
    const char *announced = header(exchange, "Content-Length");
    if (!is_allowed(exchange))
        refuse(exchange, 401, "a bearer token is needed");
    else if (exchange->route == ROUTE_NONE)
        refuse(exchange, 404, "no such path");
    else if (strcmp(method, allowed_method(exchange->route)) != 0)
        refuse(exchange, 405, "this path takes %s", allowed_method(exchange->route));
    else if (announced && num_parse_i64(announced, 0, COLLECT_BODY_MAX, &length))
        refuse(exchange, 413, "a body may have %d bytes", COLLECT_BODY_MAX);
}

struct exchange *exchange_new(struct exchange_shared *shared, struct MHD_Connection *connection,
                              const char *url, const char *method)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->shared = shared;
    exchange->connection = connection;
    buf_init(&exchange->body, COLLECT_BODY_MAX);
    judge_head(exchange, url, method);
    return exchange;
}

/* Gives its share of the common limit back. */
static void release_body(struct exchange *exchange)
{
    exchange->shared->buffered_bytes -= exchange->body.len;
    buf_deinit(&exchange->body);
}

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    release_body(exchange);
    free(exchange);
}

bool exchange_take(struct exchange *exchange, const char *bytes, size_t len)
{
    struct exchange_shared *shared = exchange->shared;
    if (!exchange->refused && len > COLLECT_BODY_MAX - exchange->body.len) {
        refuse(exchange, 413, "a body may have %d bytes", COLLECT_BODY_MAX);
        release_body(exchange);
    } else if (!exchange->refused && len > EXCHANGE_BUFFERED_MAX - shared->buffered_bytes) {
        refuse(exchange, 503, "too many bodies at one time");
        release_body(exchange);
    }
    if (exchange->refused) {
        exchange->discarded += len;
        return exchange->discarded <= DISCARD_MAX;
    }
    buf_add(&exchange->body, bytes, len);
    if (!buf_ok(&exchange->body))
        return false;
    shared->buffered_bytes += len;
    return true;
}

static enum MHD_Result send_answer(struct exchange *exchange, unsigned status,
                                   struct MHD_Response *response, const char *type)
{
    if (!response)
        return MHD_NO;
    /* Each fails only without memory; the answer then lacks a header and its reader says so. */
    (void)MHD_add_response_header(response, "Content-Type", type);
    if (status == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (status == 405)
        (void)MHD_add_response_header(response, "Allow", allowed_method(exchange->route));
    if (status == 503)
        (void)MHD_add_response_header(response, "Retry-After", "1");
    enum MHD_Result result = MHD_queue_response(exchange->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Response *response_of(const struct buf *bytes)
{
    return MHD_create_response_from_buffer(bytes->len, bytes->data, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result send_refusal(struct exchange *exchange)
{
    struct buf text;
    buf_init(&text, sizeof exchange->why + 1);
    buf_add_str(&text, exchange->why);
    buf_add_char(&text, '\n');
    struct MHD_Response *response = buf_ok(&text) ? response_of(&text) : NULL;
    buf_deinit(&text);
    return send_answer(exchange, exchange->refused, response, "text/plain; charset=utf-8");
}

/* The store failed: the sender keeps its rows and tries again. */
static enum MHD_Result send_failure(struct exchange *exchange, const struct err *err)
{
    unsigned status = err->code == ERR_NOTFOUND ? 404
                      : err->code == ERR_LIMIT  ? 403
                      : err->code == ERR_FULL   ? HTTP_NO_SPACE
                      : err->code == ERR_BUSY   ? 503
                                                : 500;
    if (status >= 500) {
        log_error("collect: journal '%s': %s; the sender will try again", exchange->journal,
                  err->text);
        collect_store_drop(exchange->shared->store, exchange->journal);
    }
    refuse(exchange, status, "%s", err->text);
    return send_refusal(exchange);
}

/* The cursor as JSON in the body and in the headers that senders go by. */
static enum MHD_Result send_cursor(struct exchange *exchange, unsigned status,
                                   const struct mirror_cursor *cursor, bool brief)
{
    struct buf text;
    char number[32];
    buf_init(&text, 4096);
    if (brief) {
        json_begin(&text);
        json_i64(&text, "acked", cursor->seq);
        json_end(&text);
        buf_add_char(&text, '\n');
    } else {
        collect_store_write_cursor(&text, cursor);
    }
    struct MHD_Response *response = buf_ok(&text) ? response_of(&text) : NULL;
    buf_deinit(&text);
    if (response) {
        /* As in send_answer(): a missing header is noticed by the sender. */
        (void)snprintf(number, sizeof number, "%lld", (long long)cursor->seq);
        (void)MHD_add_response_header(response, WIRE_ACKED, number);
        (void)snprintf(number, sizeof number, "%lld", (long long)cursor->epoch);
        (void)MHD_add_response_header(response, WIRE_EPOCH, number);
        (void)snprintf(number, sizeof number, WIRE_SUM_FORMAT, (unsigned long long)cursor->sum);
        (void)MHD_add_response_header(response, WIRE_SUM, number);
    }
    return send_answer(exchange, status, response, "application/json");
}

static bool take_number(struct exchange *exchange, const char *name, int64_t min, int64_t *out)
{
    const char *text = header(exchange, name);
    if (text && num_parse_i64(text, min, INT64_MAX, out) == 0)
        return true;
    refuse(exchange, 400, "header %s: %s", name, text ? "not such a number" : "missing");
    return false;
}

static bool take_sum(struct exchange *exchange, const char *name, uint64_t *out)
{
    const char *text = header(exchange, name);
    if (text && wire_parse_sum(text, out))
        return true;
    refuse(exchange, 400, "header %s: %s", name, text ? "not 16 hexadecimal digits" : "missing");
    return false;
}

static bool take_batch_headers(struct exchange *exchange, struct mirror_batch *batch)
{
    const char *journal = header(exchange, WIRE_JOURNAL);
    batch->has_tree_sum = header(exchange, WIRE_TREE) != NULL;
    if (!take_number(exchange, WIRE_EPOCH, 1, &batch->epoch) ||
        !take_number(exchange, WIRE_FIRST, 1, &batch->first) ||
        !take_number(exchange, WIRE_LAST, 1, &batch->last) ||
        !take_sum(exchange, WIRE_PREV, &batch->prev_sum) ||
        !take_sum(exchange, WIRE_SUM, &batch->last_sum) ||
        (batch->has_tree_sum && !take_sum(exchange, WIRE_TREE, &batch->tree_sum)))
        return false;
    if (!journal || strcmp(journal, exchange->journal) != 0) {
        refuse(exchange, 400, "header " WIRE_JOURNAL ": %s",
               journal ? "not the journal of the path" : "missing");
        return false;
    }
    if (batch->last < batch->first) {
        refuse(exchange, 400, "header " WIRE_LAST ": lies before " WIRE_FIRST);
        return false;
    }
    return true;
}

/* RFC 9530: of the bytes as sent, before decoding. Other algorithms beside it are let be. */
static bool check_digest(struct exchange *exchange)
{
    static const char mark[] = "sha-256=:";
    const char *text = header(exchange, "Content-Digest");
    const char *at = text ? strstr(text, mark) : NULL;
    const char *end = at ? strchr(at + sizeof mark - 1, ':') : NULL;
    uint8_t ours[SHA256_SIZE];
    struct buf theirs;
    if (!end) {
        refuse(exchange, 400, "header Content-Digest: %s",
               text ? "has no sha-256=:...: in it" : "missing");
        return false;
    }
    at += sizeof mark - 1;
    buf_init(&theirs, 2 * SHA256_SIZE);
    sha256(exchange->body.data, exchange->body.len, ours);
    bool same = text_decode_base64(at, (size_t)(end - at), &theirs) == 0 &&
                theirs.len == sizeof ours && memcmp(theirs.data, ours, sizeof ours) == 0;
    buf_deinit(&theirs);
    if (!same)
        refuse(exchange, 400, "the body fails its Content-Digest");
    return same;
}

/* Unpacked rows into `rows`, or a view of the body as it is. */
static bool decode(struct exchange *exchange, struct buf *rows, struct mirror_batch *batch)
{
    struct err err = {0};
    const char *encoding = header(exchange, "Content-Encoding");
    if (!encoding || strcmp(encoding, "identity") == 0) {
        batch->rows = exchange->body.data;
        batch->len = exchange->body.len;
        return true;
    }
    if (strcmp(encoding, "gzip") != 0) {
        refuse(exchange, 415, "Content-Encoding '%.32s': only gzip and identity are known",
               encoding);
        return false;
    }
    int code = gzip_unpack(exchange->body.data, exchange->body.len, rows, &err);
    if (code) {
        refuse(exchange, code == ERR_LIMIT ? 413 : code == ERR_NOMEM ? 503 : 400, "%s", err.text);
        return false;
    }
    batch->rows = rows->data;
    batch->len = rows->len;
    return true;
}

static enum MHD_Result apply(struct exchange *exchange, const struct mirror_batch *batch)
{
    struct err err = {0};
    struct mirror *mirror;
    enum mirror_outcome outcome;
    struct collect_store *store = exchange->shared->store;
    int code = collect_store_get(store, exchange->journal, true, &mirror, &err);
    if (!code)
        code = mirror_apply(mirror, batch, &outcome, &err);
    if (code)
        return send_failure(exchange, &err);
    switch (outcome) {
    case MIRROR_APPLIED:
    case MIRROR_DUPLICATE:
        return send_cursor(exchange, 200, mirror_cursor(mirror), true);
    case MIRROR_CONFLICT:
        log_warn("collect: journal '%s': batch %lld..%lld does not follow row %lld; refused",
                 exchange->journal, (long long)batch->first, (long long)batch->last,
                 (long long)mirror_cursor(mirror)->seq);
        return send_cursor(exchange, 409, mirror_cursor(mirror), false);
    case MIRROR_REFUSED:
        break;
    }
    log_warn("collect: journal '%s': batch %lld..%lld refused: %s", exchange->journal,
             (long long)batch->first, (long long)batch->last, err.text);
    refuse(exchange, 422, "%s", err.text);
    return send_refusal(exchange);
}

static enum MHD_Result answer_changes(struct exchange *exchange)
{
    struct mirror_batch batch = {0};
    struct buf rows;
    enum MHD_Result result;
    buf_init(&rows, MIRROR_BATCH_BYTES_MAX);
    if (take_batch_headers(exchange, &batch) && check_digest(exchange) &&
        decode(exchange, &rows, &batch))
        result = apply(exchange, &batch);
    else
        result = send_refusal(exchange);
    buf_deinit(&rows);
    return result;
}

static enum MHD_Result answer_cursor(struct exchange *exchange)
{
    struct err err = {0};
    struct mirror *mirror;
    if (collect_store_get(exchange->shared->store, exchange->journal, false, &mirror, &err))
        return send_failure(exchange, &err);
    return send_cursor(exchange, 200, mirror_cursor(mirror), false);
}

static enum MHD_Result answer_tree(struct exchange *exchange)
{
    struct err err = {0};
    int fd;
    int64_t size;
    if (collect_store_spool(exchange->shared->store, exchange->journal, &fd, &size, &err))
        return send_failure(exchange, &err);
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)size, fd);
    if (!response)
        (void)close(fd); /* the answer fails anyway */
    return send_answer(exchange, 200, response, "application/x-ndjson");
}

static enum MHD_Result answer_list(struct exchange *exchange)
{
    struct err err = {0};
    struct buf lines;
    enum MHD_Result result;
    buf_init(&lines, LIST_MAX);
    int code = collect_store_list(exchange->shared->store, &lines, &err);
    if (!code && !buf_ok(&lines))
        code = err_set(&err, ERR_NOMEM, 0, "cannot list journals: out of memory");
    if (code)
        result = send_failure(exchange, &err);
    else
        result = send_answer(exchange, 200, response_of(&lines), "application/x-ndjson");
    buf_deinit(&lines);
    return result;
}

enum MHD_Result exchange_answer(struct exchange *exchange)
{
    if (exchange->refused)
        return send_refusal(exchange);
    switch (exchange->route) {
    case ROUTE_CHANGES:
        return answer_changes(exchange);
    case ROUTE_CURSOR:
        return answer_cursor(exchange);
    case ROUTE_TREE:
        return answer_tree(exchange);
    case ROUTE_LIST:
        return answer_list(exchange);
    case ROUTE_NONE:
        break;
    }
    return MHD_NO; /* was refused by judge_head() */
}
