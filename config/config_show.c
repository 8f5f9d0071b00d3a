/* config_show.c: the configuration as text: what is in force, and the commented example.
 *
 * Both are printed from the option table. What config_show() prints as text is itself a
 * configuration that reads back to the same values. Leaves files and terminals to the command
 * line. Any thread. */
#include "config_option.h"

#include "buf.h"
#include "json.h"

#define EXAMPLE_WIDTH 92 /* columns of a comment line */

/* Appends `value` as ini.c reads it: in double quotes where it would not survive bare. */
static void add_value(struct buf *out, const char *value, size_t len)
{
    bool quote = len > 0 && (value[0] == ' ' || value[0] == '\t' || value[len - 1] == ' ' ||
                             value[len - 1] == '\t' || value[len - 1] == '\\' ||
                             strchr("\"#;", value[0]) || memchr(value, '\n', len));

    if (!quote) {
        buf_add(out, value, len);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        char c = value[i];
        if (c == '"' || c == '\\' || c == '\n' || c == '\t')
            buf_add_char(out, '\\');
        buf_add_char(out, c == '\n' ? 'n' : c == '\t' ? 't' : c);
    }
    buf_add_char(out, '"');
}

/* What show_value() needs to know of the section it is in. */
struct shown {
    const struct config *config;
    enum option_scope scope;
    size_t index;
    bool json;
    struct buf *out;
};

static void show_value(const struct shown *in, const struct option *option, const char *value,
                       size_t len, int line)
{
    const char *name = config_section_name(in->config, in->scope, in->index);
    char place[16] = "";

    if (line)
        (void)snprintf(place, sizeof place, ":%d", line); /* an int fits */
    if (!in->json) {
        buf_addf(in->out, "# %s%s\n%s =", line ? in->config->file : "default", place, option->key);
        if (len > 0)
            buf_add_char(in->out, ' ');
        add_value(in->out, value, len);
        buf_add_char(in->out, '\n');
        return;
    }
    json_begin(in->out);
    json_cstr(in->out, "section", config_scope_name(in->scope));
    json_cstr(in->out, "name", name);
    json_cstr(in->out, "key", option->key);
    json_bytes(in->out, "value", "value_b64", value, len);
    json_key(in->out, "origin");
    struct buf origin;
    buf_init(&origin, CONFIG_FILE_MAX);
    buf_addf(&origin, "%s%s", line ? in->config->file : "default", place);
    if (!buf_ok(&origin))
        in->out->failed = true;
    else
        json_item_str(in->out, origin.data, origin.len);
    buf_deinit(&origin);
    json_end(in->out);
    buf_add_char(in->out, '\n');
}

static void show_section(const struct shown *in)
{
    const void *section = config_section(in->config, in->scope, in->index);
    struct buf value;

    buf_init(&value, CONFIG_FILE_MAX);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        if (option->scope != in->scope)
            continue;
        size_t items = config_option_items(option, section);
        const struct origin *origin = config_origin_next(in->config, option, in->index, NULL);
        if (items == 0)
            show_value(in, option, "", 0, 0);
        for (size_t item = 0; item < items; item++) {
            buf_reset(&value);
            config_option_format(option, section, item, &value);
            if (!buf_ok(&value))
                in->out->failed = true;
            show_value(in, option, value.len ? value.data : "", value.len,
                       origin ? origin->line : 0);
            if (origin)
                origin = config_origin_next(in->config, option, in->index, origin + 1);
        }
    }
    buf_deinit(&value);
}

void config_show(const struct config *config, bool json, struct buf *out)
{
    struct shown in = {.config = config, .json = json, .out = out};

    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        in.scope = (enum option_scope)scope;
        for (in.index = 0; in.index < config_section_count(config, in.scope); in.index++) {
            const char *name = config_section_name(config, in.scope, in.index);
            if (!json)
                buf_addf(out, "%s[%s%s%s%s]\n", out->len ? "\n" : "", config_scope_name(in.scope),
                         *name ? " \"" : "", name, *name ? "\"" : "");
            show_section(&in);
        }
    }
}

/* "# " lines of at most EXAMPLE_WIDTH columns, broken at blanks. */
static void add_comment(struct buf *out, const char *text)
{
    while (*text) {
        size_t len = strlen(text);
        if (len > EXAMPLE_WIDTH - 2) {
            len = EXAMPLE_WIDTH - 2;
            while (text[len] != ' ')
                len--;
        }
        buf_add_str(out, "# ");
        buf_add(out, text, len);
        buf_add_char(out, '\n');
        text += len;
        text += *text == ' ';
    }
}

static void add_limits(struct buf *out, const struct option *option)
{
    struct buf line;

    buf_init(&line, CONFIG_FILE_MAX);
    if (option->kind == KIND_ENUM) {
        for (size_t i = 0; option->choices[i]; i++)
            buf_addf(&line, "%s%s", i ? ", " : "Allowed: ", option->choices[i]);
        buf_add_char(&line, '.');
    } else if (option->min != option->max) {
        buf_add_str(&line, "Allowed: ");
        config_option_format_number(option, option->min, &line);
        buf_add_str(&line, " to ");
        config_option_format_number(option, option->max, &line);
        buf_add_char(&line, '.');
    } else if (option->kind == KIND_BOOL) {
        buf_add_str(&line, "Allowed: yes, no.");
    }
    if (buf_ok(&line) && line.len > 0)
        add_comment(out, line.data);
    out->failed |= !buf_ok(&line);
    buf_deinit(&line);
}

static void add_option(struct buf *out, const struct option *option)
{
    const char *value = option->example        ? option->example
                        : option->default_text ? option->default_text
                                               : "";

    buf_add_char(out, '\n');
    add_comment(out, option->help);
    add_limits(out, option);
    buf_addf(out, "%s%s =%s%s\n", option->flags & OPTION_REQUIRED ? "" : "# ", option->key,
             *value ? " " : "", value);
}

void config_example(struct buf *out)
{
    static const char *const headers[SCOPE_COUNT] = {"[daemon]", "[folder \"documents\"]",
                                                     "[upload \"main\"]"};
    static const char *const intros[SCOPE_COUNT] = {
        "The daemon as a whole.",
        "A folder to watch. One section each; its name stands for it in commands, in the journal "
        "and on the server. Letters, digits and . _ - make a name.",
        "A server that the journal is delivered to. One section each; none at all is allowed: the "
        "journal is then only kept.",
    };

    buf_add_str(out, "# Configuration of spoor. Every key is here; one that is commented out shows "
                     "its default.\n#\n");
    add_comment(out,
                "Durations carry a unit (ms s min h d), sizes too (KiB MiB GiB, kB MB GB). "
                "Comments stand on lines of their own. A backslash at the end of a line joins "
                "the next one to it. A value may stand in double quotes, with \\\" \\\\ \\n \\t "
                "inside, to keep blanks at its ends or a # at its beginning.");
    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        buf_add_char(out, '\n');
        add_comment(out, intros[scope]);
        buf_addf(out, "%s\n", headers[scope]);
        for (size_t i = 0; i < config_option_count; i++)
            if ((int)config_options[i].scope == scope)
                add_option(out, &config_options[i]);
    }
}
