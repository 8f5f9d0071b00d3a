/* test_watch_windows.c: what only Windows has: a blocking read and a handle that is closed under
 * it, shown to hang in a child process, and ours, which end; a root that may be renamed and deleted
 * while it is watched; the kernel's buffer that overflows; paths beyond 260 units; handles. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "helper_fileop.h"
#include "helper_watch.h"
#include "native_windows.h"

#define HANG_MS   1000 /* so long a child waits for what should take no time */
#define CHILD_MS  30000
#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

enum child_answer { CHILD_ENDED = 10, CHILD_HANGS = 11 };

/* --- the old way: a read that blocks --- */

static HANDLE open_blocking(const wchar_t *path)
{
    return CreateFileW(path, FILE_LIST_DIRECTORY, SHARE_ALL, NULL, OPEN_EXISTING,
                       FILE_FLAG_BACKUP_SEMANTICS, NULL);
}

static DWORD WINAPI read_blocking(void *dir)
{
    static DWORD buffer[16384];
    DWORD bytes;
    return ReadDirectoryChangesW(dir, buffer, sizeof buffer, TRUE, FILE_NOTIFY_CHANGE_FILE_NAME,
                                 &bytes, NULL, NULL);
}

static DWORD WINAPI close_dir(void *dir)
{
    return CloseHandle(dir);
}

static enum child_answer answer_of(HANDLE thread)
{
    return WaitForSingleObject(thread, HANG_MS) == WAIT_OBJECT_0 ? CHILD_ENDED : CHILD_HANGS;
}

/* In a child, which is ended from outside if need be: nobody who hangs is waited for at its end. */
static void be_child(const char *what, const char *path)
{
    wchar_t *wide = NULL;
    if (native_path(path, &wide, NULL))
        TerminateProcess(GetCurrentProcess(), 1);
    HANDLE dir = open_blocking(wide);
    HANDLE reader = CreateThread(NULL, 0, read_blocking, dir, 0, NULL);
    enum child_answer answer = answer_of(reader);
    if (strcmp(what, "close") == 0 && answer == CHILD_HANGS) {
        HANDLE closer = CreateThread(NULL, 0, close_dir, dir, 0, NULL);
        answer = answer_of(closer);
        /* Closed at once, and the reader none the wiser: as bad. */
        if (answer == CHILD_ENDED)
            answer = answer_of(reader);
    }
    TerminateProcess(GetCurrentProcess(), answer);
}

static DWORD run_child(const struct watch_test *test, const char *what)
{
    char line[600];
    wchar_t self[MAX_PATH] = L"", wide[1200] = L"";
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    DWORD code = 0;
    assert_true(GetModuleFileNameW(NULL, self, MAX_PATH) > 0);
    snprintf(line, sizeof line, "child %s %s", what, test->root);
    assert_true(MultiByteToWideChar(CP_UTF8, 0, line, -1, wide, ARRAY_LEN(wide)) > 0);
    assert_true(CreateProcessW(self, wide, NULL, NULL, FALSE, 0, NULL, NULL, &start, &process));
    assert_int_equal(WaitForSingleObject(process.hProcess, CHILD_MS), WAIT_OBJECT_0);
    assert_true(GetExitCodeProcess(process.hProcess, &code));
    (void)CloseHandle(process.hThread);
    (void)CloseHandle(process.hProcess);
    return code;
}

/* Nothing changes in the folder: the old read never comes back, ours is stopped at once. */
static void test_blocked_read(void **state)
{
    struct watch_test *test = *state;
    assert_int_equal(run_child(test, "read"), CHILD_HANGS);
    watch_test_start(test);
    watch_test_wait_barrier(test, 1);
    watch_test_stop(test); /* in WATCH_STOP_MS */
}

/* Closing the handle under the old read waits for it, or leaves it where it is. Ours is closed when
 * no read is in flight. */
static void test_blocked_close(void **state)
{
    struct watch_test *test = *state;
    if (watch_test_has(WATCH_TEST_BLOCKED_CLOSE)) /* the other half is tested all the same */
        assert_int_equal(run_child(test, "close"), CHILD_HANGS);
    int64_t before = clock_mono_ns();
    struct watch *watch;
    struct err err = {0};
    char barriers[160];
    struct watch_setup how = watch_test_how(test, barriers);
    struct watch_dir root = {.root = true};
    int32_t number;
    watch_test_find(test, "root", 1, &root);
    assert_int_equal(watch_open(&how, &watch, &err), 0);
    assert_int_equal(watch_add(watch, &root, &number, &err), 0);
    watch_close(watch); /* with its read in flight, and nobody who ran it */
    assert_true(clock_mono_ns() - before < WATCH_STOP_MS * CLOCK_NS_PER_MS);
}

/* --- ours --- */

struct stopper {
    struct watch_test *test;
    HANDLE go;
};

static void *stop_it(void *ctx)
{
    struct stopper *stopper = ctx;
    (void)WaitForSingleObject(stopper->go, INFINITE); /* it is set */
    watch_stop(stopper->test->watch);
    return NULL;
}

/* By several threads at once, of which none runs it; the root deleted or renamed meanwhile. */
static void test_stop_from_any_thread(void **state)
{
    struct watch_test *test = *state;
    static const bool deleted[] = {false, true};
    for (size_t i = 0; i < ARRAY_LEN(deleted); i++) {
        pthread_t threads[4];
        struct stopper stopper = {test, CreateEventW(NULL, TRUE, FALSE, NULL)};
        for (size_t j = 0; j < ARRAY_LEN(threads); j++)
            assert_int_equal(pthread_create(&threads[j], NULL, stop_it, &stopper), 0);
        watch_test_start(test);
        watch_test_wait_barrier(test, 1 + i);
        temp_rename(&test->temp, "root", "elsewhere");
        if (deleted[i])
            temp_remove(&test->temp, "elsewhere");
        assert_true(SetEvent(stopper.go));
        watch_test_stop(test); /* in WATCH_STOP_MS */
        for (size_t j = 0; j < ARRAY_LEN(threads); j++)
            pthread_join(threads[j], NULL);
        (void)CloseHandle(stopper.go);
        if (deleted[i])
            break;
        /* And once more, on a new watch of the same root. */
        watch_close(test->watch);
        temp_rename(&test->temp, "elsewhere", "root");
        char barriers[160];
        struct watch_setup how = watch_test_how(test, barriers);
        struct err err = {0};
        assert_int_equal(watch_open(&how, &test->watch, &err), 0);
        test->stopped = false;
        watch_test_add(test, "root", 1, true);
    }
}

/* Nobody is kept from anything by the watch: not at the root, not below it. */
static void test_all_is_shared(void **state)
{
    struct watch_test *test = *state;
    temp_mkdir(&test->temp, "root/d");
    temp_mkdir(&test->temp, "root/d/e");
    watch_test_add(test, "root/d", 2, false);
    watch_test_add(test, "root/d/e", 3, false);
    watch_test_drain(test);
    temp_rename(&test->temp, "root/d", "root/f");
    temp_rename(&test->temp, "root", "away");
    temp_rename(&test->temp, "away/f", "away/g");
    temp_remove(&test->temp, "away/g/e");
    temp_remove(&test->temp, "away/g");
    temp_remove(&test->temp, "away");
    watch_test_drain(test);
    assert_int_equal(watch_test_count(test, SEEN_LOST), 1);
    /* The handle went with the root, so that the name is free. */
    assert_int_equal(fileop_identity(&test->temp, "away"), 0);
    assert_int_equal(watch_count(test->watch), 0);
    /* Another directory in its place is another folder, until it is added as such. */
    temp_mkdir(&test->temp, "root");
    watch_test_add(test, "root", 9, true);
    temp_write(&test->temp, "root/x", "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 9, "x", HINT_NAME | HINT_CLOSED));
}

static void test_another_root_is_refused(void **state)
{
    struct watch_test *test = *state;
    struct err err = {0};
    struct watch_dir wrong = {.root = true};
    int32_t number = 7;
    watch_test_find(test, "outside", 5, &wrong);
    assert_int_equal(watch_add(test->watch, &wrong, &number, &err), ERR_CONFLICT);
    assert_int_equal(number, -1);
    watch_test_add(test, "root", 1, true);
    temp_write(&test->temp, "root/x", "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 1, "x", HINT_NAME | HINT_CLOSED));
}

/* With nobody who reads, the kernel's buffer of half a megabyte fills and is dropped as a whole: it
 * says so, all directories are to be added again, and barriers are answered. */
static void test_overflow(void **state)
{
    struct watch_test *test = *state;
    enum { FILES = 1500, LETTERS = 200 };
    char name[LETTERS + 16];
    temp_mkdir(&test->temp, "root/d");
    watch_test_add(test, "root/d", 2, false);
    watch_test_barrier(test, 70);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "root/d/%0*d", LETTERS, i % 50);
        (void)(fileop_create(&test->temp, name) && fileop_remove(&test->temp, name));
    }
    watch_test_drain(test);
    assert_true(watch_test_count(test, SEEN_LOST) > 0);
    for (size_t i = test->next; i < test->count; i++)
        if (test->seen[i].kind == SEEN_LOST)
            assert_true(test->seen[i].value == WATCH_FORGOTTEN ||
                        test->seen[i].value == WATCH_OVERFLOW);
    assert_int_equal(watch_test_count(test, SEEN_BARRIER), 1);
    watch_test_add(test, "root", 1, true);
    watch_test_add(test, "root/d", 2, false);
    watch_test_forget(test);
    temp_write(&test->temp, "root/d/after", "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 2, "after", HINT_NAME | HINT_CLOSED));
}

/* Deeper than MAX_PATH, the root already and what is told below it. */
static void test_long_paths(void **state)
{
    struct watch_test *test = *state;
    char path[900], root[900], barriers[160];
    size_t len = (size_t)snprintf(path, sizeof path, "root");
    struct err err = {0};
    for (int i = 0; i < 4; i++) {
        len += (size_t)snprintf(path + len, sizeof path - len, "/%0*d", 120, i);
        temp_mkdir(&test->temp, path);
    }
    snprintf(root, sizeof root, "%s/%s", test->temp.path, path);
    struct watch_setup how = watch_test_how(test, barriers);
    how.root = root;
    struct watch_dir dir = {.root = true};
    int32_t number;
    watch_test_find(test, path, 2, &dir);
    watch_close(test->watch);
    assert_int_equal(watch_open(&how, &test->watch, &err), 0);
    assert_int_equal(watch_add(test->watch, &dir, &number, &err), 0);
    snprintf(path + len, sizeof path - len, "/file");
    temp_write(&test->temp, path, "");
    watch_test_drain(test);
    assert_true(watch_test_told(test, 2, "file", HINT_NAME | HINT_CLOSED));
}

static DWORD handle_count(void)
{
    DWORD count = 0;
    assert_true(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

static void test_no_handle_is_left(void **state)
{
    struct watch_test *test = *state;
    char barriers[160];
    struct watch_setup how = watch_test_how(test, barriers);
    struct watch_dir root = {.root = true};
    struct err err = {0};
    DWORD before = 0;
    watch_test_find(test, "root", 1, &root);
    for (int i = 0; i < 20; i++) {
        struct watch *watch;
        int32_t number;
        assert_int_equal(watch_open(&how, &watch, &err), 0);
        assert_int_equal(watch_add(watch, &root, &number, &err), 0);
        assert_int_equal(watch_barrier(watch, 1, &err), 0);
        assert_int_equal(watch_drain(watch, &err), 0);
        watch_close(watch);
        if (i == 10)
            before = handle_count(); /* the libraries have what they keep by now */
    }
    watch_close(NULL);
    assert_true(handle_count() <= before);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[0], "child") == 0)
        be_child(argv[1], argv[2]);
    const unsigned kernel = WATCH_BY_KERNEL;
    const struct watch_case cases[] = {
        WATCH_CASE(test_blocked_read, kernel),
        WATCH_CASE(test_blocked_close, kernel),
        WATCH_CASE(test_stop_from_any_thread, kernel),
        WATCH_CASE(test_all_is_shared, kernel),
        WATCH_CASE(test_another_root_is_refused, kernel),
        WATCH_CASE(test_overflow, kernel),
        WATCH_CASE(test_long_paths, kernel),
        WATCH_CASE(test_no_handle_is_left, kernel),
    };
    return watch_test_run(cases, ARRAY_LEN(cases));
}
