/* helper_watch_linux.c: see helper_watch.h. */
#include "helper_watch.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>

#include <cmocka.h>

unsigned watch_test_kinds(void)
{
    return WATCH_BY(WATCH_INOTIFY) | WATCH_BY(WATCH_FANOTIFY) | WATCH_BY(WATCH_POLL);
}

const char *watch_test_refused(enum watch_kind kind)
{
    static char text[256];
    if (kind != WATCH_FANOTIFY)
        return NULL;
    void *state = (void *)(uintptr_t)kind;
    watch_test_setup(&state);
    struct watch_test *test = state;
    const char *backend = watch_backend(test->watch);
    bool there = strcmp(backend, "fanotify") == 0;
    snprintf(text, sizeof text, "%s", backend);
    watch_test_teardown(&state);
    return there ? NULL : text;
}

bool watch_test_has(enum watch_test_need need)
{
    (void)need;
    return true;
}

unsigned watch_test_runs(void)
{
    return 300;
}

bool watch_test_has_many_hints(void)
{
    return false;
}

void watch_test_find(struct watch_test *test, const char *path, uint64_t id, struct watch_dir *out)
{
    out->file = (struct file_id){id, 0};
    out->fd = openat(test->temp.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(out->fd >= 0);
}

void watch_test_let_go(const struct watch_dir *dir)
{
    close(dir->fd);
}

uint64_t watch_test_id(const struct watch_test *test, struct file_id file)
{
    (void)test;
    return file.a;
}

int watch_test_pull(struct watch_test *test, struct err *err)
{
    return watch_drain(test->watch, err);
}

bool watch_test_agrees(uint64_t hints, uint64_t wanted)
{
    return hints == wanted;
}

/* fanotify hears of the whole file system: others who are busy there would fill a queue that a test
 * does not read. So, where that is permitted, the tests are on one of their own, seen by this
 * process alone. */
bool watch_test_mount_quiet(char place[static WATCH_PLACE_SIZE])
{
    snprintf(place, WATCH_PLACE_SIZE, "%s", "/tmp/spoor-quiet-XXXXXX");
    if (geteuid() != 0 || !mkdtemp(place))
        return false;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", place, "tmpfs", 0, "mode=0755") || setenv("TMPDIR", place, 1)) {
        (void)rmdir(place); /* what is left of it is empty */
        return false;
    }
    return true;
}

void watch_test_unmount(const char *place)
{
    if (umount2(place, MNT_DETACH) || rmdir(place))
        print_message("cannot remove '%s'\n", place);
}
