/* fuzz_config.c: a configuration file of any content. What is taken must, shown by `config show`,
 * be taken again and show the same; what is refused must say why, with file and line. */
#include "buf.h"
#include "config.h"
#include "err.h"
#include "fuzz.h"

#define SHOWN_MAX ((size_t)32 << 20)

/* The values without their origins: those name other lines the second time. */
static void show(const struct config *config, struct buf *text, struct buf *values)
{
    struct buf json;

    buf_init(&json, SHOWN_MAX);
    config_show(config, false, text);
    config_show(config, true, &json);
    FUZZ_CHECK(buf_ok(text) && buf_ok(&json));
    for (const char *at = json.data; at && *at;) {
        const char *end = strchrnul(at, '\n');
        const char *origin = memmem(at, (size_t)(end - at), ",\"origin\":", 10);
        FUZZ_CHECK(origin);
        buf_add(values, at, (size_t)(origin - at));
        buf_add_char(values, '\n');
        at = *end ? end + 1 : end;
    }
    FUZZ_CHECK(buf_ok(values));
    buf_deinit(&json);
}

static void check_again(const struct config *config)
{
    struct config *again = NULL;
    struct err err = {0};
    struct buf text, values, text_again, values_again;

    buf_init(&text, SHOWN_MAX);
    buf_init(&values, SHOWN_MAX);
    buf_init(&text_again, SHOWN_MAX);
    buf_init(&values_again, SHOWN_MAX);
    show(config, &text, &values);
    if (config_parse("shown", "/base", text.data, text.len, &again, &err) != 0) {
        fprintf(stderr, "%s\n-- shown:\n%s\n", err.text, text.data);
        FUZZ_CHECK(!"what is shown is taken again");
    }
    show(again, &text_again, &values_again);
    FUZZ_CHECK(values.len == values_again.len &&
               memcmp(values.data, values_again.data, values.len) == 0);
    config_free(again);
    buf_deinit(&text);
    buf_deinit(&values);
    buf_deinit(&text_again);
    buf_deinit(&values_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct err err = {0};
    int rc = config_parse("fuzz.conf", "/base", (const char *)data, size, &config, &err);

    if (rc == 0) {
        check_again(config);
        config_free(config);
        return 0;
    }
    FUZZ_CHECK(!config && rc < 0 && err.code == rc);
    FUZZ_CHECK(strncmp(err.text, "fuzz.conf", 9) == 0);
    return 0;
}
