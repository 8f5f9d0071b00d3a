/* test_hostfile.c: what osfile.h promises on every system: names within a directory by its handle,
 * atomic replacement, moving aside, spools, the lock, identities. What modes, access lists and
 * signals add is in test_osfile.c. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "helper_temp.h"
#include "osfile.h"

static int set_up(void **state)
{
    struct temp_dir *dir = calloc(1, sizeof *dir);
    assert_non_null(dir);
    temp_dir_open(dir);
    *state = dir;
    return 0;
}

static int tear_down(void **state)
{
    temp_dir_close(*state);
    free(*state);
    return 0;
}

static void assert_content(const struct temp_dir *dir, const char *name, const char *text)
{
    struct err err = {0};
    struct buf content;
    buf_init(&content, 4096);
    assert_int_equal(osfile_read(dir->fd, name, 4096, &content, &err), 0);
    assert_string_equal(content.data ? content.data : "", text);
    buf_deinit(&content);
}

static void test_make_and_look(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    int64_t size = -1;

    assert_int_equal(osfile_exists(dir->fd, "a.db", &err), 0);
    assert_int_equal(osfile_size(dir->fd, "a.db", &size, &err), 0);
    assert_int_equal(size, 0);
    assert_int_equal(osfile_check_readable(dir->fd, "a.db", &err), 0);
    assert_int_equal(osfile_make(dir->fd, "a.db", &err), 0);
    assert_int_equal(osfile_exists(dir->fd, "a.db", &err), 1);
    assert_int_equal(osfile_replace(dir->fd, "a.db", "12345", 5, &err), 0);
    assert_int_equal(osfile_make(dir->fd, "a.db", &err), 0); /* leaves what is there */
    assert_content(dir, "a.db", "12345");
    assert_int_equal(osfile_size(dir->fd, "a.db", &size, &err), 0);
    assert_int_equal(size, 5);
    assert_int_equal(osfile_check_readable(dir->fd, "a.db", &err), 0);
    assert_int_equal(osfile_sync_dir(dir->fd, dir->path, &err), 0);
}

static void test_replace(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    struct buf content;

    buf_init(&content, 16);
    assert_int_equal(osfile_read(dir->fd, "f", 16, &content, &err), ERR_NOTFOUND);
    assert_int_equal(osfile_replace(dir->fd, "f", "one", 3, &err), 0);
    /* Somebody who holds it open does not stop the next one; Wine 8 has no such rename. */
    int old = temp_is_wine() ? -1 : osfile_lock(dir->fd, "f", NULL, &err);
    assert_true(old >= 0 || temp_is_wine());
    assert_int_equal(osfile_replace(dir->fd, "f", "two\r\n\x1a", 6, &err), 0);
    assert_int_equal(osfile_read(dir->fd, "f", 5, &content, &err), ERR_LIMIT);
    assert_int_equal(content.len, 0);
    assert_int_equal(osfile_read(dir->fd, "f", 6, &content, &err), 0);
    assert_int_equal(content.len, 6);
    assert_memory_equal(content.data, "two\r\n\x1a", 6);
    if (old >= 0)
        assert_int_equal(close(old), 0);
    buf_deinit(&content);
    temp_mkdir(dir, "d");
    assert_true(osfile_replace(dir->fd, "d", "x", 1, &err) < 0);
    assert_non_null(strstr(err.text, "'d'"));
}

static void test_move_aside(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};

    assert_int_equal(osfile_move_aside(dir->fd, "none", "new", &err), 0);
    assert_int_equal(osfile_replace(dir->fd, "from", "1", 1, &err), 0);
    assert_int_equal(osfile_replace(dir->fd, "there", "2", 1, &err), 0);
    assert_int_equal(osfile_move_aside(dir->fd, "from", "there", &err), ERR_EXISTS);
    assert_content(dir, "there", "2");
    assert_int_equal(osfile_move_aside(dir->fd, "from", "new", &err), 0);
    assert_int_equal(osfile_exists(dir->fd, "from", &err), 0);
    assert_content(dir, "new", "1");
}

struct seen {
    unsigned names; /* one bit each */
    int stop_at;
    int count;
};

static int see(void *ctx, const char *name, struct err *err)
{
    struct seen *seen = ctx;
    (void)err;
    assert_int_equal(strlen(name), 1);
    seen->names |= 1u << (*name - 'a');
    return ++seen->count == seen->stop_at ? 7 : 0;
}

static void test_list(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    struct seen seen = {0};

    assert_int_equal(osfile_list(dir->fd, see, &seen, &err), 0);
    assert_int_equal(seen.count, 0);
    temp_write(dir, "a", "");
    temp_mkdir(dir, "b");
    temp_write(dir, "c", "");
    for (int round = 0; round < 2; round++) {
        seen = (struct seen){0};
        assert_int_equal(osfile_list(dir->fd, see, &seen, &err), 0);
        assert_int_equal(seen.names, 7);
        assert_int_equal(seen.count, 3);
    }
    seen = (struct seen){.stop_at = 2};
    assert_int_equal(osfile_list(dir->fd, see, &seen, &err), 7);
    assert_int_equal(seen.count, 2);
}

static void test_spool(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    struct seen seen = {0};
    char bytes[8];

    int fd = osfile_spool(dir->fd, &err);
    int other = osfile_spool(dir->fd, &err);
    assert_true(fd >= 0 && other >= 0);
    assert_int_equal(write(fd, "a\nb\r\n", 5), 5);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(read(fd, bytes, sizeof bytes), 5);
    assert_memory_equal(bytes, "a\nb\r\n", 5);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(other), 0);
    assert_int_equal(osfile_list(dir->fd, see, &seen, &err), 0);
    assert_int_equal(seen.count, 0);
}

static void test_identify(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    struct osfile_identity first, second;
    char path[256];

    (void)snprintf(path, sizeof path, "%s/f", dir->path);
    assert_false(osfile_identify(path, &first));
    temp_write(dir, "f", "1");
    assert_true(osfile_identify(path, &first));
    temp_write(dir, "f", "2");
    assert_true(osfile_identify(path, &second));
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(osfile_move_aside(dir->fd, "f", "g", &err), 0);
    temp_write(dir, "f", "3");
    assert_true(osfile_identify(path, &second));
    assert_memory_not_equal(&first, &second, sizeof first);
}

static void test_lock(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    int64_t holder = 0;

    int lock = osfile_lock(dir->fd, "lock", NULL, &err);
    assert_true(lock >= 0);
    assert_int_equal(osfile_lock(dir->fd, "lock", &holder, &err), ERR_BUSY);
    assert_int_equal(holder, getpid());
    assert_non_null(strstr(err.text, "'lock'"));
    assert_int_equal(close(lock), 0);
    lock = osfile_lock(dir->fd, "lock", NULL, &err);
    assert_true(lock >= 0);
    assert_int_equal(close(lock), 0);
}

static void test_private_dir(void **state)
{
    const struct temp_dir *dir = *state;
    struct err err = {0};
    char path[256];

    (void)snprintf(path, sizeof path, "%s/a/\xc3\xa4 b/c//", dir->path);
    assert_int_equal(osfile_make_private_dir(path, &err), 0);
    assert_int_equal(osfile_make_private_dir(path, &err), 0);
    int fd = osfile_open_dir(path, &err);
    assert_true(fd >= 0);
    assert_int_equal(osfile_replace(fd, "token", "secret\r\n", 8, &err), 0);
    assert_int_equal(close(fd), 0);
    struct buf secret;
    buf_init(&secret, 64);
    (void)snprintf(path, sizeof path, "%s/a/\xc3\xa4 b/c/token", dir->path);
    assert_int_equal(osfile_read_secret(path, 64, &secret, &err), 0);
    assert_string_equal(secret.data, "secret");
    buf_deinit(&secret);
    assert_true(osfile_make_private_dir(path, &err) < 0); /* a file */
    assert_int_equal(osfile_make_private_dir("", &err), ERR_INVALID);
    assert_int_equal(osfile_open_dir(path, &err) < 0, 1);
}

static void test_machine_and_random(void **state)
{
    struct err err = {0};
    struct buf name;
    unsigned char a[16], b[16];

    (void)state;
    buf_init(&name, 256);
    int code = osfile_machine(&name, &err);
    assert_true(code == 0 ? name.len > 0 : err.text[0] != '\0');
    buf_deinit(&name);
    assert_int_equal(osfile_random(a, sizeof a, &err), 0);
    assert_int_equal(osfile_random(b, sizeof b, &err), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_make_and_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_move_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spool, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_identify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_private_dir, set_up, tear_down),
        cmocka_unit_test(test_machine_and_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
