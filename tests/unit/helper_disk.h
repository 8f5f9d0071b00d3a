/* helper_disk.h: a real disk and its open root, for the tests of what it says. */
#ifndef HELPER_DISK_H
#define HELPER_DISK_H

#include "buf.h"
#include "disk.h"
#include "helper_temp.h"

struct disk_fixture {
    struct temp_dir temp;
    struct disk disk;
    struct disk_dir *root;
    struct file_id root_file;
};

/* Of each test. */
int disk_setup(void **state);
int disk_teardown(void **state);
/* In the root. */
enum disk_answer disk_look(struct disk_fixture *f, const char *name, struct disk_entry *out);
enum disk_answer disk_open(struct disk_fixture *f, const char *name, struct disk_dir **out,
                           int *os);
/* `names` is initialised here, whatever the answer. */
enum disk_answer disk_list(struct disk_fixture *f, struct disk_dir *dir, struct buf *names,
                           int *os);
bool disk_listed(const struct buf *names, const char *name);

#endif
