/* cli.h: the command line: one function a command, and what they share. Data goes to stdout,
 * talk to stderr. Main thread. */
#ifndef SPOOR_CLI_H
#define SPOOR_CLI_H

struct buf;
struct config;
struct config_folder;
struct config_upload;
struct err;
struct reader;

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DIFFERS = 3,
    EXIT_TIMEOUT = 4,
    EXIT_CONFIG = 78,
};

/* The options of all commands, parsed by cli_options.c from one table; a command gets those that
 * its own entry allows, anything else is EXIT_USAGE with the nearest option named. */
struct cli {
    const char *config_file;                 /* --config, or NULL: searched */
    const char *folder;                      /* --folder */
    bool json;                               /* --json */
    bool null_ends;                          /* -0 */
    bool names;                              /* --names */
    bool follow, reverse, uploaded, server;  /* --follow --reverse --uploaded --server */
    bool yes;                                /* --yes */
    bool ack;                                /* --ack */
    const char *since, *until, *at;          /* seq or time, as given */
    int64_t count;                           /* -n, -1 not given */
    int64_t timeout_ns;                      /* --timeout, -1 not given */
    const char *listen, *store, *token_file; /* collect */
    const char *account;                     /* service install */
    const char **args;                       /* what remains: SEQ, PATH, check|show|paths ... */
    int arg_count;
};

struct cli_command {
    const char *name;
    const char *args;    /* "[PATH]" for the usage line */
    const char *options; /* letters of the option table it takes */
    const char *summary;
    const char *help; /* paragraphs for `spoor help COMMAND` / `spoor COMMAND --help` */
    int (*run)(const struct cli *cli);
};

int cli_run(const struct cli *cli);
int cli_start(const struct cli *cli);
int cli_stop(const struct cli *cli);
int cli_reload(const struct cli *cli);
int cli_status(const struct cli *cli);
int cli_sync(const struct cli *cli);
int cli_config(const struct cli *cli);
int cli_collect(const struct cli *cli);
int cli_version(const struct cli *cli);
int cli_log(const struct cli *cli);
int cli_show(const struct cli *cli);
int cli_tree(const struct cli *cli);
int cli_pending(const struct cli *cli);
int cli_verify(const struct cli *cli);
int cli_folder(const struct cli *cli);
int cli_hold(const struct cli *cli);
int cli_quarantine(const struct cli *cli);
int cli_resync(const struct cli *cli);
int cli_consumer(const struct cli *cli);
int cli_service(const struct cli *cli);

/* The whole command line: what main() calls. */
int cli_main(int argc, char **argv);

/* Shared by the commands (cli_common.c). Each prints its error to stderr and returns an exit code
 * in *code when it fails. */
struct config *cli_load_config(const struct cli *cli, int *code);
/* The one folder meant: --folder, or the only one; else an error that names them. */
const struct config_folder *cli_pick_folder(const struct cli *cli, const struct config *config,
                                            int *code);
/* state_dir/<folder>, appended NUL-terminated. */
void cli_folder_dir(const struct config *config, const struct config_folder *folder,
                    struct buf *out);
struct reader *cli_open_reader(const struct config *config, const struct config_folder *folder,
                               int *code);
/* Prints "spoor: text" to stderr, terminal-safe, and gives the exit code for err->code. */
int cli_fail(const struct err *err);
/* The same for a failure of reading a folder's journal: damage is told to the daemon, if one runs,
 * which moves the file aside and begins anew. */
int cli_fail_reading(const struct config *config, const struct config_folder *folder,
                     const struct err *err);
void cli_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* Each newline-terminated line of the buffer, after "spoor: ". */
void cli_say_lines(const struct buf *lines);
/* Writes the buffer to stdout; EXIT_FAILED when stdout fails (a closed pipe is quiet). */
int cli_write(struct buf *buf);
/* Colour and live lines: stdout is a terminal, TERM is not dumb, NO_COLOR is unset. */
bool cli_is_terminal(void);

#endif
