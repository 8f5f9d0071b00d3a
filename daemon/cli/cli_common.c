/* cli_common.c: what the commands share: the configuration, the folder meant, a reader, and
 * the way to stdout and stderr. Everything a person reads passes the terminal escape here or
 * where it is put together. Main thread. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "err.h"
#include "json.h"
#include "output.h"
#include "reader.h"
#include "text.h"

#define CHECK_WAIT_NS  (5 * CLOCK_NS_PER_S) /* for the daemon to say that it will */
#define SAY_MAX        2048                 /* bytes of a message before escaping */
#define PATH_MAX_BYTES (64 << 10)

void cli_say(const char *format, ...)
{
    char text[SAY_MAX];
    struct buf line;
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    buf_init(&line, 8 * SAY_MAX);
    text_add_escaped(&line, text, strlen(text));
    buf_add_char(&line, '\n');
    if (buf_ok(&line))
        (void)output_write(STDERR_FILENO, line.data, line.len); /* nobody else could be told */
    buf_deinit(&line);
}

void cli_say_lines(const struct buf *lines)
{
    for (size_t at = 0; at < lines->len;) {
        size_t len = strcspn(lines->data + at, "\n");
        cli_say("spoor: %.*s", (int)len, lines->data + at);
        at += len + 1;
    }
}

int cli_fail(const struct err *err)
{
    cli_say("spoor: %s", err->text[0] ? err->text : err_code_name(err->code));
    return err->code == ERR_TIMEOUT ? EXIT_TIMEOUT : EXIT_FAILED;
}

int cli_write(struct buf *buf)
{
    if (!buf_ok(buf)) {
        cli_say("spoor: no memory for the output");
        return EXIT_FAILED;
    }
    int os = output_write(STDOUT_FILENO, buf->data, buf->len);
    if (os == 0)
        return EXIT_OK;
    if (os != EPIPE) /* `spoor log | head`: the reader has what it wants */
        cli_say("spoor: cannot write to standard output: %s", strerror(os));
    return EXIT_FAILED;
}

bool cli_is_terminal(void)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0 &&
           !(no_color && *no_color);
}

struct config *cli_load_config(const struct cli *cli, int *code)
{
    struct config *config = NULL;
    struct err err = {0};
    char *found = NULL;
    int rc = cli->config_file ? 0 : config_find(&found, &err);

    if (rc == 0)
        rc = config_load(cli->config_file ? cli->config_file : found, &config, &err);
    if (rc != 0) {
        (void)cli_fail(&err); /* here every fault is one of the configuration */
        *code = EXIT_CONFIG;
    }
    free(found);
    return rc == 0 ? config : NULL;
}

/* "docs, music and 3 more". */
static void add_names(struct buf *out, const struct config *config)
{
    size_t shown = config->folder_count < 8 ? config->folder_count : 8;

    for (size_t i = 0; i < shown; i++)
        buf_addf(out, "%s%s", i ? ", " : "", config->folders[i].name);
    if (shown < config->folder_count)
        buf_addf(out, " and %zu more", config->folder_count - shown);
}

static const char *nearest_folder(const struct config *config, const char *name)
{
    const char *names[CONFIG_FOLDERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < config->folder_count && count < ARRAY_LEN(names); i++)
        names[count++] = config->folders[i].name;
    return strlen(name) <= CONFIG_NAME_MAX ? text_nearest(name, names, count) : NULL;
}

const struct config_folder *cli_pick_folder(const struct cli *cli, const struct config *config,
                                            int *code)
{
    struct buf names;

    if (!cli->folder && config->folder_count == 1)
        return &config->folders[0];
    const struct config_folder *folder =
        cli->folder ? config_find_folder(config, cli->folder) : NULL;
    if (folder)
        return folder;
    buf_init(&names, SAY_MAX);
    add_names(&names, config);
    const char *list = names.data && buf_ok(&names) ? names.data : "none";
    const char *nearest = cli->folder ? nearest_folder(config, cli->folder) : NULL;
    if (!cli->folder)
        cli_say("spoor: several folders are configured (%s); say which by --folder NAME", list);
    else if (nearest)
        cli_say("spoor: no folder is called '%s'; did you mean '%s'?", cli->folder, nearest);
    else
        cli_say("spoor: no folder is called '%s'; there are: %s", cli->folder, list);
    buf_deinit(&names);
    *code = EXIT_USAGE;
    return NULL;
}

void cli_folder_dir(const struct config *config, const struct config_folder *folder,
                    struct buf *out)
{
    buf_addf(out, "%s/%s", config->daemon.state_dir, folder->name);
}

int cli_fail_reading(const struct config *config, const struct config_folder *folder,
                     const struct err *err)
{
    struct buf request, answer;
    struct err quiet = {0};
    int code = cli_fail(err);

    if (err->code != ERR_CORRUPT)
        return code;
    buf_init(&request, CONTROL_REQUEST_MAX);
    buf_init(&answer, CONTROL_LINE_MAX);
    json_begin(&request);
    json_cstr(&request, "do", "check");
    json_cstr(&request, "folder", folder->name);
    json_end(&request);
    /* Without a daemon nobody can mend it; whoever reads next meets it again. */
    if (buf_ok(&request) && control_call(config->daemon.state_dir, request.data,
                                         clock_mono_ns() + CHECK_WAIT_NS, &answer, &quiet) == 0)
        cli_say("spoor: the daemon checks the journal of folder '%s' now, and begins a new one "
                "should it be damaged",
                folder->name);
    buf_deinit(&request);
    buf_deinit(&answer);
    return code;
}

struct reader *cli_open_reader(const struct config *config, const struct config_folder *folder,
                               int *code)
{
    struct reader *reader = NULL;
    struct err err = {0};
    struct buf dir;
    int rc;

    buf_init(&dir, PATH_MAX_BYTES);
    cli_folder_dir(config, folder, &dir);
    if (buf_ok(&dir))
        rc = reader_open(dir.data, &reader, &err);
    else
        rc = err_set(&err, ERR_LIMIT, 0, "folder '%s': the path of its journal is too long",
                     folder->name);
    if (rc == ERR_NOTFOUND) {
        cli_say("spoor: folder '%s' has no journal yet; 'spoor start' begins one", folder->name);
        *code = EXIT_FAILED;
    } else if (rc != 0) {
        *code = cli_fail_reading(config, folder, &err);
    }
    buf_deinit(&dir);
    return rc == 0 ? reader : NULL;
}
