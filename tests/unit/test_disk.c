/* test_disk.c: what disk_linux.c says of a real folder: every type, odd names, large and deep
 * directories, what files hold. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include <cmocka.h>

#include "err.h"
#include "helper_disk.h"

/* ---- types and attributes ---- */

static void test_file(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_entry entry;
    const struct timespec times[2] = {{5, 6}, {-7, 123456789}};
    temp_write(&f->temp, "file", "hello");
    assert_int_equal(fchmodat(f->temp.fd, "file", 04640, 0), 0);
    assert_int_equal(utimensat(f->temp.fd, "file", times, 0), 0);
    assert_int_equal(disk_look(f, "file", &entry), DISK_PRESENT);
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
    assert_int_equal(disk_look(f, "other", &entry), DISK_PRESENT);
    assert_true(file_id_equal(entry.file, file));
    assert_int_equal(entry.link_count, 2);
    temp_rename(&f->temp, "other", "renamed");
    assert_int_equal(disk_look(f, "renamed", &entry), DISK_PRESENT);
    assert_true(file_id_equal(entry.file, file));
}

static void test_directory(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct file_id file;
    int os;
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(fchmodat(f->temp.fd, "dir", 01750, 0), 0);
    assert_int_equal(disk_look(f, "dir", &entry), DISK_PRESENT);
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
    struct disk_fixture *f = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    char target[4096];
    int os;
    temp_mkdir(&f->temp, "dir");
    assert_int_equal(symlinkat("dir", f->temp.fd, "link"), 0);
    assert_int_equal(disk_look(f, "link", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_SYMLINK);
    assert_true(bytes_equal(entry.attrs.target, bytes_str("dir")));
    assert_int_equal(entry.attrs.size, 0);
    assert_int_equal(entry.attrs.mode, 0);
    assert_true(entry.attrs.ctime_ns > 0);
    /* Never followed: as a directory it is not there. */
    assert_int_equal(disk_open(f, "link", &dir, &os), DISK_ABSENT);
    assert_null(dir);
    memset(target, 'x', sizeof target);
    target[sizeof target - 1] = '\0';
    target[1] = '\xff';
    assert_int_equal(symlinkat(target, f->temp.fd, "long"), 0);
    assert_int_equal(disk_look(f, "long", &entry), DISK_PRESENT);
    assert_int_equal(entry.attrs.target.len, 4095);
    assert_memory_equal(entry.attrs.target.at, target, 4095);
}

static void test_others(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_entry entry;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    assert_int_equal(mkfifoat(f->temp.fd, "fifo", 0620), 0);
    assert_int_equal(fchmodat(f->temp.fd, "fifo", 0620, 0), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%.90s/socket", f->temp.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    close(fd);
    assert_int_equal(disk_look(f, "fifo", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_OTHER);
    assert_int_equal(entry.attrs.mode, 0620);
    assert_int_equal(entry.attrs.size, 0);
    assert_int_equal(entry.attrs.mtime_ns, 0);
    assert_int_equal(disk_look(f, "socket", &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_OTHER);
    if (mknodat(f->temp.fd, "null", S_IFCHR | 0600, 0x103) == 0) {
        assert_int_equal(disk_look(f, "null", &entry), DISK_PRESENT);
        assert_int_equal(entry.type, ENTRY_OTHER);
    }
}

/* ---- listing and names ---- */

static void test_odd_names(void **state)
{
    struct disk_fixture *f = *state;
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
        assert_int_equal(disk_list(f, f->root, &names, &os), DISK_PRESENT);
        size_t bytes = 0;
        for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
            assert_true(disk_listed(&names, odd[i]));
            assert_int_equal(disk_look(f, odd[i], &entry), DISK_PRESENT);
            bytes += 2 + strlen(odd[i]);
        }
        assert_int_equal(names.len, bytes); /* neither "." nor ".." nor anything twice */
        buf_deinit(&names);
    }
}

static void test_large_listing(void **state)
{
    struct disk_fixture *f = *state;
    struct buf names;
    char name[32];
    int os;
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "a-rather-long-name-%d", i);
        temp_write(&f->temp, name, "");
    }
    assert_int_equal(disk_list(f, f->root, &names, &os), DISK_PRESENT);
    size_t count = 0;
    for (size_t at = 0; at < names.len; count++) {
        uint16_t len;
        memcpy(&len, names.data + at, sizeof len);
        at += sizeof len + len;
    }
    assert_int_equal(count, 3000);
    assert_true(disk_listed(&names, "a-rather-long-name-2999"));
    /* A listing that does not fit is none. */
    buf_deinit(&names);
    buf_init(&names, 1000);
    assert_int_equal(f->disk.ops->list(f->disk.ctx, f->root, &names, &os), DISK_UNKNOWN);
    buf_deinit(&names);
}

/* A path of 300 * 201 bytes: no call ever sees it whole. */
static void test_deeper_than_path_max(void **state)
{
    struct disk_fixture *f = *state;
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

static int has_writer(struct disk_fixture *f, const char *name)
{
    return f->disk.ops->has_writer(f->disk.ctx, f->root, bytes_str(name));
}

static void test_has_writer(void **state)
{
    struct disk_fixture *f = *state;
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

static enum disk_answer read_file(struct disk_fixture *f, const char *name, size_t limit,
                                  struct buf *text, int *os)
{
    return f->disk.ops->read_file(f->disk.ctx, f->root, bytes_str(name), limit, text, os);
}

static void test_read_file(void **state)
{
    struct disk_fixture *f = *state;
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
    struct disk_fixture *f = *state;
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
        assert_int_equal(disk_open(f, "dir", &dir, &os), DISK_PRESENT);
        assert_int_equal(disk_list(f, dir, &names, &os), DISK_PRESENT);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file),
        TEST(test_directory),
        TEST(test_symlink),
        TEST(test_others),
        TEST(test_odd_names),
        TEST(test_large_listing),
        TEST(test_deeper_than_path_max),
        TEST(test_has_writer),
        TEST(test_read_file),
        TEST(test_file_system_and_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
