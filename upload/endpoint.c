/* endpoint.c: see endpoint.h. The parsing is libcurl's own, so that what is allowed and what is
 * connected to cannot differ. */
#include "endpoint.h"

#include <curl/curl.h>

#include "config.h"
#include "err.h"
#include "num.h"

#define PORT_MAX   65535
#define PROXY_PORT 1080 /* CURLOPT_PROXY(3): where a proxy names none; for https:// it is 443 */

bool endpoint_is_loopback(const char *url)
{
    char *host = NULL;
    CURLU *parts = curl_url();
    bool loopback = false;
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        loopback = strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
                   strncmp(host, "127.", 4) == 0;
    curl_free(host);
    curl_url_cleanup(parts);
    return loopback;
}

static int read_port(const char *url, bool proxy, uint16_t *out, struct err *err)
{
    char *port = NULL;
    char *scheme = NULL;
    int64_t number = 0;
    int code = 0;
    CURLU *parts = curl_url();
    if (!parts)
        return err_set(err, ERR_NOMEM, 0, "cannot read a url: out of memory");
    /* A proxy may be of a scheme that this libcurl has no protocol for (socks5), or of none. */
    unsigned flags = proxy ? CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME : 0;
    if (curl_url_set(parts, CURLUPART_URL, url, flags) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK) {
        code = err_set(err, ERR_INVALID, 0, "%s: not a url", proxy ? "the proxy's address" : url);
    } else if (curl_url_get(parts, CURLUPART_PORT, &port, proxy ? 0 : CURLU_DEFAULT_PORT) ==
               CURLUE_OK) {
        if (num_parse_i64(port, 1, PORT_MAX, &number) != 0)
            code = err_set(err, ERR_INVALID, 0, "port '%.20s': not a port", port);
    } else {
        number = proxy && strcmp(scheme, "https") != 0 ? PROXY_PORT : 443;
    }
    if (code == 0)
        *out = (uint16_t)number;
    curl_free(port);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return code;
}

int endpoint_ports(const struct config_upload *config, uint16_t out[ENDPOINT_PORTS_MAX],
                   struct err *err)
{
    /* http_proxy in capitals is not read: a CGI program's client could set it. */
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    bool tls = strncmp(config->url, "https:", 6) == 0;
    const char *const *names = tls ? https : http;
    size_t names_count = tls ? ARRAY_LEN(https) : ARRAY_LEN(http);
    int count = 0;
    if (config->unix_socket && *config->unix_socket)
        return 0;
    int code = read_port(config->url, false, &out[count], err);
    if (code)
        return code;
    count++;
    if (config->proxy && *config->proxy) {
        code = read_port(config->proxy, true, &out[count], err);
        return code ? err_prefix(err, "proxy") : count + 1;
    }
    if (endpoint_is_loopback(config->url))
        return count;
    for (size_t i = 0; i < names_count; i++) {
        const char *proxy = getenv(names[i]);
        if (!proxy || !*proxy)
            continue;
        code = read_port(proxy, true, &out[count], err);
        return code ? err_prefix(err, "%s", names[i]) : count + 1; /* the first one counts */
    }
    return count;
}
