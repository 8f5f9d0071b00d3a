/* cli_config.c: `spoor config check | show | paths | example`. Reads, never writes: the file is
 * edited by people. Main thread. */
#include "cli.h"

#include "buf.h"
#include "config.h"
#include "control.h"
#include "err.h"
#include "journal.h"
#include "json.h"
#include "text.h"

#define CONFIG_TEXT_MAX (64 << 20)

static int check(const struct cli *cli, struct buf *out)
{
    struct err err = {0};
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);

    if (!config)
        return code;
    struct buf notes;
    buf_init(&notes, CONFIG_FILE_MAX);
    if (config_check_paths(config, &notes, &err) != 0) {
        (void)cli_fail(&err); /* the code is that of the configuration */
        code = EXIT_CONFIG;
    } else if (cli->json) {
        json_begin(out);
        json_bytes(out, "file", "file_b64", config->file, strlen(config->file));
        json_bool(out, "ok", true);
        json_end(out);
        buf_add_char(out, '\n');
    } else {
        buf_addf(out, "%s: ok\n", config->file);
    }
    cli_say_lines(&notes);
    buf_deinit(&notes);
    config_free(config);
    return code;
}

static int show(const struct cli *cli, struct buf *out)
{
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);

    if (!config)
        return code;
    config_show(config, cli->json, out);
    config_free(config);
    return EXIT_OK;
}

static void add_path(const struct cli *cli, struct buf *out, const char *record, const char *name,
                     const char *path)
{
    if (!cli->json) {
        buf_addf(out, "%-10s", record);
        text_add_escaped(out, path, strlen(path));
        buf_addf(out, "%s%s\n", *name ? "  " : "", name);
        return;
    }
    json_begin(out);
    json_cstr(out, "record", record);
    if (*name)
        json_cstr(out, strcmp(record, "journal") == 0 ? "folder" : "note", name);
    json_bytes(out, "path", "path_b64", path, strlen(path));
    json_end(out);
    buf_add_char(out, '\n');
}

/* Each place that is searched, marked when it is the one in use. */
static void add_searched(const struct cli *cli, struct buf *out, const char *used)
{
    struct buf paths;

    buf_init(&paths, CONFIG_FILE_MAX);
    config_search_paths(&paths);
    char *at = paths.data;
    while (at && *at) {
        char *end = strchrnul(at, '\n');
        char *next = *end ? end + 1 : end;
        *end = '\0';
        const char *note = access(at, F_OK) != 0           ? "absent"
                           : used && strcmp(used, at) == 0 ? "used"
                                                           : "not used";
        add_path(cli, out, "searched", note, at);
        at = next;
    }
    out->failed |= paths.failed;
    buf_deinit(&paths);
}

static int paths(const struct cli *cli, struct buf *out)
{
    struct buf path;
    char *found = NULL;
    int code = EXIT_OK;

    buf_init(&path, CONFIG_FILE_MAX);
    if (cli->config_file) {
        add_path(cli, out, "given", "used", cli->config_file);
    } else {
        (void)config_find(&found, NULL); /* absent: cli_load_config() below says so */
        add_searched(cli, out, found);
    }
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        goto out; /* what was searched is printed all the same */
    add_path(cli, out, "state", "", config->daemon.state_dir);
    buf_addf(&path, "%s/" CONTROL_SOCKET, config->daemon.state_dir);
    add_path(cli, out, "control", "", path.data);
    for (size_t i = 0; i < config->folder_count; i++) {
        buf_reset(&path);
        cli_folder_dir(config, &config->folders[i], &path);
        buf_addf(&path, "/" JOURNAL_FILE);
        out->failed |= !buf_ok(&path);
        add_path(cli, out, "journal", config->folders[i].name, path.data ? path.data : "");
    }
out:
    free(found);
    buf_deinit(&path);
    config_free(config);
    return code;
}

int cli_config(const struct cli *cli)
{
    const char *what = cli->args[0];
    struct buf out;
    int code = EXIT_OK;

    buf_init(&out, CONFIG_TEXT_MAX);
    if (strcmp(what, "check") == 0) {
        code = check(cli, &out);
    } else if (strcmp(what, "show") == 0) {
        code = show(cli, &out);
    } else if (strcmp(what, "paths") == 0) {
        code = paths(cli, &out);
    } else if (strcmp(what, "example") == 0) {
        config_example(&out);
    } else {
        cli_say("spoor: config does not know '%s'; it knows check, show, paths and example", what);
        code = EXIT_USAGE;
    }
    int written = out.len > 0 || out.failed ? cli_write(&out) : EXIT_OK;
    buf_deinit(&out);
    return code != EXIT_OK ? code : written;
}
