/* cli_options.c: the one table of options, its parser and the usage texts.
 *
 * By hand and not by getopt_long(3): a command takes only the options that its own entry names,
 * and what is misspelt is answered with the nearest of those. Leaves running to cli_main.c. */
#include "cli_options.h"

#include "buf.h"
#include "err.h"
#include "num.h"
#include "text.h"

#define OPTIONS_MAX    32 /* bits of the set of those seen */
#define EVERY_COMMAND  "ch"
#define WORD_MAX       128 /* bytes of a misspelt word that are compared and shown */
#define USAGE_COLUMN   38
#define NOT_IN_COMMAND SIZE_MAX

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_COUNT, OPTION_DURATION };

struct cli_option {
    char letter; /* names it in cli_command.options, and is its short form */
    enum option_kind kind;
    const char *name;
    const char *value; /* word for the usage */
    size_t offset;     /* of its field in struct cli; NOT_IN_COMMAND: help and version */
    const char *help;
};

#define FIELD(name) offsetof(struct cli, name)

static const struct cli_option options[] = {
    {'c', OPTION_TEXT, "config", "FILE", FIELD(config_file), "the configuration to use"},
    {'F', OPTION_TEXT, "folder", "NAME", FIELD(folder), "the folder meant, by its section's name"},
    {'j', OPTION_FLAG, "json", NULL, FIELD(json), "print one JSON object a line"},
    {'0', OPTION_FLAG, "null", NULL, FIELD(null_ends), "print names only, each ended by a NUL"},
    {'N', OPTION_FLAG, "names", NULL, FIELD(names), "print names only"},
    {'f', OPTION_FLAG, "follow", NULL, FIELD(follow), "go on with new rows as they come"},
    {'r', OPTION_FLAG, "reverse", NULL, FIELD(reverse), "newest first"},
    {'S', OPTION_TEXT, "since", "WHEN", FIELD(since),
     "from this row or moment on: a seq, 2026-11-23T08:15, or 10min ago as 10min"},
    {'U', OPTION_TEXT, "until", "WHEN", FIELD(until), "up to this row or moment"},
    {'n', OPTION_COUNT, "count", "N", FIELD(count), "at most so many"},
    {'a', OPTION_TEXT, "at", "SEQ", FIELD(at), "as it was after this row"},
    {'u', OPTION_FLAG, "uploaded", NULL, FIELD(uploaded), "wait until servers acknowledged it too"},
    {'t', OPTION_DURATION, "timeout", "TIME", FIELD(timeout_ns),
     "wait no longer than this, as 30s or 5min"},
    {'s', OPTION_FLAG, "server", NULL, FIELD(server), "compare with the server instead"},
    {'y', OPTION_FLAG, "yes", NULL, FIELD(yes), "do it, do not only show it"},
    {'A', OPTION_FLAG, "ack", NULL, FIELD(ack), "acknowledge what was printed"},
    {'l', OPTION_TEXT, "listen", "ADDRESS:PORT", FIELD(listen),
     "where to listen; port 0 takes a free one"},
    {'d', OPTION_TEXT, "store", "DIR", FIELD(store), "where to keep what is received"},
    {'T', OPTION_TEXT, "token-file", "FILE", FIELD(token_file),
     "the bearer token that requests must carry"},
    {'w', OPTION_TEXT, "account", "NAME", FIELD(account),
     "who runs the service: LocalSystem, or one that has no password"},
    {'h', OPTION_FLAG, "help", NULL, NOT_IN_COMMAND, "this text"},
    {'V', OPTION_FLAG, "version", NULL, NOT_IN_COMMAND, "the version"},
};

_Static_assert(ARRAY_LEN(options) <= OPTIONS_MAX, "the set of options seen is too small");

struct parser {
    const struct cli_commands *commands;
    int argc;
    char **argv;
    int at; /* the argument in hand */
    uint32_t seen;
    struct cli_parsed *out;
};

/* ---- finding ---- */

static bool takes(const struct cli_command *command, const struct cli_option *option)
{
    if (!command)
        return true; /* not known yet; asked again at the end */
    return strchr(EVERY_COMMAND, option->letter) || strchr(command->options, option->letter);
}

const struct cli_command *cli_find_command(const struct cli_commands *commands, const char *name)
{
    for (size_t i = 0; i < commands->count; i++)
        if (strcmp(commands->items[i].name, name) == 0)
            return &commands->items[i];
    return NULL;
}

int cli_unknown_command(const struct cli_commands *commands, const char *name, struct err *err)
{
    const char *names[64];
    size_t count = 0;

    for (size_t i = 0; i < commands->count && count < ARRAY_LEN(names); i++)
        names[count++] = commands->items[i].name;
    const char *nearest = strlen(name) < WORD_MAX ? text_nearest(name, names, count) : NULL;
    if (nearest)
        return err_set(err, ERR_INVALID, 0, "unknown command '%s'; did you mean '%s'?", name,
                       nearest);
    return err_set(err, ERR_INVALID, 0, "unknown command '%.*s'; 'spoor help' lists them", WORD_MAX,
                   name);
}

static const struct cli_option *find_long(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return &options[i];
    return NULL;
}

static const struct cli_option *find_short(char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

/* What was wanted where `command` has no such option: "; did you mean --x?", or where to look. */
static int refuse_option(const struct cli_command *command, const char *shown, const char *word,
                         struct err *err)
{
    const char *names[ARRAY_LEN(options)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (takes(command, &options[i]))
            names[count++] = options[i].name;
    const char *nearest = word ? text_nearest(word, names, count) : NULL;
    const char *blank = command ? " " : "";
    const char *name = command ? command->name : "";
    if (nearest)
        return err_set(err, ERR_INVALID, 0, "%s%sdoes not know the option %s; did you mean --%s?",
                       name, blank, shown, nearest);
    return err_set(err, ERR_INVALID, 0,
                   "%s%sdoes not know the option %s; 'spoor help%s%s' lists them", name, blank,
                   shown, blank, name);
}

/* ---- values ---- */

static int set_value(struct parser *parser, const struct cli_option *option, const char *value,
                     struct err *err)
{
    char *field = (char *)&parser->out->cli + option->offset;
    int64_t number = 0;

    parser->seen |= UINT32_C(1) << (option - options);
    if (option->offset == NOT_IN_COMMAND) {
        parser->out->help |= option->letter == 'h';
        parser->out->version |= option->letter == 'V';
        return 0;
    }
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_TEXT:
        if (*value == '\0')
            return err_set(err, ERR_INVALID, 0, "--%s: its value is empty", option->name);
        *(const char **)field = value;
        return 0;
    case OPTION_COUNT:
        if (num_parse_i64(value, 0, INT64_MAX, &number) != 0)
            return err_set(err, ERR_INVALID, 0, "--%s '%s': not a number from 0 on", option->name,
                           value);
        *(int64_t *)field = number;
        return 0;
    case OPTION_DURATION:
        if (num_parse_duration(value, &number) != 0)
            return err_set(err, ERR_INVALID, 0,
                           "--%s '%s': not a duration; write it as 300ms, 30s or 5min",
                           option->name, value);
        *(int64_t *)field = number;
        return 0;
    }
    return 0;
}

/* `inlined` is what stood after "=" or the letter, or NULL: then the next argument is the value. */
static int take_option(struct parser *parser, const struct cli_option *option, const char *inlined,
                       struct err *err)
{
    if (option->kind == OPTION_FLAG) {
        if (inlined)
            return err_set(err, ERR_INVALID, 0, "--%s takes no value", option->name);
        return set_value(parser, option, NULL, err);
    }
    if (!inlined && parser->at + 1 >= parser->argc)
        return err_set(err, ERR_INVALID, 0, "--%s needs a value: --%s %s", option->name,
                       option->name, option->value);
    return set_value(parser, option, inlined ? inlined : parser->argv[++parser->at], err);
}

static int parse_long(struct parser *parser, const char *arg, struct err *err)
{
    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    const struct cli_option *option = find_long(name, len);
    char word[WORD_MAX];

    if (option)
        return take_option(parser, option, name[len] == '=' ? name + len + 1 : NULL, err);
    (void)snprintf(word, sizeof word, "--%.*s", (int)(len < WORD_MAX ? len : WORD_MAX), name);
    return refuse_option(parser->out->command, word, word + 2, err);
}

static int parse_short(struct parser *parser, const char *arg, struct err *err)
{
    for (const char *at = arg + 1; *at; at++) {
        const struct cli_option *option = find_short(*at);
        char word[3] = {'-', *at, '\0'};
        if (!option)
            return refuse_option(parser->out->command, word, NULL, err);
        if (option->kind != OPTION_FLAG)
            return take_option(parser, option, at[1] ? at + 1 : NULL, err);
        int rc = take_option(parser, option, NULL, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int parse_word(struct parser *parser, const char *arg, struct err *err)
{
    struct cli *cli = &parser->out->cli;

    if (parser->out->command) {
        cli->args[cli->arg_count++] = arg;
        return 0;
    }
    parser->out->command = cli_find_command(parser->commands, arg);
    return parser->out->command ? 0 : cli_unknown_command(parser->commands, arg, err);
}

/* ---- what belongs together ---- */

/* How many arguments the usage line asks for and allows: a word each, in brackets if optional. */
static void count_args(const char *args, int *least, int *most)
{
    *least = 0;
    *most = 0;
    for (const char *at = args; *at; at += strspn(at, " ")) {
        *least += *at != '[';
        *most += 1;
        at += strcspn(at, " ");
    }
}

static int check_command(const struct parser *parser, struct err *err)
{
    const struct cli_command *command = parser->out->command;
    const struct cli *cli = &parser->out->cli;
    int least, most;

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char word[WORD_MAX];
        if (!(parser->seen & UINT32_C(1) << i) || takes(command, &options[i]))
            continue;
        (void)snprintf(word, sizeof word, "--%s", options[i].name); /* a word of the table: fits */
        return refuse_option(command, word, options[i].name, err);
    }
    count_args(command->args, &least, &most);
    if (cli->arg_count > most)
        return err_set(err, ERR_INVALID, 0, "%s: '%s' is one argument too many; usage: spoor %s %s",
                       command->name, cli->args[most], command->name, command->args);
    if (cli->arg_count < least)
        return err_set(err, ERR_INVALID, 0, "%s: an argument is missing; usage: spoor %s %s",
                       command->name, command->name, command->args);
    return 0;
}

int cli_parse(const struct cli_commands *commands, int argc, char **argv, struct cli_parsed *out,
              struct err *err)
{
    struct parser parser = {.commands = commands, .argc = argc, .argv = argv, .out = out};
    bool words_only = false;
    int rc = 0;

    *out = (struct cli_parsed){.cli = {.count = -1, .timeout_ns = -1}};
    out->cli.args = calloc((size_t)argc + 1, sizeof *out->cli.args);
    if (!out->cli.args)
        return err_set(err, ERR_NOMEM, 0, "no memory for the command line");
    for (parser.at = 1; rc == 0 && parser.at < argc; parser.at++) {
        const char *arg = argv[parser.at];
        if (words_only || arg[0] != '-' || arg[1] == '\0')
            rc = parse_word(&parser, arg, err);
        else if (strcmp(arg, "--") == 0)
            words_only = true;
        else if (arg[1] == '-')
            rc = parse_long(&parser, arg, err);
        else
            rc = parse_short(&parser, arg, err);
    }
    if (rc == 0 && out->command && !out->help)
        rc = check_command(&parser, err);
    return rc;
}

void cli_parse_free(struct cli_parsed *parsed)
{
    free(parsed->cli.args);
    parsed->cli.args = NULL;
}

/* ---- usage ---- */

static void add_padded(struct buf *out, size_t begin, const char *text)
{
    size_t have = out->len - begin;

    if (have + 1 >= USAGE_COLUMN) {
        buf_add_char(out, '\n');
        have = 0;
    }
    for (; have < USAGE_COLUMN; have++)
        buf_add_char(out, ' ');
    buf_add_str(out, text);
    buf_add_char(out, '\n');
}

static void add_option_usage(struct buf *out, const struct cli_option *option)
{
    size_t begin = out->len;

    buf_addf(out, "  -%c, --%s", option->letter, option->name);
    if (option->value)
        buf_addf(out, " %s", option->value);
    add_padded(out, begin, option->help);
}

void cli_usage(const struct cli_commands *commands, struct buf *out)
{
    buf_add_str(out, "spoor watches folders, journals every change and delivers the journal.\n\n"
                     "usage: spoor COMMAND [OPTIONS] [ARGUMENTS]\n\n");
    for (size_t i = 0; i < commands->count; i++) {
        const struct cli_command *command = &commands->items[i];
        size_t begin = out->len;
        buf_addf(out, "  %s%s%s", command->name, *command->args ? " " : "", command->args);
        add_padded(out, begin, command->summary);
    }
    buf_add_str(out, "\n'spoor help COMMAND' has more on each. With every command:\n");
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strchr(EVERY_COMMAND, options[i].letter))
            add_option_usage(out, &options[i]);
    buf_add_str(out, "\nExit codes: 0 done, 1 failed, 2 usage, 3 differs (verify), 4 timed out,\n"
                     "78 configuration.\n");
}

void cli_command_usage(const struct cli_command *command, struct buf *out)
{
    buf_addf(out, "usage: spoor %s [OPTIONS]%s%s\n\n%s\n\noptions:\n", command->name,
             *command->args ? " " : "", command->args, command->help);
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (takes(command, &options[i]))
            add_option_usage(out, &options[i]);
}
