/* helper_disk.c: see helper_disk.h. */
#include "helper_disk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

int disk_setup(void **state)
{
    struct disk_fixture *f = calloc(1, sizeof *f);
    int os;
    temp_dir_open(&f->temp);
    assert_int_equal(disk_real_open(f->temp.path, NULL, &f->disk, NULL), 0);
    assert_int_equal(f->disk.ops->open_root(f->disk.ctx, &f->root, &f->root_file, &os),
                     DISK_PRESENT);
    *state = f;
    return 0;
}

int disk_teardown(void **state)
{
    struct disk_fixture *f = *state;
    f->disk.ops->close(f->disk.ctx, f->root);
    disk_real_close(&f->disk);
    temp_dir_close(&f->temp);
    free(f);
    return 0;
}

enum disk_answer disk_look(struct disk_fixture *f, const char *name, struct disk_entry *out)
{
    return f->disk.ops->look(f->disk.ctx, f->root, bytes_str(name), out);
}

enum disk_answer disk_open(struct disk_fixture *f, const char *name, struct disk_dir **out, int *os)
{
    struct file_id file;
    return f->disk.ops->open(f->disk.ctx, f->root, bytes_str(name), out, &file, os);
}

enum disk_answer disk_list(struct disk_fixture *f, struct disk_dir *dir, struct buf *names, int *os)
{
    buf_init(names, 1 << 20);
    return f->disk.ops->list(f->disk.ctx, dir, names, os);
}

bool disk_listed(const struct buf *names, const char *name)
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
