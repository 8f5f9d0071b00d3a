/* cli_main.c: the table of commands, and the way from argv to one of them. Main thread. */
#include "cli.h"

#include "buf.h"
#include "cli_options.h"
#include "console.h"
#include "err.h"

#define USAGE_TEXT_MAX (64 << 10)

static int run_help(const struct cli *cli);

/* Options are letters of the table in cli_options.c; --config and --help go with all. */
static const struct cli_command commands[] = {
    {"run", "", "", "watch in the foreground",
     "Watches the configured folders until Ctrl-C or SIGTERM. The log goes to stderr, or to\n"
     "log_file. SIGHUP does what 'spoor reload' does. One daemon runs in a state directory at a\n"
     "time.",
     cli_run},
    {"start", "", "", "watch in the background",
     "Starts the daemon in the background and returns when it runs, or says why it does not.\n"
     "The log goes to log_file, or to spoor.log in the state directory.",
     cli_start},
    {"stop", "", "t", "stop the daemon",
     "Asks the daemon to stop and waits until it has (10s, or --timeout; then exit code 4).\n"
     "That none runs is no failure.",
     cli_stop},
    {"reload", "", "t", "read the configuration again",
     "Checks the configuration, has the daemon read it and returns when it is in force (60s, or\n"
     "--timeout; then exit code 4). A faulty one is refused and the old one stays. Another\n"
     "state_dir takes a stop and a start.",
     cli_reload},
    {"status", "", "Fj", "what is watched, journaled, delivered",
     "Asks the daemon, if one runs, and reads the journals: back-end, entries, last sequence\n"
     "number, what each upload has acknowledged, what is pending and since when, errors, gaps.\n"
     "With --json a record a line: \"record\" is daemon, folder, upload or reader.",
     cli_status},
    {"log", "[PATH]", "Fj0NfrSUn", "the changes, newest last",
     "Prints the journal's rows, all of them or those at or below PATH. --follow goes on as rows\n"
     "come and shows acknowledgements. -0 goes with --names.",
     cli_log},
    {"show", "SEQ", "Fj", "one change in full", "Prints every field of the row SEQ.", cli_show},
    {"tree", "[PATH]", "Fj0a", "the folder as the journal knows it",
     "Prints the tree, or what is at or below PATH: mode, size, mtime, path. --at shows it as it\n"
     "was after a row, as long as all rows are kept (retention = forever).",
     cli_tree},
    {"pending", "", "Fjn", "the changes not yet acknowledged",
     "Prints the rows that at least one upload has not acknowledged, and which.", cli_pending},
    {"sync", "", "Fjut", "wait until all is journaled",
     "Returns when everything that happened before the call is in the journal; with --uploaded\n"
     "when the servers have acknowledged it too. Without --timeout it waits as long as it takes;\n"
     "a time-out is exit code 4 and says what is missing.",
     cli_sync},
    {"verify", "", "Fjs", "compare the journal with disk or server",
     "Compares the journal's tree with the disk, or with --server the server's tree with the\n"
     "journal's at what it has acknowledged. Prints each difference; exit code 3 when there are "
     "any.",
     cli_verify},
    {"folder", "adopt [NAME]", "Fy", "take another directory for the folder",
     "When the directory at a folder's path is another one than the one that is journaled (a\n"
     "restored backup, a new disk), nothing is journaled or deleted. This shows both and how they\n"
     "differ; with --yes the one that is there now becomes the folder.",
     cli_folder},
    {"hold", "list|release [UPLOAD]", "Fj", "what the mass-delete brake keeps back",
     "list     what is not sent because it would delete too much at a server (brake_count,\n"
     "         brake_percent and brake_window in the configuration)\n"
     "release  lets it go: all that is journaled by now is sent; of one upload, or of all",
     cli_hold},
    {"quarantine", "list|show|retry|drop [SEQ]", "Fj", "rows that a log refused",
     "list   the rows that a server refused for good and that were set aside, with its answer\n"
     "show   one of them as it was sent\n"
     "retry  sends it once more (all: each of them), drop forgets it\n"
     "A replica can do without no row: there delivery stops, and retry tries again.",
     cli_quarantine},
    {"resync", "[UPLOAD]", "F", "send a replica its tree whole",
     "Sends the tree as it is, beside what the server holds, which changes over when all of it "
     "has\n"
     "arrived. It happens by itself when a server has lost rows; this asks for it.",
     cli_resync},
    {"consumer", "add|list|read|ack|remove [NAME] [SEQ]", "FjfA",
     "readers of the journal beside uploads",
     "add NAME      a new reader, which is to get every row there is and those to come; they are\n"
     "              kept for it until it has acknowledged them (consumer_expiry)\n"
     "list          who reads, uploads too: acknowledged, pending, last heard of\n"
     "read NAME     the rows it has not acknowledged, one JSON object a line, as of log --json;\n"
     "              with --ack they are acknowledged once they are written, with --follow it\n"
     "              goes on as rows come. What is lost is told by a line of kind gap.\n"
     "ack NAME SEQ  acknowledges the rows up to SEQ, for who reads without --ack\n"
     "remove NAME   forgets the reader",
     cli_consumer},
    {"config", "check|show|paths|example", "j", "look at the configuration",
     "check    says whether the configuration is good, else what is wrong and where (exit 78)\n"
     "show     every key with its value and where that comes from\n"
     "paths    where configuration is looked for, which is used, and where the state lies\n"
     "example  a commented example with every key and its default",
     cli_config},
    {"collect", "", "ldT", "serve as a sync server",
     "Runs the reference server in the foreground until Ctrl-C or SIGTERM: accepts batches\n"
     "exactly once and keeps rows and mirrored trees in --store. Without --token-file it listens\n"
     "on loopback only.",
     cli_collect},
    {"service", "install|uninstall|start|stop|run|unit", "tw",
     "run by the system, from its start on",
     "On Windows, as administrator:\n"
     "install    a service that Windows starts, and starts again after a failure. Without "
     "--config\n"
     "           it gets %PROGRAMDATA%\\Spoor\\spoor.conf. It runs as LocalSystem, with no\n"
     "           privileges; or as --account, as \"NT SERVICE\\Spoor\", once that may read the "
     "folders\n"
     "uninstall  stops it and removes it; journals and configuration stay\n"
     "start      starts it and waits until it runs (60s, or --timeout; then exit code 4)\n"
     "stop       stops it and waits until it has (30s, or --timeout)\n"
     "run        is what Windows calls\n"
     "On Linux:\n"
     "unit       prints a unit file for systemd, with the configuration of --config, or\n"
     "           /etc/spoor/spoor.conf",
     cli_service},
    {"version", "", "j", "the version", "Prints the version of spoor and of its libraries.",
     cli_version},
    {"help", "[COMMAND]", "", "this text, or a command's", "Prints how to use a command.",
     run_help},
};

static const struct cli_commands all_commands = {commands, ARRAY_LEN(commands)};

static int print_usage(const struct cli_command *command)
{
    struct buf text;

    buf_init(&text, USAGE_TEXT_MAX);
    if (command)
        cli_command_usage(command, &text);
    else
        cli_usage(&all_commands, &text);
    int code = cli_write(&text);
    buf_deinit(&text);
    return code;
}

static int run_help(const struct cli *cli)
{
    const struct cli_command *command = NULL;
    struct err err = {0};

    if (cli->arg_count > 0) {
        command = cli_find_command(&all_commands, cli->args[0]);
        if (!command) {
            (void)cli_unknown_command(&all_commands, cli->args[0], &err); /* said, not returned */
            (void)cli_fail(&err);                                         /* as usage */
            return EXIT_USAGE;
        }
    }
    return print_usage(command);
}

int cli_main(int argc, char **argv)
{
    struct cli_parsed parsed;
    struct err err = {0};
    int code = EXIT_USAGE;

    if (!console_open(&argc, &argv))
        return EXIT_FAILED; /* and nowhere to say so */
    int rc = cli_parse(&all_commands, argc, argv, &parsed, &err);
    if (rc != 0) {
        code = cli_fail(&err);
        if (rc == ERR_INVALID)
            code = EXIT_USAGE;
    } else if (parsed.help) {
        code = print_usage(parsed.command);
    } else if (parsed.command) {
        code = parsed.command->run(&parsed.cli);
    } else if (parsed.version) {
        code = cli_version(&parsed.cli);
    } else {
        cli_say("spoor: no command; 'spoor help' lists them");
    }
    cli_parse_free(&parsed);
    return code;
}
