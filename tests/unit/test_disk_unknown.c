/* test_disk_unknown.c: what is absent, and what is not known: names that cannot be, a root that is
 * not there, directories without rights, mounts inside the folder. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "helper_disk.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

/* ---- absent and unknown ---- */

static void test_absent(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct buf names;
    int os;
    assert_int_equal(disk_look(f, "nothing", &entry), DISK_ABSENT);
    assert_int_equal(disk_open(f, "nothing", &dir, &os), DISK_ABSENT);
    temp_write(&f->temp, "file", "");
    assert_int_equal(disk_open(f, "file", &dir, &os), DISK_ABSENT);
    assert_null(dir);
    /* A handle outlives its directory: what was in it is gone. */
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(disk_open(f, "dir", &dir, &os), DISK_PRESENT);
    temp_remove(&f->temp, "dir");
    assert_int_equal(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry), DISK_ABSENT);
    assert_int_equal(disk_list(f, dir, &names, &os), DISK_ABSENT);
    buf_deinit(&names);
    f->disk.ops->close(f->disk.ctx, dir);
}

static void test_impossible_names(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_entry entry;
    char long_name[258];
    memset(long_name, 'n', sizeof long_name);
    const struct bytes names[] = {bytes_of("", 0),  bytes_str("."),      bytes_str(".."),
                                  bytes_str("a/b"), bytes_of("a\0b", 3), bytes_of(long_name, 256)};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(f->disk.ops->look(f->disk.ctx, f->root, names[i], &entry), DISK_UNKNOWN);
        assert_int_equal(entry.os, EINVAL);
    }
}

static void test_root_by_path(void **state)
{
    struct disk_fixture *f = *state;
    struct disk disk;
    struct disk_dir *dir;
    struct file_id file;
    int os;
    char path[200];
    temp_mkdir(&f->temp, "real");
    assert_int_equal(symlinkat("real", f->temp.fd, "by-link"), 0);
    temp_write(&f->temp, "file", "");
    const struct {
        const char *name;
        enum disk_answer answer;
    } cases[] = {{"real", DISK_PRESENT},
                 {"by-link", DISK_PRESENT}, /* the user's own path is followed */
                 {"nothing", DISK_ABSENT},
                 {"file", DISK_ABSENT}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(path, sizeof path, "%s/%s", f->temp.path, cases[i].name);
        assert_int_equal(disk_real_open(path, NULL, &disk, NULL), 0);
        assert_int_equal(disk.ops->open_root(disk.ctx, &dir, &file, &os), cases[i].answer);
        assert_int_equal(dir != NULL, cases[i].answer == DISK_PRESENT);
        disk.ops->close(disk.ctx, dir);
        disk_real_close(&disk);
    }
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_message("child: line %d: %s\n", __LINE__, #condition);                           \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* A directory one may search but not list, one may list but not search, and neither. */
static int denied_child(void *ctx)
{
    struct disk_fixture *f = ctx;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct buf names;
    int os = 0;
    if (!temp_drop_rights())
        return TEMP_CHILD_SKIP;
    CHECK(disk_open(f, "search", &dir, &os) == DISK_PRESENT);
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry) == DISK_PRESENT);
    CHECK(entry.type == ENTRY_FILE);
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("y"), &entry) == DISK_ABSENT);
    CHECK(disk_list(f, dir, &names, &os) == DISK_UNKNOWN && os == EACCES);
    f->disk.ops->close(f->disk.ctx, dir);
    CHECK(disk_open(f, "listonly", &dir, &os) == DISK_PRESENT);
    CHECK(disk_list(f, dir, &names, &os) == DISK_PRESENT);
    CHECK(disk_listed(&names, "x"));
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry) == DISK_UNKNOWN);
    CHECK(entry.os == EACCES);
    CHECK(f->disk.ops->has_writer(f->disk.ctx, dir, bytes_str("x")) == -1);
    f->disk.ops->close(f->disk.ctx, dir);
    buf_deinit(&names);
    CHECK(disk_look(f, "locked", &entry) == DISK_PRESENT); /* its parent may be searched */
    CHECK(disk_open(f, "locked", &dir, &os) == DISK_PRESENT);
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry) == DISK_UNKNOWN);
    CHECK(entry.os == EACCES);
    CHECK(f->disk.ops->open(f->disk.ctx, dir, bytes_str("x"), &(struct disk_dir *){NULL},
                            &(struct file_id){0}, &os) == DISK_UNKNOWN);
    f->disk.ops->close(f->disk.ctx, dir);
    return 0;
}

static void check_child(int code, const char *why)
{
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: %s\n", why);
        skip();
    }
    assert_int_equal(code, 0);
}

static void test_denied(void **state)
{
    struct disk_fixture *f = *state;
    const struct {
        const char *dir, *file;
        unsigned mode;
    } cases[] = {
        {"search", "search/x", 0111}, {"listonly", "listonly/x", 0444}, {"locked", "locked/x", 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        temp_mkdir(&f->temp, cases[i].dir);
        temp_write(&f->temp, cases[i].file, "");
        assert_int_equal(fchmodat(f->temp.fd, cases[i].dir, cases[i].mode, 0), 0);
    }
    check_child(temp_child(denied_child, f), "cannot give up rights");
}

/* What is mounted inside is not the folder's: unknown, not absent, and never entered. */
static int mount_child(void *ctx)
{
    struct disk_fixture *f = ctx;
    struct disk_entry entry;
    struct disk_dir *dir;
    char tmpfs[200], bound[200], bound_file[200];
    int os = 0;
    snprintf(tmpfs, sizeof tmpfs, "%s/tmpfs", f->temp.path);
    snprintf(bound, sizeof bound, "%s/bound", f->temp.path);
    snprintf(bound_file, sizeof bound_file, "%s/bound-file", f->temp.path);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", tmpfs, "tmpfs", 0, NULL) ||
        mount(f->temp.path, bound, NULL, MS_BIND, NULL) ||
        mount(bound_file, bound_file, NULL, MS_BIND, NULL))
        return TEMP_CHILD_SKIP;
    /* The handle of before belongs to the mounts of before. */
    CHECK(f->disk.ops->open_root(f->disk.ctx, &f->root, &f->root_file, &os) == DISK_PRESENT);
    const char *const covered[] = {"tmpfs", "bound"};
    for (size_t i = 0; i < ARRAY_LEN(covered); i++) {
        CHECK(disk_look(f, covered[i], &entry) == DISK_UNKNOWN);
        CHECK(entry.os == EXDEV);
        CHECK(disk_open(f, covered[i], &dir, &os) == DISK_UNKNOWN);
        CHECK(os == EXDEV && dir == NULL);
    }
    CHECK(disk_look(f, "bound-file", &entry) == DISK_UNKNOWN && entry.os == EXDEV);
    CHECK(disk_look(f, "plain", &entry) == DISK_PRESENT);
    /* The folder itself may well be the root of a mount. */
    struct disk disk;
    struct file_id file;
    CHECK(disk_real_open(tmpfs, NULL, &disk, NULL) == 0);
    CHECK(disk.ops->open_root(disk.ctx, &dir, &file, &os) == DISK_PRESENT);
    char path[220];
    snprintf(path, sizeof path, "%s/inner", tmpfs);
    CHECK(mkdir(path, 0700) == 0);
    struct disk_dir *inner = NULL;
    CHECK(disk.ops->open(disk.ctx, dir, bytes_str("inner"), &inner, &file, &os) == DISK_PRESENT);
    CHECK(disk.ops->look(disk.ctx, dir, bytes_str("inner"), &entry) == DISK_PRESENT);
    return 0;
}

static void test_mounts(void **state)
{
    struct disk_fixture *f = *state;
    temp_mkdir(&f->temp, "tmpfs");
    temp_mkdir(&f->temp, "bound");
    temp_write(&f->temp, "bound-file", "");
    temp_write(&f->temp, "plain", "");
    check_child(temp_child(mount_child, f), "cannot mount here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_absent), TEST(test_impossible_names), TEST(test_root_by_path),
        TEST(test_denied), TEST(test_mounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
