/* test_output_windows.c: text to a console arrives as it was meant, whatever the console's code
 * page; to a file go its bytes. The console is one of the test's own, read back cell by cell. */
#include <fcntl.h>
#include <io.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_temp.h"
#include "log.h"
#include "native_windows.h"
#include "osfile.h"
#include "output.h"

#define CELLS 8192
#define SAID  "gr\xc3\xbc\xc3\x9f \xd0\x96 \xce\xbb"
#define WIDE  L"gr\x00fc\x00df \x0416 \x03bb"

/* What the screen holds from its first cell to where the cursor is. */
static size_t read_screen(HANDLE screen, wchar_t out[CELLS + 1])
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    DWORD count = 0;

    assert_true(GetConsoleScreenBufferInfo(screen, &info));
    int width = info.dwSize.X, end = info.dwCursorPosition.Y * width + info.dwCursorPosition.X;
    assert_true(end <= CELLS);
    for (int at = 0; at < end; at += width) {
        COORD from = {0, (SHORT)(at / width)};
        DWORD wanted = (DWORD)(end - at < width ? end - at : width);
        assert_true(ReadConsoleOutputCharacterW(screen, out + at, wanted, from, &count));
        assert_int_equal(count, wanted);
    }
    out[end] = L'\0';
    return (size_t)end;
}

/* A screen that nobody looks at, and a descriptor for it; without a console the test is skipped. */
static int open_screen(HANDLE *out)
{
    HANDLE screen = CreateConsoleScreenBuffer(GENERIC_READ | GENERIC_WRITE, 0, NULL,
                                              CONSOLE_TEXTMODE_BUFFER, NULL);

    if (screen == INVALID_HANDLE_VALUE)
        skip();
    *out = screen;
    int fd = native_fd(screen);
    assert_true(fd >= 0);
    return fd;
}

static void test_console(void **state)
{
    static wchar_t cells[CELLS + 1];
    HANDLE screen;
    int fd = open_screen(&screen);
    (void)state;

    (void)SetConsoleOutputCP(437); /* in which the text has other bytes, where it has any */
    assert_int_equal(output_write(fd, SAID, strlen(SAID)), 0);
    (void)read_screen(screen, cells);
    assert_memory_equal(cells, WIDE, sizeof WIDE);
    (void)close(fd);
}

static void test_log_to_a_console(void **state)
{
    static wchar_t cells[CELLS + 1];
    HANDLE screen;
    int fd = open_screen(&screen);
    (void)state;

    log_setup(fd, LOG_INFO);
    log_info("folder '%s'", SAID);
    log_setup(2, LOG_INFO);
    (void)read_screen(screen, cells);
    assert_non_null(wcsstr(cells, L"info  folder '" WIDE L"'"));
    (void)close(fd);
}

/* More than is written at once; the border would cut a character in two. The screen may have
 * scrolled: its end is looked at. */
static void test_long(void **state)
{
    enum { COUNT = 4200 };
    static wchar_t cells[CELLS + 1];
    static char text[1 + 2 * COUNT];
    HANDLE screen;
    int fd = open_screen(&screen);
    (void)state;

    text[0] = 'x';
    for (size_t i = 0; i < COUNT; i++)
        memcpy(text + 1 + 2 * i, "\xc3\xbc", 2);
    assert_int_equal(output_write(fd, text, sizeof text), 0);
    size_t count = read_screen(screen, cells);
    assert_in_range(count, 200, 1 + COUNT);
    for (size_t i = count - 200; i < count; i++)
        assert_int_equal(cells[i], 0xfc);
    (void)close(fd);
}

static void test_file(void **state)
{
    struct temp_dir dir;
    char read_back[64] = "";
    (void)state;

    temp_dir_open(&dir);
    int fd = osfile_open(dir.fd, "out", NULL);
    assert_true(fd >= 0);
    assert_int_equal(output_write(fd, SAID "\n", strlen(SAID) + 1), 0);
    assert_int_equal(_lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(_read(fd, read_back, sizeof read_back - 1), strlen(SAID) + 1);
    assert_string_equal(read_back, SAID "\n");
    (void)close(fd);
    temp_dir_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_console),
        cmocka_unit_test(test_log_to_a_console),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
