/* test_windows_parse.c: both layouts as the system fills them, cut at every byte, and each rule
 * that a broken record breaks. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "helper_notify.h"
#include "wtf8.h"

static const enum windows_layout layouts[] = {WINDOWS_PATHS, WINDOWS_IDS};

static void put_u32(char *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

/* Where the fields are, in each layout. */
static size_t length_at(enum windows_layout layout)
{
    return layout == WINDOWS_IDS ? 80 : 8;
}

static void expect(const struct windows_record *record, uint32_t action, const char *path)
{
    char text[256];
    size_t len = 0;
    assert_int_equal(record->action, action);
    assert_int_equal(wtf8_from_utf16(record->path, record->units, text, sizeof text, &len), 0);
    assert_true(bytes_equal(bytes_of(text, len), bytes_str(path)));
}

static void test_records_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        struct windows_buffer buffer;
        windows_buffer_init(&buffer, layouts[i]);
        windows_buffer_add(&buffer, WINDOWS_ADDED, "pre/sub/n.txt", 77, 66, false);
        windows_buffer_add(&buffer, WINDOWS_RENAMED_OLD, "a", 78, 5, true);
        windows_buffer_add(&buffer, WINDOWS_RENAMED_NEW, "s\xed\xa0\x80z", 78, 5, true);
        windows_buffer_add(&buffer, WINDOWS_MODIFIED, "", 5, 4, true);
        struct windows_record record;
        size_t offset = 0;
        assert_int_equal(windows_parse(layouts[i], buffer.at, buffer.len, &offset, &record), 1);
        expect(&record, WINDOWS_ADDED, "pre\\sub\\n.txt");
        bool ids = layouts[i] == WINDOWS_IDS;
        assert_int_equal(record.file, ids ? 77 : 0);
        assert_int_equal(record.parent, ids ? 66 : 0);
        assert_int_equal(record.attributes, ids ? 0x20 : 0);
        assert_int_equal(windows_parse(layouts[i], buffer.at, buffer.len, &offset, &record), 1);
        expect(&record, WINDOWS_RENAMED_OLD, "a");
        assert_int_equal(record.attributes, ids ? WINDOWS_ATTRIBUTE_DIRECTORY : 0);
        assert_int_equal(windows_parse(layouts[i], buffer.at, buffer.len, &offset, &record), 1);
        expect(&record, WINDOWS_RENAMED_NEW, "s\xed\xa0\x80z");
        assert_int_equal(windows_parse(layouts[i], buffer.at, buffer.len, &offset, &record), 1);
        expect(&record, WINDOWS_MODIFIED, "");
        assert_int_equal(offset, buffer.len);
        assert_int_equal(windows_parse(layouts[i], buffer.at, buffer.len, &offset, &record), 0);
    }
}

/* Two reads as Wine 8 filled them when a file 'a.txt' was made, written and renamed to 'b'. Its
 * records are no multiples of four bytes. */
static void test_recorded(void **state)
{
    (void)state;
    static const char first[] = "\x16\0\0\0\x01\0\0\0\x0a\0\0\0a\0.\0t\0x\0t\0"
                                "\0\0\0\0\x03\0\0\0\x0a\0\0\0a\0.\0t\0x\0t";
    static const char second[] = "\x16\0\0\0\x03\0\0\0\x0a\0\0\0a\0.\0t\0x\0t\0"
                                 "\x16\0\0\0\x04\0\0\0\x0a\0\0\0a\0.\0t\0x\0t\0"
                                 "\0\0\0\0\x05\0\0\0\x02\0\0\0b";
    struct windows_record record;
    size_t offset = 0;
    assert_int_equal(windows_parse(WINDOWS_PATHS, first, sizeof first, &offset, &record), 1);
    expect(&record, WINDOWS_ADDED, "a.txt");
    assert_int_equal(windows_parse(WINDOWS_PATHS, first, sizeof first, &offset, &record), 1);
    expect(&record, WINDOWS_MODIFIED, "a.txt");
    assert_int_equal(windows_parse(WINDOWS_PATHS, first, sizeof first, &offset, &record), 0);
    offset = 0;
    assert_int_equal(windows_parse(WINDOWS_PATHS, second, sizeof second, &offset, &record), 1);
    expect(&record, WINDOWS_MODIFIED, "a.txt");
    assert_int_equal(windows_parse(WINDOWS_PATHS, second, sizeof second, &offset, &record), 1);
    expect(&record, WINDOWS_RENAMED_OLD, "a.txt");
    assert_int_equal(windows_parse(WINDOWS_PATHS, second, sizeof second, &offset, &record), 1);
    expect(&record, WINDOWS_RENAMED_NEW, "b");
    assert_int_equal(windows_parse(WINDOWS_PATHS, second, sizeof second, &offset, &record), 0);
}

/* The kernel's buffer may be longer than what is in it, and begin anywhere. */
static void test_unaligned_and_followed_by_rubbish(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
        for (size_t shift = 0; shift < 8; shift++) {
            struct windows_buffer buffer;
            static char moved[WINDOWS_BUFFER_SIZE + 64];
            windows_buffer_init(&buffer, layouts[i]);
            windows_buffer_add(&buffer, WINDOWS_ADDED, "abc", 9, 8, false);
            windows_buffer_add(&buffer, WINDOWS_ADDED, "abcd", 9, 8, false);
            memset(moved, 0xff, sizeof moved);
            memcpy(moved + shift, buffer.at, buffer.len);
            struct windows_record record;
            size_t offset = shift, len = buffer.len + shift + 32;
            assert_int_equal(windows_parse(layouts[i], moved, len, &offset, &record), 1);
            assert_int_equal(windows_parse(layouts[i], moved, len, &offset, &record), 1);
            expect(&record, WINDOWS_ADDED, "abcd");
            assert_int_equal(windows_parse(layouts[i], moved, len, &offset, &record), 0);
        }
}

/* Cut anywhere, the whole records come and then the end or a refusal, never more. */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        struct windows_buffer buffer;
        windows_buffer_init(&buffer, layouts[i]);
        windows_buffer_add(&buffer, WINDOWS_ADDED, "one", 1, 2, false);
        size_t first = buffer.len;
        windows_buffer_add(&buffer, WINDOWS_ADDED, "two", 1, 2, false);
        for (size_t len = 1; len < buffer.len; len++) {
            char *exact = malloc(len);
            memcpy(exact, buffer.at, len);
            struct windows_record record;
            size_t offset = 0;
            int found = windows_parse(layouts[i], exact, len, &offset, &record);
            /* Of the first nothing is believed when the second cannot begin in the buffer. */
            bool whole = len > first && len > buffer.last;
            assert_int_equal(found, whole ? 1 : ERR_INVALID);
            if (found == 1)
                assert_int_equal(windows_parse(layouts[i], exact, len, &offset, &record),
                                 ERR_INVALID);
            free(exact);
        }
    }
}

/* Changes one thing about a good pair of records and expects a refusal at the first. */
static void refuse(enum windows_layout layout, size_t at, uint32_t value)
{
    struct windows_buffer buffer;
    struct windows_record record = {.action = 99};
    size_t offset = 0;
    windows_buffer_init(&buffer, layout);
    windows_buffer_add(&buffer, WINDOWS_ADDED, "name", 1, 2, false);
    windows_buffer_add(&buffer, WINDOWS_ADDED, "next", 1, 2, false);
    put_u32(buffer.at + at, value);
    if (windows_parse(layout, buffer.at, buffer.len, &offset, &record) != ERR_INVALID)
        fail_msg("layout %d: %u at %zu was taken", layout, value, at);
    assert_int_equal(offset, 0);
    assert_int_equal(record.action, 99);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        enum windows_layout layout = layouts[i];
        size_t length = length_at(layout), name = length + 4;
        refuse(layout, 0, 4);                      /* the next begins in this one's head */
        refuse(layout, 0, (uint32_t)name + 4);     /* ... in its name */
        refuse(layout, 0, (uint32_t)name + 8 + 1); /* not aligned */
        refuse(layout, 0, 4096);                   /* beyond the buffer */
        refuse(layout, 0, UINT32_MAX - 3);         /* or before it, had it wrapped */
        refuse(layout, length, 7);                 /* half a unit */
        refuse(layout, length, 4096);              /* a name beyond the buffer */
        refuse(layout, length, UINT32_MAX - 1);
        refuse(layout, name, 0x0061002f); /* "/a": no name of Windows holds it */
        refuse(layout, name, 0x00000061); /* NUL */
        struct windows_record record;
        size_t offset = 12;
        char bytes[8] = {0};
        assert_int_equal(windows_parse(layout, bytes, 8, &offset, &record), ERR_INVALID);
    }
}

/* A component that is empty names nothing. */
static void test_empty_components(void **state)
{
    (void)state;
    static const char *const paths[] = {"/a", "a/", "a//b", "/"};
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
        for (size_t j = 0; j < ARRAY_LEN(paths); j++) {
            struct windows_buffer buffer;
            struct windows_record record;
            size_t offset = 0;
            windows_buffer_init(&buffer, layouts[i]);
            windows_buffer_add(&buffer, WINDOWS_ADDED, paths[j], 1, 2, false);
            assert_int_equal(windows_parse(layouts[i], buffer.at, buffer.len, &offset, &record),
                             ERR_INVALID);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_in_order),
        cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_unaligned_and_followed_by_rubbish),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_empty_components),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
