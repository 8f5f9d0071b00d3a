/* test_control_windows.c: what the control pipe adds to test_control.c: who may open it, and whose
 * pipe a client takes for the daemon's. As far as Wine shows it: it keeps access lists and gives
 * them back, but has one user only, so that nobody is refused there. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "control.h"
#include "control_pipe_windows.h"
#include "err.h"
#include "helper_control.h"
#include "helper_temp.h"
#include "native_windows.h"

/* What the pipe's access list says is read back from a client's end. */
static void test_access_list(void **state)
{
    struct temp_dir dir;
    struct control *control = NULL;
    struct err err = {0};
    bool others = true, ours = false;

    (void)state; /* makes its own */
    temp_dir_open(&dir);
    assert_int_equal(control_open(dir.path, &control, &err), 0);
    struct rawline line = rawline_open(dir.path);
    assert_int_equal(native_look_private((HANDLE)line.handle, MAXIMUM_ALLOWED - 1, &others, &ours),
                     0);
    assert_false(others);
    assert_true(ours);
    rawline_close(line);
    control_close(control);
    temp_dir_close(&dir);
}

/* Somebody had the name before: the daemon does not share it, and a client does not believe it when
 * it is another user's. */
static void test_name_taken(void **state)
{
    SECURITY_ATTRIBUTES foreign = {.nLength = sizeof foreign};
    wchar_t name[CONTROL_PIPE_NAME_MAX];
    struct temp_dir dir;
    struct control *control = NULL;
    struct buf answer;
    struct err err = {0};
    bool others = false, ours = true;

    (void)state; /* makes its own */
    temp_dir_open(&dir);
    buf_init(&answer, CONTROL_LINE_MAX);
    assert_true(control_pipe_name(dir.path, name));
    /* Everybody may; its owner is the group of guests, where the system lets one say so. */
    assert_true(ConvertStringSecurityDescriptorToSecurityDescriptorW(
        L"O:BGD:(A;;FA;;;WD)", SDDL_REVISION_1, &foreign.lpSecurityDescriptor, NULL));
    HANDLE pipe = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE,
                                   PIPE_UNLIMITED_INSTANCES, 4096, 4096, 0, &foreign);
    (void)LocalFree(foreign.lpSecurityDescriptor); /* cannot fail for what it gave */
    if (pipe == INVALID_HANDLE_VALUE && GetLastError() == ERROR_INVALID_OWNER) {
        temp_dir_close(&dir);
        print_message("this user may not give a pipe away: not tried\n");
        skip();
    }
    assert_true(pipe != INVALID_HANDLE_VALUE);
    if (!temp_is_wine()) /* Wine 8 passes over FILE_FLAG_FIRST_PIPE_INSTANCE */
        assert_int_not_equal(control_open(dir.path, &control, &err), 0);
    assert_int_equal(native_look_private(pipe, MAXIMUM_ALLOWED - 1, &others, &ours), 0);
    assert_true(others);
    assert_false(ours);
    assert_int_equal(control_call(dir.path, "{}", INT64_MAX, &answer, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "another user"));
    assert_true(CloseHandle(pipe));
    assert_int_equal(control_open(dir.path, &control, &err), 0);
    control_close(control);
    buf_deinit(&answer);
    temp_dir_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access_list),
        cmocka_unit_test(test_name_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
