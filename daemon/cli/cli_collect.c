/* cli_collect.c: `spoor collect` in the foreground, and `spoor version`. The server's own thread
 * serves; this one waits for a signal. */
#include "cli.h"

#include <curl/curl.h>
#include <microhttpd.h>
#include <sqlite3.h>
#include <zlib.h>

#include "buf.h"
#include "collect.h"
#include "console.h"
#include "err.h"
#include "json.h"

#define VERSION_TEXT_MAX 4096

static int check_usage(const struct cli *cli)
{
    if (cli->listen && cli->store)
        return EXIT_OK;
    cli_say("spoor: collect needs --%s; usage: spoor collect --listen 127.0.0.1:8420 --store DIR",
            cli->listen ? "store" : "listen");
    return EXIT_USAGE;
}

/* "127.0.0.1" of "127.0.0.1:0", "[::1]" of "[::1]:0": the port is the one really taken. */
static int host_len(const char *listen)
{
    const char *colon = strrchr(listen, ':');

    return (int)(colon ? colon - listen : (ptrdiff_t)strlen(listen));
}

int cli_collect(const struct cli *cli)
{
    struct collect_options options = {
        .listen = cli->listen, .store = cli->store, .token_file = cli->token_file};
    struct collect *collect = NULL;
    struct err err = {0};
    int code = check_usage(cli);

    if (code != EXIT_OK)
        return code;
    if (console_listen(&err) != 0 || collect_open(&options, &collect, &err) != 0)
        return cli_fail(&err);
    cli_say("listening on %.*s:%d", host_len(cli->listen), cli->listen, collect_port(collect));
    console_wait_stop();
    collect_close(collect);
    cli_say("stopped");
    return EXIT_OK;
}

/* The libraries' own words for what was linked; the one use of them outside their rooms. */
int cli_version(const struct cli *cli)
{
    const struct {
        const char *name;
        const char *version;
    } parts[] = {
        {"spoor", SPOOR_VERSION},
        {"sqlite", sqlite3_libversion()},
        {"curl", curl_version_info(CURLVERSION_NOW)->version},
        {"zlib", zlibVersion()},
        {"libmicrohttpd", MHD_get_version()},
    };
    struct buf out;

    buf_init(&out, VERSION_TEXT_MAX);
    if (cli->json)
        json_begin(&out);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (cli->json)
            json_cstr(&out, i == 0 ? "version" : parts[i].name, parts[i].version);
        else
            buf_addf(&out, "%s %s\n", parts[i].name, parts[i].version);
    }
    if (cli->json) {
        json_end(&out);
        buf_add_char(&out, '\n');
    }
    int code = cli_write(&out);
    buf_deinit(&out);
    return code;
}
