/* test_config_paths_windows.c: how paths are written on Windows, and which folders cannot be
 * watched together there. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "config_option.h"
#include "err.h"
#include "helper_temp.h"
#include "native_windows.h"

static void test_resolve(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } cases[] = {
        {"C:/x/y", "C:/x/y"},
        {"c:\\x\\.\\y\\\\z\\", "C:/x/y/z"},
        {"C:\\", "C:/"},
        {"d:/", "D:/"},
        {"\\\\server\\share\\x", "//server/share/x"},
        {"//server/share", "//server/share/"},
        {"x\\y", "E:/conf/x/y"},
        {"..\\x", "E:/conf/../x"},
        {"\\x", "E:/x"},
        {"~", "C:/users/ann"},
        {"~/docs", "C:/users/ann/docs"},
        {"~\\docs", "C:/users/ann/docs"},
        {"~bob/docs", NULL},
        {"C:x", NULL},
    };
    (void)state;
    assert_true(SetEnvironmentVariableW(L"USERPROFILE", L"c:\\users\\ann"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        char *path = NULL;
        int rc = config_resolve_path("E:/conf/", cases[i].text, &path, &err);
        if (!cases[i].want) {
            assert_int_equal(rc, ERR_INVALID);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_string_equal(path, cases[i].want);
        free(path);
    }
}

static void test_defaults(void **state)
{
    struct err err = {0};
    struct buf paths;
    char *dir = NULL;
    (void)state;
    assert_true(SetEnvironmentVariableW(L"LOCALAPPDATA", L"C:\\users\\\x00e4nn\\AppData\\Local"));
    assert_true(SetEnvironmentVariableW(L"PROGRAMDATA", L"C:\\ProgramData"));
    assert_int_equal(config_default_state_dir("C:/x.conf", &dir, &err), 0);
    assert_string_equal(dir, "C:/users/\xc3\xa4nn/AppData/Local/Spoor/state");
    free(dir);
    assert_int_equal(config_default_state_dir("c:/programdata/Spoor/x.conf", &dir, &err), 0);
    assert_string_equal(dir, "C:/ProgramData/Spoor/state");
    free(dir);
    assert_int_equal(config_default_state_dir("C:/ProgramDatas/x.conf", &dir, &err), 0);
    assert_string_equal(dir, "C:/users/\xc3\xa4nn/AppData/Local/Spoor/state");
    free(dir);
    buf_init(&paths, 4096);
    config_search_paths(&paths);
    assert_string_equal(paths.data, "C:/users/\xc3\xa4nn/AppData/Local/Spoor/spoor.conf\n"
                                    "C:/ProgramData/Spoor/spoor.conf\n");
    buf_deinit(&paths);
    assert_true(SetEnvironmentVariableW(L"LOCALAPPDATA", L"relative"));
    assert_int_equal(config_default_state_dir("C:/x.conf", &dir, &err), 0);
    assert_string_equal(dir, "C:/ProgramData/Spoor/state");
    free(dir);
    assert_true(SetEnvironmentVariableW(L"PROGRAMDATA", NULL));
    assert_int_equal(config_default_state_dir("C:/x.conf", &dir, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "LOCALAPPDATA"));
}

/* The file is taken from the current directory, and what it names from the file's own. */
static void test_load(void **state)
{
    struct temp_dir dir;
    struct config *config = NULL;
    struct err err = {0};
    wchar_t before[MAX_PATH], *place = NULL;
    char want[256];
    (void)state;
    temp_dir_open(&dir);
    temp_mkdir(&dir, "docs");
    temp_write(&dir, "c.conf",
               "[daemon]\r\nstate_dir = state\r\n[folder \"d\"]\r\npath = docs\r\n");
    assert_true(GetCurrentDirectoryW(MAX_PATH, before) > 0);
    assert_int_equal(native_wide(dir.path, &place, &err), 0);
    assert_true(SetCurrentDirectoryW(place));
    int rc = config_load("c.conf", &config, &err);
    assert_true(SetCurrentDirectoryW(before));
    free(place);
    if (rc != 0)
        fail_msg("%s", err.text);
    (void)snprintf(want, sizeof want, "%s/docs", dir.path); /* fits */
    assert_string_equal(config->folders[0].path, want);
    (void)snprintf(want, sizeof want, "%s/state", dir.path); /* fits */
    assert_string_equal(config->daemon.state_dir, want);
    config_free(config);
    temp_dir_close(&dir);
}

/* The paths of two folders and of the state, below one directory; what is said, "" when all is
 * well. */
static void check(const struct temp_dir *dir, const char *one, const char *two, const char *kept,
                  const char *said)
{
    struct config *config = NULL;
    struct err err = {0};
    struct buf text, notes;
    buf_init(&text, 4096);
    buf_init(&notes, 4096);
    buf_addf(&text,
             "[daemon]\nstate_dir = %s/%s\n[folder \"one\"]\npath = %s/%s\n[folder \"two\"]\n"
             "path = %s/%s\n",
             dir->path, kept, dir->path, one, dir->path, two);
    assert_int_equal(config_parse("c", "C:/", text.data, text.len, &config, &err), 0);
    int rc = config_check_paths(config, &notes, &err);
    if (*said)
        assert_non_null(strstr(rc != 0 ? err.text : notes.data ? notes.data : "", said));
    else if (rc != 0)
        fail_msg("%s", err.text);
    config_free(config);
    buf_deinit(&notes);
    buf_deinit(&text);
}

static void test_together(void **state)
{
    struct temp_dir dir;
    (void)state;
    temp_dir_open(&dir);
    temp_mkdir(&dir, "a");
    temp_mkdir(&dir, "a/b");
    temp_mkdir(&dir, "a/b/c");
    temp_mkdir(&dir, "other");
    temp_write(&dir, "file", "");
    check(&dir, "a", "other", "state", "");
    check(&dir, "a", "A", "state", "is the same as folder 'one'"); /* by what it is, not its case */
    check(&dir, "a", "a/b/c", "state", "lies inside folder 'one'");
    check(&dir, "a/b/c", "a", "state", "lies inside folder 'two'");
    check(&dir, "a", "other", "a/b/new/state", "state_dir");
    check(&dir, "a", "other", "other", "state_dir");
    check(&dir, "a", "none", "state", "it is waited for");
    check(&dir, "a", "none", "none/state", "lies inside folder 'two'");
    check(&dir, "a", "file", "state", "cannot open");
    temp_dir_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
