/* helper_scan_linux.c: see helper_scan.h. By statx(2). */
#include "helper_scan.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static int64_t ns(struct statx_timestamp time)
{
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

void walk_entry(struct walk *walk, const char *full, const char *path)
{
    struct statx st;
    char target[4096] = "";
    assert_int_equal(
        statx(AT_FDCWD, full, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st), 0);
    struct walked *item = walk_add(walk, path);
    item->file = (struct file_id){st.stx_ino, (uint64_t)ns(st.stx_btime)};
    item->attrs.mode = st.stx_mode & 07777;
    item->attrs.ctime_ns = ns(st.stx_ctime);
    if (S_ISREG(st.stx_mode)) {
        item->type = ENTRY_FILE;
        item->attrs.size = (int64_t)st.stx_size;
        item->attrs.mtime_ns = ns(st.stx_mtime);
    } else if (S_ISDIR(st.stx_mode)) {
        item->type = ENTRY_DIR;
        item->attrs.ctime_ns = 0;
    } else if (S_ISLNK(st.stx_mode)) {
        item->type = ENTRY_SYMLINK;
        item->attrs.mode = 0;
        ssize_t n = readlink(full, target, sizeof target - 1);
        assert_true(n >= 0);
        target[n] = '\0';
    } else {
        item->type = ENTRY_OTHER;
    }
    item->target = strdup(target);
}

void scan_test_special(struct scan_test *test, const char *path, bool link)
{
    if (link)
        assert_int_equal(symlinkat("target/of it", test->folder.fd, path), 0);
    else
        assert_int_equal(mkfifoat(test->folder.fd, path, 0600), 0);
}
