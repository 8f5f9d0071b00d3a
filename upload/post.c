/* post.c: what our requests look like: addresses and headers. The upload's thread. */
#include "post.h"

#include <stdarg.h>

#include "config.h"
#include "delivery.h"
#include "err.h"
#include "format.h"
#include "sha256.h"
#include "text.h"
#include "wire.h"

#define POST_URL_MAX     8192
#define POST_HEADERS_MAX 12
#define POST_HEADER_MAX  256 /* bytes of one header; the longest value is a key of 4 numbers */

struct headers {
    char lines[POST_HEADERS_MAX][POST_HEADER_MAX];
    const char *list[POST_HEADERS_MAX + 1]; /* ends with NULL */
    size_t count;
    bool failed;
};

static void add_header(struct headers *headers, const char *format, ...) PRINTF_LIKE(2, 3);

static void add_header(struct headers *headers, const char *format, ...)
{
    va_list args;
    if (headers->count == POST_HEADERS_MAX) {
        headers->failed = true;
        return;
    }
    char *line = headers->lines[headers->count];
    va_start(args, format);
    int len = vsnprintf(line, POST_HEADER_MAX, format, args);
    va_end(args);
    headers->failed = headers->failed || len < 0 || len >= POST_HEADER_MAX;
    headers->list[headers->count++] = line;
}

static void add_digest(struct headers *headers, const uint8_t digest[SHA256_SIZE])
{
    struct buf text;
    buf_init(&text, 2 * SHA256_SIZE);
    text_add_base64(&text, digest, SHA256_SIZE);
    headers->failed = headers->failed || !buf_ok(&text);
    add_header(headers, "Content-Digest: sha-256=:%s:", text.data ? text.data : "");
    buf_deinit(&text);
}

/* What batches and parts have in common. */
static void add_body_headers(struct headers *headers, enum config_format format,
                             const struct journal_info *info, const struct journal_batch *batch)
{
    add_header(headers, "Content-Type: %s", format_media_type(format));
    if (batch->gzip)
        add_header(headers, "Content-Encoding: gzip");
    add_digest(headers, batch->digest);
    add_header(headers, WIRE_JOURNAL ": %s", info->id);
    add_header(headers, WIRE_FOLDER ": %s", info->folder);
    add_header(headers, WIRE_EPOCH ": %lld", (long long)batch->epoch);
}

static void add_batch_headers(struct headers *headers, enum config_format format,
                              const struct journal_info *info, const struct journal_batch *batch)
{
    add_body_headers(headers, format, info, batch);
    add_header(headers, "Idempotency-Key: \"%s-%lld-%lld-%lld\"", info->id, (long long)batch->epoch,
               (long long)batch->first, (long long)batch->last);
    add_header(headers, WIRE_FIRST ": %lld", (long long)batch->first);
    add_header(headers, WIRE_LAST ": %lld", (long long)batch->last);
    add_header(headers, WIRE_PREV ": " WIRE_SUM_FORMAT, (unsigned long long)batch->prev_sum);
    add_header(headers, WIRE_SUM ": " WIRE_SUM_FORMAT, (unsigned long long)batch->last_sum);
    if (batch->newest)
        add_header(headers, WIRE_TREE ": " WIRE_SUM_FORMAT, (unsigned long long)batch->tree_sum);
}

/* Performs a request to {url}/v1/journals/{journal}/{what}; without `what` to the url as it stands.
 * A body makes it a post, and so does `headers`. */
static int perform(struct delivery_shared *shared, const struct journal_info *info,
                   const char *what, const struct headers *headers, struct bytes body,
                   struct err *err)
{
    struct buf url;
    int code;
    buf_init(&url, POST_URL_MAX);
    if (what)
        transport_add_url(&url, shared->config->url, info->id, what);
    else
        format_add_url(&url, shared->config->url, info, &shared->batch.head);
    struct transport_request request = {
        .url = url.data,
        .headers = headers ? headers->list : NULL,
        .post = headers != NULL,
        .body = body,
    };
    if (!buf_ok(&url) || (headers && headers->failed))
        code = err_set(err, ERR_LIMIT, 0, "cannot form request: url or headers are too long");
    else
        code = transport_perform(shared->transport, &request, &shared->answer, err);
    buf_deinit(&url);
    return code;
}

int post_cursor(struct delivery_shared *shared, const struct journal_info *info, struct err *err)
{
    return perform(shared, info, "cursor", NULL, (struct bytes){0}, err);
}

int post_batch(struct delivery_shared *shared, const struct journal_info *info, struct err *err)
{
    const struct journal_batch *batch = &shared->batch.head;
    enum config_format format = (enum config_format)shared->config->format;
    bool replica = format == CONFIG_FORMAT_SPOOR;
    struct headers headers = {0};
    add_batch_headers(&headers, format, info, batch);
    return perform(shared, info, replica ? "changes" : NULL, &headers, batch->body, err);
}

int post_part(struct delivery_shared *shared, const struct journal_info *info,
              const struct journal_snapshot *snapshot, struct err *err)
{
    const struct journal_batch *batch = &shared->batch.head;
    enum config_format format = (enum config_format)shared->config->format;
    bool replica = format == CONFIG_FORMAT_SPOOR;
    struct headers headers = {0};
    char what[POST_HEADER_MAX];
    add_body_headers(&headers, format, info, batch);
    add_header(&headers, "Idempotency-Key: \"%s-%lld-s%lld-%lld\"", info->id,
               (long long)batch->epoch, (long long)batch->gen, (long long)batch->part);
    if (!replica)
        add_header(&headers, WIRE_LAST ": %lld", (long long)snapshot->seq);
    (void)snprintf(what, sizeof what, "snapshots/%lld/parts/%lld", (long long)batch->gen,
                   (long long)batch->part); /* fits */
    return perform(shared, info, replica ? what : NULL, &headers, batch->body, err);
}

int post_commit(struct delivery_shared *shared, const struct journal_info *info,
                const struct journal_snapshot *snapshot, struct err *err)
{
    struct headers headers = {0};
    char what[POST_HEADER_MAX];
    add_header(&headers, WIRE_JOURNAL ": %s", info->id);
    add_header(&headers, WIRE_FOLDER ": %s", info->folder);
    add_header(&headers, WIRE_EPOCH ": %lld", (long long)snapshot->epoch);
    add_header(&headers, WIRE_LAST ": %lld", (long long)snapshot->seq);
    add_header(&headers, WIRE_SUM ": " WIRE_SUM_FORMAT, (unsigned long long)snapshot->sum);
    add_header(&headers, WIRE_PARTS ": %lld", (long long)snapshot->parts);
    add_header(&headers, WIRE_COUNT ": %lld", (long long)snapshot->entries);
    add_header(&headers, WIRE_TREE ": " WIRE_SUM_FORMAT, (unsigned long long)snapshot->tree_sum);
    (void)snprintf(what, sizeof what, "snapshots/%lld/commit", (long long)snapshot->gen); /* fits */
    return perform(shared, info, what, &headers, (struct bytes){0}, err);
}
