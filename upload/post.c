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

static void add_batch_headers(struct headers *headers, enum config_format format,
                              const struct journal_info *info, const struct journal_batch *batch)
{
    struct buf digest;
    buf_init(&digest, 2 * SHA256_SIZE);
    text_add_base64(&digest, batch->digest, sizeof batch->digest);
    headers->failed = !buf_ok(&digest);
    add_header(headers, "Content-Type: %s", format_media_type(format));
    if (batch->gzip)
        add_header(headers, "Content-Encoding: gzip");
    add_header(headers, "Content-Digest: sha-256=:%s:", digest.data ? digest.data : "");
    add_header(headers, "Idempotency-Key: \"%s-%lld-%lld-%lld\"", info->id, (long long)batch->epoch,
               (long long)batch->first, (long long)batch->last);
    add_header(headers, WIRE_JOURNAL ": %s", info->id);
    add_header(headers, WIRE_FOLDER ": %s", info->folder);
    add_header(headers, WIRE_EPOCH ": %lld", (long long)batch->epoch);
    add_header(headers, WIRE_FIRST ": %lld", (long long)batch->first);
    add_header(headers, WIRE_LAST ": %lld", (long long)batch->last);
    add_header(headers, WIRE_PREV ": " WIRE_SUM_FORMAT, (unsigned long long)batch->prev_sum);
    add_header(headers, WIRE_SUM ": " WIRE_SUM_FORMAT, (unsigned long long)batch->last_sum);
    if (batch->newest)
        add_header(headers, WIRE_TREE ": " WIRE_SUM_FORMAT, (unsigned long long)batch->tree_sum);
    buf_deinit(&digest);
}

int post_cursor(struct delivery_shared *shared, const struct journal_info *info, struct err *err)
{
    struct buf url;
    int code;
    buf_init(&url, POST_URL_MAX);
    transport_add_url(&url, shared->config->url, info->id, "cursor");
    struct transport_request request = {.url = url.data};
    if (!buf_ok(&url))
        code = err_set(err, ERR_LIMIT, 0, "cannot form request: the url is too long");
    else
        code = transport_perform(shared->transport, &request, &shared->answer, err);
    buf_deinit(&url);
    return code;
}

int post_batch(struct delivery_shared *shared, const struct journal_info *info, struct err *err)
{
    const struct journal_batch *batch = &shared->batch.head;
    struct headers headers = {0};
    struct buf url;
    int code;
    buf_init(&url, POST_URL_MAX);
    if (shared->config->format == CONFIG_FORMAT_SPOOR)
        transport_add_url(&url, shared->config->url, info->id, "changes");
    else
        format_add_url(&url, shared->config->url, info, batch);
    add_batch_headers(&headers, (enum config_format)shared->config->format, info, batch);
    struct transport_request request = {
        .url = url.data,
        .headers = headers.list,
        .post = true,
        .body = batch->body,
    };
    if (!buf_ok(&url) || headers.failed)
        code = err_set(err, ERR_LIMIT, 0, "cannot form request: url or headers are too long");
    else
        code = transport_perform(shared->transport, &request, &shared->answer, err);
    buf_deinit(&url);
    return code;
}
