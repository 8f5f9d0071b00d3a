/* test_disk_windows.c: what a look at a folder of Windows gives: stored names alone, identities,
 * nothing in anybody's way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "disk.h"
#include "err.h"
#include "helper_temp.h"
#include "native_windows.h"

#define DEEP 40 /* directories of 12 bytes above one another: far beyond 260 */

struct rig {
    struct temp_dir dir;
    struct disk disk;
    struct disk_dir *root;
    struct file_id root_id;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct err err = {0};
    int os;
    assert_non_null(rig);
    temp_dir_open(&rig->dir);
    assert_int_equal(disk_real_open(rig->dir.path, NULL, &rig->disk, &err), 0);
    assert_int_equal(rig->disk.ops->open_root(rig->disk.ctx, &rig->root, &rig->root_id, &os),
                     DISK_PRESENT);
    assert_int_equal(os, 0);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    rig->disk.ops->close(rig->disk.ctx, rig->root);
    disk_real_close(&rig->disk);
    temp_dir_close(&rig->dir);
    free(rig);
    return 0;
}

static enum disk_answer look(struct rig *rig, const char *name, struct disk_entry *out)
{
    return rig->disk.ops->look(rig->disk.ctx, rig->root, bytes_str(name), out);
}

static enum disk_answer open_dir(struct rig *rig, struct disk_dir *parent, const char *name,
                                 struct disk_dir **out, int *os)
{
    struct file_id file;
    return rig->disk.ops->open(rig->disk.ctx, parent, bytes_str(name), out, &file, os);
}

static void test_attributes(void **state)
{
    struct rig *rig = *state;
    struct disk_entry file, dir, again;
    temp_write(&rig->dir, "f", "12345");
    temp_mkdir(&rig->dir, "d");
    assert_int_equal(look(rig, "f", &file), DISK_PRESENT);
    assert_int_equal(file.type, ENTRY_FILE);
    assert_int_equal(file.attrs.size, 5);
    assert_int_equal(file.attrs.mode, 0644);
    assert_int_equal(file.link_count, 1);
    int64_t age_ns = clock_wall_ns() - file.attrs.mtime_ns;
    assert_true(age_ns > -3600 * CLOCK_NS_PER_S && age_ns < 3600 * CLOCK_NS_PER_S);
    assert_int_equal(look(rig, "d", &dir), DISK_PRESENT);
    assert_int_equal(dir.type, ENTRY_DIR);
    assert_int_equal(dir.attrs.size, 0);
    assert_false(file_id_equal(file.file, dir.file));
    temp_rename(&rig->dir, "f", "g");
    assert_int_equal(look(rig, "f", &again), DISK_ABSENT);
    assert_int_equal(look(rig, "g", &again), DISK_PRESENT);
    assert_true(file_id_equal(file.file, again.file));
    temp_write(&rig->dir, "g", "123456789");
    assert_int_equal(look(rig, "g", &again), DISK_PRESENT);
    assert_int_equal(again.attrs.size, 9);
}

/* A name is present only by the very bytes that the directory holds (RULES 7). */
static void test_stored_names(void **state)
{
    struct rig *rig = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    int os;
    temp_write(&rig->dir, "Foo.txt", "");
    temp_mkdir(&rig->dir, "Dir");
    temp_write(&rig->dir, "Dir/rules", "*.tmp\n");
    assert_int_equal(look(rig, "Foo.txt", &entry), DISK_PRESENT);
    assert_int_equal(look(rig, "foo.txt", &entry), DISK_ABSENT);
    assert_int_equal(look(rig, "FOO.TXT", &entry), DISK_ABSENT);
    assert_int_equal(look(rig, "Foo.txt.", &entry), DISK_ABSENT);
    assert_int_equal(look(rig, "Foo*", &entry), DISK_ABSENT);
    assert_int_equal(look(rig, "F?o.txt", &entry), DISK_ABSENT);
    assert_int_equal(look(rig, "\xff", &entry), DISK_ABSENT);
    assert_int_equal(look(rig, "..", &entry), DISK_UNKNOWN);
    assert_int_equal(look(rig, "Dir/rules", &entry), DISK_UNKNOWN);
    assert_int_equal(look(rig, "Dir\\rules", &entry), DISK_UNKNOWN);
    assert_int_equal(open_dir(rig, rig->root, "dir", &dir, &os), DISK_ABSENT);
    assert_int_equal(open_dir(rig, rig->root, "Foo.txt", &dir, &os), DISK_ABSENT);
    assert_int_equal(open_dir(rig, rig->root, "none", &dir, &os), DISK_ABSENT);
    assert_int_equal(open_dir(rig, rig->root, "Dir", &dir, &os), DISK_PRESENT);
    struct buf text;
    buf_init(&text, 4096);
    const struct disk_ops *ops = rig->disk.ops;
    assert_int_equal(ops->read_file(rig->disk.ctx, dir, bytes_str("rules"), 100, &text, &os),
                     DISK_PRESENT);
    assert_string_equal(text.data, "*.tmp\n");
    assert_int_equal(ops->read_file(rig->disk.ctx, dir, bytes_str("RULES"), 100, &text, &os),
                     DISK_ABSENT);
    assert_int_equal(ops->read_file(rig->disk.ctx, dir, bytes_str("rules"), 5, &text, &os),
                     DISK_UNKNOWN);
    assert_int_equal(os, EFBIG);
    assert_int_equal(text.len, 6);
    assert_int_equal(ops->read_file(rig->disk.ctx, rig->root, bytes_str("Dir"), 5, &text, &os),
                     DISK_ABSENT);
    buf_deinit(&text);
    ops->close(rig->disk.ctx, dir);
}

static void test_list(void **state)
{
    static const char *const made[] = {"a", "\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x90\xbe", "B.txt"};
    struct rig *rig = *state;
    struct buf names;
    int os;
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        temp_write(&rig->dir, made[i], "");
    temp_write(&rig->dir, ".spoor-sync-0123456789abcdef", ""); /* a barrier, on its way */
    buf_init(&names, 4096);
    for (int round = 0; round < 2; round++) {
        unsigned seen = 0;
        buf_reset(&names);
        assert_int_equal(rig->disk.ops->list(rig->disk.ctx, rig->root, &names, &os), DISK_PRESENT);
        for (size_t at = 0; at < names.len;) {
            uint16_t len;
            memcpy(&len, names.data + at, sizeof len);
            struct bytes name = bytes_of(names.data + at + sizeof len, len);
            for (size_t i = 0; i < ARRAY_LEN(made); i++)
                if (bytes_equal(name, bytes_str(made[i])))
                    seen |= 1u << i;
            assert_null(memchr(name.at, '-', name.len));
            at += sizeof len + len;
        }
        assert_int_equal(seen, 15);
    }
    buf_deinit(&names);
}

/* While we hold a directory open it is renamed, and deleted; while others hold a file closed to
 * all, we see what it is. */
static void test_in_nobodys_way(void **state)
{
    struct rig *rig = *state;
    struct disk_entry entry;
    struct disk_dir *dir;
    struct buf names;
    wchar_t *path = NULL;
    char text[256];
    int os;
    temp_mkdir(&rig->dir, "d");
    assert_int_equal(open_dir(rig, rig->root, "d", &dir, &os), DISK_PRESENT);
    temp_rename(&rig->dir, "d", "e");
    temp_remove(&rig->dir, "e");
    buf_init(&names, 4096);
    enum disk_answer answer = rig->disk.ops->list(rig->disk.ctx, dir, &names, &os);
    assert_true(answer != DISK_PRESENT || names.len == 0);
    buf_deinit(&names);
    rig->disk.ops->close(rig->disk.ctx, dir);
    assert_int_equal(look(rig, "e", &entry), DISK_ABSENT);
    (void)snprintf(text, sizeof text, "%s/closed", rig->dir.path); /* fits */
    assert_int_equal(native_path(text, &path, NULL), 0);
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    free(path);
    assert_int_equal(look(rig, "closed", &entry), DISK_PRESENT);
    assert_true(CloseHandle(file));
}

static void test_deep(void **state)
{
    struct rig *rig = *state;
    struct disk_dir *dirs[DEEP + 1] = {rig->root};
    char path[DEEP * 12 + 1] = "";
    struct disk_entry entry;
    int os;
    for (size_t i = 0; i < DEEP; i++) {
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof path - len, "%sdirectory%02zu", i ? "/" : "", i);
        temp_mkdir(&rig->dir, path);
        const char *name = strrchr(path, '/');
        assert_int_equal(open_dir(rig, dirs[i], name ? name + 1 : path, &dirs[i + 1], &os),
                         DISK_PRESENT);
    }
    assert_int_equal(
        rig->disk.ops->look(rig->disk.ctx, dirs[DEEP - 1], bytes_str("directory39"), &entry),
        DISK_PRESENT);
    for (size_t i = DEEP; i > 0; i--)
        rig->disk.ops->close(rig->disk.ctx, dirs[i]);
}

static void test_file_system(void **state)
{
    struct rig *rig = *state;
    struct err err = {0};
    int64_t type = 0;
    assert_int_equal(disk_real_fs_type(&rig->disk, &type, &err), 0);
    assert_true(type != 0);
    uint32_t fat;
    memcpy(&fat, "FAT3", sizeof fat);
    assert_true(disk_identity_is_weak(fat, rig->root_id));
    memcpy(&fat, "NTFS", sizeof fat);
    assert_false(disk_identity_is_weak(fat, rig->root_id));
    assert_true(disk_identity_is_weak(fat | INT64_C(1) << 32, rig->root_id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stored_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_nobodys_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_system, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
