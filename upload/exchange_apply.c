/* exchange_apply.c: what is posted to the collector: batches, parts of a snapshot, its commit.
 *
 * Applied here, on the HTTP thread, before the answer is queued: what was acknowledged is
 * committed. */
#include "exchange.h"

#include "buf.h"
#include "collect_store.h"
#include "err.h"
#include "exchange_private.h"
#include "gzip.h"
#include "log.h"
#include "num.h"
#include "sha256.h"
#include "text.h"
#include "wire.h"

#define WHAT_MAX 96 /* bytes of a post's name in the log */

static bool take_number(struct exchange *exchange, const char *name, int64_t min, int64_t *out)
{
    const char *text = exchange_header(exchange, name);
    if (text && num_parse_i64(text, min, INT64_MAX, out) == 0)
        return true;
    exchange_refuse(exchange, 400, "header %s: %s", name, text ? "not such a number" : "missing");
    return false;
}

static bool take_sum(struct exchange *exchange, const char *name, uint64_t *out)
{
    const char *text = exchange_header(exchange, name);
    if (text && wire_parse_sum(text, out))
        return true;
    exchange_refuse(exchange, 400, "header %s: %s", name,
                    text ? "not 16 hexadecimal digits" : "missing");
    return false;
}

static bool take_journal(struct exchange *exchange)
{
    const char *journal = exchange_header(exchange, WIRE_JOURNAL);
    if (journal && strcmp(journal, exchange->journal) == 0)
        return true;
    exchange_refuse(exchange, 400, "header " WIRE_JOURNAL ": %s",
                    journal ? "not the journal of the path" : "missing");
    return false;
}

static bool take_batch_headers(struct exchange *exchange, struct mirror_batch *batch)
{
    batch->has_tree_sum = exchange_header(exchange, WIRE_TREE) != NULL;
    if (!take_number(exchange, WIRE_EPOCH, 1, &batch->epoch) ||
        !take_number(exchange, WIRE_FIRST, 1, &batch->first) ||
        !take_number(exchange, WIRE_LAST, 1, &batch->last) ||
        !take_sum(exchange, WIRE_PREV, &batch->prev_sum) ||
        !take_sum(exchange, WIRE_SUM, &batch->last_sum) ||
        (batch->has_tree_sum && !take_sum(exchange, WIRE_TREE, &batch->tree_sum)) ||
        !take_journal(exchange))
        return false;
    if (batch->last < batch->first) {
        exchange_refuse(exchange, 400, "header " WIRE_LAST ": lies before " WIRE_FIRST);
        return false;
    }
    return true;
}

/* RFC 9530: of the bytes as sent, before decoding. Other algorithms beside it are let be. */
static bool check_digest(struct exchange *exchange)
{
    static const char mark[] = "sha-256=:";
    const char *text = exchange_header(exchange, "Content-Digest");
    const char *at = text ? strstr(text, mark) : NULL;
    const char *end = at ? strchr(at + sizeof mark - 1, ':') : NULL;
    uint8_t ours[SHA256_SIZE];
    struct buf theirs;
    if (!end) {
        exchange_refuse(exchange, 400, "header Content-Digest: %s",
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
        exchange_refuse(exchange, 400, "the body fails its Content-Digest");
    return same;
}

/* The rows: a view of the body as it is, or of `unpacked`. */
static bool decode(struct exchange *exchange, struct buf *unpacked, struct bytes *rows)
{
    struct err err = {0};
    const char *encoding = exchange_header(exchange, "Content-Encoding");
    if (!encoding || strcmp(encoding, "identity") == 0) {
        *rows = bytes_of(exchange->body.data, exchange->body.len);
        return true;
    }
    if (strcmp(encoding, "gzip") != 0) {
        exchange_refuse(exchange, 415, "Content-Encoding '%.32s': only gzip and identity are known",
                        encoding);
        return false;
    }
    int code = gzip_unpack(exchange->body.data, exchange->body.len, unpacked, &err);
    if (code) {
        exchange_refuse(exchange,
                        code == ERR_LIMIT   ? 413
                        : code == ERR_NOMEM ? 503
                                            : 400,
                        "%s", err.text);
        return false;
    }
    *rows = bytes_of(unpacked->data, unpacked->len);
    return true;
}

/* What came of a post. `what` names it in the log. */
static enum MHD_Result send_outcome(struct exchange *exchange, const struct mirror *mirror,
                                    enum mirror_outcome outcome, const char *what,
                                    const struct err *err)
{
    switch (outcome) {
    case MIRROR_APPLIED:
    case MIRROR_DUPLICATE:
        return exchange_send_cursor(exchange, 200, mirror, true);
    case MIRROR_CONFLICT:
        log_warn("collect: journal '%s': %s does not follow what is here (row %lld); refused",
                 exchange->journal, what, (long long)mirror_cursor(mirror)->seq);
        return exchange_send_cursor(exchange, 409, mirror, false);
    case MIRROR_REFUSED:
        break;
    }
    log_warn("collect: journal '%s': %s refused: %s", exchange->journal, what, err->text);
    exchange_refuse(exchange, 422, "%s", err->text);
    return exchange_send_refusal(exchange);
}

static int get_mirror(struct exchange *exchange, struct mirror **out, struct err *err)
{
    return collect_store_get(exchange->shared->store, exchange->journal, true, out, err);
}

static enum MHD_Result apply(struct exchange *exchange, const struct mirror_batch *batch)
{
    struct err err = {0};
    struct mirror *mirror;
    enum mirror_outcome outcome;
    char what[WHAT_MAX];
    int code = get_mirror(exchange, &mirror, &err);
    if (!code)
        code = mirror_apply(mirror, batch, &outcome, &err);
    if (code)
        return exchange_send_failure(exchange, &err);
    (void)snprintf(what, sizeof what, "batch %lld..%lld", (long long)batch->first,
                   (long long)batch->last); /* fits */
    return send_outcome(exchange, mirror, outcome, what, &err);
}

enum MHD_Result exchange_answer_changes(struct exchange *exchange)
{
    struct mirror_batch batch = {0};
    struct buf unpacked;
    struct bytes rows;
    enum MHD_Result result;
    buf_init(&unpacked, MIRROR_BATCH_BYTES_MAX);
    if (take_batch_headers(exchange, &batch) && check_digest(exchange) &&
        decode(exchange, &unpacked, &rows)) {
        batch.rows = rows.at;
        batch.len = rows.len;
        result = apply(exchange, &batch);
    } else {
        result = exchange_send_refusal(exchange);
    }
    buf_deinit(&unpacked);
    return result;
}

static enum MHD_Result take_part(struct exchange *exchange, struct bytes rows)
{
    struct err err = {0};
    struct mirror *mirror;
    enum mirror_outcome outcome;
    char what[WHAT_MAX];
    const struct mirror_part part = {exchange->gen, exchange->part, rows.at, rows.len};
    int code = get_mirror(exchange, &mirror, &err);
    if (!code)
        code = mirror_take_part(mirror, &part, &outcome, &err);
    if (code)
        return exchange_send_failure(exchange, &err);
    (void)snprintf(what, sizeof what, "part %lld of snapshot %lld", (long long)part.part,
                   (long long)part.gen); /* fits */
    return send_outcome(exchange, mirror, outcome, what, &err);
}

enum MHD_Result exchange_answer_part(struct exchange *exchange)
{
    struct buf unpacked;
    struct bytes rows;
    enum MHD_Result result;
    buf_init(&unpacked, MIRROR_BATCH_BYTES_MAX);
    if (take_journal(exchange) && check_digest(exchange) && decode(exchange, &unpacked, &rows))
        result = take_part(exchange, rows);
    else
        result = exchange_send_refusal(exchange);
    buf_deinit(&unpacked);
    return result;
}

enum MHD_Result exchange_answer_commit(struct exchange *exchange)
{
    struct err err = {0};
    struct mirror *mirror;
    enum mirror_outcome outcome;
    char what[WHAT_MAX];
    const char *folder = exchange_header(exchange, WIRE_FOLDER);
    struct mirror_commit commit = {.gen = exchange->gen, .folder = folder ? folder : ""};
    if (!take_journal(exchange) || !take_number(exchange, WIRE_EPOCH, 1, &commit.epoch) ||
        !take_number(exchange, WIRE_LAST, 0, &commit.seq) ||
        !take_sum(exchange, WIRE_SUM, &commit.sum) ||
        !take_number(exchange, WIRE_PARTS, 0, &commit.parts) ||
        !take_number(exchange, WIRE_COUNT, 0, &commit.entries) ||
        !take_sum(exchange, WIRE_TREE, &commit.tree_sum))
        return exchange_send_refusal(exchange);
    int code = get_mirror(exchange, &mirror, &err);
    if (!code)
        code = mirror_take_snapshot(mirror, &commit, &outcome, &err);
    if (code)
        return exchange_send_failure(exchange, &err);
    if (outcome == MIRROR_APPLIED)
        log_info("collect: journal '%s': the tree is that of snapshot %lld from now on",
                 exchange->journal, (long long)commit.gen);
    (void)snprintf(what, sizeof what, "snapshot %lld", (long long)commit.gen); /* fits */
    return send_outcome(exchange, mirror, outcome, what, &err);
}
