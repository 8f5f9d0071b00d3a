/* helper_gitcase.c: random ignore files and trees for test_ignore.c.
 *
 * Half of the patterns are made from the tree's own paths, so that many match; the rest is put
 * together from tokens, so that many are broken. One thread. */
#include "helper_gitcase.h"

#define PATTERNS_LIMIT 65536

static uint64_t seed_state;

static uint64_t draw(void)
{
    uint64_t x = seed_state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static size_t below(size_t n)
{
    return (size_t)(draw() % n);
}

static bool one_in(size_t n)
{
    return below(n) == 0;
}

static const char *const names[] = {
    "a",    "b",   "ab",  "abc", "foo",  "foo.c", "x y", "a ",  "[a]",         "*",     "**",
    "\\",   "!a",  "#a",  "-",   "\xc3", "A",     "]",   "a]",  "^",           "?",     "a\\b",
    "\tb",  ".a",  "b.c", "aab", "c",    "bb",    "a-b", "a\n", "[[:alpha:]]", " ",     "0",
    "\x7f", "a*b", "a\r", "_",   "aaaa", "abab",  "a!b", "\\a", "foo ",        "a.b.c", "\xff\xfe",
};

/* clang-format off: one a line otherwise */
static const char *const tokens[] = {
    "a",
    "b",
    "c",
    "ab",
    "foo",
    ".",
    "/",
    "/",
    "/",
    "*",
    "*",
    "*",
    "**",
    "**",
    "?",
    "?",
    "[",
    "]",
    "[a-b]",
    "[!a]",
    "[^b]",
    "[[:alpha:]]",
    "[[:foo:]]",
    "[a",
    "\\",
    "!",
    " ",
    "#",
    "-",
    "**/",
    "/**",
    "\\ ",
    "[]-a]",
    "[]]",
    "[a-]",
    "[--/]",
    "[\\]]",
    "[!]]",
    "[^^]",
    "[!!]",
    "[[:digit:][:upper:]]",
    "[[:punct:]]",
    "[a-c-e]",
    "[\\a-\\c]",
    "[[]",
    "[[:]",
    "[[:a]",
    "[:alpha:]",
    "[[:space:]]",
    "[[:cntrl:]]",
    "***",
    "\\*",
    "\\\\",
    "\\/",
    "**\\/",
    "[/]",
    "[!/]",
    "[a/b]",
    "\xc3",
    "\xff",
    "[\x80-\xff]",
    "[]",
    "[b-a]",
    "[a-a]",
    "[*-]",
    "\\!",
    "\\#",
    "\t",
    "[[:blank:]a-]",
    "[a-[:digit:]]",
    "[[:xdigit:]]b",
    "[[:graph:]]",
    "[[:print:]]",
    "[[:lower:]-b]",
    "{a,b}",
    "[[:ALPHA:]]",
    "[![:alnum:]]",
    "[\\",
    "[a-\\",
};
/* clang-format on */

static void make_paths(struct gitcase *set)
{
    set->count = 0;
    for (int tries = 0; set->count < PATHS_A_SET && tries < 200; tries++) {
        struct gitcase_path path = {.is_dir = one_in(2)};
        if (set->count > 0 && one_in(2)) { /* below one that is there, when that is a directory */
            path = set->paths[below(set->count)];
            if (!path.is_dir || path.len > 100)
                continue;
            path.is_dir = one_in(2);
            path.text[path.len++] = '/';
        }
        const char *name = names[below(one_in(2) ? 3 : ARRAY_LEN(names))];
        memcpy(path.text + path.len, name, strlen(name) + 1);
        path.len += strlen(name);
        bool known = false;
        for (size_t i = 0; i < set->count; i++)
            known |= strcmp(set->paths[i].text, path.text) == 0;
        if (!known)
            set->paths[set->count++] = path;
    }
}

/* A byte some places off, never NUL. */
static char near(char c, int distance)
{
    return c + distance == 0 ? c : (char)(c + distance);
}

/* One of two, as likely as each other. */
static const char *either(const char *a, const char *b)
{
    return one_in(2) ? a : b;
}

/* A bracket expression around `c`, which it often takes. */
static void add_bracket(struct buf *out, char c)
{
    buf_add_str(out, one_in(4) ? either("[!", "[^") : "[");
    for (size_t n = 1 + below(4); n > 0; n--) {
        char low = near(c, -(int)below(3));
        char high = near(c, (int)below(3));
        switch (below(8)) {
        case 0:
            buf_addf(out, "%c-%c", low, high);
            break;
        case 1:
            buf_addf(out, "\\%c", c);
            break;
        case 2:
            buf_add_str(out, either("-", "]"));
            break;
        case 3:
            buf_addf(out, "[:%s:]", either("alpha", either("punct", "alnum")));
            break;
        case 4:
            buf_addf(out, "-%c", high);
            break;
        default:
            buf_add_char(out, one_in(2) ? c : low);
        }
    }
    buf_add_char(out, ']');
}

static void add_mutated_byte(struct buf *out, char c)
{
    switch (below(16)) {
    case 0:
        buf_add_char(out, '?');
        break;
    case 1:
        buf_add_char(out, '*');
        break;
    case 2:
        buf_addf(out, "\\%c", c);
        break;
    case 3:
    case 4:
        add_bracket(out, c);
        break;
    case 5:
        if (one_in(3))
            buf_add_str(out, tokens[below(ARRAY_LEN(tokens))]);
        break;
    default:
        buf_add_char(out, c);
    }
}

/* Where a pattern made from this path begins: at it, or at or behind one of its slashes. */
static size_t choose_begin(const struct gitcase_path *path)
{
    size_t at = 0;

    for (size_t i = 0; i < path->len; i++)
        if (path->text[i] == '/' && one_in(3))
            at = i + one_in(2);
    return at;
}

/* The last byte of the component at `at`. */
static size_t component_end(const struct gitcase_path *path, size_t at)
{
    while (at + 1 < path->len && path->text[at + 1] != '/')
        at++;
    return at;
}

/* The slash at `at`, or one of the later ones. */
static size_t later_slash(const struct gitcase_path *path, size_t at)
{
    while (one_in(2)) {
        size_t next = component_end(path, at) + 1;
        if (next >= path->len)
            break;
        at = next;
    }
    return at;
}

/* A pattern made from a path of the tree, so that many do match: what follows may be cut to
 * "**", or lose components to it. */
static void add_mutated(struct buf *out, const struct gitcase_path *path)
{
    bool gentle = one_in(2);
    size_t at = choose_begin(path);

    if (at > 0 && one_in(2))
        buf_add_str(out, "**/");
    for (; at < path->len; at++) {
        char c = path->text[at];
        if (one_in(12)) {
            buf_add_str(out, either("**", "*"));
            if (one_in(2))
                return;
            at = component_end(path, at);
        } else if (c == '/' && one_in(4)) {
            buf_add_str(out, either("/**/", either("/*/", "/**\\/")));
            at = later_slash(path, at);
        } else if (gentle) {
            buf_add_char(out, c);
        } else {
            add_mutated_byte(out, c);
        }
    }
}

static void add_line(struct buf *out, const struct gitcase *set)
{
    if (one_in(5))
        buf_add_char(out, '!');
    if (one_in(5))
        buf_add_char(out, '/');
    if (set->count > 0 && !one_in(3))
        add_mutated(out, &set->paths[below(set->count)]);
    else
        for (size_t n = 1 + below(6); n > 0; n--)
            buf_add_str(out, tokens[below(ARRAY_LEN(tokens))]);
    if (one_in(6))
        buf_add_char(out, '/');
    if (one_in(8))
        buf_add_str(out, either(either("  ", "\\  "), either("\t", " \\")));
    if (one_in(60))
        buf_add(out, "\0x", 2);
    if (one_in(20))
        buf_add_char(out, '\r');
}

static void make_patterns(struct gitcase *set)
{
    struct buf *out = &set->patterns;
    size_t lines = 1 + below(5);

    buf_init(out, PATTERNS_LIMIT);
    if (one_in(30))
        buf_add_str(out, "\xef\xbb\xbf");
    for (size_t line = 0; line < lines; line++) {
        add_line(out, set);
        if (line + 1 < lines || !one_in(5))
            buf_add_char(out, '\n');
    }
    if (!buf_ok(out))
        abort();
}

void gitcase_seed(uint64_t seed)
{
    seed_state = seed;
}

void gitcase_make(struct gitcase *set)
{
    make_paths(set);
    make_patterns(set);
}
