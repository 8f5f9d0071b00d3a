/* collect.c: the collector as a whole: its socket, its token, its thread.
 *
 * libmicrohttpd runs one thread that polls (epoll where the system has it), reads requests
 * and calls back; exchange.c answers them and collect_store.c keeps the mirrors. With one
 * thread a batch is applied while others wait, which is the order SQLite would impose. */
#include "collect.h"

#include <errno.h>
#include <microhttpd.h>

#include "buf.h"
#include "collect_address.h"
#include "collect_store.h"
#include "err.h"
#include "exchange.h"
#include "osfile.h"

#define COLLECT_CONNECTIONS_MAX 256
#define COLLECT_IDLE_S          60 /* a silent connection is closed */
#define COLLECT_TOKEN_MAX       8192

struct collect {
    struct MHD_Daemon *http;
    struct exchange_shared shared;
    struct buf token;
    int port;
};

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **slot)
{
    struct collect *collect = ctx;
    struct exchange *exchange = *slot;
    (void)version; /* 1.0 and 1.1 are answered alike */
    if (!exchange) {
        *slot = exchange_new(&collect->shared, connection, url, method);
        return *slot ? MHD_YES : MHD_NO;
    }
    if (*len > 0) {
        bool taken = exchange_take(exchange, bytes, *len);
        *len = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    return exchange_answer(exchange);
}

/* Called for every request, answered or broken off. */
static void on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)connection;
    (void)why;
    exchange_free(*slot);
    *slot = NULL;
}

static int start_http(struct collect *collect, const struct collect_options *options,
                      const struct collect_address *address, struct err *err)
{
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | (address->ipv6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    collect->http = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, collect, MHD_OPTION_SOCK_ADDR,
        (const struct sockaddr *)&address->socket, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        collect, MHD_OPTION_CONNECTION_LIMIT, (unsigned)COLLECT_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)COLLECT_IDLE_S, MHD_OPTION_END);
    if (!collect->http)
        return err_os(err, errno ? errno : EIO, "cannot listen on '%s'", options->listen);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(collect->http, MHD_DAEMON_INFO_BIND_PORT);
    collect->port = info ? info->port : 0;
    return 0;
}

int collect_open(const struct collect_options *options, struct collect **out, struct err *err)
{
    struct collect_address address;
    int code = collect_address_parse(options->listen, &address, err);
    if (code)
        return code;
    if (!options->token_file && !address.loopback)
        return err_set(err, ERR_DENIED, 0,
                       "cannot listen on '%s': beyond this machine a token file is needed",
                       options->listen);
    struct collect *collect = calloc(1, sizeof *collect);
    if (!collect)
        return err_set(err, ERR_NOMEM, 0, "cannot set up collector: out of memory");
    buf_init(&collect->token, COLLECT_TOKEN_MAX);
    if (options->token_file) {
        code = osfile_read_secret(options->token_file, COLLECT_TOKEN_MAX, &collect->token, err);
        if (!code && (!buf_ok(&collect->token) || collect->token.len == 0))
            code =
                err_set(err, ERR_INVALID, 0, "token file '%s': it is empty", options->token_file);
        if (code)
            goto out;
        collect->shared.token = collect->token.data;
    }
    code = collect_store_open(options->store, &collect->shared.store, err);
    if (!code)
        code = start_http(collect, options, &address, err);

out:
    if (code)
        collect_close(collect);
    else
        *out = collect;
    return code;
}

int collect_port(const struct collect *collect)
{
    return collect->port;
}

void collect_close(struct collect *collect)
{
    if (!collect)
        return;
    if (collect->http)
        MHD_stop_daemon(collect->http); /* joins its thread, completes what is open */
    collect_store_close(collect->shared.store);
    buf_deinit(&collect->token);
    free(collect);
}
