/* helper_watch_windows.c: see helper_watch.h.
 *
 * The system hands changes over when it sees fit, under Wine a moment after they were made. So to
 * pull is to wait for a barrier behind them, which takes the watch thread. */
#include "helper_watch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "native_windows.h"

static bool is_wine(void)
{
    HMODULE module = GetModuleHandleW(L"ntdll.dll");
    return module && GetProcAddress(module, "wine_get_version");
}

unsigned watch_test_kinds(void)
{
    return WATCH_BY(WATCH_AUTO) | WATCH_BY(WATCH_POLL);
}

const char *watch_test_refused(enum watch_kind kind)
{
    (void)kind;
    return NULL;
}

bool watch_test_has(enum watch_test_need need)
{
    const char *why = NULL;
    if (need == WATCH_TEST_ROOT_MOVED_TOLD)
        why = "Windows tells nobody that a watched directory was renamed";
    else if (need == WATCH_TEST_ROOT_REMOVED && is_wine())
        why = "Wine keeps a directory that was removed until its last handle is closed, in silence";
    else if (need == WATCH_TEST_SYMLINKS && is_wine())
        why = "Wine makes no symbolic links";
    else if (need == WATCH_TEST_BLOCKED_CLOSE && is_wine())
        why = "Wine ends a blocked read when its handle is closed";
    if (why)
        print_message("skipped: %s\n", why);
    return !why;
}

unsigned watch_test_runs(void)
{
    return is_wine() ? 60 : 300; /* its every call is another process's */
}

bool watch_test_has_many_hints(void)
{
    return true;
}

static struct file_id identify(const struct watch_test *test, const char *path, size_t len)
{
    char text[1024];
    wchar_t *wide = NULL;
    struct osfile_identity identity;
    snprintf(text, sizeof text, "%s/%.*s", test->temp.path, (int)len, path);
    assert_int_equal(native_path(text, &wide, NULL), 0);
    HANDLE dir = CreateFileW(wide, FILE_READ_ATTRIBUTES,
                             FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                             OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    free(wide);
    assert_true(dir != INVALID_HANDLE_VALUE);
    assert_int_equal(native_identify(dir, &identity), 0);
    (void)CloseHandle(dir); /* nothing that could be lost */
    return (struct file_id){identity.low, identity.high};
}

void watch_test_find(struct watch_test *test, const char *path, uint64_t id, struct watch_dir *out)
{
    const char *slash = strrchr(path, '/');
    out->fd = -1;
    out->file = identify(test, path, strlen(path));
    if (!out->root) {
        out->parent = identify(test, path, slash ? (size_t)(slash - path) : 0);
        out->name = bytes_str(slash ? slash + 1 : path);
    }
    /* The newest is found first: an identity may be used again. */
    pthread_mutex_lock(&test->lock);
    assert_true(test->dir_count < WATCH_DIRS_MAX);
    test->dirs[test->dir_count++] = (struct watch_test_dir){out->file, id};
    pthread_mutex_unlock(&test->lock);
}

void watch_test_let_go(const struct watch_dir *dir)
{
    (void)dir; /* no handle was taken */
}

uint64_t watch_test_id(const struct watch_test *test, struct file_id file)
{
    for (size_t i = test->dir_count; i-- > 0;)
        if (file_id_equal(test->dirs[i].file, file))
            return test->dirs[i].id;
    return 0;
}

int watch_test_pull(struct watch_test *test, struct err *err)
{
    uint64_t token = (test->own_barrier | WATCH_TEST_OWN) + 1;
    if (test->kind != WATCH_POLL && !test->stopped) {
        watch_test_start(test);
        int code = watch_barrier(test->watch, token, err);
        pthread_mutex_lock(&test->lock);
        while (code == 0 && test->own_barrier != token)
            pthread_cond_wait(&test->changed, &test->lock);
        pthread_mutex_unlock(&test->lock);
        /* Else the root is where no file can be made any more: the drain will see that. */
    }
    return watch_drain(test->watch, err);
}

/* What is told: that a name changed hands, or that something of it was modified. */
bool watch_test_agrees(uint64_t hints, uint64_t wanted)
{
    if (hints & HINT_SCAN)
        hints |= HINT_CONTENT | HINT_CLOSED | HINT_ATTRIB;
    return (wanted & ~hints) == 0 && (wanted & HINT_NAME) == (hints & HINT_NAME) &&
           (wanted != 0 || hints == 0);
}

bool watch_test_mount_quiet(char place[static WATCH_PLACE_SIZE])
{
    place[0] = '\0'; /* a directory's changes are its own */
    return false;
}

void watch_test_unmount(const char *place)
{
    (void)place;
}
