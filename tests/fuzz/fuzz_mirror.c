/* fuzz_mirror.c: a decoded batch into the collector's store: the first byte chooses what is wrong
 * with its header, the rest are its rows. Whatever comes, the store takes all of it or nothing,
 * and its count and sum are those of the tree it shows. */
#include "mirror.h"

#include <fcntl.h>

#include "err.h"
#include "fuzz.h"
#include "reader.h"

#define BATCHES_A_STORE 64 /* applied, then a new store: a finding needs few inputs before it */
#define JOURNAL         "fuzz-1"

static struct {
    char dir[64];
    struct mirror *mirror;
    int applied;
} store;

static void remove_files(void)
{
    static const char *const names[] = {JOURNAL ".db", JOURNAL ".db-wal", JOURNAL ".db-shm"};
    int dirfd = open(store.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; dirfd >= 0 && i < ARRAY_LEN(names); i++)
        (void)unlinkat(dirfd, names[i], 0); /* may not be there */
    if (dirfd >= 0)
        (void)close(dirfd); /* opened for reading */
}

static void remove_store(void)
{
    mirror_close(store.mirror);
    remove_files();
    (void)rmdir(store.dir); /* what is left over lies in memory */
}

static void open_store(void)
{
    struct err err = {0};

    if (!store.dir[0]) {
        /* In memory where there is such a place: the disk's syncs are not under test. */
        (void)snprintf(store.dir, sizeof store.dir, "%s/spoor-fuzz-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        FUZZ_CHECK(mkdtemp(store.dir) && atexit(remove_store) == 0);
    }
    mirror_close(store.mirror);
    store.mirror = NULL;
    remove_files();
    FUZZ_CHECK(mirror_open(store.dir, JOURNAL, &store.mirror, &err) == 0);
    store.applied = 0;
}

static int count_entry(void *ctx, const struct reader_entry *entry)
{
    int64_t *count = ctx;

    FUZZ_CHECK(entry->path.len > 0);
    *count += 1;
    return 0;
}

static void check_applied(const struct mirror_batch *batch)
{
    struct err err = {0};
    int64_t count = 0;
    const struct mirror_cursor *cursor = mirror_cursor(store.mirror);

    FUZZ_CHECK(cursor->seq == batch->last && cursor->epoch == batch->epoch);
    FUZZ_CHECK(cursor->sum == batch->last_sum);
    FUZZ_CHECK(mirror_tree(store.mirror, count_entry, &count, &err) == 0);
    FUZZ_CHECK(count == cursor->entries && (count > 0 || cursor->tree_sum == 0));
    if (++store.applied == BATCHES_A_STORE)
        open_store();
}

static bool is_same(const struct mirror_cursor *x, const struct mirror_cursor *y)
{
    return strcmp(x->journal, y->journal) == 0 && strcmp(x->folder, y->folder) == 0 &&
           x->epoch == y->epoch && x->seq == y->seq && x->sum == y->sum &&
           x->tree_sum == y->tree_sum && x->entries == y->entries && x->batches == y->batches;
}

/* The same bytes as a part of a snapshot: it is gathered beside the tree, which stays as it is, and
 * a commit that promises another tree is refused. */
static void send_part(const uint8_t *data, size_t size, bool follows)
{
    struct mirror_cursor before = *mirror_cursor(store.mirror);
    int64_t gen = mirror_generation(store.mirror) + !follows;
    struct mirror_part part = {gen + !gen, 1 + follows, size ? (const char *)data : "", size};
    struct mirror_commit commit = {.gen = part.gen,
                                   .parts = part.part,
                                   .epoch = before.epoch + 1,
                                   .seq = 1,
                                   .entries = (int64_t)size + 1, /* a line has more bytes */
                                   .folder = "docs"};
    enum mirror_outcome outcome = MIRROR_APPLIED;
    struct err err = {0};
    FUZZ_CHECK(mirror_take_part(store.mirror, &part, &outcome, &err) == 0);
    FUZZ_CHECK(outcome != MIRROR_REFUSED || err.text[0]);
    bool taken = outcome == MIRROR_APPLIED;
    FUZZ_CHECK(!taken || mirror_generation(store.mirror) == part.gen);
    FUZZ_CHECK(mirror_take_snapshot(store.mirror, &commit, &outcome, &err) == 0);
    FUZZ_CHECK(!taken || outcome == MIRROR_REFUSED);
    FUZZ_CHECK(outcome != MIRROR_APPLIED && is_same(&before, mirror_cursor(store.mirror)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum mirror_outcome outcome = MIRROR_APPLIED;
    struct err err = {0};
    uint8_t how = size ? data[0] : 0;
    int64_t rows = 0;

    if (!store.mirror)
        open_store();
    if (how & 16) {
        send_part(data + 1, size - 1, how & 1);
        return 0;
    }
    struct mirror_cursor before = *mirror_cursor(store.mirror);
    for (size_t i = 1; i < size; i++)
        rows += data[i] == '\n';
    struct mirror_batch batch = {
        .epoch = before.epoch ? before.epoch : 7,
        .first = before.seq + 1,
        .last = before.seq + rows,
        .prev_sum = before.sum,
        .last_sum = before.sum + 1,
        .rows = size ? (const char *)data + 1 : "",
        .len = size ? size - 1 : 0,
    };
    if (how & 1)
        batch.first--; /* overlaps what is there */
    if (how & 2)
        batch.last++; /* promises a row more */
    if (how & 4)
        batch.prev_sum++;
    if (how & 8)
        batch.has_tree_sum = true;
    int rc = mirror_apply(store.mirror, &batch, &outcome, &err);
    FUZZ_CHECK(rc == 0);
    if (outcome == MIRROR_APPLIED) {
        check_applied(&batch);
    } else {
        FUZZ_CHECK(is_same(&before, mirror_cursor(store.mirror)));
        FUZZ_CHECK(outcome != MIRROR_REFUSED || err.text[0]);
    }
    return 0;
}
