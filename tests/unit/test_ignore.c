/* test_ignore.c: gitignore patterns, with git itself as the oracle.
 *
 * A seed gives some hundred sets: a file of nasty patterns and a small tree of nasty names. Each
 * set is made on disk below one temporary repository, git is asked about all paths in one call of
 * `git check-ignore`, and each answer must be ours. SPOOR_TEST_SEED and SPOOR_TEST_PAIRS choose
 * another run. The handful of fixed cases below holds when git is not installed. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "helper_gitcase.h"
#include "ignore.h"
#include "num.h"

#define DEFAULT_SEED  20261123
#define DEFAULT_PAIRS 5000
#define TEXT_LIMIT    (64 << 20)

/* What the caller of ignore_match() does: an ignored directory hides all below it. */
static enum ignore_verdict walk(const struct ignore *ignore, const struct gitcase_path *path)
{
    for (size_t i = 1; i < path->len; i++)
        if (path->text[i] == '/' && ignore_match(ignore, path->text, i, true) == IGNORE_YES)
            return IGNORE_YES;
    return ignore_match(ignore, path->text, path->len, path->is_dir);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void write_file(int dirfd, const char *name, const void *bytes, size_t len)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

/* Runs git in `root`, to make the repository or to ask about paths, with input and output in files;
 * its exit code, or -1 when there is none. */
static int run_git(const char *root, bool ask)
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        int in = -1, out = -1;
        /* What the user's own configuration ignores must not come in. */
        if (chdir(root) == 0 && setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1) == 0 &&
            setenv("GIT_CONFIG_NOSYSTEM", "1", 1) == 0 && unsetenv("GIT_DIR") == 0) {
            in = open("../in", O_RDONLY | O_CREAT, 0600);
            out = open("../out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        }
        if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
            _exit(126);
        if (ask)
            execlp("git", "git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index",
                   "--stdin", "-z", "-v", "-n", (char *)NULL);
        else
            execlp("git", "git", "init", "-q", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
        return -1;
    return WEXITSTATUS(status);
}

static void make_on_disk(int rootfd, size_t number, struct gitcase *set, struct buf *list)
{
    char name[32];

    (void)snprintf(name, sizeof name, "d%zu", number);
    assert_int_equal(mkdirat(rootfd, name, 0700), 0);
    int fd = openat(rootfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    write_file(fd, ".gitignore", set->patterns.data ? set->patterns.data : "", set->patterns.len);
    for (size_t i = 0; i < set->count; i++) {
        if (set->paths[i].is_dir)
            assert_int_equal(mkdirat(fd, set->paths[i].text, 0700), 0);
        else
            write_file(fd, set->paths[i].text, "", 0);
        buf_addf(list, "%s/%s", name, set->paths[i].text);
        buf_add_char(list, '\0');
    }
    assert_int_equal(close(fd), 0);
}

static struct buf read_output(const char *base)
{
    char path[300];
    char chunk[65536];
    struct buf out;
    ssize_t n;

    (void)snprintf(path, sizeof path, "%s/out", base);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    buf_init(&out, TEXT_LIMIT);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(&out, chunk, (size_t)n);
    assert_int_equal(n, 0);
    assert_true(buf_ok(&out));
    (void)close(fd);
    return out;
}

/* One record is source, line, pattern and path, each ended by a NUL; an empty pattern: none. */
static enum ignore_verdict next_answer(const char **at, const char *end, const char **out_path)
{
    const char *fields[4];

    for (size_t i = 0; i < 4; i++) {
        const char *nul = memchr(*at, '\0', (size_t)(end - *at));
        assert_non_null(nul);
        fields[i] = *at;
        *at = nul + 1;
    }
    *out_path = fields[3];
    if (*fields[0] == '\0')
        return IGNORE_NONE;
    return *fields[2] == '!' ? IGNORE_NO : IGNORE_YES;
}

static void print_bytes(const char *what, const char *bytes, size_t len)
{
    fprintf(stderr, "  %s: \"", what);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            fprintf(stderr, "\\%03o", c);
        else
            fputc(c, stderr);
    }
    fprintf(stderr, "\"\n");
}

/* Answers by verdict, from IGNORE_NO on: a run that hits nothing would prove nothing. */
static size_t verdicts[3];

static size_t compare(const struct gitcase *sets, size_t count, const struct buf *answers,
                      uint64_t seed)
{
    const char *at = answers->data, *end = answers->data + answers->len;
    size_t differences = 0;

    for (size_t i = 0; i < count; i++) {
        struct ignore *ignore = NULL;
        struct err err;
        assert_int_equal(ignore_parse(sets[i].patterns.data, sets[i].patterns.len, &ignore, &err),
                         0);
        for (size_t j = 0; j < sets[i].count; j++) {
            const struct gitcase_path *path = &sets[i].paths[j];
            const char *asked;
            enum ignore_verdict theirs = next_answer(&at, end, &asked);
            enum ignore_verdict ours = walk(ignore, path);
            verdicts[theirs + 1]++;
            assert_string_equal(strchr(asked, '/') + 1, path->text);
            if (ours == theirs)
                continue;
            differences++;
            fprintf(stderr, "seed %llu, set %zu: git says %d, we say %d%s\n",
                    (unsigned long long)seed, i, theirs, ours, path->is_dir ? " (directory)" : "");
            print_bytes("patterns", sets[i].patterns.data, sets[i].patterns.len);
            print_bytes("path", path->text, path->len);
        }
        ignore_free(ignore);
    }
    assert_ptr_equal(at, end);
    return differences;
}

static int64_t from_environment(const char *name, int64_t value)
{
    const char *text = getenv(name);

    if (text && num_parse_i64(text, 0, INT64_MAX, &value) != 0)
        fail_msg("%s is not a number", name);
    return value;
}

static void test_against_git(void **state)
{
    uint64_t seed = (uint64_t)from_environment("SPOOR_TEST_SEED", DEFAULT_SEED);
    size_t wanted = (size_t)from_environment("SPOOR_TEST_PAIRS", DEFAULT_PAIRS);
    char base[] = "/tmp/spoor-test-XXXXXX";
    char root[64];
    size_t pairs = 0, count = 0;
    struct buf list;

    (void)state;
    gitcase_seed(seed);
    assert_non_null(mkdtemp(base));
    (void)snprintf(root, sizeof root, "%s/repo", base);
    assert_int_equal(mkdir(root, 0700), 0);
    int rc = run_git(root, false);
    if (rc != 0) {
        (void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        print_message("skipped: git is missing or cannot make a repository (%d)\n", rc);
        skip();
    }
    int basefd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct gitcase *sets = calloc(wanted + 1, sizeof *sets);
    assert_true(basefd >= 0 && rootfd >= 0 && sets);
    buf_init(&list, TEXT_LIMIT);
    for (; pairs < wanted; pairs += sets[count++].count) {
        gitcase_make(&sets[count]);
        make_on_disk(rootfd, count, &sets[count], &list);
    }
    assert_true(buf_ok(&list));
    write_file(basefd, "in", list.data, list.len);
    rc = run_git(root, true);
    assert_true(rc == 0 || rc == 1); /* 1: none is ignored */
    struct buf answers = read_output(base);
    size_t differences = compare(sets, count, &answers, seed);

    (void)close(basefd);
    (void)close(rootfd);
    (void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < count; i++)
        buf_deinit(&sets[i].patterns);
    free(sets);
    buf_deinit(&answers);
    buf_deinit(&list);
    assert_int_equal(differences, 0);
    assert_true(verdicts[IGNORE_YES + 1] > pairs / 10);
    assert_true(verdicts[IGNORE_NO + 1] > pairs / 100);
}

static void test_fixed_cases(void **state)
{
    static const struct {
        const char *patterns;
        const char *path;
        bool is_dir;
        enum ignore_verdict verdict;
    } cases[] = {
        {"*.o\n", "a/b.o", false, IGNORE_YES},
        {"*.o\n!b.o\n", "a/b.o", false, IGNORE_NO},
        {"!b.o\n*.o\n", "a/b.o", false, IGNORE_YES},
        {"/b\n", "a/b", false, IGNORE_NONE},
        {"/b\n", "b", false, IGNORE_YES},
        {"a/b\n", "x/a/b", false, IGNORE_NONE},
        {"**/a/b\n", "x/y/a/b", false, IGNORE_YES},
        {"**/a/b\n", "a/b", false, IGNORE_YES},
        {"a/**/b\n", "a/b", false, IGNORE_YES},
        {"a/**/b\n", "a/x/y/b", false, IGNORE_YES},
        {"a/**\n", "a", true, IGNORE_NONE},
        {"a/**\n", "a/x/y", false, IGNORE_YES},
        {"a/*\n", "a/x/y", false, IGNORE_NONE},
        {"build/\n", "build", false, IGNORE_NONE},
        {"build/\n", "x/build", true, IGNORE_YES},
        {"# a\n", "# a", false, IGNORE_NONE},
        {"\\#a\n", "#a", false, IGNORE_YES},
        {"\\!a\n", "!a", false, IGNORE_YES},
        {"a  \n", "a", false, IGNORE_YES},
        {"a\\ \n", "a ", false, IGNORE_YES},
        {"a\r\n", "a", false, IGNORE_YES},
        {"a", "a", false, IGNORE_YES},
        {"\n\n", "a", false, IGNORE_NONE},
        {"[!a-c]x\n", "dx", false, IGNORE_YES},
        {"[^a-c]x\n", "bx", false, IGNORE_NONE},
        {"[[:digit:]]\n", "7", false, IGNORE_YES},
        {"a[\n", "a[", false, IGNORE_NONE},
        {"[a-]\n", "-", false, IGNORE_YES},
        {"[a-]x\n", "bx", false, IGNORE_NONE},
        {"a/**\\/b\n", "a/b", false, IGNORE_NONE},
        {"a/**\\/b\n", "a/x/b", false, IGNORE_YES},
        {"[a-c-e]\n", "d", false, IGNORE_NONE},
        {"[a-c-e]\n", "-", false, IGNORE_YES},
        {"[a[:digit:]-c]\n", "b", false, IGNORE_NONE},
        {"[a[:digit:]-c]\n", "-", false, IGNORE_YES},
        {"?\n", "\xff", false, IGNORE_YES},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ignore *ignore = NULL;
        struct err err;
        assert_int_equal(ignore_parse(cases[i].patterns, strlen(cases[i].patterns), &ignore, &err),
                         0);
        enum ignore_verdict verdict =
            ignore_match(ignore, cases[i].path, strlen(cases[i].path), cases[i].is_dir);
        if (verdict != cases[i].verdict)
            fail_msg("'%s' on '%s': %d, not %d", cases[i].patterns, cases[i].path, verdict,
                     cases[i].verdict);
        ignore_free(ignore);
    }
}

/* Exponential in a matcher that recurses; here a few million steps at most. */
static void test_hostile_pattern_is_cheap(void **state)
{
    struct buf pattern, path;
    struct ignore *ignore = NULL;
    struct err err;

    (void)state;
    buf_init(&pattern, 4096);
    buf_init(&path, 4096);
    for (int i = 0; i < 100; i++)
        buf_add_str(&pattern, "**/*a*a*a/");
    buf_add_str(&pattern, "b");
    for (int i = 0; i < 400; i++)
        buf_add_str(&path, "aaaaaaa/");
    buf_add_str(&path, "c");
    assert_true(buf_ok(&pattern) && buf_ok(&path));
    assert_int_equal(ignore_parse(pattern.data, pattern.len, &ignore, &err), 0);
    assert_int_equal(ignore_match(ignore, path.data, path.len, false), IGNORE_NONE);
    path.data[path.len - 1] = 'b';
    assert_int_equal(ignore_match(ignore, path.data, path.len, false), IGNORE_YES);
    ignore_free(ignore);
    buf_deinit(&pattern);
    buf_deinit(&path);
}

static void test_limits(void **state)
{
    struct buf text;
    struct ignore *ignore = NULL;
    struct err err;

    (void)state;
    buf_init(&text, 2 * IGNORE_FILE_MAX);
    for (int i = 0; i < IGNORE_PATTERNS_MAX; i++)
        buf_add_str(&text, "a\n");
    assert_int_equal(ignore_parse(text.data, text.len, &ignore, &err), 0);
    assert_int_equal(ignore_count(ignore), IGNORE_PATTERNS_MAX);
    ignore_free(ignore);
    ignore = NULL;
    buf_add_str(&text, "b");
    assert_int_equal(ignore_parse(text.data, text.len, &ignore, &err), ERR_LIMIT);
    assert_null(ignore);
    buf_reset(&text);
    assert_non_null(buf_extend(&text, IGNORE_FILE_MAX + 1));
    memset(text.data, '#', text.len);
    assert_int_equal(ignore_parse(text.data, text.len, &ignore, &err), ERR_LIMIT);
    assert_int_equal(ignore_parse(text.data, text.len - 1, &ignore, &err), 0);
    assert_int_equal(ignore_count(ignore), 0);
    ignore_free(ignore);
    ignore_free(NULL);
    assert_int_equal(ignore_match(NULL, "a", 1, false), IGNORE_NONE);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_cases),
        cmocka_unit_test(test_hostile_pattern_is_cheap),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_against_git),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
