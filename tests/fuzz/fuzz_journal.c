/* fuzz_journal.c: damage to a journal's file as its readers meet it. The input is a list of bytes
 * to be changed in a sound file, each by three bytes of where and one of what is flipped; an odd
 * rest cuts the file. Whatever is damaged, a reader ends with a word, and each row that it shows
 * with its chain checked is the row that was written. The file has a nonce of its own in each
 * process. */
#include "journal.h"

#include <fcntl.h>

#include "buf.h"
#include "err.h"
#include "fuzz.h"
#include "journal_mark.h"
#include "osfile.h"
#include "reader.h"
#include "reserve.h"
#include "row.h"

enum { FILES = 40, ROWS_MAX = FILES + 16, FILE_MAX = 1 << 20, TARGET_LEN = 5000 };

#define TEXT(text) ((struct bytes){text, sizeof(text) - 1})

static struct {
    char dir[64];
    int dirfd;
    struct buf file;           /* sound */
    struct buf text;           /* its rows, as they are printed */
    size_t ends[ROWS_MAX + 1]; /* in `text`: row seq ends at [seq] */
    int64_t last;
} sound;

static void remove_file(const char *name)
{
    (void)unlinkat(sound.dirfd, name, 0); /* may not be there */
}

static void remove_all(void)
{
    static const char *const names[] = {JOURNAL_FILE "-wal", JOURNAL_FILE "-shm", JOURNAL_FILE};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        remove_file(names[i]);
}

static void remove_dir(void)
{
    remove_all();
    remove_file(JOURNAL_ID_FILE);
    remove_file(JOURNAL_MARK_FILE);
    remove_file(RESERVE_FILE);
    (void)rmdir(sound.dir); /* what is left over lies in memory */
}

/* --- the sound file --- */

static void commit(struct journal *journal, const struct edit *edits, size_t count)
{
    struct err err = {0};
    FUZZ_CHECK(journal_commit(journal, edits, count, 1000, &err) == 0);
}

static void fill(struct journal *journal)
{
    static char target[TARGET_LEN], name[32], path[32];
    memset(target, 't', sizeof target); /* longer than a page: it overflows */
    const struct edit edits[] = {
        {.kind = CHANGE_CREATE,
         .type = ENTRY_DIR,
         .entry = 1,
         .name = TEXT("d"),
         .attrs = {.mode = 0755},
         .file = {101, 1},
         .path = TEXT("d")},
        {.kind = CHANGE_CREATE,
         .type = ENTRY_SYMLINK,
         .entry = 2,
         .name = TEXT("l"),
         .attrs = {.target = {target, sizeof target}},
         .file = {102, 1},
         .path = TEXT("l")},
        {.kind = CHANGE_CREATE,
         .type = ENTRY_FILE,
         .entry = 3,
         .parent = 1,
         .name = TEXT("f"),
         .attrs = {.size = 1, .mode = 0644},
         .file = {103, 1},
         .path = TEXT("d/f")},
        {.kind = CHANGE_MODIFY,
         .type = ENTRY_FILE,
         .entry = 3,
         .parent = 1,
         .name = TEXT("f"),
         .attrs = {.size = 2, .mode = 0644},
         .file = {103, 1},
         .path = TEXT("d/f")},
        {.kind = CHANGE_MOVE,
         .type = ENTRY_FILE,
         .entry = 3,
         .parent = 1,
         .name = TEXT("f"),
         .to_name = TEXT("g"),
         .attrs = {.size = 2, .mode = 0644},
         .file = {103, 1},
         .path = TEXT("g"),
         .from = TEXT("d/f")},
        {.kind = CHANGE_DELETE,
         .type = ENTRY_FILE,
         .entry = 3,
         .name = TEXT("g"),
         .attrs = {.size = 2, .mode = 0644},
         .file = {103, 1},
         .path = TEXT("g")},
    };
    commit(journal, edits, ARRAY_LEN(edits));
    for (int i = 0; i < FILES; i++) {
        int len = snprintf(path, sizeof path, "d/name-%04d", i);
        (void)snprintf(name, sizeof name, "name-%04d", i); /* fits */
        const struct edit edit = {.kind = CHANGE_CREATE,
                                  .type = ENTRY_FILE,
                                  .entry = (int64_t)ARRAY_LEN(edits) + 1 + i,
                                  .parent = 1,
                                  .name = bytes_str(name),
                                  .attrs = {.size = i, .mode = 0644},
                                  .file = {200 + (uint64_t)i, 1},
                                  .path = bytes_of(path, (size_t)len)};
        commit(journal, &edit, 1);
    }
}

static int keep_row(void *ctx, const struct change *row)
{
    (void)ctx;
    FUZZ_CHECK(row->seq == sound.last + 1 && row->seq <= ROWS_MAX);
    row_write(&sound.text, "docs", row);
    FUZZ_CHECK(buf_ok(&sound.text));
    sound.last = row->seq;
    sound.ends[row->seq] = sound.text.len;
    return 0;
}

static void make_sound(void)
{
    struct journal *journal = NULL;
    struct reader *reader = NULL;
    struct err err = {0};
    struct reader_range all = {
        .first = 1, .last = INT64_MAX, .verify = true, .until_ms = INT64_MAX};
    buf_init(&sound.file, FILE_MAX);
    buf_init(&sound.text, FILE_MAX);
    /* In memory where there is such a place: the disk's syncs are not under test. */
    (void)snprintf(sound.dir, sizeof sound.dir, "%s/spoor-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(sound.dir) && atexit(remove_dir) == 0);
    sound.dirfd = open(sound.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_CHECK(sound.dirfd >= 0);
    FUZZ_CHECK(journal_open(sound.dir, "docs", &journal, &err) == 0);
    fill(journal);
    FUZZ_CHECK(journal_consumer_add(journal, "up", 0, &err) == 0);
    journal_close(journal);
    FUZZ_CHECK(reader_open(sound.dir, &reader, &err) == 0);
    FUZZ_CHECK(reader_rows(reader, &all, keep_row, NULL, &err) == 0);
    reader_close(reader);
    FUZZ_CHECK(osfile_read(sound.dirfd, JOURNAL_FILE, FILE_MAX, &sound.file, &err) == 0);
}

/* --- the damaged one --- */

static void write_damaged(const uint8_t *data, size_t size)
{
    size_t len = sound.file.len;
    char *bytes = malloc(len);
    FUZZ_CHECK(bytes);
    memcpy(bytes, sound.file.data, len);
    for (; size >= 4; data += 4, size -= 4) {
        size_t where = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % len;
        bytes[where] = (char)(bytes[where] ^ data[3]);
    }
    if (size == 1)
        len = len / 256 * data[0];
    remove_all();
    int fd = openat(sound.dirfd, JOURNAL_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && close(fd) == 0);
    free(bytes);
}

static int check_row(void *ctx, const struct change *row)
{
    struct buf *line = ctx;
    FUZZ_CHECK(row->seq > 0 && row->seq <= sound.last);
    buf_reset(line);
    row_write(line, "docs", row);
    FUZZ_CHECK(buf_ok(line));
    size_t start = sound.ends[row->seq - 1], len = sound.ends[row->seq] - start;
    FUZZ_CHECK(line->len == len && memcmp(line->data, sound.text.data + start, len) == 0);
    return 0;
}

static int take_row(void *ctx, const struct change *row)
{
    struct buf *line = ctx;
    buf_reset(line);
    row_write(line, "docs", row); /* whatever it says: its chain is not checked */
    return 0;
}

static int take_entry(void *ctx, const struct reader_entry *entry)
{
    struct buf *line = ctx;
    buf_reset(line);
    row_write_entry(line, entry);
    return 0;
}

static int take_consumer(void *ctx, const struct reader_consumer *consumer)
{
    (void)ctx;
    FUZZ_CHECK(memchr(consumer->name, 0, sizeof consumer->name));
    return 0;
}

static void check_end(int code, const struct err *err)
{
    FUZZ_CHECK(code == 0 || (code < 0 && err->text[0]));
}

static void read_all(struct reader *reader, struct buf *line)
{
    struct journal_info info;
    struct err err = {0};
    struct reader_range all = {.first = 1, .last = INT64_MAX, .until_ms = INT64_MAX};
    for (int how = 0; how < 4; how++) {
        all.reverse = how & 1;
        all.verify = how & 2;
        check_end(reader_rows(reader, &all, all.verify ? check_row : take_row, line, &err), &err);
    }
    check_end(reader_info(reader, &info, &err), &err);
    check_end(reader_tree(reader, NULL, take_entry, line, &err), &err);
    check_end(reader_tree_at(reader, sound.last, take_entry, line, &err), &err);
    check_end(reader_consumers(reader, take_consumer, NULL, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader *reader = NULL;
    struct err err = {0};
    struct buf line;
    if (!sound.file.len)
        make_sound();
    write_damaged(data, size);
    int code = reader_open(sound.dir, &reader, &err);
    check_end(code, &err);
    if (code)
        return 0;
    buf_init(&line, FILE_MAX);
    read_all(reader, &line);
    buf_deinit(&line);
    reader_close(reader);
    return 0;
}
