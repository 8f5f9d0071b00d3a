/* test_text.c: UTF-8, terminal escapes, base64, hexadecimal, suggestions. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "text.h"

/* Encodes as RFC 3629 would, also what it forbids. */
static size_t encode(uint32_t code, size_t len, char out[4])
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

    if (len == 1) {
        out[0] = (char)code;
        return 1;
    }
    for (size_t i = len; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(leads[len] | code);
    return len;
}

static size_t shortest(uint32_t code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/* All code points in all lengths that can hold them: only the shortest form of what is no
 * surrogate and within Unicode is well-formed. */
static void test_utf8_exhaustively(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x1fffff; code++)
        for (size_t len = shortest(code); len <= 4; len++) {
            char bytes[4];
            uint32_t back = 0;
            bool good =
                len == shortest(code) && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
            (void)encode(code, len, bytes);
            if (text_is_utf8(bytes, len) != good)
                fail_msg("code %x in %zu bytes", code, len);
            if (!good)
                continue;
            assert_int_equal(text_utf8_next(bytes, len, &back), len);
            assert_int_equal(back, code);
            if (len > 1)
                assert_false(text_is_utf8(bytes, len - 1));
        }
}

static void test_utf8_in_context(void **state)
{
    char text[64];

    (void)state;
    assert_true(text_is_utf8("", 0));
    /* The fast path takes eight bytes at once: a bad byte must be found in each place. */
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        assert_true(text_is_utf8(text, sizeof text));
        text[at] = '\x80';
        assert_false(text_is_utf8(text, sizeof text));
        text[at] = '\xff';
        assert_false(text_is_utf8(text, sizeof text));
    }
    assert_true(text_is_utf8("aaaaaaa\xc3\xa9", 9));
    assert_false(text_is_utf8("aaaaaaaa\xc3", 9));
}

static void check_escaped(const char *bytes, size_t len, const char *want)
{
    struct buf buf;

    buf_init(&buf, 1000);
    text_add_escaped(&buf, bytes, len);
    assert_true(buf_ok(&buf));
    assert_string_equal(buf.data ? buf.data : "", want);
    buf_deinit(&buf);
}

static void test_escapes(void **state)
{
    (void)state;
    check_escaped("", 0, "");
    check_escaped("plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 15,
                  "plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    check_escaped("a\nb\tc\rd\\", 8, "a\\nb\\tc\\rd\\\\");
    check_escaped("\x1b[2J\0\x7f", 6, "\\x1b[2J\\x00\\x7f");
    check_escaped("\xc2\x9b", 2, "\\u009b"); /* a C1 control: CSI in one character */
    check_escaped("\x9b\xff", 2, "\\x9b\\xff");
    check_escaped("x\xe2\x80\xaey", 5, "x\\u202ey"); /* right-to-left override */
    check_escaped("\xe2\x81\xa6", 3, "\\u2066");
    check_escaped("\xe2\x82", 2, "\\xe2\\x82"); /* torn */
}

static void test_base64(void **state)
{
    static const char *const pairs[][2] = {
        /* RFC 4648 section 10 */
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",      "Zg=a",     "=g==", "Zh==",
                                      "Zm9=", "Z===", "Zm9v====", "Zg==Zg==", "Zm-v", "Zm9 "};
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        buf_reset(&buf);
        text_add_base64(&buf, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(buf.data, pairs[i][1]);
        buf_reset(&buf);
        buf_add_char(&buf, '>');
        assert_int_equal(text_decode_base64(pairs[i][1], strlen(pairs[i][1]), &buf), 0);
        assert_string_equal(buf.data + 1, pairs[i][0]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_reset(&buf);
        buf_add_char(&buf, '>');
        if (text_decode_base64(bad[i], strlen(bad[i]), &buf) != ERR_INVALID)
            fail_msg("'%s' is taken", bad[i]);
        assert_string_equal(buf.data, ">");
    }
    buf_reset(&buf);
    text_add_hex(&buf, "\x00\x9f\xff", 3);
    assert_string_equal(buf.data, "009fff");
    buf_deinit(&buf);
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"settle", "max_delay", "path", "ignore", "retention"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"setle", "settle"},
        {"settel", "settle"},
        {"path", "path"},
        {"paht", "path"},
        {"maxdelay", "max_delay"},
        {"ignored", "ignore"},
        {"retentoin", "retention"},
        {"colour", NULL},
        {"x", NULL},
        {"", NULL},
        {"zzzzzz", NULL},
    };
    char longest[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *nearest = text_nearest(cases[i].word, words, ARRAY_LEN(words));
        if (!cases[i].nearest)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].nearest);
    }
    assert_null(text_nearest("path", words, 0));
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(text_nearest(longest, words, ARRAY_LEN(words)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_exhaustively), cmocka_unit_test(test_utf8_in_context),
        cmocka_unit_test(test_escapes),           cmocka_unit_test(test_base64),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
