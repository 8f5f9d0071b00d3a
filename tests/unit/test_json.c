/* test_json.c: the row writer's JSON, read back by SQLite where that can judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <strings.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "buf.h"
#include "json.h"
#include "text.h"

static void test_shapes(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    json_begin(&buf);
    json_end(&buf);
    buf_add_char(&buf, '\n');
    json_begin(&buf);
    json_i64(&buf, "seq", INT64_MIN);
    json_cstr(&buf, "kind", "create");
    json_bool(&buf, "partial", true);
    json_bool(&buf, "last", false);
    json_null(&buf, "from");
    json_array_begin(&buf, "list");
    json_item_str(&buf, "a", 1);
    json_item_str(&buf, "", 0);
    json_begin(&buf);
    json_i64(&buf, "n", 0);
    json_end(&buf);
    json_begin(&buf);
    json_end(&buf);
    json_array_end(&buf);
    json_array_begin(&buf, "none");
    json_array_end(&buf);
    json_key(&buf, "inner");
    json_begin(&buf);
    json_cstr(&buf, "k", "v,");
    json_end(&buf);
    json_end(&buf);
    assert_true(buf_ok(&buf));
    assert_string_equal(buf.data,
                        "{}\n"
                        "{\"seq\":-9223372036854775808,\"kind\":\"create\",\"partial\":true,"
                        "\"last\":false,\"from\":null,\"list\":[\"a\",\"\",{\"n\":0},{}],"
                        "\"none\":[],\"inner\":{\"k\":\"v,\"}}");
    buf_deinit(&buf);
}

static void check_str(const char *bytes, size_t len, const char *want)
{
    struct buf buf;

    buf_init(&buf, 1000);
    json_item_str(&buf, bytes, len);
    assert_string_equal(buf.data, want);
    buf_deinit(&buf);
}

static void test_strings(void **state)
{
    (void)state;
    check_str("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    check_str("\n\t\r\0\x1f\x7f", 6, "\"\\n\\t\\r\\u0000\\u001f\\u007f\"");
    check_str("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    check_str("\xc2\x9b", 2, "\"\\u009b\""); /* a C1 control would steer a terminal */
    check_str("a\xff\xe2\x82z", 5, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
    check_str("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* a surrogate */
}

static void test_bytes(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    json_begin(&buf);
    json_bytes(&buf, "path", "path_b64", "d\xc3\xa9", 3);
    json_bytes(&buf, "from", "from_b64", "d\xc3", 2);
    json_end(&buf);
    assert_string_equal(buf.data, "{\"path\":\"d\xc3\xa9\",\"from_b64\":\"ZMM=\"}");
    buf_deinit(&buf);
}

/* The UTF-8 of `count` code points from `first` on. */
static size_t encode(uint32_t first, uint32_t count, char *out)
{
    size_t len = 0;

    for (uint32_t code = first; code < first + count; code++) {
        size_t tail = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
        out[len++] = (char)(leads[tail] | code >> 6 * tail);
        while (tail-- > 0)
            out[len++] = (char)(0x80 | (code >> 6 * tail & 0x3f));
    }
    return len;
}

/* Every code point, through SQLite's parser and back. */
static void test_all_code_points_read_back(void **state)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    struct buf buf, want;

    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "select hex(json_extract(?, '$.p'))", -1, &stmt, NULL),
                     SQLITE_OK);
    buf_init(&buf, 1 << 20);
    buf_init(&want, 1 << 20);
    for (uint32_t first = 0; first < 0x110000; first += 64) {
        char text[64 * 4];
        if (first >= 0xd800 && first <= 0xdfff)
            continue;                   /* surrogates */
        uint32_t skip_nul = first == 0; /* SQLite's hex() of a text ends at a NUL */
        size_t len = encode(first + skip_nul, 64 - skip_nul, text);
        buf_reset(&buf);
        json_begin(&buf);
        json_str(&buf, "p", text, len);
        json_end(&buf);
        assert_true(buf_ok(&buf));
        assert_int_equal(sqlite3_bind_text(stmt, 1, buf.data, (int)buf.len, SQLITE_STATIC),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        buf_reset(&want);
        text_add_hex(&want, text, len);
        assert_int_equal(strcasecmp((const char *)sqlite3_column_text(stmt, 0), want.data), 0);
        assert_int_equal(sqlite3_reset(stmt), SQLITE_OK);
    }
    buf_deinit(&buf);
    buf_deinit(&want);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_all_code_points_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
