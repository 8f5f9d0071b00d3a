/* fuzz_windows.c: the bytes of a completed ReadDirectoryChanges, the first byte saying in which
 * layout. The parser goes on by whole records, stays within the buffer, and ends; what the records
 * become names only directories that were added, in names that are one component and come back from
 * UTF-16 as they are. */
#include "err.h"
#include "fuzz.h"
#include "windows_records.h"
#include "wtf8.h"

enum { DIRS = 6 };

struct seen {
    bool lost;
    bool gone[DIRS + 1];
};

static void check_name(struct bytes name)
{
    static uint16_t units[WINDOWS_PATH_UNITS_MAX];
    size_t count = 0;
    FUZZ_CHECK(name.len > 0 && !memchr(name.at, 0, name.len));
    FUZZ_CHECK(!memchr(name.at, '/', name.len) && !memchr(name.at, '\\', name.len));
    FUZZ_CHECK(wtf8_to_utf16(name, units, ARRAY_LEN(units), &count) == 0);
}

static void on_hint(void *ctx, struct file_id dir, struct bytes name, uint8_t hints,
                    const struct actor *actor)
{
    (void)actor; /* not known on Windows */
    const struct seen *seen = ctx;
    FUZZ_CHECK(dir.a >= 1 && dir.a <= DIRS && dir.b == 0 && !seen->gone[dir.a]);
    FUZZ_CHECK(hints != 0 && !seen->lost);
    check_name(name);
}

static void on_unwatched(void *ctx, struct file_id dir, int32_t number)
{
    struct seen *seen = ctx;
    FUZZ_CHECK(dir.a >= 1 && dir.a <= DIRS && !seen->gone[dir.a] && number >= 0);
    seen->gone[dir.a] = true;
}

static void on_lost(void *ctx, enum watch_loss loss)
{
    struct seen *seen = ctx;
    FUZZ_CHECK(!seen->lost && loss != WATCH_ROOT_GONE);
    seen->lost = true;
}

static void on_batch(void *ctx)
{
    (void)ctx;
}

static void on_barrier(void *ctx, struct bytes rest)
{
    (void)ctx;
    check_name(rest);
}

static bool parse_all(enum windows_layout layout, const char *buffer, size_t len)
{
    size_t head = layout == WINDOWS_IDS ? 84 : 12;
    struct windows_record record;
    size_t offset = 0;
    for (;;) {
        size_t before = offset;
        int code = windows_parse(layout, buffer, len, &offset, &record);
        if (code != 1) {
            FUZZ_CHECK(code == 0 || code == ERR_INVALID);
            FUZZ_CHECK(offset == before && (code != 0 || before == len));
            return code == 0;
        }
        FUZZ_CHECK(record.path == buffer + before + head);
        FUZZ_CHECK(offset >= before + head + record.units * 2 && offset <= len);
    }
}

static void add(struct windows_records *records, uint64_t dir, uint64_t parent, const char *name)
{
    int32_t number;
    struct err err;
    struct watch_dir found = {
        .file = {dir, 0}, .root = parent == 0, .parent = {parent, 0}, .name = bytes_str(name)};
    FUZZ_CHECK(windows_records_add(records, &found, &number, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct windows_records records;
    struct seen seen = {0};
    struct watch_sink sink = {.ctx = &seen,
                              .hint = on_hint,
                              .unwatched = on_unwatched,
                              .lost = on_lost,
                              .batch = on_batch};
    if (size == 0)
        return 0;
    enum windows_layout layout = data[0] & 1 ? WINDOWS_IDS : WINDOWS_PATHS;
    const char *buffer = (const char *)data + 1;
    size_t len = size - 1;
    bool whole = parse_all(layout, buffer, len) && len > 0;

    windows_records_init(&records, &sink, on_barrier, &seen);
    add(&records, 1, 0, "");
    add(&records, 2, 1, "a");
    add(&records, 3, 1, "b");
    add(&records, 4, 2, "c");
    add(&records, 5, 4, "d");
    add(&records, 6, 3, "s\xed\xa0\x80");
    /* In two reads, so that halves of renames may be in different ones. */
    bool taken = windows_records_take(&records, layout, buffer, len);
    FUZZ_CHECK(taken == !seen.lost && (whole || !taken));
    if (taken)
        (void)windows_records_take(&records, layout, buffer, len); /* as the first, or not */
    FUZZ_CHECK(windows_records_count(&records) <= DIRS);
    windows_records_deinit(&records);
    return 0;
}
