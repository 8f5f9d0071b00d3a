/* test_osfile.c: private directories, atomic replacement, secrets, the lock; and the log's lines
 * and the wake flag, which are as small and need the system too. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "log.h"
#include "osfile.h"
#include "wake.h"

struct place {
    char path[64];
    int fd;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    (void)snprintf(place->path, sizeof place->path, "/tmp/spoor-test-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    place->fd = osfile_open_dir(place->path, NULL);
    assert_true(place->fd >= 0);
    (void)umask(022);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    assert_int_equal(close(place->fd), 0);
    assert_int_equal(nftw(place->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(place);
    return 0;
}

static const char *below(const struct place *place, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", place->path, name);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_private_dir(void **state)
{
    struct place *place = *state;
    struct err err;

    assert_int_equal(osfile_make_private_dir(below(place, "a/b/c///"), &err), 0);
    assert_int_equal(mode_of(below(place, "a/b")), 0755);
    assert_int_equal(mode_of(below(place, "a/b/c")), 0700);
    assert_int_equal(osfile_make_private_dir(below(place, "a/b/c"), &err), 0);
    assert_int_equal(osfile_make_private_dir(below(place, "a/b"), &err), 0);
    for (unsigned mode = 0720; mode >= 0702; mode -= 016) {
        assert_int_equal(chmod(below(place, "a/b/c"), mode), 0);
        assert_int_equal(osfile_make_private_dir(below(place, "a/b/c"), &err), ERR_DENIED);
    }
    assert_int_equal(osfile_replace(place->fd, "file", "x", 1, &err), 0);
    assert_int_equal(osfile_make_private_dir(below(place, "file"), &err), ERR_IO);
    assert_int_equal(err.os, ENOTDIR);
    assert_int_equal(osfile_make_private_dir(below(place, "file/x"), &err), ERR_IO);
    assert_int_equal(osfile_make_private_dir("", &err), ERR_INVALID);
    /* A symbolic link to a good directory is good: people move their state elsewhere. */
    assert_int_equal(chmod(below(place, "a/b/c"), 0700), 0);
    assert_int_equal(symlinkat("a/b/c", place->fd, "link"), 0);
    assert_int_equal(osfile_make_private_dir(below(place, "link"), &err), 0);
}

static void test_read_and_replace(void **state)
{
    struct place *place = *state;
    struct err err;
    struct buf buf;

    buf_init(&buf, 5);
    assert_int_equal(osfile_read(place->fd, "f", 5, &buf, &err), ERR_NOTFOUND);
    assert_int_equal(osfile_replace(place->fd, "f", "", 0, &err), 0);
    assert_int_equal(osfile_read(place->fd, "f", 5, &buf, &err), 0);
    assert_int_equal(buf.len, 0);
    assert_int_equal(osfile_replace(place->fd, "f", "12345", 5, &err), 0);
    assert_int_equal(mode_of(below(place, "f")), 0600);
    assert_int_equal(osfile_read(place->fd, "f", 4, &buf, &err), ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    assert_int_equal(osfile_read(place->fd, "f", 5, &buf, &err), 0);
    assert_string_equal(buf.data, "12345");
    assert_int_equal(osfile_read(place->fd, "f", 5, &buf, &err), ERR_NOMEM); /* no room in buf */
    assert_string_equal(buf.data, "12345");
    buf_deinit(&buf);

    /* What cannot be replaced stands, and leaves no temporary file behind. */
    assert_int_equal(mkdirat(place->fd, "d", 0700), 0);
    assert_int_equal(osfile_replace(place->fd, "d", "x", 1, &err), ERR_IO);
    assert_int_equal(unlinkat(place->fd, "f", 0), 0);
    assert_int_equal(unlinkat(place->fd, "d", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(place->path), 0); /* empty, so nothing was left */
    assert_int_equal(mkdir(place->path, 0700), 0);
}

static void test_big_file(void **state)
{
    struct place *place = *state;
    struct err err;
    struct buf out, in;

    buf_init(&out, 1 << 20);
    buf_init(&in, 1 << 20);
    while (out.len < 300001)
        buf_add_i64(&out, (int64_t)out.len);
    assert_int_equal(osfile_replace(place->fd, "big", out.data, out.len, &err), 0);
    assert_int_equal(osfile_read(place->fd, "big", 1 << 20, &in, &err), 0);
    assert_int_equal(in.len, out.len);
    assert_memory_equal(in.data, out.data, out.len);
    buf_deinit(&out);
    buf_deinit(&in);
}

/* A FIFO of that name must not hang the reader. */
static void test_not_a_file(void **state)
{
    struct place *place = *state;
    struct err err;
    struct buf buf;

    buf_init(&buf, 100);
    assert_int_equal(mkfifoat(place->fd, "fifo", 0600), 0);
    assert_int_equal(osfile_read(place->fd, "fifo", 100, &buf, &err), ERR_INVALID);
    assert_int_equal(osfile_read_secret(place->path, 100, &buf, &err), ERR_INVALID);
    buf_deinit(&buf);
}

static void test_secret(void **state)
{
    static const struct {
        const char *content, *secret;
    } cases[] = {{"abc", "abc"}, {"abc\n", "abc"}, {"abc\r\n", "abc"}, {"abc\n\n", "abc\n"}};
    struct place *place = *state;
    struct err err;
    struct buf buf;

    buf_init(&buf, 100);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&buf);
        assert_int_equal(
            osfile_replace(place->fd, "s", cases[i].content, strlen(cases[i].content), &err), 0);
        assert_int_equal(osfile_read_secret(below(place, "s"), 10, &buf, &err), 0);
        assert_string_equal(buf.data, cases[i].secret);
    }
    buf_reset(&buf);
    for (unsigned bit = 1; bit <= 040; bit <<= 1) {
        assert_int_equal(chmod(below(place, "s"), 0600 | bit), 0);
        assert_int_equal(osfile_read_secret(below(place, "s"), 10, &buf, &err), ERR_DENIED);
        assert_null(strstr(err.text, "abc"));
    }
    assert_int_equal(buf.len, 0);
    assert_int_equal(osfile_replace(place->fd, "s", "\n", 1, &err), 0);
    assert_int_equal(osfile_read_secret(below(place, "s"), 10, &buf, &err), ERR_INVALID);
    buf_deinit(&buf);
}

static void test_lock(void **state)
{
    struct place *place = *state;
    struct err err;
    int64_t holder = -1;
    char want[32];

    int fd = osfile_lock(place->fd, "lock", &holder, &err);
    assert_true(fd >= 0);
    assert_int_equal(osfile_lock(place->fd, "lock", &holder, &err), ERR_BUSY);
    assert_int_equal(holder, getpid());
    (void)snprintf(want, sizeof want, "process %d", (int)getpid());
    assert_non_null(strstr(err.text, want));
    assert_int_equal(mode_of(below(place, "lock")), 0600);
    assert_int_equal(osfile_lock(place->fd, "lock", NULL, &err), ERR_BUSY);
    assert_int_equal(close(fd), 0);
    fd = osfile_lock(place->fd, "lock", NULL, &err);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

/* A killed holder leaves no lock. */
static void test_lock_dies_with_its_process(void **state)
{
    struct place *place = *state;
    struct err err;
    int64_t holder = -1;
    int said[2], status;
    char c;

    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int held = osfile_lock(place->fd, "lock", NULL, NULL);
        if (held < 0 || write(said[1], "x", 1) != 1)
            _exit(1);
        (void)pause(); /* until killed */
        _exit(1);
    }
    assert_int_equal(read(said[0], &c, 1), 1);
    assert_int_equal(osfile_lock(place->fd, "lock", &holder, &err), ERR_BUSY);
    assert_int_equal(holder, pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    int fd = osfile_lock(place->fd, "lock", NULL, &err);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)close(said[0]);
    (void)close(said[1]);
}

static void test_random(void **state)
{
    unsigned char a[1000], b[1000];

    (void)state;
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    assert_int_equal(osfile_random(a, sizeof a, NULL), 0);
    assert_int_equal(osfile_random(b, sizeof b, NULL), 0);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 990, "\0\0\0\0\0\0\0\0\0", 10);
}

static void test_log_lines(void **state)
{
    struct place *place = *state;
    struct buf buf;
    char path[5000];

    int fd = openat(place->fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    log_setup(fd, LOG_WARN);
    assert_false(log_enabled(LOG_INFO));
    log_info("not %s", "shown");
    errno = ENOENT;
    log_warn("file '%s'", "a\n2026-01-01T00:00:00.000Z error forged\x1b[2J");
    assert_int_equal(errno, ENOENT);
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    log_error("%s", path);
    log_setup(2, LOG_INFO);
    assert_int_equal(close(fd), 0);

    buf_init(&buf, 100000);
    assert_int_equal(osfile_read(place->fd, "log", 100000, &buf, NULL), 0);
    char *second = strchr(buf.data, '\n') + 1;
    int64_t when;
    assert_int_equal(clock_parse(buf.data, 24, &when), 0);
    second[-1] = '\0';
    assert_string_equal(buf.data + 24,
                        " warn  file 'a\\n2026-01-01T00:00:00.000Z error forged\\x1b[2J'");
    assert_memory_equal(second + 24, " error ppp", 10);
    assert_string_equal(second + strlen(second) - 5, "p...\n");
    buf_deinit(&buf);
}

static void test_log_limit(void **state)
{
    struct log_limit limit = {0};
    int64_t skipped = -1;

    (void)state;
    assert_true(log_allowed(&limit, 3600 * CLOCK_NS_PER_S, &skipped));
    assert_int_equal(skipped, 0);
    assert_false(log_allowed(&limit, 0, &skipped));
    assert_false(log_allowed(&limit, 0, NULL));
    limit.next_mono_ns = clock_mono_ns(); /* the hour is over */
    assert_true(log_allowed(&limit, 0, &skipped));
    assert_int_equal(skipped, 2);
}

static void *set_it(void *arg)
{
    wake_set(arg);
    return NULL;
}

static void test_wake(void **state)
{
    struct wake wake;
    struct err err;
    pthread_t thread;

    (void)state;
    assert_int_equal(wake_open(&wake, &err), 0);
    assert_false(wake_clear(&wake));
    assert_false(wake_wait(&wake, 0)); /* long past */
    int64_t start = clock_mono_ns();
    assert_false(wake_wait(&wake, start + 2 * CLOCK_NS_PER_MS));
    assert_true(clock_mono_ns() - start >= 2 * CLOCK_NS_PER_MS);
    wake_set(&wake);
    wake_set(&wake);
    assert_true(wake_wait(&wake, 0)); /* set before the wait: not lost */
    assert_false(wake_clear(&wake));  /* two sets are one flag */
    assert_int_equal(pthread_create(&thread, NULL, set_it, &wake), 0);
    assert_true(wake_wait(&wake, INT64_MAX));
    assert_int_equal(pthread_join(thread, NULL), 0);
    wake_close(&wake);
    assert_int_equal(wake.fd, -1);
    wake_close(&wake);
    wake_close(NULL);
}

static void opening_makes_a_private_file_and_keeps_one(void **state)
{
    struct place *place = *state;
    struct stat st;

    for (int round = 0; round < 2; round++) {
        int fd = osfile_open(place->fd, "own", NULL);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_size, round ? 4 : 0);
        assert_int_equal(write(fd, "kept", 4), 4);
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(symlinkat("own", place->fd, "link"), 0);
    assert_true(osfile_open(place->fd, "link", NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_makes_a_private_file_and_keeps_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_private_dir, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_and_replace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_big_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secret, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lock_dies_with_its_process, set_up, tear_down),
        cmocka_unit_test(test_random),
        cmocka_unit_test_setup_teardown(test_log_lines, set_up, tear_down),
        cmocka_unit_test(test_log_limit),
        cmocka_unit_test(test_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
