/* fuzz_rowread.c: one row of a batch, as a line of JSON. What is taken keeps the rules that the
 * replay relies upon, and written again it reads the same. */
#include "buf.h"
#include "err.h"
#include "fuzz.h"
#include "reader.h"
#include "row.h"
#include "rowread.h"

static void check_path(struct bytes path)
{
    const char *at = path.at;
    size_t left = path.len;

    FUZZ_CHECK(path.len > 0 && !memchr(path.at, 0, path.len));
    for (;;) {
        const char *slash = memchr(at, '/', left);
        size_t len = slash ? (size_t)(slash - at) : left;
        FUZZ_CHECK(len > 0);
        FUZZ_CHECK(!(len == 1 && at[0] == '.') && !(len == 2 && at[0] == '.' && at[1] == '.'));
        if (!slash)
            return;
        at += len + 1;
        left -= len + 1;
    }
}

static void write_again(const struct rowread *reader, const struct change *row, struct buf *out)
{
    const char *folder = rowread_folder(reader);

    buf_reset(out);
    row_write(out, folder[0] ? folder : "docs", row); /* the writer always names one */
    FUZZ_CHECK(buf_ok(out) && out->len > 0 && out->data[out->len - 1] == '\n');
    FUZZ_CHECK(!memchr(out->data, '\n', out->len - 1)); /* one line stays one line */
}

static void check_row(struct rowread *reader, const char *line, size_t len)
{
    struct change row;
    struct err err = {0};
    struct buf first, second;

    if (rowread_parse(reader, line, len, &row, &err) != 0) {
        FUZZ_CHECK(err.code < 0 && err.text[0]);
        return;
    }
    if (row.kind != CHANGE_GAP)
        check_path(row.path);
    if (row.kind == CHANGE_MOVE || row.kind == CHANGE_EXCHANGE)
        check_path(row.from);
    row.epoch =
        row.epoch ? row.epoch : 1; /* may be left out, since the batch has it; not written so */
    buf_init(&first, (size_t)4 * ROWREAD_LINE_MAX);
    buf_init(&second, (size_t)4 * ROWREAD_LINE_MAX);
    write_again(reader, &row, &first);
    if (first.len <= ROWREAD_LINE_MAX) {
        if (rowread_parse(reader, first.data, first.len - 1, &row, &err) != 0) {
            fprintf(stderr, "%s\n-- of: %s", err.text, first.data);
            FUZZ_CHECK(!"what is written is read again");
        }
        write_again(reader, &row, &second);
        FUZZ_CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    }
    buf_deinit(&first);
    buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rowread *reader; /* opening one costs more than a thousand rows */
    struct reader_entry entry;
    struct err err = {0};

    if (!reader)
        FUZZ_CHECK(rowread_open(&reader, &err) == 0);
    check_row(reader, (const char *)data, size);
    if (rowread_parse_entry(reader, (const char *)data, size, &entry, &err) == 0)
        check_path(entry.path);
    return 0;
}
