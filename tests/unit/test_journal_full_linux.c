/* test_journal_full_linux.c: acknowledging on a full disk, which takes a file system of the test's
 * own (mount_namespaces(7), tmpfs). */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "helper_journal.h"
#include "reserve.h"

/* In a mount namespace of its own, with a small file system in the box's place. Exit status: 0
 * passed, 77 cannot be run here, else the line that failed. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            _exit(__LINE__ % 70 + 1);                                                              \
    } while (0)

static void fill_disk(const struct box *box)
{
    static const char zeros[4096];
    int fd = open(box_file(box, "ballast"), O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    MUST(errno == ENOSPC);
    MUST(close(fd) == 0);
}

static void run_on_full_disk(void)
{
    struct box box = {.wall_ms = 1000, .next_ino = 1};
    struct stat info;
    (void)snprintf(box.dir, sizeof box.dir, "/tmp/spoor-full-XXXXXX"); /* fits */
    MUST(mkdtemp(box.dir) != NULL);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", box.dir, "tmpfs", 0, "size=4m") != 0) {
        (void)rmdir(box.dir);
        _exit(77);
    }
    MUST(journal_open(box.dir, "docs", &box.journal, NULL) == 0);
    MUST(stat(box_file(&box, RESERVE_FILE), &info) == 0);
    box_fill(&box);
    MUST(journal_consumer_add(box.journal, "up", 0, NULL) == 0);
    fill_disk(&box);
    /* The log may have room left from before: acknowledge until the disk itself is asked. */
    for (int i = 0; stat(box_file(&box, RESERVE_FILE), &info) == 0; i++) {
        MUST(i < 10000);
        MUST(journal_ack(box.journal, "up", 6, 1000 + i, NULL) == 0);
    }
    /* Then no commit goes through, and the journal says so until it is opened again. */
    fill_disk(&box);
    int code = 0;
    for (int i = 0; code == 0 && i < 10000; i++) {
        box_write(&box, "d/f");
        code = journal_commit(box.journal, box.edits, box.edit_count, 1, &box.err);
        box_drop_edits(&box);
    }
    MUST(code == ERR_FULL);
    int64_t last = journal_info(box.journal)->last_seq;
    MUST(journal_gap(box.journal, true, CHANGE_INTERNAL, 1, NULL) == ERR_FULL);
    MUST(unlink(box_file(&box, "ballast")) == 0);
    journal_close(box.journal);
    MUST(journal_open(box.dir, "docs", &box.journal, NULL) == 0);
    MUST(journal_info(box.journal)->last_seq == last);
    MUST(stat(box_file(&box, RESERVE_FILE), &info) == 0); /* made again */
    MUST(box_load(&box) == 0);
    journal_close(box.journal);
    MUST(umount(box.dir) == 0);
    MUST(rmdir(box.dir) == 0);
    _exit(0);
}

static void test_ack_on_a_full_disk(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_on_full_disk();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: no right to mount a file system of our own\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ack_on_a_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
