/* ini.c: the configuration's line syntax and nothing of its meaning.
 *
 * By hand because the packaged reader cuts a value at 200 bytes and then names the wrong line.
 * Physical lines are joined into a logical one first, so that every message and every item
 * carries the number of the line where it began. Leaves keys and values to config.c. Any
 * thread. */
#include "ini.h"

#include <stdarg.h>

#include "buf.h"
#include "err.h"

#define INI_NAME_MAX  256 /* bytes of a section's word, a section's name, or a key */
#define INI_QUOTE_MAX 40  /* bytes of the user's text repeated in a message */

struct parser {
    const char *file;
    const char *at; /* the first physical line not read yet */
    const char *end;
    int next_line;
    int line;           /* where the logical line began */
    struct buf logical; /* without its line ends, NUL-terminated */
    struct buf section;
    struct buf name;
    struct buf key;
    struct buf value;
    int (*visit)(void *ctx, const struct ini_item *item, struct err *err);
    void *ctx;
};

static int fault(const struct parser *in, struct err *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

static int fault(const struct parser *in, struct err *err, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(err, ERR_INVALID, 0, "%s:%d: %s", in->file, in->line, n < 0 ? "" : text);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Appends, and tells a text that is too long from memory that ran out. */
static int append(const struct parser *in, struct buf *buf, const char *bytes, size_t len,
                  struct err *err)
{
    if (len > buf->limit - buf->len)
        return fault(in, err, "longer than %zu bytes", buf->limit);
    buf_add(buf, bytes, len);
    if (!buf_ok(buf))
        return err_set(err, ERR_NOMEM, 0, "%s:%d: out of memory", in->file, in->line);
    return 0;
}

/* A control character in a line is either damage or an attempt to play with the terminal that
 * shows the configuration; \n and \t can be written inside double quotes. */
static int check_bytes(const struct parser *in, const char *bytes, size_t len, int line,
                       struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return err_set(err, ERR_INVALID, 0, "%s:%d: control character 0x%02x in column %zu",
                           in->file, line, c, i + 1);
    }
    return 0;
}

static bool is_comment(const char *bytes, size_t len)
{
    size_t i = 0;

    while (i < len && is_blank(bytes[i]))
        i++;
    return i < len && (bytes[i] == '#' || bytes[i] == ';');
}

/* Joins physical lines into in->logical. Comments do not continue: a path ending in a backslash
 * inside one must not swallow the next key. */
static int read_logical(struct parser *in, struct err *err)
{
    bool more = true;

    buf_reset(&in->logical);
    in->line = in->next_line;
    while (more) {
        const char *start = in->at;
        const char *stop = memchr(start, '\n', (size_t)(in->end - start));
        in->at = stop ? stop + 1 : in->end;
        if (!stop)
            stop = in->end;
        if (stop > start && stop[-1] == '\r')
            stop--;
        size_t len = (size_t)(stop - start);
        int rc = check_bytes(in, start, len, in->next_line, err);
        if (rc != 0)
            return rc;
        bool first = in->next_line == in->line;
        more = len > 0 && start[len - 1] == '\\' && !(first && is_comment(start, len));
        in->next_line++;
        rc = append(in, &in->logical, start, len - more, err);
        if (rc != 0)
            return rc;
        if (more && in->at == in->end)
            return fault(in, err, "a backslash at the end of the file joins nothing");
    }
    return 0;
}

/* Reads a quoted text, *at behind the opening quote; leaves *at behind the closing one. */
static int read_quoted(const struct parser *in, const char **at, struct buf *out, struct err *err)
{
    const char *p = *at;

    for (; *p != '"'; p++) {
        char c = *p;
        if (c == '\0')
            return fault(in, err, "a double quote is not closed");
        if (c == '\\') {
            c = *++p;
            if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
            else if (c != '"' && c != '\\')
                return fault(in, err,
                             "only \\\" \\\\ \\n and \\t may follow a backslash in quotes");
        }
        int rc = append(in, out, &c, 1, err);
        if (rc != 0)
            return rc;
    }
    *at = p + 1;
    return 0;
}

static int parse_header(struct parser *in, struct err *err)
{
    const char *at = skip_blanks(in->logical.data) + 1; /* behind the bracket */
    const char *word = at = skip_blanks(at);

    buf_reset(&in->section);
    buf_reset(&in->name);
    while (is_word(*at))
        at++;
    int rc = append(in, &in->section, word, (size_t)(at - word), err);
    if (rc != 0)
        return rc;
    if (at == word)
        return fault(in, err, "a section is written [word] or [word \"name\"]");
    at = skip_blanks(at);
    if (*at == '"') {
        at++;
        rc = read_quoted(in, &at, &in->name, err);
        if (rc != 0)
            return rc;
        at = skip_blanks(at);
    }
    if (*at != ']')
        return fault(in, err, "section '%s': a section is written [word] or [word \"name\"]",
                     in->section.data);
    if (*skip_blanks(at + 1) != '\0')
        return fault(in, err,
                     "section '%s': nothing may follow the bracket; comments stand on "
                     "lines of their own",
                     in->section.data);
    return 0;
}

static int parse_value(struct parser *in, const char *at, struct err *err)
{
    buf_reset(&in->value);
    at = skip_blanks(at);
    if (*at == '"') {
        at++;
        int rc = read_quoted(in, &at, &in->value, err);
        if (rc == 0 && *skip_blanks(at) != '\0')
            rc = fault(in, err, "key '%s': nothing may follow the closing quote", in->key.data);
        return rc == 0 ? append(in, &in->value, "", 0, err) : rc; /* "" must be a text too */
    }
    if (*at == '#' || *at == ';')
        return fault(in, err,
                     "key '%s': the value begins with '%c'; put it in double quotes, or give the "
                     "comment a line of its own",
                     in->key.data, *at);
    size_t len = strlen(at);
    while (len > 0 && is_blank(at[len - 1]))
        len--;
    return append(in, &in->value, at, len, err);
}

static int parse_pair(struct parser *in, struct err *err)
{
    const char *key = skip_blanks(in->logical.data);
    const char *at = key;

    while (is_word(*at))
        at++;
    buf_reset(&in->key);
    int rc = append(in, &in->key, key, (size_t)(at - key), err);
    if (rc != 0)
        return rc;
    const char *equals = skip_blanks(at);
    if (at == key || *equals != '=')
        return fault(in, err, "'%.*s': expected [section], key = value, or a # comment",
                     INI_QUOTE_MAX, key);
    if (in->section.len == 0)
        return fault(in, err, "key '%s': stands before the first [section]", in->key.data);
    return parse_value(in, equals + 1, err);
}

/* One logical line: nothing, a header, or a pair, handed to the visitor. */
static int parse_line(struct parser *in, struct err *err)
{
    char first = *skip_blanks(in->logical.data);
    bool header = first == '[';

    if (first == '\0' || first == '#' || first == ';')
        return 0;
    int rc = header ? parse_header(in, err) : parse_pair(in, err);
    if (rc != 0)
        return rc;
    const struct ini_item item = {
        .section = in->section.data,
        .name = in->name.len > 0 ? in->name.data : "",
        .key = header ? NULL : in->key.data,
        .value = header ? "" : in->value.data,
        .line = in->line,
    };
    return in->visit(in->ctx, &item, err);
}

int ini_parse(const char *file, const char *text, size_t len,
              int (*visit)(void *ctx, const struct ini_item *item, struct err *err), void *ctx,
              struct err *err)
{
    struct parser in = {.file = file, .next_line = 1, .visit = visit, .ctx = ctx};
    int rc = 0;

    in.at = text;
    in.end = text + len;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        in.at += 3; /* the byte order mark that some editors put first */
    buf_init(&in.logical, INI_LINE_MAX);
    buf_init(&in.section, INI_NAME_MAX);
    buf_init(&in.name, INI_NAME_MAX);
    buf_init(&in.key, INI_NAME_MAX);
    buf_init(&in.value, INI_LINE_MAX);
    while (rc == 0 && in.at < in.end) {
        rc = read_logical(&in, err);
        if (rc == 0)
            rc = parse_line(&in, err);
    }
    buf_deinit(&in.logical);
    buf_deinit(&in.section);
    buf_deinit(&in.name);
    buf_deinit(&in.key);
    buf_deinit(&in.value);
    return rc;
}
