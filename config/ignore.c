/* ignore.c: gitignore patterns (gitignore(5)), as git itself decides them.
 *
 * The matcher keeps two places to come back to instead of recursing: the last star that stays
 * within a path component and the last one that crosses slashes. Forgetting the older ones loses
 * nothing, since whatever an older star could take, the newer one can take as well; and a
 * hostile pattern costs |pattern| x |path|^2 steps, not 2^n. What git does in the corners
 * that the manual leaves open is held by test_ignore.c, which asks git. Any thread. */
#include "ignore.h"

#include "err.h"

enum pattern_shape {
    SHAPE_LITERAL, /* no wildcard: bytes compared whole */
    SHAPE_SUFFIX,  /* * and a literal: the end compared */
    SHAPE_GLOB,
};

struct pattern {
    const char *text; /* behind ! and a leading slash, without a trailing slash */
    size_t len;
    size_t literal_len; /* bytes before the first wildcard */
    enum pattern_shape shape;
    bool negated;
    bool dir_only; /* had a trailing slash */
    bool anchored; /* had another slash: matched from the set's directory on, else by name */
};

struct ignore {
    struct pattern *patterns;
    size_t count;
    char *text; /* what the patterns point into */
};

static bool is_wildcard(char c)
{
    return c == '*' || c == '?' || c == '[' || c == '\\';
}

static size_t literal_length(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len && !is_wildcard(text[at]))
        at++;
    return at;
}

/* ASCII only, whatever the locale: file names are bytes. */
static bool in_class(unsigned char c, const char *name, size_t len, bool *known)
{
    bool lower = c >= 'a' && c <= 'z';
    bool upper = c >= 'A' && c <= 'Z';
    bool digit = c >= '0' && c <= '9';
    bool graph = c > 0x20 && c < 0x7f;
    const struct {
        const char *name;
        bool holds;
    } classes[] = {
        {"alnum", lower || upper || digit},
        {"alpha", lower || upper},
        {"blank", c == ' ' || c == '\t'},
        {"cntrl", c < 0x20 || c == 0x7f},
        {"digit", digit},
        {"graph", graph},
        {"lower", lower},
        {"print", graph || c == ' '},
        {"punct", graph && !lower && !upper && !digit},
        {"space", c == ' ' || (c >= '\t' && c <= '\r')},
        {"upper", upper},
        {"xdigit", digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')},
    };

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0) {
            *known = true;
            return classes[i].holds;
        }
    *known = false;
    return false;
}

/* The "[:name:]" at `at`: its length, or 0 when the bracket stands for itself, or SIZE_MAX when
 * the name is none, which makes the whole pattern match nothing. */
static size_t take_class(const char *at, const char *end, unsigned char c, bool *matched)
{
    const char *close = memchr(at + 2, ']', (size_t)(end - at - 2));
    bool known;

    if (!close)
        return SIZE_MAX;
    if (close - at < 3 || close[-1] != ':')
        return 0;
    if (in_class(c, at + 2, (size_t)(close - at - 3), &known))
        *matched = true;
    return known ? (size_t)(close - at + 1) : SIZE_MAX;
}

/* A bracket expression, *at behind its "["; leaves *at behind its "]". A "]" that comes first
 * stands for itself; one that is missing makes the whole pattern match nothing: *broken. */
static bool match_bracket(const char **pattern, const char *end, unsigned char c, bool *broken)
{
    const char *at = *pattern;
    bool negated = at < end && (*at == '!' || *at == '^');
    bool matched = false;
    int from = -1; /* the byte a "-" would take as the start of a range */
    bool first = true;

    *broken = true; /* until the closing bracket is seen */
    for (at += negated; at < end && (first || *at != ']'); first = false) {
        unsigned char low = (unsigned char)*at;
        if (low == '[' && end - at >= 2 && at[1] == ':') {
            size_t len = take_class(at, end, c, &matched);
            if (len == SIZE_MAX)
                return false;
            if (len > 0) {
                at += len;
                from = -1;
                continue;
            }
        }
        bool range = low == '-' && from >= 0 && end - at >= 2 && at[1] != ']';
        at += range;
        if (*at == '\\' && ++at == end)
            return false;
        low = (unsigned char)*at++;
        if (range ? c >= from && c <= low : c == low)
            matched = true;
        from = range ? -1 : low;
    }
    if (at >= end)
        return false;
    *broken = false;
    *pattern = at + 1;
    return matched != negated && c != '/';
}

/* Where to go on when the bytes at hand do not match. */
struct retreat {
    const char *pattern; /* behind the star; NULL: there was none */
    const char *text;    /* first byte the star has not taken */
};

/* The stars at *p ("*" or "**" and more). Only "**" that fills a path component crosses slashes;
 * `begin` is where git begins to look at the pattern, which counts as a component's begin. */
static bool take_stars(const char *begin, const char **p, const char *end)
{
    const char *star = *p;
    const char *behind = star;

    while (behind < end && *behind == '*')
        behind++;
    *p = behind;
    return behind - star > 1 && (star == begin || star[-1] == '/') &&
           (behind == end || *behind == '/' ||
            (end - behind > 1 && behind[0] == '\\' && behind[1] == '/'));
}

/* One step of the crossing star: the text behind the next slash, or NULL. */
static const char *next_component(const char *text, const char *end)
{
    const char *slash = text < end ? memchr(text, '/', (size_t)(end - text)) : NULL;

    return slash ? slash + 1 : NULL;
}

/* One pattern element that is no star against one byte. */
static bool match_one(const char **p, const char *end, unsigned char c, bool *broken)
{
    char wanted = *(*p)++;

    switch (wanted) {
    case '?':
        return c != '/';
    case '[':
        return match_bracket(p, end, c, broken);
    case '\\':
        if (*p == end)
            return false;
        wanted = *(*p)++;
        return c == (unsigned char)wanted;
    default:
        return c == (unsigned char)wanted;
    }
}

/* Goes back to the last star that can take more; false when there is none. */
static bool retreat(struct retreat *star, struct retreat *crossing, const char *text_end,
                    const char **p, const char **t)
{
    if (star->pattern && star->text < text_end && *star->text != '/') {
        star->text++;
        *p = star->pattern;
        *t = star->text;
        return true;
    }
    star->pattern = NULL;
    if (!crossing->pattern)
        return false;
    crossing->text = next_component(crossing->text, text_end);
    if (!crossing->text)
        return false;
    *p = crossing->pattern;
    *t = crossing->text;
    return true;
}

/* Steps over a "**" that crosses slashes, *p behind it and not at the end: sets where to come back
 * to; false when the text has no place left for it. */
static bool begin_crossing(struct retreat *crossing, const char *text_end, const char **p,
                           const char **t)
{
    /* "**" and a slash may stand for nothing at all, but not with the slash escaped. */
    bool escaped = **p == '\\';

    *p += escaped ? 2 : 1;
    *crossing = (struct retreat){*p, escaped ? next_component(*t, text_end) : *t};
    *t = crossing->text;
    return crossing->text != NULL;
}

/* git's matching with slashes respected: * and ? and [] stop at a slash. */
static bool match_glob(const char *pattern, size_t pattern_len, const char *text, size_t text_len)
{
    const char *p = pattern, *p_end = pattern + pattern_len;
    const char *t = text, *t_end = text + text_len;
    struct retreat star = {0}, crossing = {0};
    bool broken = false;

    while (p < p_end || t < t_end) {
        if (p < p_end && *p == '*') {
            if (!take_stars(pattern, &p, p_end)) {
                star = (struct retreat){p, t};
                continue;
            }
            if (p == p_end)
                return true;
            star.pattern = NULL;
            if (!begin_crossing(&crossing, t_end, &p, &t))
                return false;
            continue;
        }
        if (p < p_end && t < t_end && match_one(&p, p_end, (unsigned char)*t, &broken)) {
            t++;
            continue;
        }
        if (broken || !retreat(&star, &crossing, t_end, &p, &t))
            return false;
    }
    return true;
}

static bool match_name(const struct pattern *pattern, const char *name, size_t len)
{
    switch (pattern->shape) {
    case SHAPE_LITERAL:
        return len == pattern->len && memcmp(name, pattern->text, len) == 0;
    case SHAPE_SUFFIX:
        return len >= pattern->len - 1 &&
               memcmp(name + len - (pattern->len - 1), pattern->text + 1, pattern->len - 1) == 0;
    case SHAPE_GLOB:
        break;
    }
    return match_glob(pattern->text, pattern->len, name, len);
}

static bool match_path(const struct pattern *pattern, const char *path, size_t len)
{
    size_t literal = pattern->literal_len;

    if (len < literal || memcmp(path, pattern->text, literal) != 0)
        return false;
    /* The rest is matched by itself, as git does: "a/b**" thus crosses slashes, its "**" standing
     * at the begin of what is matched. */
    return match_glob(pattern->text + literal, pattern->len - literal, path + literal,
                      len - literal);
}

enum ignore_verdict ignore_match(const struct ignore *ignore, const char *path, size_t len,
                                 bool is_dir)
{
    const char *slash = len > 0 ? memrchr(path, '/', len) : NULL;
    const char *name = slash ? slash + 1 : path;
    size_t name_len = len - (size_t)(name - path);

    for (size_t i = ignore ? ignore->count : 0; i-- > 0;) {
        const struct pattern *pattern = &ignore->patterns[i];
        if (pattern->dir_only && !is_dir)
            continue;
        if (pattern->anchored ? match_path(pattern, path, len)
                              : match_name(pattern, name, name_len))
            return pattern->negated ? IGNORE_NO : IGNORE_YES;
    }
    return IGNORE_NONE;
}

/* Blanks (not tabs) at the end do not count, unless a backslash stands before one. */
static size_t trim(const char *line, size_t len)
{
    size_t end = 0;

    for (size_t at = 0; at < len; at++) {
        if (line[at] == '\\') {
            at++;
            if (at >= len)
                return len;
        } else if (line[at] == ' ') {
            continue;
        }
        end = at + 1;
    }
    return end;
}

static void parse_pattern(const char *text, size_t len, struct pattern *out)
{
    struct pattern pattern = {0};

    if (len > 0 && *text == '!') {
        pattern.negated = true;
        text++;
        len--;
    }
    if (len > 0 && text[len - 1] == '/') {
        pattern.dir_only = true;
        len--;
    }
    pattern.anchored = len > 0 && memchr(text, '/', len);
    if (len > 0 && *text == '/') {
        text++;
        len--;
    }
    pattern.text = text;
    pattern.len = len;
    pattern.literal_len = literal_length(text, len);
    pattern.shape = SHAPE_GLOB;
    if (pattern.literal_len == len)
        pattern.shape = SHAPE_LITERAL;
    else if (*text == '*' && literal_length(text + 1, len - 1) == len - 1)
        pattern.shape = SHAPE_SUFFIX;
    *out = pattern;
}

/* Room for one more; the array doubles. */
static int make_room(struct ignore *ignore, size_t *capacity, struct err *err)
{
    if (ignore->count < *capacity)
        return 0;
    if (ignore->count == IGNORE_PATTERNS_MAX)
        return err_set(err, ERR_LIMIT, 0, "ignore patterns: more than %d", IGNORE_PATTERNS_MAX);
    size_t wanted = *capacity ? 2 * *capacity : 16;
    struct pattern *patterns = realloc(ignore->patterns, wanted * sizeof *patterns);
    if (!patterns)
        return err_set(err, ERR_NOMEM, 0, "ignore patterns: out of memory");
    ignore->patterns = patterns;
    *capacity = wanted;
    return 0;
}

_Static_assert((IGNORE_PATTERNS_MAX & (IGNORE_PATTERNS_MAX - 1)) == 0 && IGNORE_PATTERNS_MAX >= 16,
               "make_room() meets the limit by doubling from 16");

static int parse_lines(struct ignore *ignore, const char *text, size_t len, struct err *err)
{
    const char *at = text, *end = text + len;
    size_t capacity = 0;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        at += 3; /* a byte order mark */
    while (at < end) {
        const char *line = at;
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        at = stop ? stop + 1 : end;
        if (!stop)
            stop = end;
        if (stop == line || *line == '#')
            continue;
        if (stop[-1] == '\r')
            stop--;
        const char *nul = memchr(line, '\0', (size_t)(stop - line)); /* git sees C strings */
        size_t line_len = trim(line, (size_t)((nul ? nul : stop) - line));
        if (line_len == 0)
            continue;
        int rc = make_room(ignore, &capacity, err);
        if (rc != 0)
            return rc;
        parse_pattern(line, line_len, &ignore->patterns[ignore->count++]);
    }
    return 0;
}

int ignore_parse(const char *text, size_t len, struct ignore **out, struct err *err)
{
    struct ignore *ignore;
    int rc;

    if (len > IGNORE_FILE_MAX)
        return err_set(err, ERR_LIMIT, 0, "ignore patterns: more than %d bytes", IGNORE_FILE_MAX);
    ignore = calloc(1, sizeof *ignore);
    if (ignore)
        ignore->text = malloc(len + 1);
    if (!ignore || !ignore->text) {
        rc = err_set(err, ERR_NOMEM, 0, "ignore patterns: out of memory");
        goto out;
    }
    if (len > 0)
        memcpy(ignore->text, text, len);
    ignore->text[len] = '\0';
    rc = parse_lines(ignore, ignore->text, len, err);
    if (rc == 0) {
        *out = ignore;
        return 0;
    }
out:
    ignore_free(ignore);
    return rc;
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    free(ignore->patterns);
    free(ignore->text);
    free(ignore);
}

size_t ignore_count(const struct ignore *ignore)
{
    return ignore ? ignore->count : 0;
}
