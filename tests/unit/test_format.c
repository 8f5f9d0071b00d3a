/* test_format.c: bodies in each format, literally, and the addresses of logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "buf.h"
#include "change.h"
#include "format.h"
#include "journal.h"

#define ROW_1                                                                                      \
    "\"seq\":1,\"epoch\":7,\"time\":\"2026-11-23T08:00:00.456Z\",\"kind\":\"create\","             \
    "\"type\":\"directory\",\"folder\":\"docs\",\"path\":\"a\",\"mode\":\"0755\",\"id\":1}"
#define ROW_2                                                                                      \
    "\"seq\":2,\"epoch\":7,\"time\":\"2026-11-23T08:00:00.456Z\",\"kind\":\"create\","             \
    "\"type\":\"directory\",\"folder\":\"docs\",\"path_b64\":\"/w==\",\"mode\":\"0755\",\"id\":2}"

static const char *body(struct buf *out, enum config_format kind)
{
    const struct format format = {.kind = kind, .journal = "0f3c-9", .folder = "docs"};
    struct change change = {
        .seq = 1,
        .epoch = 7,
        .time_ms = 1795420800456,
        .kind = CHANGE_CREATE,
        .type = ENTRY_DIR,
        .path = bytes_str("a"),
        .entry = 1,
        .attrs = {.mode = 0755},
    };
    buf_init(out, 1 << 20);
    format_begin(&format, out);
    format_row(&format, &change, true, out);
    change.seq = change.entry = 2;
    change.path = bytes_str("\xff");
    format_row(&format, &change, false, out);
    format_end(&format, out);
    buf_add(out, "", 1);
    assert_true(buf_ok(out));
    return out->data;
}

static void bodies(void **state)
{
    (void)state;
    struct buf out;
    assert_string_equal(body(&out, CONFIG_FORMAT_SPOOR), "{" ROW_1 "\n{" ROW_2 "\n");
    buf_deinit(&out);
    assert_string_equal(body(&out, CONFIG_FORMAT_NDJSON),
                        "{\"journal\":\"0f3c-9\"," ROW_1 "\n{\"journal\":\"0f3c-9\"," ROW_2 "\n");
    buf_deinit(&out);
    assert_string_equal(
        body(&out, CONFIG_FORMAT_CLOUDEVENTS),
        "[\n{\"specversion\":\"1.0\",\"id\":\"7-1\",\"source\":\"urn:spoor:0f3c-9\","
        "\"type\":\"spoor.create\",\"time\":\"2026-11-23T08:00:00.456Z\",\"subject\":\"a\","
        "\"datacontenttype\":\"application/json\",\"data\":{" ROW_1 "}\n"
        ",{\"specversion\":\"1.0\",\"id\":\"7-2\",\"source\":\"urn:spoor:0f3c-9\","
        "\"type\":\"spoor.create\",\"time\":\"2026-11-23T08:00:00.456Z\","
        "\"datacontenttype\":\"application/json\",\"data\":{" ROW_2 "}\n]\n");
    buf_deinit(&out);
}

static void media_types(void **state)
{
    (void)state;
    assert_string_equal(format_media_type(CONFIG_FORMAT_SPOOR), "application/x-ndjson");
    assert_string_equal(format_media_type(CONFIG_FORMAT_CLOUDEVENTS),
                        "application/cloudevents-batch+json");
}

static void addresses(void **state)
{
    (void)state;
    const struct journal_info info = {.id = "0f3c-9"};
    const struct journal_batch batch = {.epoch = 7, .first = 11, .last = 20};
    struct buf out;
    buf_init(&out, 1000);
    format_add_url(&out, "https://h/{journal}/?t={journal}-{epoch}-{first}-{last}", &info, &batch);
    buf_add(&out, "", 1);
    assert_string_equal(out.data, "https://h/0f3c-9/?t=0f3c-9-7-11-20");
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(media_types),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
