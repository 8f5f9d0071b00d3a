/* transport.c: libcurl, and nothing of what is sent.
 *
 * The multi interface is used for one request at a time because it alone can be woken:
 * transport_cancel() sets a flag and calls curl_multi_wakeup(), and the request is dropped
 * with its connection. Between requests nobody polls: an idle connection waits in curl's
 * cache without a timer. libcurl sends a POST twice by itself on a kept-alive connection
 * that dies before the answer (Curl_retry_request()); the receiver tells duplicates by their
 * sequence. The upload's thread, or whoever calls upload_fetch(). */
#include "transport.h"

#include <curl/curl.h>
#include <stdatomic.h>

#include "clock.h"
#include "config.h"
#include "connection.h"
#include "endpoint.h"
#include "err.h"
#include "num.h"
#include "pace.h"
#include "text.h"
#include "wire.h"

#define POLL_MS       (3600 * 1000) /* only bounds one wait; curl's own timers are shorter */
#define SEND_BUFFER   (256 << 10)
#define EXCERPT_BYTES 160
#define REDIRECTS_MAX 3 /* one behind the other */

struct transport {
    const struct config_upload *config;
    CURLM *multi; /* holds connections and DNS cache from request to request */
    /* One a request: up to libcurl 8.1 a handle that is used again keeps a pointer to the last
     * header of the answer before, which an answer that begins with a folded header makes it
     * write to (curl pull request 11103). NULL between requests. */
    CURL *easy;
    atomic_bool cancelled;
    bool loopback;
    char error[CURL_ERROR_SIZE];
};

/* What the write callback needs of one request. */
struct sink {
    CURL *easy;
    const struct transport_request *request;
    struct transport_answer *answer;
    int code; /* the piece function's refusal */
    bool too_large;
    bool headers_whole; /* the blank line that ends them was there */
};

void transport_answer_init(struct transport_answer *answer)
{
    *answer = (struct transport_answer){0};
    buf_init(&answer->body, TRANSPORT_ANSWER_MAX);
}

void transport_answer_deinit(struct transport_answer *answer)
{
    buf_deinit(&answer->body);
}

/* The text of a page that a proxy or a server made for people: without tags, blanks drawn
 * together. Returns bytes written. */
static size_t page_text(const struct buf *body, char *out, size_t size)
{
    size_t len = 0;
    bool tag = false;
    for (size_t i = 0; i < body->len && len < size; i++) {
        char c = body->data[i];
        bool blank = tag || c == '<' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
        tag = c == '<' || (tag && c != '>');
        if (!blank)
            out[len++] = c;
        else if (len > 0 && out[len - 1] != ' ')
            out[len++] = ' ';
    }
    return len > 0 && out[len - 1] == ' ' ? len - 1 : len;
}

void transport_add_excerpt(struct buf *out, const struct transport_answer *answer)
{
    const struct buf *body = &answer->body;
    char page[EXCERPT_BYTES];
    const char *text = body->data;
    size_t len = 0;
    if (body->len > 0 && body->data[0] == '<') {
        len = page_text(body, page, sizeof page);
        text = page;
    } else {
        while (len < body->len && len < EXCERPT_BYTES && text[len] != '\n' && text[len] != '\r')
            len++;
    }
    if (len == 0)
        return;
    buf_add_str(out, ": ");
    text_add_escaped(out, text, len);
}

void transport_add_url(struct buf *out, const char *url, const char *journal, const char *what)
{
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    buf_add(out, url, len);
    buf_add_str(out, "/v1/journals/");
    buf_add_str(out, journal);
    buf_add_char(out, '/');
    buf_add_str(out, what);
}

int transport_open(const struct config_upload *config, struct transport **out, struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NOMEM, 0, "cannot set up libcurl");
    struct transport *transport = calloc(1, sizeof *transport);
    if (transport) {
        transport->config = config;
        atomic_init(&transport->cancelled, false);
        /* A server on this machine is reached directly, whatever http_proxy says. */
        transport->loopback = endpoint_is_loopback(config->url);
        transport->multi = curl_multi_init();
    }
    if (!transport || !transport->multi) {
        if (transport)
            transport_close(transport);
        else
            curl_global_cleanup();
        return err_set(err, ERR_NOMEM, 0, "cannot set up libcurl: out of memory");
    }
    *out = transport;
    return 0;
}

void transport_close(struct transport *transport)
{
    if (!transport)
        return;
    (void)curl_multi_cleanup(transport->multi); /* fails only on a bad handle */
    free(transport);
    curl_global_cleanup();
}

void transport_cancel(struct transport *transport)
{
    atomic_store(&transport->cancelled, true);
    (void)curl_multi_wakeup(transport->multi); /* fails only when a wake-up waits already */
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sink *sink = ctx;
    long status = 0;
    size_t len = size * count; /* curl: at most CURL_MAX_WRITE_SIZE */
    (void)curl_easy_getinfo(sink->easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail */
    if (sink->request->piece && status >= 200 && status <= 299) {
        sink->code = sink->request->piece(sink->request->ctx, bytes, len);
        return sink->code ? 0 : len;
    }
    buf_add(&sink->answer->body, bytes, len);
    sink->too_large = !buf_ok(&sink->answer->body);
    return sink->too_large ? 0 : len; /* fewer than given ends the transfer */
}

/* libcurl (7.88) calls it a success when the connection ends within the headers; then they may
 * lack what they would have said. */
static size_t take_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sink *sink = ctx;
    size_t len = size * count; /* curl: at most CURL_MAX_HTTP_HEADER */
    sink->headers_whole = len > 0 && (bytes[0] == '\r' || bytes[0] == '\n');
    return len;
}

static int make_headers(const struct transport *transport, const struct transport_request *request,
                        struct curl_slist **out, struct err *err)
{
    /* Without this libcurl asks "Expect: 100-continue" above 1 MB and waits a second for it. */
    static const char *const common[] = {"Expect:", "Accept:", NULL};
    const char *const *lists[] = {common, request->headers};
    struct curl_slist *headers = NULL;
    int code = 0;
    for (size_t k = 0; k < ARRAY_LEN(lists) && !code; k++) {
        for (size_t i = 0; lists[k] && lists[k][i] && !code; i++) {
            struct curl_slist *grown = curl_slist_append(headers, lists[k][i]);
            if (grown)
                headers = grown;
            else
                code = err_set(err, ERR_NOMEM, 0, "cannot form request: out of memory");
        }
    }
    if (!code)
        code = connection_add_token(transport->config, &headers, err);
    if (code)
        curl_slist_free_all(headers);
    else
        *out = headers;
    return code;
}

static int set_up(struct transport *transport, const struct transport_request *request,
                  struct curl_slist *headers, struct sink *sink, struct err *err)
{
    CURL *easy = transport->easy;
    transport->error[0] = '\0';
    int bad = 0;
    int code = connection_set_up(easy, transport->config, transport->loopback, err);
    if (code)
        return code;
    bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transport->error);
    bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "spoor");
    bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
    bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, sink);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, sink);
    if (request->post) {
        bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        bad |=
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.len ? request->body.at : "");
    } else {
        bad |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (bad)
        return err_set(err, ERR_INVALID, 0,
                       "cannot set up request to '%s': libcurl refuses an option", request->url);
    return 0;
}

/* Runs the transfer; its result is in *result unless it was cancelled. */
static int drive(struct transport *transport, bool streamed, CURLcode *result, struct err *err)
{
    struct pace pace;
    int running = 1, left_ms = POLL_MS;
    pace_begin(&pace, transport->config, SEND_BUFFER, streamed);
    CURLMcode failed = curl_multi_add_handle(transport->multi, transport->easy);
    while (!failed && running && left_ms > 0 && !atomic_load(&transport->cancelled)) {
        failed = curl_multi_perform(transport->multi, &running);
        left_ms = pace_left_ms(&pace, transport->easy, clock_mono_ns(), POLL_MS);
        if (!failed && running && left_ms > 0)
            failed = curl_multi_poll(transport->multi, NULL, 0, left_ms, NULL);
    }
    int code = 0;
    if (failed) {
        code = err_set(err, ERR_NETWORK, 0, "cannot run request: %s", curl_multi_strerror(failed));
    } else if (running && left_ms == 0) {
        *result = CURLE_OPERATION_TIMEDOUT;
    } else if (running) {
        code = err_set(err, ERR_CANCELLED, 0, "request abandoned: the upload stops");
    } else {
        int left = 0;
        CURLMsg *message = curl_multi_info_read(transport->multi, &left);
        *result = message ? message->data.result : CURLE_FAILED_INIT;
    }
    /* Also ends what is in flight, and its connection. */
    (void)curl_multi_remove_handle(transport->multi, transport->easy);
    return code;
}

/* With an authority of our own, libcurl on Schannel says what is wrong by the names of constants
 * and functions (lib/vtls/schannel_verify.c). */
static const char *certificate_fault(const char *why)
{
    static const struct {
        const char *part, *text;
    } faults[] = {
        {"IS_NOT_TIME_VALID", "the server's certificate has expired, or is not valid yet"},
        {"IS_PARTIAL_CHAIN", "the server's certificate is of an authority that is not in ca_file"},
        {"IS_UNTRUSTED_ROOT", "the server's certificate is of an authority that is not in ca_file"},
        {"IS_REVOKED", "the server's certificate was revoked"},
        {"CertGetNameString() failed to match", "the server's certificate is for another host"},
    };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        if (strstr(why, faults[i].part))
            return faults[i].text;
    return why;
}

/* Messages must not vary from try to try, or each would be reported as news: libcurl's own text
 * of a failed connect holds the milliseconds it took. */
static int describe(const struct transport *transport, CURLcode result, const struct sink *sink,
                    const char *url, struct err *err)
{
    int code = ERR_NETWORK;
    const char *why = transport->error[0] ? transport->error : curl_easy_strerror(result);
    if (sink->too_large) {
        code = ERR_LIMIT;
        why = "the answer is larger than 1 MiB";
    } else if (result == CURLE_OPERATION_TIMEDOUT) {
        code = ERR_TIMEOUT;
        why = "no answer in time";
    } else if (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST) {
        why = curl_easy_strerror(result);
    } else if (result == CURLE_PEER_FAILED_VERIFICATION) {
        why = certificate_fault(why);
    } else if (result == CURLE_PARTIAL_FILE) {
        why = "the answer broke off";
    } else if (result == CURLE_WEIRD_SERVER_REPLY) {
        why = "the answer is no HTTP";
    }
    return err_set(err, code, 0, "cannot reach '%s': %s", url, why);
}

static bool header_text(CURL *easy, const char *name, const char **out)
{
    struct curl_header *header;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return false;
    *out = header->value;
    return true;
}

static void take_headers(CURL *easy, struct transport_answer *answer)
{
    const char *text;
    long status = 0;
    curl_off_t retry_after_s = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail */
    answer->status = (int)status;
    /* libcurl reads both forms, seconds and a date. */
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s) == CURLE_OK &&
        retry_after_s > 0)
        answer->retry_after_ms =
            retry_after_s > INT32_MAX ? INT32_MAX * INT64_C(1000) : (int64_t)retry_after_s * 1000;
    if (header_text(easy, WIRE_ACKED, &text))
        answer->has_acked = num_parse_i64(text, 0, INT64_MAX, &answer->acked) == 0;
    if (header_text(easy, WIRE_EPOCH, &text))
        answer->has_epoch = num_parse_i64(text, 0, INT64_MAX, &answer->epoch) == 0;
    if (header_text(easy, WIRE_SUM, &text))
        answer->has_sum = wire_parse_sum(text, &answer->sum);
    if (header_text(easy, WIRE_GENERATION, &text))
        (void)num_parse_i64(text, 0, WIRE_GENERATION_MAX, &answer->gen); /* else 0: none */
}

/* libcurl (7.88) also takes "HTTP/2" with any number behind it, and with none (status 0). */
static bool is_final(CURL *easy)
{
    long status = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail */
    return status >= 200 && status <= 999;
}

/* Whether two urls differ in their path and query alone. */
static bool same_place(const char *one, const char *other)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *x = curl_url(), *y = curl_url();
    bool same = x && y && curl_url_set(x, CURLUPART_URL, one, 0) == CURLUE_OK &&
                curl_url_set(y, CURLUPART_URL, other, 0) == CURLUE_OK;
    for (size_t i = 0; i < ARRAY_LEN(parts) && same; i++) {
        char *a = NULL, *b = NULL;
        same = curl_url_get(x, parts[i], &a, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(y, parts[i], &b, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               strcasecmp(a, b) == 0;
        curl_free(a);
        curl_free(b);
    }
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

/* Where the answer in hand points, if it is to be followed: 307 and 308 keep method and body.
 * Malloced. */
static char *next_place(const struct transport *transport, const char *url, int status)
{
    char *place = NULL;
    if (transport->config->redirect != CONFIG_REDIRECT_SAME_HOST ||
        (status != 307 && status != 308) ||
        curl_easy_getinfo(transport->easy, CURLINFO_REDIRECT_URL, &place) != CURLE_OK || !place ||
        !same_place(url, place))
        return NULL;
    return strdup(place);
}

/* `next`: where the answer points, NULL: nowhere that is followed. */
static int perform_once(struct transport *transport, const struct transport_request *request,
                        struct transport_answer *answer, char **next, struct err *err)
{
    struct curl_slist *headers = NULL;
    struct sink sink = {.request = request, .answer = answer};
    CURLcode result = CURLE_OK;
    struct buf body = answer->body;
    *answer = (struct transport_answer){.body = body};
    buf_reset(&answer->body);
    int code = make_headers(transport, request, &headers, err);
    if (code)
        return code;
    sink.easy = transport->easy = curl_easy_init();
    if (!transport->easy) {
        curl_slist_free_all(headers);
        return err_set(err, ERR_NOMEM, 0, "cannot set up libcurl: out of memory");
    }
    code = set_up(transport, request, headers, &sink, err);
    if (!code)
        code = drive(transport, request->piece != NULL, &result, err);
    if (!code && result == CURLE_OK && !sink.headers_whole)
        result = CURLE_PARTIAL_FILE;
    else if (!code && result == CURLE_OK && !is_final(transport->easy))
        result = CURLE_WEIRD_SERVER_REPLY;
    if (!code && sink.code)
        code = sink.code;
    else if (!code && result != CURLE_OK)
        code = describe(transport, result, &sink, request->url, err);
    if (!code) {
        take_headers(transport->easy, answer);
        *next = next_place(transport, request->url, answer->status);
    }
    curl_easy_cleanup(transport->easy); /* lets go of the caller's memory, token included */
    transport->easy = NULL;
    curl_slist_free_all(headers);
    return code;
}

int transport_perform(struct transport *transport, const struct transport_request *request,
                      struct transport_answer *answer, struct err *err)
{
    struct transport_request step = *request;
    char *url = NULL;
    int code = 0;
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        char *next = NULL;
        code = perform_once(transport, &step, answer, &next, err);
        free(url);
        url = next;
        if (!next)
            break;
        step.url = next;
    }
    free(url);
    return code;
}
