/* test_strange_windows.c: what the system may answer and Wine never does: a read of changes that is
 * refused in its first form, lost, or ended by a folder that goes; a volume without ids of 128
 * bits; reparse points. The program's imports of these calls are ours here: each passes on to the
 * system unless a test has said what it answers. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "disk.h"
#include "err.h"
#include "helper_watch.h"
#include "native_windows.h"
#include "read_windows.h"

#include <winioctl.h>

#define TAG_CLOUD 0x9000001Au /* IO_REPARSE_TAG_CLOUD: a file whose content is elsewhere */
#define TAG_WSL   0xA000001Du /* IO_REPARSE_TAG_LX_SYMLINK: stands for another name */

/* What is answered instead of the system's; 0: nothing is. */
static struct {
    DWORD ex[4], plain[4]; /* of starting a read, one after the other */
    size_t ex_count, plain_count;
    DWORD bytes[4];   /* with how many each plain one was asked */
    DWORD completion; /* of the next read that is dequeued */
    HANDLE told;      /* event: it was; NULL: nobody waits for that */
    bool remote, no_long_ids, delete_pending;
    DWORD tag; /* everything but the root is a reparse point with this */
    unsigned char reparse[256];
    DWORD reparse_len;
} strange;

static FARPROC system_call(const char *name)
{
    FARPROC found = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), name);
    assert_non_null(found);
    return found;
}

/* An address as a function of a type, the one way that the compiler takes. */
#define REAL(call, real)                                                                           \
    __typeof__(&(call)) real;                                                                      \
    FARPROC real##_found = system_call(#call);                                                     \
    memcpy(&(real), &real##_found, sizeof(real))

static BOOL refuse(DWORD os)
{
    SetLastError(os);
    return FALSE;
}

static BOOL WINAPI read_plain(HANDLE dir, void *buffer, DWORD bytes, BOOL below, DWORD filter,
                              DWORD *got, OVERLAPPED *over, LPOVERLAPPED_COMPLETION_ROUTINE done)
{
    REAL(ReadDirectoryChangesW, real);
    size_t i = strange.plain_count++;
    assert_int_equal((uintptr_t)buffer % sizeof(DWORD), 0);
    assert_true(below && over && !done && !got);
    if (i < ARRAY_LEN(strange.plain)) {
        strange.bytes[i] = bytes;
        if (strange.plain[i])
            return refuse(strange.plain[i]);
    }
    return real(dir, buffer, bytes, below, filter, got, over, done);
}

static BOOL WINAPI read_extended(HANDLE dir, void *buffer, DWORD bytes, BOOL below, DWORD filter,
                                 DWORD *got, OVERLAPPED *over, LPOVERLAPPED_COMPLETION_ROUTINE done,
                                 int kind)
{
    size_t i = strange.ex_count++;
    (void)dir, (void)buffer, (void)bytes, (void)filter, (void)got;
    assert_true(below && over && !done && kind == 2);
    return refuse(strange.ex[i < ARRAY_LEN(strange.ex) ? i : 0]);
}

static BOOL WINAPI dequeue(HANDLE port, DWORD *bytes, ULONG_PTR *key, OVERLAPPED **over, DWORD ms)
{
    REAL(GetQueuedCompletionStatus, real);
    BOOL good = real(port, bytes, key, over, ms);
    DWORD os = strange.completion;
    if (!good || !*over || os == 0)
        return good;
    strange.completion = 0;
    *bytes = 0;
    if (strange.told)
        assert_true(SetEvent(strange.told));
    return refuse(os);
}

static BOOL WINAPI inform(HANDLE file, FILE_INFO_BY_HANDLE_CLASS kind, void *out, DWORD bytes)
{
    REAL(GetFileInformationByHandleEx, real);
    if (kind == FileRemoteProtocolInfo)
        return strange.remote ? TRUE : refuse(ERROR_INVALID_PARAMETER);
    if (kind == FileIdInfo && strange.no_long_ids)
        return refuse(ERROR_INVALID_PARAMETER);
    if (kind == FileAttributeTagInfo && strange.tag) {
        ((FILE_ATTRIBUTE_TAG_INFO *)out)->ReparseTag = strange.tag;
        return TRUE;
    }
    BOOL good = real(file, kind, out, bytes);
    if (good && kind == FileStandardInfo && strange.delete_pending)
        ((FILE_STANDARD_INFO *)out)->DeletePending = TRUE;
    if (good && kind == FileBasicInfo && strange.tag)
        ((FILE_BASIC_INFO *)out)->FileAttributes |= FILE_ATTRIBUTE_REPARSE_POINT;
    return good;
}

static BOOL WINAPI control(HANDLE file, DWORD code, void *in, DWORD in_bytes, void *out,
                           DWORD out_bytes, DWORD *got, OVERLAPPED *over)
{
    REAL(DeviceIoControl, real);
    if (code != FSCTL_GET_REPARSE_POINT)
        return real(file, code, in, in_bytes, out, out_bytes, got, over);
    if (strange.reparse_len == 0)
        return refuse(ERROR_NOT_A_REPARSE_POINT);
    assert_true(strange.reparse_len <= out_bytes);
    memcpy(out, strange.reparse, strange.reparse_len);
    *got = strange.reparse_len;
    return TRUE;
}

/* Where the linker would put the addresses that the loader finds. */
__typeof__(&ReadDirectoryChangesW) __imp_ReadDirectoryChangesW = read_plain;
__typeof__(&GetQueuedCompletionStatus) __imp_GetQueuedCompletionStatus = dequeue;
__typeof__(&GetFileInformationByHandleEx) __imp_GetFileInformationByHandleEx = inform;
__typeof__(&DeviceIoControl) __imp_DeviceIoControl = control;

static int set_up(void **state)
{
    memset(&strange, 0, sizeof strange);
    *state = NULL; /* WATCH_AUTO */
    return watch_test_setup(state);
}

static int tear_down(void **state)
{
    memset(&strange, 0, sizeof strange);
    return watch_test_teardown(state);
}

/* --- the start of a read --- */

struct start {
    const char *what;
    bool extended;
    DWORD ex[3], plain[3]; /* answers; 0: taken */
    int code;
    size_t ex_count, plain_count;
    DWORD bytes; /* with which it is taken */
};

static const struct start starts[] = {
    {"taken at once", false, {0}, {0}, 0, 0, 1, READ_BYTES},
    {"too much for a network path",
     false,
     {0},
     {ERROR_INVALID_PARAMETER},
     0,
     0,
     2,
     READ_BYTES_REMOTE},
    {"no ids on this volume", true, {ERROR_INVALID_FUNCTION}, {0}, 0, 1, 1, READ_BYTES},
    {"no ids, told otherwise", true, {ERROR_NOT_SUPPORTED}, {0}, 0, 1, 1, READ_BYTES},
    {"ids and too much",
     true,
     {ERROR_INVALID_PARAMETER, ERROR_INVALID_PARAMETER},
     {0},
     0,
     2,
     1,
     READ_BYTES_REMOTE},
    {"told of nothing", false, {0}, {ERROR_INVALID_FUNCTION}, ERR_UNSUPPORTED, 0, 1, 0},
    {"told of nothing, by neither",
     true,
     {ERROR_INVALID_FUNCTION},
     {ERROR_INVALID_FUNCTION},
     ERR_UNSUPPORTED,
     1,
     1,
     0},
    {"denied", false, {0}, {ERROR_ACCESS_DENIED}, ERR_DENIED, 0, 1, 0},
};

static void start_one(struct watch_test *test, const struct start *start)
{
    struct read_windows read;
    struct watch_dir root = {.root = true};
    struct err err = {0};
    wchar_t *path = NULL;
    OVERLAPPED *over;
    ULONG_PTR key;
    DWORD bytes;
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    watch_test_find(test, "root", 1, &root);
    assert_int_equal(native_path(test->root, &path, NULL), 0);
    read_init(&read);
    assert_int_equal(read_open(&read, path, root.file, port, 7, &err), 0);
    assert_int_equal(read.bytes, READ_BYTES);
    strange.ex_count = strange.plain_count = 0;
    memcpy(strange.ex, start->ex, sizeof start->ex);
    memcpy(strange.plain, start->plain, sizeof start->plain);
    read.extended = start->extended ? read_extended : NULL;
    read.layout = start->extended ? WINDOWS_IDS : WINDOWS_PATHS;
    assert_int_equal(read_start(&read, &err), start->code);
    assert_int_equal(strange.ex_count, start->ex_count);
    assert_int_equal(strange.plain_count, start->plain_count);
    assert_int_equal(read.in_flight, start->code == 0);
    if (start->code == 0) {
        assert_int_equal(read.layout, WINDOWS_PATHS);
        assert_int_equal(strange.bytes[start->plain_count - 1], start->bytes);
        const char *filled = read.buffers[read.filling];
        read_cancel(&read);
        assert_false(GetQueuedCompletionStatus(port, &bytes, &key, &over, INFINITE));
        assert_int_equal(GetLastError(), ERROR_OPERATION_ABORTED);
        assert_int_equal(key, 7);
        assert_ptr_equal(read_completed(&read), filled);
        assert_ptr_not_equal(read.buffers[read.filling], filled); /* the next read's */
    }
    read_close(&read);
    (void)CloseHandle(port); /* nothing that could be lost */
    free(path);
}

static void test_start(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        print_message("%s\n", starts[i].what);
        start_one(*state, &starts[i]);
    }
}

static void test_network_path(void **state)
{
    struct watch_test *test = *state;
    struct read_windows read;
    struct watch_dir root = {.root = true};
    struct err err = {0};
    wchar_t *path = NULL;
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    watch_test_find(test, "root", 1, &root);
    assert_int_equal(native_path(test->root, &path, NULL), 0);
    strange.remote = true;
    read_init(&read);
    assert_int_equal(read_open(&read, path, root.file, port, 7, &err), 0);
    assert_int_equal(read.bytes, READ_BYTES_REMOTE);
    read_close(&read);
    (void)CloseHandle(port); /* nothing that could be lost */
    free(path);
}

/* --- how a read may end --- */

/* ERROR_NOTIFY_ENUM_DIR instead of no bytes; an end that nobody asked for. */
static void test_lost_by_its_error(void **state)
{
    struct watch_test *test = *state;
    strange.completion = ERROR_NOTIFY_ENUM_DIR;
    temp_write(&test->temp, "root/a", "");
    watch_test_drain(test);
    watch_test_drain(test);
    assert_int_equal(watch_test_count(test, SEEN_LOST), 1);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_FORGOTTEN);
    watch_test_add(test, "root", 1, true);
    watch_test_forget(test);
    /* The thread that started it has ended. What the read had is dropped here, so that nothing but
     * the file may be in it: the barrier comes afterwards. */
    strange.told = CreateEventW(NULL, TRUE, FALSE, NULL);
    strange.completion = ERROR_OPERATION_ABORTED;
    temp_write(&test->temp, "root/b", "");
    assert_int_equal(WaitForSingleObject(strange.told, 30000), WAIT_OBJECT_0);
    (void)CloseHandle(strange.told); /* nothing that could be lost */
    strange.told = NULL;
    watch_test_drain(test);
    watch_test_forget(test);
    temp_write(&test->temp, "root/c", "");
    watch_test_drain(test);
    assert_int_equal(watch_test_count(test, SEEN_LOST), 0);
    assert_true(watch_test_told(test, 1, "c", HINT_NAME | HINT_CLOSED));
}

static void test_root_goes(void **state)
{
    struct watch_test *test = *state;
    strange.completion = ERROR_ACCESS_DENIED;
    strange.plain_count = 0;
    strange.plain[0] = ERROR_ACCESS_DENIED; /* nor can another read be started */
    temp_write(&test->temp, "root/a", "");
    watch_test_drain(test);
    watch_test_drain(test);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_ROOT_GONE);
    watch_test_expect(test, SEEN_UNWATCHED, 1, "", (uint64_t)test->root_watch);
    strange.plain[0] = 0;
    watch_test_add(test, "root", 1, true);
    watch_test_forget(test);
    strange.delete_pending = true; /* deleted, and kept by a handle of somebody's */
    watch_test_drain(test);
    watch_test_expect(test, SEEN_LOST, 0, "", WATCH_ROOT_GONE);
}

/* --- the disk --- */

static void open_disk(struct watch_test *test, struct disk *disk, struct disk_dir **root)
{
    struct file_id file;
    struct err err = {0};
    int os;
    assert_int_equal(disk_real_open(test->root, NULL, disk, &err), 0);
    assert_int_equal(disk->ops->open_root(disk->ctx, root, &file, &os), DISK_PRESENT);
}

static void close_disk(struct disk *disk, struct disk_dir *root)
{
    disk->ops->close(disk->ctx, root);
    disk_real_close(disk);
}

/* FAT, exFAT and many servers know no ids of 128 bits. */
static void test_short_ids(void **state)
{
    struct watch_test *test = *state;
    struct disk disk;
    struct disk_dir *root;
    struct disk_entry x, y, again;
    struct osfile_identity identity;
    struct err err = {0};
    int32_t number;
    struct watch_dir dir = {.root = true};
    strange.no_long_ids = true;
    temp_write(&test->temp, "root/x", "1");
    temp_write(&test->temp, "root/y", "1");
    open_disk(test, &disk, &root);
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("x"), &x), DISK_PRESENT);
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("y"), &y), DISK_PRESENT);
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("x"), &again), DISK_PRESENT);
    assert_true(file_id_equal(x.file, again.file));
    assert_false(file_id_equal(x.file, y.file));
    close_disk(&disk, root);
    assert_true(osfile_identify(test->root, &identity));
    assert_true(identity.low != 0 && identity.high == 0);
    watch_test_find(test, "root", 1, &dir);
    assert_int_equal(watch_add(test->watch, &dir, &number, &err), 0);
}

/* REPARSE_DATA_BUFFER of ntifs.h with one name, which is the substitute and the print name. */
static void put_reparse(DWORD tag, const wchar_t *target)
{
    uint16_t len = (uint16_t)(wcslen(target) * 2);
    uint16_t head[4] = {0, len, 0, len};
    size_t names = tag == IO_REPARSE_TAG_SYMLINK ? 20 : 16;
    memset(strange.reparse, 0, sizeof strange.reparse);
    memcpy(strange.reparse, &tag, sizeof tag);
    memcpy(strange.reparse + 8, head, sizeof head);
    memcpy(strange.reparse + names, target, len);
    strange.reparse_len = (DWORD)(names + len);
    strange.tag = tag;
}

/* Links are recorded with their target and never followed; what only marks a file is that file. */
static void test_reparse_points(void **state)
{
    struct watch_test *test = *state;
    struct disk disk;
    struct disk_dir *root, *dir;
    struct disk_entry entry;
    struct file_id file;
    int os;
    static const wchar_t lone[] = {'a', 0xd800, 0};
    temp_mkdir(&test->temp, "root/d");
    temp_write(&test->temp, "root/f", "1234");
    open_disk(test, &disk, &root);
    put_reparse(IO_REPARSE_TAG_MOUNT_POINT, L"\\??\\C:\\elsewhere");
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("d"), &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_SYMLINK);
    assert_true(bytes_equal(entry.attrs.target, bytes_str("C:\\elsewhere")));
    assert_int_equal(disk.ops->open(disk.ctx, root, bytes_str("d"), &dir, &file, &os), DISK_ABSENT);
    put_reparse(IO_REPARSE_TAG_SYMLINK, L"..\\other");
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_SYMLINK);
    assert_true(bytes_equal(entry.attrs.target, bytes_str("..\\other")));
    put_reparse(IO_REPARSE_TAG_SYMLINK, lone);
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_PRESENT);
    assert_true(bytes_equal(entry.attrs.target, bytes_str("a\xed\xa0\x80")));
    strange.tag = TAG_CLOUD;
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_FILE);
    assert_int_equal(entry.attrs.size, 4);
    strange.tag = TAG_WSL;
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_PRESENT);
    assert_int_equal(entry.type, ENTRY_OTHER);
    strange.tag = 0;
    close_disk(&disk, root);
}

/* Cut at every byte, and with a name that would lie outside. */
static void test_torn_reparse_point(void **state)
{
    struct watch_test *test = *state;
    struct disk disk;
    struct disk_dir *root;
    struct disk_entry entry;
    temp_write(&test->temp, "root/f", "");
    open_disk(test, &disk, &root);
    put_reparse(IO_REPARSE_TAG_SYMLINK, L"target");
    DWORD whole = strange.reparse_len;
    for (strange.reparse_len = 1; strange.reparse_len < whole; strange.reparse_len++)
        assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_UNKNOWN);
    strange.reparse_len = whole;
    for (size_t at = 8; at < 12; at += 2) { /* offset, then length */
        uint16_t beyond = UINT16_MAX, before;
        memcpy(&before, strange.reparse + at, sizeof before);
        memcpy(strange.reparse + at, &beyond, sizeof beyond);
        assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_UNKNOWN);
        memcpy(strange.reparse + at, &before, sizeof before);
    }
    assert_int_equal(disk.ops->look(disk.ctx, root, bytes_str("f"), &entry), DISK_PRESENT);
    strange.tag = 0;
    close_disk(&disk, root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_network_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_by_its_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_root_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reparse_points, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_reparse_point, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
