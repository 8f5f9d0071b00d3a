/* helper_scan_windows.c: see helper_scan.h. By CreateFileW with whole paths. There are no links
 * among what it makes: they take a right that a test may lack. */
#include "helper_scan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_fileop.h"
#include "native_windows.h"

#define UNIX_EPOCH INT64_C(116444736000000000) /* 1970 in units since 1601 */

static int64_t ns(LARGE_INTEGER time)
{
    return (time.QuadPart - UNIX_EPOCH) * 100;
}

void walk_entry(struct walk *walk, const char *full, const char *path)
{
    FILE_BASIC_INFO basic;
    FILE_STANDARD_INFO standard;
    FILE_ID_INFO id;
    wchar_t *wide = NULL;
    assert_int_equal(native_path(full, &wide, NULL), 0);
    HANDLE file =
        CreateFileW(wide, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                    OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    free(wide);
    assert_true(file != INVALID_HANDLE_VALUE);
    assert_true(GetFileInformationByHandleEx(file, FileBasicInfo, &basic, sizeof basic));
    assert_true(GetFileInformationByHandleEx(file, FileStandardInfo, &standard, sizeof standard));
    assert_true(GetFileInformationByHandleEx(file, FileIdInfo, &id, sizeof id));
    assert_true(CloseHandle(file));
    struct walked *item = walk_add(walk, path);
    memcpy(&item->file.a, id.FileId.Identifier, 8);
    memcpy(&item->file.b, id.FileId.Identifier + 8, 8);
    item->target = strdup("");
    if (standard.Directory) {
        item->type = ENTRY_DIR;
        item->attrs.mode = 0755;
        return;
    }
    item->type = ENTRY_FILE;
    item->attrs.mode = basic.FileAttributes & FILE_ATTRIBUTE_READONLY ? 0444 : 0644;
    item->attrs.size = standard.EndOfFile.QuadPart;
    item->attrs.mtime_ns = ns(basic.LastWriteTime);
    item->attrs.ctime_ns = ns(basic.ChangeTime);
}

void scan_test_special(struct scan_test *test, const char *path, bool link)
{
    temp_write(&test->folder, path, link ? "no link" : "");
    assert_true(fileop_protect(&test->folder, path, false));
}
