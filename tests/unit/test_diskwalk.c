/* test_diskwalk.c: the walk of `spoor verify` over a real directory: order, ignore rules, more
 * levels than directories it keeps open, unreadable directories. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "disk.h"
#include "diskwalk.h"
#include "err.h"
#include "rules.h"

#define DEEP_LEVELS (3 * DISKWALK_HANDLES_MAX)
#define DEEP_NAME   "a-name-long-enough-to-get-past-PATH_MAX-before-the-last-level"

static char root[] = "/tmp/spoor-diskwalk-XXXXXX";

static void make_file(int at, const char *name, const char *text)
{
    int fd = openat(at, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static int make_dir(int at, const char *name)
{
    assert_int_equal(mkdirat(at, name, 0755), 0);
    int fd = openat(at, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int open_root(void)
{
    (void)snprintf(root, sizeof(root), "/tmp/spoor-diskwalk-XXXXXX");
    assert_non_null(mkdtemp(root));
    int fd = open(root, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void remove_root(int fd)
{
    assert_int_equal(close(fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execlp("rm", "rm", "-rf", root, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The walk as text: a path a line, "?errno" behind what could not be looked at. */
static void walk_into(struct buf *out, const struct config_list *patterns)
{
    struct disk disk;
    struct rules *rules;
    struct diskwalk *walk;
    struct err err;
    struct compare_item item;
    int rc;
    assert_int_equal(disk_real_open(root, NULL, &disk, &err), 0);
    assert_int_equal(rules_new(patterns, &rules, &err), 0);
    assert_int_equal(diskwalk_open(&disk, rules, &walk, &err), 0);
    while ((rc = diskwalk_next(walk, &item, &err)) == 1) {
        buf_add(out, item.path.at, item.path.len);
        if (item.unknown)
            buf_addf(out, "?%d", item.os);
        buf_add_char(out, '\n');
    }
    assert_int_equal(rc, 0);
    diskwalk_close(walk);
    rules_free(rules);
    disk_real_close(&disk);
    assert_true(buf_ok(out));
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_order_and_rules(void **state)
{
    (void)state;
    int top = open_root();
    int a = make_dir(top, "a");
    make_file(a, "f", "x");
    make_file(a, "f.tmp", "x");
    make_file(a, "keep.o", "x");
    make_file(a, "other.o", "x");
    make_file(a, ".spoorignore", "*.o\n!keep.o\n");
    make_file(top, "a-", "x");
    make_file(top, "z.o", "x"); /* a's rules end with a */
    int build = make_dir(top, "build");
    make_file(build, "out", "x");
    assert_int_equal(symlinkat("a", top, "link"), 0);
    static char tmp[] = "*.tmp", dirs[] = "build/";
    char *items[] = {tmp, dirs};
    struct config_list patterns = {items, 2};
    struct buf out;
    buf_init(&out, 1 << 16);
    walk_into(&out, &patterns);
    assert_string_equal(out.data, "a\na/.spoorignore\na/f\na/keep.o\na-\nlink\nz.o\n");
    buf_deinit(&out);
    assert_int_equal(close(a), 0);
    assert_int_equal(close(build), 0);
    remove_root(top);
}

/* Each level has a name on either side of the next, so that every level is come back to. */
static void test_deep(void **state)
{
    (void)state;
    int top = open_root();
    int at = dup(top);
    struct buf expected, out, path;
    buf_init(&expected, 64 << 20);
    buf_init(&out, 64 << 20);
    buf_init(&path, 1 << 20);
    size_t lens[DEEP_LEVELS];
    for (int i = 0; i < DEEP_LEVELS; i++) {
        make_file(at, "A", "");
        make_file(at, "z", "");
        int next = make_dir(at, DEEP_NAME);
        assert_int_equal(close(at), 0);
        at = next;
        lens[i] = path.len;
        buf_addf(&expected, "%sA\n", path.data ? path.data : "");
        buf_addf(&expected, "%s" DEEP_NAME "\n", path.data ? path.data : "");
        buf_add_str(&path, DEEP_NAME "/");
    }
    for (int i = DEEP_LEVELS - 1; i >= 0; i--) {
        buf_truncate(&path, lens[i]);
        buf_addf(&expected, "%sz\n", path.data);
    }
    int before = count_fds();
    walk_into(&out, NULL);
    assert_int_equal(count_fds(), before);
    assert_true(buf_ok(&expected));
    assert_string_equal(out.data, expected.data);
    buf_deinit(&expected);
    buf_deinit(&out);
    buf_deinit(&path);
    assert_int_equal(close(at), 0);
    remove_root(top);
}

static void test_unreadable(void **state)
{
    (void)state;
    int top = open_root();
    int a = make_dir(top, "a");
    make_file(a, "f", "x");
    make_file(top, "b", "x");
    assert_int_equal(fchmod(a, 0311), 0);
    assert_int_equal(fchmod(top, 0755), 0);
    /* root reads everything: another user walks, in a process of its own. */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534))
            _exit(2);
        struct buf out;
        buf_init(&out, 4096);
        walk_into(&out, NULL);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "a\na?%d\nb\n", EACCES);
        _exit(strcmp(out.data, expected) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(fchmod(a, 0755), 0);
    assert_int_equal(close(a), 0);
    remove_root(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_rules),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
