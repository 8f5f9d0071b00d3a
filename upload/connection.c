/* connection.c: see connection.h. An option that libcurl does not know would be a fault of the
 * build, so the results are or-ed and asked once. */
#include "connection.h"

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "osfile.h"

static bool is_set(const char *text)
{
    return text && *text;
}

/* Of a secret no copy of ours stays behind. */
static void forget(struct buf *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->cap);
    buf_deinit(secret);
}

int connection_add_token(const struct config_upload *config, struct curl_slist **headers,
                         struct err *err)
{
    struct buf line;
    if (!is_set(config->token_file))
        return 0;
    buf_init(&line, CONNECTION_SECRET_MAX + 64);
    buf_add_str(&line, "Authorization: Bearer ");
    size_t start = line.len;
    int code = osfile_read_secret(config->token_file, CONNECTION_SECRET_MAX, &line, err);
    if (code)
        goto out;
    bool bad = !buf_ok(&line) || line.len == start;
    for (size_t i = start; i < line.len; i++)
        bad = bad || line.data[i] <= ' ' || line.data[i] == 0x7f;
    if (bad) {
        code = err_set(err, ERR_INVALID, 0,
                       "token file '%s': it must hold one token of printable ASCII",
                       config->token_file);
        goto out;
    }
    struct curl_slist *grown = curl_slist_append(*headers, line.data);
    if (grown)
        *headers = grown;
    else
        code = err_set(err, ERR_NOMEM, 0, "cannot form request: out of memory");

out:
    forget(&line);
    return code;
}

static int set_text(CURL *easy, CURLoption option, const char *text)
{
    return is_set(text) ? (int)curl_easy_setopt(easy, option, text) : 0;
}

static int set_password(CURL *easy, CURLoption option, const char *file, struct err *err)
{
    struct buf password;
    buf_init(&password, CONNECTION_SECRET_MAX + 1);
    int code = osfile_read_secret(file, CONNECTION_SECRET_MAX, &password, err);
    buf_add(&password, "", 1);
    if (!code && (!buf_ok(&password) || strlen(password.data) + 1 != password.len))
        code = err_set(err, ERR_INVALID, 0, "password file '%s': it must hold one line", file);
    if (!code && curl_easy_setopt(easy, option, password.data))
        code = err_set(err, ERR_NOMEM, 0, "cannot form request: out of memory");
    forget(&password);
    return code;
}

static long ns_to_ms(int64_t ns)
{
    int64_t ms = ns / CLOCK_NS_PER_MS;
    return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

/* NOSIGNAL: resolving must not use SIGALRM beside other threads. PROTOCOLS, FOLLOWLOCATION, NETRC:
 * neither a url nor an answer leads to a file, to another server, or to a password that was meant
 * for others. A limit on the speed ends what stalls; one on the time would end what is long. HTTP/2
 * over TLS is the default of a libcurl that has it; one that has not refuses to be told. */
static int set_options(CURL *easy, const struct config_upload *config, bool loopback)
{
    int bad = 0;
    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    bad |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    /* Schannel alone asks whether a certificate was revoked, and would refuse all those that name
     * no place to ask (an authority of one's own) or one that does not answer. */
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_OPTIONS, (long)CURLSSLOPT_REVOKE_BEST_EFFORT);
    bad |= curl_easy_setopt(easy, CURLOPT_PROXY_SSL_OPTIONS, (long)CURLSSLOPT_REVOKE_BEST_EFFORT);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ns_to_ms(config->connect_timeout_ns));
    if (config->bandwidth > 0)
        bad |= curl_easy_setopt(easy, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)config->bandwidth);
    if (loopback || is_set(config->unix_socket))
        bad |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    bad |= set_text(easy, CURLOPT_PROXY, config->proxy);
    bad |= set_text(easy, CURLOPT_NOPROXY, config->no_proxy);
    bad |= set_text(easy, CURLOPT_UNIX_SOCKET_PATH, config->unix_socket);
    bad |= set_text(easy, CURLOPT_CAINFO, config->ca_file);
    bad |= set_text(easy, CURLOPT_PROXY_CAINFO, config->ca_file);
    bad |= set_text(easy, CURLOPT_PINNEDPUBLICKEY, config->pinned_key);
    bad |= set_text(easy, CURLOPT_SSLCERT, config->client_cert);
    bad |= set_text(easy, CURLOPT_SSLKEY, config->client_key);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name that does not resolve would otherwise hold up the end of a request until its
     * resolver thread is through (getaddrinfo cannot be cancelled). */
    bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    return bad;
}

int connection_set_up(CURL *easy, const struct config_upload *config, bool loopback,
                      struct err *err)
{
    int code = 0;
    int bad = set_options(easy, config, loopback);
    if (is_set(config->user)) {
        /* Basic, whatever the server would rather have: only over what it travels decides. */
        bad |= curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        bad |= curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
        code = set_password(easy, CURLOPT_PASSWORD, config->password_file, err);
    }
    if (!code && is_set(config->proxy_user)) {
        bad |= curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, config->proxy_user);
        code = set_password(easy, CURLOPT_PROXYPASSWORD, config->proxy_password_file, err);
    }
    if (!code && bad)
        code = err_set(err, ERR_INVALID, 0,
                       "cannot set up the connection: libcurl refuses an "
                       "option of upload '%s'",
                       config->name);
    return code;
}
