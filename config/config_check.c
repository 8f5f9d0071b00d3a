/* config_check.c: what the text alone can tell once all of it is read.
 *
 * Required keys, keys that must fit each other, names of folders, urls. The url check is strict
 * where laxness would leak something: libcurl resolves more spellings of an address than are
 * taken for loopback here, so only the plain ones count. A url that holds a password is never
 * repeated in a message. Leaves the disk to config_paths_linux.c. Any thread. */
#include <stdarg.h>
#include <strings.h>

#include "config_option.h"
#include "err.h"
#include "hours.h"
#include "num.h"
#include "text.h"

#define URL_MAX  2048
#define HOST_MAX 253 /* RFC 1035 section 2.3.4, as text */

static int fault(const struct config *config, enum option_scope scope, size_t index,
                 const char *key, struct err *err, const char *format, ...) PRINTF_LIKE(6, 7);

static int fault(const struct config *config, enum option_scope scope, size_t index,
                 const char *key, struct err *err, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(err, ERR_INVALID, 0, "%s:%d: %s '%s': %s", config->file,
                   config_line_of(config, scope, index, key), config_scope_name(scope),
                   config_section_name(config, scope, index), n < 0 ? "" : text);
}

static int check_required(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        size_t count = config_section_count(config, option->scope);
        if (!(option->flags & OPTION_REQUIRED))
            continue;
        for (size_t at = 0; at < count; at++)
            if (!config_origin_next(config, option, at, NULL))
                return fault(config, option->scope, at, option->key, err, "'%s' is missing",
                             option->key);
    }
    return 0;
}

/* The parts of a url that are looked at. */
struct url {
    bool plain; /* http */
    char host[HOST_MAX + 1];
    const char *rest; /* behind host and port: path, query, fragment */
};

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || (unsigned char)c >= 0x80;
}

static const char *split_host(const char *authority, size_t len, struct url *out)
{
    bool bracket = *authority == '[';
    size_t host_len = 0;
    char port[8];
    int64_t number;

    if (bracket) {
        host_len = strspn(authority + 1, "0123456789abcdefABCDEF:.") + 2;
        if (host_len > len || authority[host_len - 1] != ']')
            return "the address in brackets is none";
    } else {
        while (host_len < len && is_host_byte(authority[host_len]))
            host_len++;
    }
    if (host_len == 0)
        return "it names no host";
    if (host_len > HOST_MAX)
        return "the host name is too long";
    if (host_len < len) {
        size_t port_len = len - host_len - 1;
        if (authority[host_len] != ':' || port_len >= sizeof port)
            return "what follows the host is no port";
        memcpy(port, authority + host_len + 1, port_len);
        port[port_len] = '\0';
        if (num_parse_i64(port, 1, 65535, &number) != 0)
            return "the port is not a number from 1 to 65535";
    }
    memcpy(out->host, authority, host_len);
    out->host[host_len] = '\0';
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *split_url(const char *text, struct url *out)
{
    if (strlen(text) > URL_MAX)
        return "it is longer than 2048 bytes";
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f || *c == '\\' || *c == '"')
            return "blanks, quotes, backslashes and control characters must be percent-encoded";
    out->plain = strncasecmp(text, "http://", 7) == 0;
    if (!out->plain && strncasecmp(text, "https://", 8) != 0)
        return "it must begin with https:// or http://";
    const char *authority = text + (out->plain ? 7 : 8);
    size_t len = strcspn(authority, "/?#");
    if (memchr(authority, '@', len))
        return "it must not hold a user or a password; put a token into a file and name it with "
               "token_file";
    if (strchr(authority, '#'))
        return "it must not have a fragment (#)";
    out->rest = authority + len;
    return split_host(authority, len, out);
}

/* 127.0.0.0/8 in four decimal numbers without leading zeros, which some read as octal. */
static bool is_loopback_v4(const char *host)
{
    for (int part = 0; part < 4; part++) {
        size_t len = strspn(host, "0123456789");
        int value = 0;
        if (len == 0 || len > 3 || (len > 1 && *host == '0'))
            return false;
        for (size_t i = 0; i < len; i++)
            value = value * 10 + (host[i] - '0');
        if (value > 255 || (part == 0 && value != 127))
            return false;
        host += len;
        if (*host != (part < 3 ? '.' : '\0'))
            return false;
        host += part < 3;
    }
    return true;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || is_loopback_v4(host);
}

/* NULL, or what is wrong with what stands in braces. */
static const char *check_braces(const struct config_upload *upload)
{
    static const char *const names[] = {"{journal}", "{epoch}", "{first}", "{last}"};
    for (const char *at = strpbrk(upload->url, "{}"); at; at = strpbrk(at, "{}")) {
        size_t len = 0;
        if (upload->format == CONFIG_FORMAT_SPOOR)
            return "with format = spoor it is the base of the urls and has no braces";
        for (size_t i = 0; i < ARRAY_LEN(names) && !len; i++)
            if (strncmp(at, names[i], strlen(names[i])) == 0)
                len = strlen(names[i]);
        if (!len)
            return "in braces can stand {journal}, {epoch}, {first} and {last}; others must be "
                   "percent-encoded";
        at += len;
    }
    return NULL;
}

static int check_url(const struct config *config, size_t index, struct err *err)
{
    const struct config_upload *upload = &config->uploads[index];
    struct url url;
    const char *why = split_url(upload->url, &url);

    if (!why)
        why = check_braces(upload);
    if (why)
        return fault(config, SCOPE_UPLOAD, index, "url", err, "url: %s", why);
    if (upload->format == CONFIG_FORMAT_SPOOR && strchr(url.rest, '?'))
        return fault(config, SCOPE_UPLOAD, index, "url", err,
                     "url: with format = spoor it is the base of the urls and has no query (?)");
    if (url.plain && !upload->allow_http && !is_loopback(url.host))
        return fault(config, SCOPE_UPLOAD, index, "url", err,
                     "url: plain http to '%.64s' is readable on the way; use https, or set "
                     "allow_http = yes",
                     url.host);
    return 0;
}

static int check_kinds(const struct config *config, size_t index, struct err *err)
{
    static const char *const names[] = {"create",   "modify", "attrib", "move",
                                        "exchange", "delete", "gap"};
    const struct config_upload *upload = &config->uploads[index];

    for (size_t i = 0; i < upload->kinds.count; i++) {
        const char *kind = upload->kinds.items[i];
        bool known = false;
        for (size_t n = 0; n < ARRAY_LEN(names) && !known; n++)
            known = strcmp(kind, names[n]) == 0;
        if (!known) {
            const char *nearest = text_nearest(kind, names, ARRAY_LEN(names));
            return fault(config, SCOPE_UPLOAD, index, "kinds", err,
                         "kinds: there is no kind '%.64s'%s%s%s", kind,
                         nearest ? "; did you mean '" : "", nearest ? nearest : "",
                         nearest ? "'?" : "");
        }
    }
    if (upload->kinds.count > 0 && upload->format == CONFIG_FORMAT_SPOOR)
        return fault(config, SCOPE_UPLOAD, index, "kinds", err,
                     "kinds: a replica (format = spoor) needs every row; leave kinds out, or set "
                     "format = ndjson or cloudevents");
    return 0;
}

/* NULL, or what does not go together; *key is where to look. */
static const char *check_credentials(const struct config_upload *upload, const char **key)
{
    *key = "user";
    if (!*upload->user != !*upload->password_file)
        return "user and password_file go together";
    if (strchr(upload->user, ':'))
        return "user: it must not hold a colon";
    if (*upload->user && *upload->token_file)
        return "user and token_file exclude each other";
    *key = "proxy_user";
    if (!*upload->proxy_user != !*upload->proxy_password_file)
        return "proxy_user and proxy_password_file go together";
    if (strchr(upload->proxy_user, ':'))
        return "proxy_user: it must not hold a colon";
    *key = "proxy";
    if (strchr(upload->proxy, '@'))
        return "proxy: it must not hold a user or a password; see proxy_user and "
               "proxy_password_file";
    *key = "active_hours";
    struct hours hours;
    if (!hours_parse(upload->active_hours, &hours))
        return "active_hours: it is no span as 22:00-06:00";
    *key = "pinned_key";
    if (*upload->pinned_key && strncmp(upload->pinned_key, "sha256//", 8) != 0)
        return "pinned_key: it must begin with sha256//";
    return NULL;
}

static int check_upload(const struct config *config, size_t index, struct err *err)
{
    const struct config_upload *upload = &config->uploads[index];
    const char *names[CONFIG_FOLDERS_MAX];
    const struct origin *origin = NULL;

    for (size_t i = 0; i < config->folder_count; i++)
        names[i] = config->folders[i].name;
    for (size_t i = 0; i < upload->folders.count; i++) {
        const char *name = upload->folders.items[i];
        origin = config_origin_next(config, config_option_find(SCOPE_UPLOAD, "folders"), index,
                                    origin ? origin + 1 : NULL);
        if (config_find_folder(config, name))
            continue;
        const char *nearest = text_nearest(name, names, config->folder_count);
        return err_set(
            err, ERR_INVALID, 0, "%s:%d: upload '%s': there is no [folder \"%.64s\"]%s%s%s",
            config->file, origin ? origin->line : (int)upload->line, upload->name, name,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    if (upload->retry_min_ns > upload->retry_max_ns)
        return fault(config, SCOPE_UPLOAD, index, "retry_min", err,
                     "retry_min is longer than retry_max");
    if (*upload->client_key && !*upload->client_cert)
        return fault(config, SCOPE_UPLOAD, index, "client_key", err,
                     "client_key needs client_cert beside it");
    const char *key;
    const char *why = check_credentials(upload, &key);
    if (why)
        return fault(config, SCOPE_UPLOAD, index, key, err, "%s", why);
    int rc = check_kinds(config, index, err);
    return rc ? rc : check_url(config, index, err);
}

int config_check_text(const struct config *config, struct err *err)
{
    int rc = check_required(config, err);

    if (rc != 0)
        return rc;
    if (config->folder_count == 0)
        return err_set(err, ERR_INVALID, 0,
                       "%s: no folder to watch; add a section [folder \"NAME\"] with path = ...",
                       config->file);
    for (size_t i = 0; i < config->folder_count; i++)
        if (config->folders[i].settle_ns > config->folders[i].max_delay_ns)
            return fault(config, SCOPE_FOLDER, i, "settle", err, "settle is longer than max_delay");
    for (size_t i = 0; rc == 0 && i < config->upload_count; i++)
        rc = check_upload(config, i, err);
    return rc;
}
