/* cli_options.h: from argv to a command and its options, and the usage texts, all from two tables:
 * the options (cli_options.c) and the commands (cli_main.c). Main thread. */
#ifndef SPOOR_CLI_OPTIONS_H
#define SPOOR_CLI_OPTIONS_H

#include "cli.h"

struct buf;
struct err;

struct cli_commands {
    const struct cli_command *items;
    size_t count;
};

struct cli_parsed {
    struct cli cli;
    const struct cli_command *command; /* NULL: none was named */
    bool help;                         /* --help: show the command's text instead of running it */
    bool version;                      /* --version */
};

/* Understands a whole command line: options before or after the command, `--name value`,
 * `--name=value`, `-n5`, `-n 5`, grouped flags, `--` to end them. *out keeps pointers into argv;
 * cli_parse_free() frees the rest, after a failure too. ERR_INVALID: the text names the nearest
 * known word. */
int cli_parse(const struct cli_commands *commands, int argc, char **argv, struct cli_parsed *out,
              struct err *err);
void cli_parse_free(struct cli_parsed *parsed);

const struct cli_command *cli_find_command(const struct cli_commands *commands, const char *name);
/* ERR_INVALID with "unknown command 'x'; did you mean 'y'?". */
int cli_unknown_command(const struct cli_commands *commands, const char *name, struct err *err);

/* The text of `spoor help`, resp. of `spoor help COMMAND`. */
void cli_usage(const struct cli_commands *commands, struct buf *out);
void cli_command_usage(const struct cli_command *command, struct buf *out);

#endif
