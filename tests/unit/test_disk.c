/* test_disk.c: what disk_linux.c says of a real folder: every type, every answer, odd names. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include <cmocka.h>

#include "buf.h"
#include "disk.h"
#include "err.h"
#include "helper_temp.h"

struct fixture {
    struct temp_dir temp;
    struct disk disk;
    struct disk_dir *root;
    struct file_id root_file;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int os;
    temp_dir_open(&f->temp);
    assert_int_equal(disk_real_open(f->temp.path, NULL, &f->disk, NULL), 0);
    assert_int_equal(f->disk.ops->open_root(f->disk.ctx, &f->root, &f->root_file, &os),
                     DISK_PRESENT);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->disk.ops->close(f->disk.ctx, f->root);
    disk_real_close(&f->disk);
    temp_dir_close(&f->temp);
    free(f);
    return 0;
}

static enum disk_answer look(struct fixture *f, const char *name, struct disk_entry *out)
{
    return f->disk.ops->look(f->disk.ctx, f->root, bytes_str(name), out);
}

static enum disk_answer open_dir(struct fixture *f, const char *name, struct disk_dir **out,
                                 int *os)
{
    struct file_id file;
    return f->disk.ops->open(f->disk.ctx, f->root, bytes_str(name), out, &file, os);
}

static enum disk_answer list(struct fixture *f, struct disk_dir *dir, struct buf *names, int *os)
{
    buf_init(names, 1 << 20);
    return f->disk.ops->list(f->disk.ctx, dir, names, os);
}

static bool listed(const struct buf *names, const char *name)
{
    for (size_t at = 0; at < names->len;) {
        uint16_t len;
        memcpy(&len, names->data + at, sizeof len);
        at += sizeof len;
        if (bytes_equal(bytes_of(names->data + at, len), bytes_str(name)))
            return true;
        at += len;
    }
    return false;
}

/* ---- types and attributes ---- */

static void test_file(void **state)
{
    struct fixture *f = *state;
    struct disk_entry entry;
    const struct timespec times[2] = {{5, 6}, {-7, 123456789}};
    temp_write(&f->temp, "file", "hello");
    assert_int_equal(fchmodat(f->temp.fd, "file", 04640, 0), 0);
    assert_int_equal(utimensat(f->temp.fd, "file", times, 0), 0);
    assert_int_equal(look(f, "file", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_FILE);
    assert_int_equal(entry.link_count, 1);
    assert_int_equal(entry.attrs.size, 5);
    assert_int_equal(entry.attrs.mode, 04640);
    assert_true(entry.attrs.mtime_ns == -7 * INT64_C(1000000000) + 123456789);
    assert_true(entry.attrs.ctime_ns > 0);
    assert_int_equal(entry.attrs.target.len, 0);
    struct file_id file = entry.file;
    assert_true(file.a != 0);
    assert_int_equal(linkat(f->temp.fd, "file", f->temp.fd, "other", 0), 0);
    assert_int_equal(look(f, "other", &entry), DISK_PRESENT);
    assert_true(file_id_equal(entry.file, file));
    assert_int_equal(entry.link_count, 2);
    temp_rename(&f->temp, "other", "renamed");
    assert_int_equal(look(f, "renamed", &entry), DISK_PRESENT);
    assert_true(file_id_equal(entry.file, file));
}

static void test_directory(void **state)
{
    struct fixture *f = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct file_id file;
    int os;
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(fchmodat(f->temp.fd, "dir", 01750, 0), 0);
    assert_int_equal(look(f, "dir", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_DIR);
    assert_int_equal(entry.attrs.mode, 01750);
    /* These change with every child and are no attributes of it. */
    assert_int_equal(entry.attrs.size, 0);
    assert_int_equal(entry.attrs.mtime_ns, 0);
    assert_int_equal(entry.attrs.ctime_ns, 0);
    assert_int_equal(f->disk.ops->open(f->disk.ctx, f->root, bytes_str("dir"), &dir, &file, &os),
                     DISK_PRESENT);
    assert_true(file_id_equal(file, entry.file));
    f->disk.ops->close(f->disk.ctx, dir);
}

static void test_symlink(void **state)
{
    struct fixture *f = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    char target[4096];
    int os;
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(symlinkat("dir", f->temp.fd, "link"), 0);
    assert_int_equal(look(f, "link", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_SYMLINK);
    assert_true(bytes_equal(entry.attrs.target, bytes_str("dir")));
    assert_int_equal(entry.attrs.size, 0);
    assert_int_equal(entry.attrs.mode, 0);
    assert_true(entry.attrs.ctime_ns > 0);
    /* Never followed: as a directory it is not there. */
    assert_int_equal(open_dir(f, "link", &dir, &os), DISK_ABSENT);
    assert_null(dir);
    memset(target, 'x', sizeof target);
    target[sizeof target - 1] = '\0';
    target[1] = '\xff';
    assert_int_equal(symlinkat(target, f->temp.fd, "long"), 0);
    assert_int_equal(look(f, "long", &entry), DISK_PRESENT);
    assert_int_equal(entry.attrs.target.len, 4095);
    assert_memory_equal(entry.attrs.target.at, target, 4095);
}

static void test_others(void **state)
{
    struct fixture *f = *state;
    struct disk_entry entry;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    assert_int_equal(mkfifoat(f->temp.fd, "fifo", 0620), 0);
    assert_int_equal(fchmodat(f->temp.fd, "fifo", 0620, 0), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%.90s/socket", f->temp.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    close(fd);
    assert_int_equal(look(f, "fifo", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_OTHER);
    assert_int_equal(entry.attrs.mode, 0620);
    assert_int_equal(entry.attrs.size, 0);
    assert_int_equal(entry.attrs.mtime_ns, 0);
    assert_int_equal(look(f, "socket", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_OTHER);
    if (mknodat(f->temp.fd, "null", S_IFCHR | 0600, 0x103) == 0) {
        assert_int_equal(look(f, "null", &entry), DISK_PRESENT);
        assert_int_equal(entry.type, ENTRY_OTHER);
    }
}

/* ---- absent and unknown ---- */

static void test_absent(void **state)
{
    struct fixture *f = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct buf names;
    int os;
    assert_int_equal(look(f, "nothing", &entry), DISK_ABSENT);
    assert_int_equal(open_dir(f, "nothing", &dir, &os), DISK_ABSENT);
    temp_write(&f->temp, "file", "");
    assert_int_equal(open_dir(f, "file", &dir, &os), DISK_ABSENT);
    assert_null(dir);
    /* A handle outlives its directory: what was in it is gone. */
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(open_dir(f, "dir", &dir, &os), DISK_PRESENT);
    temp_remove(&f->temp, "dir");
    assert_int_equal(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry), DISK_ABSENT);
    assert_int_equal(list(f, dir, &names, &os), DISK_ABSENT);
    buf_deinit(&names);
    f->disk.ops->close(f->disk.ctx, dir);
}

static void test_impossible_names(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = ctx;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct buf names;
    int os = 0;
    if (!temp_drop_rights())
        return TEMP_CHILD_SKIP;
    CHECK(open_dir(f, "search", &dir, &os) == DISK_PRESENT);
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry) == DISK_PRESENT);
    CHECK(entry.type == ENTRY_FILE);
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("y"), &entry) == DISK_ABSENT);
    CHECK(list(f, dir, &names, &os) == DISK_UNKNOWN && os == EACCES);
    f->disk.ops->close(f->disk.ctx, dir);
    CHECK(open_dir(f, "listonly", &dir, &os) == DISK_PRESENT);
    CHECK(list(f, dir, &names, &os) == DISK_PRESENT);
    CHECK(listed(&names, "x"));
    CHECK(f->disk.ops->look(f->disk.ctx, dir, bytes_str("x"), &entry) == DISK_UNKNOWN);
    CHECK(entry.os == EACCES);
    CHECK(f->disk.ops->has_writer(f->disk.ctx, dir, bytes_str("x")) == -1);
    f->disk.ops->close(f->disk.ctx, dir);
    buf_deinit(&names);
    CHECK(look(f, "locked", &entry) == DISK_PRESENT); /* its parent may be searched */
    CHECK(open_dir(f, "locked", &dir, &os) == DISK_PRESENT);
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
    struct fixture *f = *state;
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
    struct fixture *f = ctx;
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
        CHECK(look(f, covered[i], &entry) == DISK_UNKNOWN);
        CHECK(entry.os == EXDEV);
        CHECK(open_dir(f, covered[i], &dir, &os) == DISK_UNKNOWN);
        CHECK(os == EXDEV && dir == NULL);
    }
    CHECK(look(f, "bound-file", &entry) == DISK_UNKNOWN && entry.os == EXDEV);
    CHECK(look(f, "plain", &entry) == DISK_PRESENT);
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
    struct fixture *f = *state;
    temp_mkdir(&f->temp, "tmpfs");
    temp_mkdir(&f->temp, "bound");
    temp_write(&f->temp, "bound-file", "");
    temp_write(&f->temp, "plain", "");
    check_child(temp_child(mount_child, f), "cannot mount here");
}

/* ---- listing and names ---- */

static void test_odd_names(void **state)
{
    struct fixture *f = *state;
    char longest[256];
    memset(longest, 'l', 255);
    longest[255] = '\0';
    const char *const odd[] = {"plain", "\xff\xfe invalid", "new\nline", "quo\"te'", " ",
                               "...",   "\x1b[31m",         "-rf",       longest};
    struct disk_entry entry;
    struct buf names;
    int os;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        temp_write(&f->temp, odd[i], "");
    for (int again = 0; again < 2; again++) { /* the same handle can be listed twice */
        assert_int_equal(list(f, f->root, &names, &os), DISK_PRESENT);
        size_t bytes = 0;
        for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
            assert_true(listed(&names, odd[i]));
            assert_int_equal(look(f, odd[i], &entry), DISK_PRESENT);
            bytes += 2 + strlen(odd[i]);
        }
        assert_int_equal(names.len, bytes); /* neither "." nor ".." nor anything twice */
        buf_deinit(&names);
    }
}

static void test_large_listing(void **state)
{
    struct fixture *f = *state;
    struct buf names;
    char name[32];
    int os;
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "a-rather-long-name-%d", i);
        temp_write(&f->temp, name, "");
    }
    assert_int_equal(list(f, f->root, &names, &os), DISK_PRESENT);
    size_t count = 0;
    for (size_t at = 0; at < names.len; count++) {
        uint16_t len;
        memcpy(&len, names.data + at, sizeof len);
        at += sizeof len + len;
    }
    assert_int_equal(count, 3000);
    assert_true(listed(&names, "a-rather-long-name-2999"));
    /* A listing that does not fit is none. */
    buf_deinit(&names);
    buf_init(&names, 1000);
    assert_int_equal(f->disk.ops->list(f->disk.ctx, f->root, &names, &os), DISK_UNKNOWN);
    buf_deinit(&names);
}

/* A path of 300 * 201 bytes: no call ever sees it whole. */
static void test_deeper_than_path_max(void **state)
{
    struct fixture *f = *state;
    enum { DEPTH = 300, NAME = 200 };
    char name[NAME + 1];
    memset(name, 'd', NAME);
    name[NAME] = '\0';
    int at = openat(f->temp.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(at, name, 0755), 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(openat(at, "leaf", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    close(at);
    struct disk_dir *dir = f->root;
    struct disk_entry entry;
    struct file_id file;
    int os;
    for (int i = 0; i < DEPTH; i++) {
        struct disk_dir *next;
        assert_int_equal(f->disk.ops->open(f->disk.ctx, dir, bytes_str(name), &next, &file, &os),
                         DISK_PRESENT);
        if (dir != f->root)
            f->disk.ops->close(f->disk.ctx, dir);
        dir = next;
    }
    assert_int_equal(f->disk.ops->look(f->disk.ctx, dir, bytes_str("leaf"), &entry), DISK_PRESENT);
    f->disk.ops->close(f->disk.ctx, dir);
}

/* ---- files ---- */

static int has_writer(struct fixture *f, const char *name)
{
    return f->disk.ops->has_writer(f->disk.ctx, f->root, bytes_str(name));
}

static void test_has_writer(void **state)
{
    struct fixture *f = *state;
    temp_write(&f->temp, "file", "some text");
    assert_int_equal(has_writer(f, "file"), 0);
    int fd = openat(f->temp.fd, "file", O_RDWR | O_CLOEXEC);
    assert_int_equal(has_writer(f, "file"), 1);
    /* A shared writable map counts though nothing is open any more. */
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_int_equal(has_writer(f, "file"), 1);
    munmap(map, 4096);
    assert_int_equal(has_writer(f, "file"), 0);
    /* A reader is no writer, and no lease stays behind: opening for write is not held up. */
    int reader = openat(f->temp.fd, "file", O_RDONLY | O_CLOEXEC);
    assert_int_equal(has_writer(f, "file"), 0);
    close(reader);
    fd = openat(f->temp.fd, "file", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(mkfifoat(f->temp.fd, "fifo", 0600), 0);
    assert_int_equal(symlinkat("file", f->temp.fd, "link"), 0);
    assert_int_equal(has_writer(f, "fifo"), -1);
    assert_int_equal(has_writer(f, "link"), -1);
    assert_int_equal(has_writer(f, "nothing"), -1);
}

static enum disk_answer read_file(struct fixture *f, const char *name, size_t limit,
                                  struct buf *text, int *os)
{
    return f->disk.ops->read_file(f->disk.ctx, f->root, bytes_str(name), limit, text, os);
}

static void test_read_file(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    int os;
    char big[10001];
    memset(big, 'b', sizeof big);
    big[10000] = '\0';
    buf_init(&text, 20000);
    buf_add_str(&text, "<");
    temp_write(&f->temp, "small", "abc");
    temp_write(&f->temp, "empty", "");
    temp_write(&f->temp, "big", big);
    assert_int_equal(read_file(f, "small", 3, &text, &os), DISK_PRESENT);
    assert_int_equal(read_file(f, "empty", 3, &text, &os), DISK_PRESENT);
    assert_string_equal(text.data, "<abc");
    assert_int_equal(read_file(f, "small", 2, &text, &os), DISK_UNKNOWN);
    assert_int_equal(os, EFBIG);
    assert_int_equal(read_file(f, "big", 9999, &text, &os), DISK_UNKNOWN);
    assert_string_equal(text.data, "<abc");
    assert_int_equal(read_file(f, "big", 10000, &text, &os), DISK_PRESENT);
    assert_int_equal(text.len, 10004);
    /* Only a regular file can hold rules; opening a FIFO must not hang. */
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(symlinkat("small", f->temp.fd, "link"), 0);
    assert_int_equal(mkfifoat(f->temp.fd, "fifo", 0600), 0);
    assert_int_equal(read_file(f, "dir", 10, &text, &os), DISK_ABSENT);
    assert_int_equal(read_file(f, "link", 10, &text, &os), DISK_ABSENT);
    assert_int_equal(read_file(f, "fifo", 10, &text, &os), DISK_ABSENT);
    assert_int_equal(read_file(f, "nothing", 10, &text, &os), DISK_ABSENT);
    buf_deinit(&text);
}

static void test_file_system_and_descriptors(void **state)
{
    struct fixture *f = *state;
    struct statfs fs;
    struct disk_dir *dir;
    struct buf names, text;
    int64_t type = 0;
    int os;
    assert_int_equal(disk_real_fs_type(&f->disk, &type, NULL), 0);
    assert_int_equal(fstatfs(f->temp.fd, &fs), 0);
    assert_int_equal(type, (int64_t)fs.f_type);
    temp_mkdir(&f->temp, "dir");
    temp_write(&f->temp, "file", "x");
    int before = temp_count_descriptors();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(open_dir(f, "dir", &dir, &os), DISK_PRESENT);
        assert_int_equal(list(f, dir, &names, &os), DISK_PRESENT);
        buf_deinit(&names);
        f->disk.ops->close(f->disk.ctx, dir);
        buf_init(&text, 100);
        (void)read_file(f, "file", 100, &text, &os); /* what they say is tested above */
        (void)has_writer(f, "file");
        (void)has_writer(f, "dir");
        buf_deinit(&text);
    }
    assert_int_equal(temp_count_descriptors(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file),         TEST(test_directory),     TEST(test_symlink),
        TEST(test_others),       TEST(test_absent),        TEST(test_impossible_names),
        TEST(test_root_by_path), TEST(test_denied),        TEST(test_mounts),
        TEST(test_odd_names),    TEST(test_large_listing), TEST(test_deeper_than_path_max),
        TEST(test_has_writer),   TEST(test_read_file),     TEST(test_file_system_and_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
