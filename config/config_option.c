/* config_option.c: values from text and to text, by the rows of the option table.
 *
 * Each kind has its setter; config_option_set() and config_option_format() are each other's
 * inverse. Messages name the key and the value; config.c puts file and line before them. Any
 * thread. */
#include "config_option.h"

#include "buf.h"
#include "err.h"
#include "num.h"

#define VALUE_QUOTE_MAX 80 /* bytes of a bad value repeated in a message */

/* The value's place in its section. */
static void *field(const struct option *option, void *section)
{
    return (char *)section + option->offset;
}

static const void *const_field(const struct option *option, const void *section)
{
    return (const char *)section + option->offset;
}

static int bad_value(const struct option *option, const char *text, struct err *err,
                     const char *why)
{
    return err_set(err, ERR_INVALID, 0, "%s '%.*s': %s", option->key, VALUE_QUOTE_MAX, text, why);
}

static void format_number(const struct option *option, int64_t value, char out[32])
{
    if (option->kind == KIND_DURATION)
        num_format_duration(value, out);
    else if (option->kind == KIND_BYTES)
        num_format_bytes(value, out);
    else
        (void)snprintf(out, 32, "%lld", (long long)value); /* 20 digits fit */
}

void config_option_format_number(const struct option *option, int64_t value, struct buf *out)
{
    char text[32];

    format_number(option, value, text);
    buf_add_str(out, text);
}

static int set_number(const struct option *option, void *section, const char *text, struct err *err)
{
    int64_t value = 0;
    int rc;
    const char *shape;

    switch (option->kind) {
    case KIND_DURATION:
        shape = "not a duration; write a number and a unit, as 300ms, 5s, 10min, 2h or 7d";
        rc = num_parse_duration(text, &value);
        break;
    case KIND_BYTES:
        shape = "not a size; write a number and a unit, as 64KiB, 8MiB or 100kB";
        rc = num_parse_bytes(text, &value);
        break;
    default:
        shape = "not a whole number";
        rc = num_parse_i64(text, INT64_MIN, INT64_MAX, &value);
    }
    if (rc == ERR_INVALID)
        return bad_value(option, text, err, shape);
    if (rc != 0 || value < option->min || value > option->max) {
        char low[32], high[32], why[96];
        format_number(option, option->min, low);
        format_number(option, option->max, high);
        (void)snprintf(why, sizeof why, "out of range; %s to %s is allowed", low, high);
        return bad_value(option, text, err, why);
    }
    memcpy(field(option, section), &value, sizeof value);
    return 0;
}

static int set_enum(const struct option *option, void *section, const char *text, struct err *err)
{
    char why[96];
    size_t at = 0;
    int64_t value = 0;

    for (; option->choices[value]; value++)
        if (strcmp(option->choices[value], text) == 0) {
            memcpy(field(option, section), &value, sizeof value);
            return 0;
        }
    for (value = 0; option->choices[value] && at < sizeof why; value++)
        at += (size_t)snprintf(why + at, sizeof why - at, "%s%s", value ? ", " : "use one of ",
                               option->choices[value]);
    return bad_value(option, text, err, why);
}

static int set_bool(const struct option *option, void *section, const char *text, struct err *err)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i], text) == 0) {
            *(bool *)field(option, section) = i % 2 == 1;
            return 0;
        }
    return bad_value(option, text, err, "use yes or no");
}

static int set_text(const struct option *option, void *section, const char *base_dir,
                    const char *text, struct err *err)
{
    char **place = field(option, section);
    char *value = NULL;

    if (*text == '\0' && (option->flags & OPTION_REQUIRED))
        return err_set(err, ERR_INVALID, 0, "%s: must not be empty", option->key);
    if (option->kind == KIND_PATH && *text != '\0') {
        int rc = config_resolve_path(base_dir, text, &value, err);
        if (rc != 0)
            return err_prefix(err, "%s '%.*s'", option->key, VALUE_QUOTE_MAX, text);
    } else {
        value = strdup(text);
    }
    if (!value)
        return err_set(err, ERR_NOMEM, 0, "%s: out of memory", option->key);
    free(*place);
    *place = value;
    return 0;
}

static int append_item(const struct option *option, struct config_list *list, const char *bytes,
                       size_t len, struct err *err)
{
    if (list->count == CONFIG_LIST_MAX)
        return err_set(err, ERR_LIMIT, 0, "%s: more than %d values", option->key, CONFIG_LIST_MAX);
    char *item = strndup(bytes, len);
    char **items = item ? realloc(list->items, (list->count + 1) * sizeof *items) : NULL;
    if (!items) {
        free(item);
        return err_set(err, ERR_NOMEM, 0, "%s: out of memory", option->key);
    }
    items[list->count++] = item;
    list->items = items;
    return 0;
}

static int set_list(const struct option *option, void *section, const char *text, struct err *err)
{
    struct config_list *list = field(option, section);
    int rc = 0;

    if (strchr(text, '\n'))
        return err_set(err, ERR_INVALID, 0, "%s: a value must not hold a line end", option->key);
    if (!(option->flags & OPTION_SPLIT))
        return *text ? append_item(option, list, text, strlen(text), err) : 0;
    while (rc == 0 && *(text += strspn(text, " \t,")) != '\0') {
        size_t len = strcspn(text, " \t,");
        rc = append_item(option, list, text, len, err);
        text += len;
    }
    return rc;
}

int config_option_set(const struct option *option, void *section, const char *base_dir,
                      const char *text, struct err *err)
{
    bool forever = option->forever_offset && strcmp(text, "forever") == 0;

    switch (option->kind) {
    case KIND_STRING:
    case KIND_PATH:
        return set_text(option, section, base_dir, text, err);
    case KIND_LIST:
        return set_list(option, section, text, err);
    case KIND_ENUM:
        return set_enum(option, section, text, err);
    case KIND_BOOL:
        return set_bool(option, section, text, err);
    case KIND_DURATION:
    case KIND_BYTES:
    case KIND_INTEGER:
        break;
    }
    int rc = forever ? 0 : set_number(option, section, text, err);
    if (rc == 0 && option->forever_offset)
        *(bool *)((char *)section + option->forever_offset) = forever;
    return rc;
}

void config_option_format(const struct option *option, const void *section, size_t item,
                          struct buf *out)
{
    const void *value = const_field(option, section);

    if (option->forever_offset &&
        *((const bool *)((const char *)section + option->forever_offset))) {
        buf_add_str(out, "forever");
        return;
    }
    switch (option->kind) {
    case KIND_STRING:
    case KIND_PATH:
        buf_add_str(out, *(char *const *)value);
        return;
    case KIND_LIST:
        buf_add_str(out, ((const struct config_list *)value)->items[item]);
        return;
    case KIND_ENUM:
        buf_add_str(out, option->choices[*(const int64_t *)value]);
        return;
    case KIND_BOOL:
        buf_add_str(out, *(const bool *)value ? "yes" : "no");
        return;
    case KIND_DURATION:
    case KIND_BYTES:
    case KIND_INTEGER:
        break;
    }
    config_option_format_number(option, *(const int64_t *)value, out);
}

size_t config_option_items(const struct option *option, const void *section)
{
    if (option->kind != KIND_LIST)
        return 1;
    return ((const struct config_list *)const_field(option, section))->count;
}

void config_option_clear(const struct option *option, void *section)
{
    if (option->kind == KIND_STRING || option->kind == KIND_PATH) {
        char **place = field(option, section);
        free(*place);
        *place = NULL;
    } else if (option->kind == KIND_LIST) {
        struct config_list *list = field(option, section);
        for (size_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
        *list = (struct config_list){0};
    }
}
