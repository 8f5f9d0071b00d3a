/* exchange.c: the collector's requests (PROTOCOL.md): paths and rights, gathering the body, and the
 * answers. What is posted is applied in exchange_apply.c. Texts of refusals are for the sender's
 * log; they name what was wrong and never hold a secret. The HTTP thread. */
#include "exchange.h"

#include <stdarg.h>

#include "buf.h"
#include "collect.h"
#include "collect_store.h"
#include "err.h"
#include "exchange_private.h"
#include "json.h"
#include "log.h"
#include "num.h"
#include "wire.h"

#define PATH_PREFIX   "/v1/journals"
#define SNAPSHOTS     "snapshots/"
#define LIST_MAX      (4 << 20)                      /* bytes of the list of journals */
#define DISCARD_MAX   (4 * (size_t)COLLECT_BODY_MAX) /* bytes read of a body that is refused */
#define HTTP_NO_SPACE 507

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *format, ...)
{
    va_list args;
    exchange->refused = status;
    va_start(args, format);
    (void)vsnprintf(exchange->why, sizeof exchange->why, format, args); /* cut is fine */
    va_end(args);
}

/* "{generation}/parts/{number}" or "{generation}/commit". */
static enum route find_snapshot(struct exchange *exchange, const char *path)
{
    char text[64]; /* two numbers and a word; longer is no path of ours */
    if ((size_t)snprintf(text, sizeof text, "%s", path) >= sizeof text)
        return ROUTE_NONE;
    char *slash = strchr(text, '/');
    if (!slash)
        return ROUTE_NONE;
    *slash = '\0';
    if (num_parse_i64(text, 1, WIRE_GENERATION_MAX, &exchange->gen) != 0)
        return ROUTE_NONE;
    if (strcmp(slash + 1, "commit") == 0)
        return ROUTE_COMMIT;
    bool part = strncmp(slash + 1, "parts/", 6) == 0 &&
                num_parse_i64(slash + 7, 1, INT64_MAX - 1, &exchange->part) == 0;
    return part ? ROUTE_PART : ROUTE_NONE;
}

static enum route find_route(struct exchange *exchange, const char *url)
{
    char *journal = exchange->journal;
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
    if (!collect_store_is_id(journal))
        return ROUTE_NONE;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(slash + 1, routes[i].name) == 0)
            return routes[i].route;
    }
    if (strncmp(slash + 1, SNAPSHOTS, sizeof SNAPSHOTS - 1) == 0)
        return find_snapshot(exchange, slash + sizeof SNAPSHOTS);
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
    const char *given = exchange_header(exchange, "Authorization");
    if (!token)
        return true;
    return given && strncmp(given, scheme, sizeof scheme - 1) == 0 &&
           same_secret(given + sizeof scheme - 1, token);
}

static const char *allowed_method(enum route route)
{
    return route == ROUTE_CHANGES || route == ROUTE_PART || route == ROUTE_COMMIT ? "POST" : "GET";
}

static void judge_head(struct exchange *exchange, const char *url, const char *method)
{
    int64_t length;
    exchange->route = find_route(exchange, url);
    const char *announced = exchange_header(exchange, "Content-Length");
    if (!is_allowed(exchange))
        exchange_refuse(exchange, 401, "a bearer token is needed");
    else if (exchange->route == ROUTE_NONE)
        exchange_refuse(exchange, 404, "no such path");
    else if (strcmp(method, allowed_method(exchange->route)) != 0)
        exchange_refuse(exchange, 405, "this path takes %s", allowed_method(exchange->route));
    else if (announced && num_parse_i64(announced, 0, COLLECT_BODY_MAX, &length))
        exchange_refuse(exchange, 413, "a body may have %d bytes", COLLECT_BODY_MAX);
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
        exchange_refuse(exchange, 413, "a body may have %d bytes", COLLECT_BODY_MAX);
        release_body(exchange);
    } else if (!exchange->refused && len > EXCHANGE_BUFFERED_MAX - shared->buffered_bytes) {
        exchange_refuse(exchange, 503, "too many bodies at one time");
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

enum MHD_Result exchange_send_refusal(struct exchange *exchange)
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
enum MHD_Result exchange_send_failure(struct exchange *exchange, const struct err *err)
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
    exchange_refuse(exchange, status, "%s", err->text);
    return exchange_send_refusal(exchange);
}

/* The cursor as JSON in the body and in the headers that senders go by. */
enum MHD_Result exchange_send_cursor(struct exchange *exchange, unsigned status,
                                     const struct mirror *mirror, bool brief)
{
    const struct mirror_cursor *cursor = mirror_cursor(mirror);
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
        (void)snprintf(number, sizeof number, "%lld", (long long)mirror_generation(mirror));
        (void)MHD_add_response_header(response, WIRE_GENERATION, number);
    }
    return send_answer(exchange, status, response, "application/json");
}

static enum MHD_Result answer_cursor(struct exchange *exchange)
{
    struct err err = {0};
    struct mirror *mirror;
    if (collect_store_get(exchange->shared->store, exchange->journal, false, &mirror, &err))
        return exchange_send_failure(exchange, &err);
    return exchange_send_cursor(exchange, 200, mirror, false);
}

static enum MHD_Result answer_tree(struct exchange *exchange)
{
    struct err err = {0};
    int fd;
    int64_t size;
    if (collect_store_spool(exchange->shared->store, exchange->journal, &fd, &size, &err))
        return exchange_send_failure(exchange, &err);
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
        result = exchange_send_failure(exchange, &err);
    else
        result = send_answer(exchange, 200, response_of(&lines), "application/x-ndjson");
    buf_deinit(&lines);
    return result;
}

enum MHD_Result exchange_answer(struct exchange *exchange)
{
    if (exchange->refused)
        return exchange_send_refusal(exchange);
    switch (exchange->route) {
    case ROUTE_CHANGES:
        return exchange_answer_changes(exchange);
    case ROUTE_CURSOR:
        return answer_cursor(exchange);
    case ROUTE_TREE:
        return answer_tree(exchange);
    case ROUTE_LIST:
        return answer_list(exchange);
    case ROUTE_PART:
        return exchange_answer_part(exchange);
    case ROUTE_COMMIT:
        return exchange_answer_commit(exchange);
    case ROUTE_NONE:
        break;
    }
    return MHD_NO; /* was refused by judge_head() */
}
