/* test_row.c: rows as they are written, literally, and back through journal/rowread, by seed. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "change.h"
#include "err.h"
#include "reader.h"
#include "row.h"
#include "rowread.h"

#define ROUNDS     20000
#define LONG_NAMES 255

static const char *write_one(struct buf *out, const struct change *change)
{
    buf_reset(out);
    row_write(out, "docs", change);
    assert_true(buf_ok(out));
    return out->data;
}

static void rows_as_documented(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    struct change change = {
        .seq = 12,
        .epoch = 1795420800123,
        .time_ms = 1795420800456,
        .kind = CHANGE_CREATE,
        .type = ENTRY_FILE,
        .path = bytes_str("a/b.txt"),
        .entry = 12,
        .attrs = {.size = 7, .mtime_ns = 1795420799000000001, .mode = 0644},
    };
    assert_string_equal(
        write_one(&out, &change),
        "{\"seq\":12,\"epoch\":1795420800123,\"time\":\"2026-11-23T08:00:00.456Z\","
        "\"kind\":\"create\",\"type\":\"file\",\"folder\":\"docs\",\"path\":\"a/b.txt\","
        "\"size\":7,\"mtime\":\"2026-11-23T07:59:59.000000001Z\",\"mode\":\"0644\","
        "\"id\":12}\n");
    change.kind = CHANGE_MOVE;
    change.type = ENTRY_DIR;
    change.from = bytes_str("old \"name\"\n\x7f\xc2\x9b");
    change.attrs = (struct entry_attrs){.mode = 04755};
    change.entries = 3;
    change.other = 9;
    change.flags = CHANGE_END | CHANGE_PARTIAL | CHANGE_REPLACED;
    assert_string_equal(
        write_one(&out, &change),
        "{\"seq\":12,\"epoch\":1795420800123,\"time\":\"2026-11-23T08:00:00.456Z\","
        "\"kind\":\"move\",\"type\":\"directory\",\"folder\":\"docs\",\"path\":\"a/b.txt\","
        "\"from\":\"old \\\"name\\\"\\n\\u007f\\u009b\",\"mode\":\"4755\",\"id\":12,"
        "\"other\":9,\"entries\":3,\"partial\":true,\"replaced\":true}\n");
    change = (struct change){
        .seq = 1,
        .epoch = 5,
        .kind = CHANGE_CREATE,
        .type = ENTRY_SYMLINK,
        .entry = 1,
        .path = bytes_of("\xff", 1),
        .attrs = {.target = bytes_of("\xfe\xff", 2)},
    };
    assert_string_equal(write_one(&out, &change),
                        "{\"seq\":1,\"epoch\":5,\"time\":\"1970-01-01T00:00:00.000Z\","
                        "\"kind\":\"create\",\"type\":\"symlink\",\"folder\":\"docs\","
                        "\"path_b64\":\"/w==\",\"target_b64\":\"/v8=\",\"id\":1}\n");
    change = (struct change){
        .seq = 2, .epoch = 5, .kind = CHANGE_GAP, .flags = CHANGE_GAP_OPEN | CHANGE_OVERFLOW};
    assert_string_equal(write_one(&out, &change),
                        "{\"seq\":2,\"epoch\":5,\"time\":\"1970-01-01T00:00:00.000Z\","
                        "\"kind\":\"gap\",\"folder\":\"docs\",\"state\":\"open\","
                        "\"reason\":\"overflow\"}\n");
    change = (struct change){.seq = 3,
                             .epoch = 5,
                             .kind = CHANGE_DELETE,
                             .type = ENTRY_DIR,
                             .path = bytes_str("d"),
                             .entry = 1,
                             .flags = CHANGE_IGNORED};
    assert_string_equal(write_one(&out, &change),
                        "{\"seq\":3,\"epoch\":5,\"time\":\"1970-01-01T00:00:00.000Z\","
                        "\"kind\":\"delete\",\"type\":\"directory\",\"folder\":\"docs\","
                        "\"path\":\"d\",\"id\":1,\"entries\":0,\"ignored\":true}\n");
    change.flags = 0;
    change.actor = (struct actor){4242, "rm \"x\""};
    assert_non_null(strstr(write_one(&out, &change),
                           "\"path\":\"d\",\"actor\":{\"pid\":4242,\"program\":\"rm \\\"x\\\"\"},"
                           "\"id\":1,"));
    change.actor = (struct actor){4242, "\xff"};
    assert_non_null(
        strstr(write_one(&out, &change), ",\"actor\":{\"pid\":4242,\"program_b64\":\"/w==\"},"));
    change.actor = (struct actor){4242, ""};
    assert_non_null(strstr(write_one(&out, &change), ",\"actor\":{\"pid\":4242},"));
    buf_deinit(&out);
}

static void times_from_end_to_end(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {0, "1970-01-01T00:00:00.000000000Z"},
        {951782400000000000, "2000-02-29T00:00:00.000000000Z"},
        {951868799999999999, "2000-02-29T23:59:59.999999999Z"},
        {951868800000000000, "2000-03-01T00:00:00.000000000Z"},
        {4107542399000000000, "2100-02-28T23:59:59.000000000Z"},
        {4107542400000000000, "2100-03-01T00:00:00.000000000Z"},
    };
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct change change = {.seq = 1,
                                .kind = CHANGE_MODIFY,
                                .type = ENTRY_FILE,
                                .path = bytes_str("x"),
                                .attrs.mtime_ns = rows[i].ns};
        assert_non_null(strstr(write_one(&out, &change), rows[i].text));
    }
    buf_deinit(&out);
}

/* A small generator (xorshift64*): one seed, one run. */
struct random {
    uint64_t state;
};

static uint64_t draw(struct random *random, uint64_t below)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return (random->state * UINT64_C(2685821657736338717) >> 16) % below;
}

/* Names from all that may be in one: nasty text, random bytes, 255-byte ones. */
static struct bytes draw_name(struct random *random, char *out)
{
    static const char *const parts[] = {"a",
                                        " ",
                                        "\"",
                                        "\\",
                                        "\n",
                                        "\t",
                                        "\r",
                                        "\x01",
                                        "\x1f",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xc2\x9f",
                                        "\xc2\xa0",
                                        "\xc3\xa4",
                                        "\xe2\x80\xae",
                                        "\xf0\x9f\x90\xbe",
                                        "\xff",
                                        "\xc2",
                                        "\xed\xa0\x80",
                                        "\xc0\xaf",
                                        "{\"seq\":1}",
                                        "%s",
                                        "'",
                                        "normal-name.txt"};
    size_t len = 0;
    size_t wanted = draw(random, 8) == 0 ? LONG_NAMES : 1 + draw(random, 24);
    bool clean = draw(random, 2) == 0; /* half of them plain */
    while (len < wanted) {
        const char *part = clean ? "xyz" : parts[draw(random, ARRAY_LEN(parts))];
        size_t size = strlen(part);
        if (len + size > LONG_NAMES)
            break;
        memcpy(out + len, part, size);
        len += size;
    }
    if (len == 0)
        out[len++] = 'q';
    return bytes_of(out, len);
}

static struct bytes draw_path(struct random *random, char *out)
{
    size_t depth = 1 + draw(random, 4);
    size_t len = 0;
    for (size_t i = 0; i < depth; i++) {
        if (i)
            out[len++] = '/';
        len += draw_name(random, out + len).len;
    }
    return bytes_of(out, len);
}

static int64_t draw_i64(struct random *random)
{
    static const int64_t edges[] = {0, 1, INT64_MAX, INT64_MAX - 1, 4294967296};
    return draw(random, 4) == 0 ? edges[draw(random, ARRAY_LEN(edges))]
                                : (int64_t)draw(random, UINT64_C(1) << 47);
}

static void draw_attrs(struct random *random, enum entry_type type, struct entry_attrs *out,
                       char *target)
{
    *out = (struct entry_attrs){0};
    if (type == ENTRY_FILE) {
        out->size = draw_i64(random);
        out->mtime_ns = draw(random, 2) ? draw_i64(random) : -draw_i64(random);
    }
    if (type == ENTRY_SYMLINK)
        out->target = draw_path(random, target);
    else
        out->mode = (uint32_t)draw(random, 010000);
}

static void draw_change(struct random *random, struct change *out, char *path, char *from,
                        char *target)
{
    static const uint32_t reasons[] = {CHANGE_OVERFLOW, CHANGE_INTERNAL, CHANGE_ROOT_LOST};
    *out = (struct change){
        .seq = 1 + draw_i64(random) / 2,
        .epoch = 1 + draw_i64(random) / 2,
        .time_ms = (int64_t)draw(random, UINT64_C(4102444800000)),
        .kind = (enum change_kind)(1 + draw(random, 7)),
    };
    if (out->kind == CHANGE_GAP) {
        out->flags = reasons[draw(random, 3)] | (draw(random, 2) ? CHANGE_GAP_OPEN : 0);
        return;
    }
    out->type = (enum entry_type)(1 + draw(random, 4));
    out->path = draw_path(random, path);
    out->entry = 1 + draw_i64(random) / 2;
    out->flags = (uint32_t)draw(random, 2) * CHANGE_PARTIAL |
                 (uint32_t)draw(random, 2) * CHANGE_REPLACED |
                 (uint32_t)draw(random, 2) * CHANGE_IGNORED;
    if (out->kind == CHANGE_MOVE || out->kind == CHANGE_EXCHANGE) {
        out->from = draw_path(random, from);
        out->other = draw_i64(random);
    }
    if (out->type == ENTRY_DIR)
        out->entries = draw_i64(random);
    if (out->kind != CHANGE_DELETE)
        draw_attrs(random, out->type, &out->attrs, target);
}

static bool same(const struct change *x, const struct change *y)
{
    const uint32_t unsent = CHANGE_END | CHANGE_PARKED;
    return x->seq == y->seq && x->epoch == y->epoch && x->time_ms == y->time_ms &&
           x->entry == y->entry && x->kind == y->kind && x->type == y->type &&
           (x->flags & ~unsent) == (y->flags & ~unsent) && bytes_equal(x->path, y->path) &&
           bytes_equal(x->from, y->from) && x->attrs.size == y->attrs.size &&
           x->attrs.mtime_ns == y->attrs.mtime_ns && x->attrs.mode == y->attrs.mode &&
           bytes_equal(x->attrs.target, y->attrs.target) && x->entries == y->entries &&
           x->other == y->other;
}

static void rows_come_back(void **state)
{
    (void)state;
    static char path[2048], from[2048], target[2048];
    const uint64_t seed = UINT64_C(0x5900e20261123);
    struct random random = {seed};
    struct rowread *reader;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(rowread_open(&reader, &err), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct change change, back;
        draw_change(&random, &change, path, from, target);
        change.flags |= draw(&random, 2) ? CHANGE_END : CHANGE_PARKED;
        const char *line = write_one(&out, &change);
        assert_int_equal(strcspn(line, "\n"), out.len - 1); /* one line each */
        for (size_t at = 0; at < out.len - 1; at++) {
            if ((unsigned char)line[at] < 0x20 || line[at] == 0x7f)
                fail_msg("seed %llx, round %d: control character in %s", (unsigned long long)seed,
                         i, line);
        }
        if (rowread_parse(reader, line, out.len - 1, &back, &err))
            fail_msg("seed %llx, round %d: %s: %s", (unsigned long long)seed, i, err.text, line);
        if (!same(&change, &back))
            fail_msg("seed %llx, round %d: came back otherwise: %s", (unsigned long long)seed, i,
                     line);
    }
    rowread_close(reader);
    buf_deinit(&out);
}

static void entries_come_back(void **state)
{
    (void)state;
    static char path[2048], target[2048];
    const uint64_t seed = UINT64_C(0x77aa20261123);
    struct random random = {seed};
    struct rowread *reader;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(rowread_open(&reader, &err), 0);
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct reader_entry entry = {.id = 1 + draw_i64(&random) / 2,
                                     .type = (enum entry_type)(1 + draw(&random, 4))};
        struct reader_entry back;
        entry.path = draw_path(&random, path);
        draw_attrs(&random, entry.type, &entry.attrs, target);
        buf_reset(&out);
        row_write_entry(&out, &entry);
        if (rowread_parse_entry(reader, out.data, out.len - 1, &back, &err))
            fail_msg("seed %llx, round %d: %s: %s", (unsigned long long)seed, i, err.text,
                     out.data);
        bool equal = back.id == entry.id && back.type == entry.type &&
                     bytes_equal(back.path, entry.path) && back.attrs.size == entry.attrs.size &&
                     back.attrs.mode == entry.attrs.mode &&
                     back.attrs.mtime_ns == entry.attrs.mtime_ns &&
                     bytes_equal(back.attrs.target, entry.attrs.target);
        if (!equal)
            fail_msg("seed %llx, round %d: came back otherwise: %s", (unsigned long long)seed, i,
                     out.data);
    }
    rowread_close(reader);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_as_documented),
        cmocka_unit_test(times_from_end_to_end),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(entries_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
