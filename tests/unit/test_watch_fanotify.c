/* test_watch_fanotify.c: what only fanotify has: a mark that may be refused, a queue whose loss is
 * told by records that we write ourselves, an unmount of which it says
 * nothing itself; and `auto`, which polls what is remote. Mounts are made in children with a mount
 * namespace of their own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "helper_watch.h"
#include "privilege.h"
#include "watch_fanotify.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_message("%d: %s\n", __LINE__, #condition);                                       \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static void judge(int code, const char *why_skipped)
{
    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: %s\n", why_skipped);
        skip();
    }
    assert_int_equal(code, 0);
}

/* Mounts a file system on `name` in the test's directory, seen by this process alone. */
static bool mount_on(const struct watch_test *test, const char *name, const char *type,
                     const char *options)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", test->temp.path, name);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", path, type, 0, options))
        return false;
    /* The handle is of the old namespace, in which nothing was mounted. */
    int fd = open(test->temp.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && dup3(fd, test->temp.fd, O_CLOEXEC) >= 0 && close(fd) == 0;
}

static int open_over(struct watch_test *test, const char *name, struct watch **out)
{
    char barriers[160], root[160];
    struct err err = {0};
    struct watch_setup how = watch_test_how(test, barriers);
    snprintf(root, sizeof root, "%s/%s", test->temp.path, name);
    how.root = root;
    return watch_open(&how, out, &err);
}

static int add(const struct watch_test *test, struct watch *watch, const char *name, uint64_t id,
               bool root, int32_t *number)
{
    struct err err = {0};
    int fd = openat(test->temp.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = watch_add(watch, &(struct watch_dir){.fd = fd, .file = {id, 0}, .root = root},
                         number, &err);
    close(fd);
    return code;
}

static void test_overflow(void **state)
{
    struct watch_test *test = *state;
    struct watch_fanotify *fanotify = (struct watch_fanotify *)test->watch;
    struct fanotify_event_metadata head = {.event_len = sizeof head,
                                           .vers = FANOTIFY_METADATA_VERSION,
                                           .metadata_len = sizeof head,
                                           .mask = FAN_Q_OVERFLOW,
                                           .fd = FAN_NOFD};
    watch_test_barrier(test, 5);
    memcpy(fanotify->queue.buffer, &head, sizeof head);
    assert_int_equal(watch_fanotify_parse(fanotify, sizeof head), FANOTIFY_RECORD_UNIT);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_OVERFLOW);
    watch_test_expect(test, SEEN_BARRIER, 0, "", 5); /* it may have been among what is lost */
    /* Unreadable bytes are a loss as well, and what stands in front of them is not. */
    memset(fanotify->queue.buffer + sizeof head, 'x', 40);
    assert_true(watch_fanotify_parse(fanotify, sizeof head + 40) >= FANOTIFY_RECORD_UNIT);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_OVERFLOW);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_OVERFLOW);
    /* The true record of that barrier finds nobody who waits. */
    temp_write(&test->temp, "root/a", "");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_NAME | HINT_CLOSED);
    watch_test_expect_end(test);
}

/* A directory's own attributes, told before it was added, are told when it is: whoever adds it may
 * have looked at it before they changed. */
static void test_attributes_before_the_watch(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    temp_mkdir(&test->temp, "root/e");
    assert_int_equal(fchmodat(test->temp.fd, "root/d", 0700, 0), 0);
    watch_test_drain(test);
    watch_test_forget(test);
    (void)watch_test_add(test, "root/e", 2, false);
    watch_test_expect_end(test);
    (void)watch_test_add(test, "root/d", 3, false);
    watch_test_expect(test, SEEN_HINT, 3, ".", HINT_ATTRIB);
    (void)watch_test_add(test, "root/d", 3, false); /* once */
    watch_test_expect_end(test);
}

static int writer(void *ctx)
{
    const struct watch_test *test = ctx;
    temp_write(&test->temp, "root/gone", "");
    return 0;
}

/* Ours, by its present name; one that is gone before it can be asked, and one that was asked. */
static void test_actor(void **state)
{
    struct watch_test *test = *state;
    char program[ACTOR_PROGRAM_SIZE];
    pid_t gone;
    int status;
    temp_write(&test->temp, "root/a", "");
    assert_int_equal(prctl(PR_GET_NAME, program), 0);
    watch_test_drain(test);
    assert_int_equal(watch_test_actor(test, 1, "a")->pid, getpid());
    assert_string_equal(watch_test_actor(test, 1, "a")->program, program);

    assert_int_equal(prctl(PR_SET_NAME, "fifteen letters, and more"), 0);
    temp_rename(&test->temp, "root/a", "root/b");
    watch_test_drain(test);
    assert_string_equal(watch_test_actor(test, 1, "a")->program, "fifteen letters");
    assert_string_equal(watch_test_actor(test, 1, "b")->program, "fifteen letters");
    (void)prctl(PR_SET_NAME, program); /* as it was */

    gone = fork();
    if (gone == 0)
        _exit(writer(test));
    assert_int_equal(waitpid(gone, &status, 0), gone);
    watch_test_drain(test);
    assert_int_equal(watch_test_actor(test, 1, "gone")->pid, gone);
    assert_string_equal(watch_test_actor(test, 1, "gone")->program, "");
}

/* Under a name outside the folder: told by the number of the inode, if it is a file of ours. */
static void test_elsewhere(void **state)
{
    struct watch_test *test = *state;
    struct stat st;
    temp_write(&test->temp, "outside/stranger", "");
    temp_write(&test->temp, "root/a", "");
    assert_int_equal(fstatat(test->temp.fd, "root/a", &st, 0), 0);
    watch_test_drain(test);
    watch_test_forget(test);
    int fd = test->temp.fd;
    assert_int_equal(linkat(fd, "outside/stranger", fd, "outside/other", 0), 0);
    assert_int_equal(linkat(fd, "root/a", fd, "outside/unknown", 0), 0);
    watch_test_drain(test);
    watch_test_expect_end(test); /* nobody said that it is ours */
    struct watch_fanotify *fanotify = (struct watch_fanotify *)test->watch;
    if (!fanotify->numbered) {
        print_message("skipped: handles of this file system do not tell numbers\n");
        skip();
    }
    watch_know(test->watch, st.st_ino);
    assert_int_equal(linkat(fd, "root/a", fd, "outside/b", 0), 0);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_INODE, st.st_ino, "", 0);
    temp_write(&test->temp, "outside/b", "more");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_INODE, st.st_ino, "", HINT_CONTENT | HINT_CLOSED);
    assert_int_equal(test->seen[test->next - 1].actor.pid, getpid());
    assert_int_equal(fchmodat(fd, "outside/b", 0600, 0), 0);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_INODE, st.st_ino, "", HINT_ATTRIB);
    assert_int_equal(unlinkat(fd, "outside/b", 0), 0);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_INODE, st.st_ino, "", 0);
    /* In a directory of ours the name says it all; and with the last name the inode is gone. */
    temp_write(&test->temp, "root/a", "more");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 1, "a", HINT_CONTENT | HINT_CLOSED);
    watch_test_expect_end(test);
    temp_remove(&test->temp, "outside/unknown");
    watch_test_drain(test);
    watch_test_forget(test);
    temp_remove(&test->temp, "root/a");
    watch_test_drain(test);
    assert_int_equal(watch_test_count(test, SEEN_INODE), 0);
    assert_int_equal(watch_test_hints(test, 1, "a"), HINT_NAME);
}

/* What a process that has ended was called is believed for a moment, and no longer. */
static void test_actor_is_kept(void **state)
{
    (void)state;
    struct watch_actors actors = {0};
    char go;
    int to_child[2], status;
    assert_int_equal(pipe(to_child), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(read(to_child[0], &go, 1) != 1);
    watch_actors_begin(&actors);
    assert_string_not_equal(watch_actors_of(&actors, child)->program, "");
    assert_int_equal(watch_actors_of(&actors, 0)->pid, 0);
    assert_string_equal(watch_actors_of(&actors, 0)->program, "");
    assert_int_equal(write(to_child[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    watch_actors_begin(&actors);
    actors.slots[(uint32_t)child % ACTOR_SLOTS].answered_ns = clock_mono_ns(); /* not so long ago */
    assert_int_equal(watch_actors_of(&actors, child)->pid, child);
    assert_string_not_equal(watch_actors_of(&actors, child)->program, "");
    actors.slots[(uint32_t)child % ACTOR_SLOTS].answered_ns -= ACTOR_KEEP_MS * CLOCK_NS_PER_MS;
    assert_string_not_equal(watch_actors_of(&actors, child)->program, ""); /* asked already */
    watch_actors_begin(&actors);
    assert_string_equal(watch_actors_of(&actors, child)->program, "");
    (void)watch_actors_of(&actors, child + ACTOR_SLOTS); /* takes the slot */
    assert_int_equal(watch_actors_of(&actors, child)->pid, child);
    close(to_child[0]);
    close(to_child[1]);
}

/* More than one read: the count that FIONREAD gives is of records, not of bytes. */
static void test_drained_to_the_end(void **state)
{
    struct watch_test *test = *state;
    enum { FILES = 5000 };
    char name[32];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "root/f%d", i);
        assert_int_equal(mkfifoat(test->temp.fd, name, 0600), 0);
    }
    watch_test_drain(test);
    assert_int_equal(watch_test_count(test, SEEN_HINT), FILES);
}

/* A directory that may be searched but not listed has a handle all the same. */
static void test_place_without_reading(void **state)
{
    struct watch_test *test = *state;
    struct err err = {0};
    int32_t number = -1;
    temp_mkdir(&test->temp, "root/locked");
    int fd = openat(test->temp.fd, "root/locked", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(
        watch_add(test->watch, &(struct watch_dir){.fd = fd, .file = {5, 0}}, &number, &err), 0);
    close(fd);
    watch_test_drain(test);
    watch_test_forget(test);
    temp_write(&test->temp, "root/locked/x", "");
    watch_test_drain(test);
    watch_test_expect(test, SEEN_HINT, 5, "x", HINT_NAME | HINT_CLOSED);
    watch_test_expect_end(test);
}

/* ---- refused ---- */

static int unprivileged_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct watch *watch;
    char barriers[160], own[160];
    struct err err = {0};
    if (fchmodat(test->temp.fd, ".", 0777, 0) || !temp_drop_rights())
        return TEMP_CHILD_SKIP;
    struct watch_setup how = watch_test_how(test, barriers);
    snprintf(own, sizeof own, "%s/own", test->temp.path);
    how.barrier_dir = own;
    CHECK(watch_open(&how, &watch, &err) == 0);
    CHECK(strstr(watch_backend(watch), "inotify (fanotify: not permitted") == watch_backend(watch));
    watch_close(watch);
    return 0;
}

static void test_not_permitted(void **state)
{
    judge(temp_child(unprivileged_child, *state), "cannot give up rights");
}

static int overlay_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct watch *watch;
    char options[512];
    int32_t number = -1;
    temp_mkdir(&test->temp, "upper");
    temp_mkdir(&test->temp, "work");
    snprintf(options, sizeof options, "lowerdir=%s/root,upperdir=%s/upper,workdir=%s/work",
             test->temp.path, test->temp.path, test->temp.path);
    if (!mount_on(test, "outside", "overlay", options))
        return TEMP_CHILD_SKIP;
    CHECK(open_over(test, "outside", &watch) == 0);
    CHECK(strstr(watch_backend(watch), "inotify (fanotify: ") == watch_backend(watch));
    CHECK(strstr(watch_backend(watch), "cannot be marked"));
    CHECK(add(test, watch, "outside", 9, true, &number) == 0 && number >= 0);
    watch_close(watch);
    return 0;
}

static void test_overlay(void **state)
{
    judge(temp_child(overlay_child, *state), "no overlayfs can be mounted");
}

static void test_no_such_root(void **state)
{
    struct watch_test *test = *state;
    struct watch *watch;
    assert_int_equal(open_over(test, "absent", &watch), 0);
    assert_non_null(strstr(watch_backend(watch), "absent' is not there yet; restart spoor"));
    watch_close(watch);
}

/* ---- unmounted ---- */

/* The barriers lie on another file system than the root: they are heard all the same. The unmount
 * takes the mark along; with the right to make one it is made again, without it all is polled. */
static int unmount_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct watch *watch;
    struct err err = {0};
    char path[160];
    int32_t number = -1;
    if (!mount_on(test, "outside", "tmpfs", "mode=0755"))
        return TEMP_CHILD_SKIP;
    CHECK(open_over(test, "outside", &watch) == 0);
    if (strcmp(watch_backend(watch), "fanotify") != 0)
        return TEMP_CHILD_SKIP;
    CHECK(add(test, watch, "outside", 9, true, &number) == 0 && number >= 0);
    temp_write(&test->temp, "outside/x", "");
    CHECK(watch_barrier(watch, 3, &err) == 0 && watch_drain(watch, &err) == 0);
    CHECK(watch_test_hints(test, 9, "x") == (HINT_NAME | HINT_CLOSED));
    CHECK(test->last_barrier == 3);
    watch_test_forget(test);

    snprintf(path, sizeof path, "%s/outside", test->temp.path);
    CHECK(umount(path) == 0 && watch_drain(watch, &err) == 0);
    CHECK(watch_test_count(test, SEEN_LOST) >= 1 && watch_test_count(test, SEEN_UNWATCHED) == 1);
    CHECK(watch_count(watch) == 0);
    CHECK(mount("none", path, "tmpfs", 0, "mode=0755") == 0);
    CHECK(add(test, watch, "outside", 10, true, &number) == 0 && number >= 0);
    CHECK(strcmp(watch_backend(watch), "fanotify") == 0);
    watch_test_forget(test);
    temp_write(&test->temp, "outside/y", "");
    CHECK(watch_drain(watch, &err) == 0 && watch_test_hints(test, 10, "y") != 0);

    CHECK(privilege_give_up(&err) == 0);
    temp_write(&test->temp, "outside/z", "");
    CHECK(watch_drain(watch, &err) == 0 && watch_test_hints(test, 10, "z") != 0);
    CHECK(umount(path) == -1 && errno == EPERM); /* given up, indeed */
    watch_close(watch);
    return 0;
}

static void test_unmounted_and_mounted_anew(void **state)
{
    judge(temp_child(unmount_child, *state), "no tmpfs can be mounted");
}

/* Another file system under the root's name, and no right to mark it any more. */
static int lost_mark_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct watch *watch;
    struct err err = {0};
    int32_t number = -1, second = -1;
    if (!mount_on(test, "outside", "tmpfs", "mode=0755"))
        return TEMP_CHILD_SKIP;
    CHECK(open_over(test, "root", &watch) == 0);
    if (strcmp(watch_backend(watch), "fanotify") != 0)
        return TEMP_CHILD_SKIP;
    CHECK(privilege_give_up(&err) == 0);
    CHECK(add(test, watch, "outside", 9, true, &number) == 0 && number == -1);
    temp_mkdir(&test->temp, "outside/d");
    CHECK(add(test, watch, "outside/d", 10, false, &second) == 0 && second == -1);
    CHECK(strstr(watch_backend(watch), "poll (fanotify: ") == watch_backend(watch));
    CHECK(add(test, watch, "root", 1, true, &number) == 0 && number == -1);
    watch_close(watch);
    return 0;
}

static void test_mark_is_lost(void **state)
{
    judge(temp_child(lost_mark_child, *state), "no tmpfs can be mounted");
}

/* ---- auto ---- */

/* A FUSE file system without a server: it answers statfs for a process that may not use it by its
 * type alone (fuse_statfs in fs/fuse/inode.c), and its root can be opened as a place. */
static int remote_child(void *ctx)
{
    struct watch_test *test = ctx;
    struct err err = {0};
    char options[128];
    int32_t number = 7, local = -1;
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=65534,group_id=65534", fuse);
    if (fuse < 0 || !mount_on(test, "outside", "fuse", options))
        return TEMP_CHILD_SKIP;
    CHECK(strcmp(watch_backend(test->watch), "inotify") == 0);
    int fd = openat(test->temp.fd, "outside", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(watch_add(test->watch, &(struct watch_dir){.fd = fd, .file = {9, 0}, .root = true},
                    &number, &err) == 0);
    CHECK(number == -1);
    CHECK(strcmp(watch_backend(test->watch), "poll (network or FUSE file system)") == 0);
    close(fd);
    temp_mkdir(&test->temp, "root/d");
    CHECK(add(test, test->watch, "root/d", 10, false, &local) == 0 && local == -1);
    /* Mounted no more: the root is a local one again. */
    CHECK(add(test, test->watch, "root", 1, true, &local) == 0 && local == test->root_watch);
    CHECK(strcmp(watch_backend(test->watch), "inotify") == 0);
    return 0;
}

static void test_remote_file_system(void **state)
{
    judge(temp_child(remote_child, *state), "no FUSE file system can be mounted");
}

int main(void)
{
    const struct watch_case cases[] = {
        WATCH_CASE(test_overflow, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_attributes_before_the_watch, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_actor, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_elsewhere, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_actor_is_kept, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_drained_to_the_end, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_place_without_reading, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_not_permitted, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_overlay, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_no_such_root, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_unmounted_and_mounted_anew, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_mark_is_lost, WATCH_BY(WATCH_FANOTIFY)),
        WATCH_CASE(test_remote_file_system, WATCH_BY(WATCH_AUTO)),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
