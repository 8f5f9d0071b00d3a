/* test_wtf8.c: every code point and every pair of halves there and back, one spelling each, and
 * what is no WTF-8 refused. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "text.h"
#include "wtf8.h"

/* Units to bytes and back gives the same units; the bytes are returned. */
static size_t round_trip(const uint16_t *units, size_t count, char *bytes, size_t room)
{
    uint16_t again[16];
    size_t len = 0, again_count = 0;
    assert_int_equal(wtf8_from_utf16(units, count, bytes, room, &len), 0);
    assert_int_equal(wtf8_to_utf16(bytes_of(bytes, len), again, ARRAY_LEN(again), &again_count), 0);
    assert_int_equal(again_count, count);
    assert_memory_equal(again, units, count * sizeof *units);
    return len;
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint16_t units[3] = {(uint16_t)code};
        size_t count = 1;
        if (code >= 0x10000) {
            units[0] = (uint16_t)(0xd800 + ((code - 0x10000) >> 10));
            units[1] = (uint16_t)(0xdc00 + ((code - 0x10000) & 0x3ff));
            count = 2;
        }
        char bytes[8];
        units[count] = 0xdc00; /* what follows a pair is not of it */
        if (count == 2)
            round_trip(units, 3, bytes, sizeof bytes);
        size_t len = round_trip(units, count, bytes, sizeof bytes);
        bool lone = code >= 0xd800 && code <= 0xdfff;
        assert_int_equal(len, code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
        assert_int_equal(text_is_utf8(bytes, len), !lone);
        uint32_t read = 0;
        if (!lone) {
            assert_int_equal(text_utf8_next(bytes, len, &read), len);
            assert_int_equal(read, code);
        }
    }
}

/* Any two units beside each other, with every kind of unit at their borders. */
static void test_neighbours(void **state)
{
    (void)state;
    static const uint16_t kinds[] = {0,      'a',    0x7f,   0x80,   0x7ff,  0x800,  0xd7ff,
                                     0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xfffd, 0xffff};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (size_t j = 0; j < ARRAY_LEN(kinds); j++)
            for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
                uint16_t units[] = {kinds[i], kinds[j], kinds[k]};
                char bytes[9];
                round_trip(units, 3, bytes, sizeof bytes);
            }
}

static void test_known_bytes(void **state)
{
    (void)state;
    char bytes[16];
    const uint16_t pair[] = {0xd83d, 0xde00}, lone[] = {'s', 0xd800, 'z'};
    assert_int_equal(round_trip(pair, 2, bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "\xf0\x9f\x98\x80", 4);
    assert_int_equal(round_trip(lone, 3, bytes, sizeof bytes), 5);
    assert_memory_equal(bytes, "s\xed\xa0\x80z", 5);
    assert_int_equal(round_trip(lone, 0, bytes, 0), 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",                     /* a tail alone */
        "\xc0\xaf",                 /* overlong */
        "\xe0\x80\xaf",             /* overlong */
        "\xf0\x80\x80\xaf",         /* overlong */
        "\xf4\x90\x80\x80",         /* beyond the last code point */
        "\xf8\x88\x80\x80\x80",     /* five bytes */
        "a\xe2\x82",                /* cut off */
        "\xed\xa0",                 /* half a half */
        "\xed\xa0\xc0",             /* no tail */
        "\xed\xa0\xbd\xed\xb8\x80", /* a pair as two halves */
        "\xff",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint16_t units[16];
        size_t count = 99;
        assert_int_equal(wtf8_to_utf16(bytes_str(bad[i]), units, ARRAY_LEN(units), &count),
                         ERR_INVALID);
        assert_int_equal(count, 99);
    }
}

/* Up to the last byte and unit, and not one more. */
static void test_limits(void **state)
{
    (void)state;
    const uint16_t units[] = {'a', 0xe9, 0x20ac, 0xd83d, 0xde00};
    const size_t whole = 1 + 2 + 3 + 4;
    for (size_t room = 0; room <= whole; room++) {
        char *bytes = malloc(room ? room : 1);
        size_t len = 99;
        int code = wtf8_from_utf16(units, ARRAY_LEN(units), bytes, room, &len);
        assert_int_equal(code, room == whole ? 0 : ERR_LIMIT);
        assert_int_equal(len, room == whole ? whole : 99);
        free(bytes);
    }
    char bytes[16];
    size_t len = round_trip(units, ARRAY_LEN(units), bytes, sizeof bytes);
    for (size_t room = 0; room <= ARRAY_LEN(units); room++) {
        uint16_t *out = malloc(room ? room * sizeof *out : 1);
        size_t count = 99;
        int code = wtf8_to_utf16(bytes_of(bytes, len), out, room, &count);
        assert_int_equal(code, room == ARRAY_LEN(units) ? 0 : ERR_LIMIT);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point), cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_known_bytes),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
