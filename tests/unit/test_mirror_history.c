/* test_mirror_history.c: long histories through the wire: random ones, deep ones, paths that
 * change their meaning, and a collector that is killed. */
#include "mirror.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_kill.h"
#include "helper_mirror.h"

/* A directory's path comes to mean another directory, right after rows in the first. */
static void test_paths_that_change_their_meaning(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    box_create(&box, "a", ENTRY_DIR);
    box_create(&box, "a/x", ENTRY_DIR);
    box_create(&box, "a/x/1", ENTRY_FILE);
    box_move(&box, "a", "b");
    box_create(&box, "a", ENTRY_DIR);
    box_create(&box, "a/x", ENTRY_DIR);
    box_create(&box, "a/x/2", ENTRY_FILE);
    box_exchange(&box, "b", "a");
    box_create(&box, "a/x/3", ENTRY_FILE);
    box_exchange(&box, "b", "a");
    box_create(&box, "a/x/4", ENTRY_FILE);
    box_delete(&box, "a");
    box_create(&box, "a", ENTRY_DIR);
    box_create(&box, "a/x", ENTRY_DIR);
    box_create(&box, "a/x/5", ENTRY_FILE);
    box_link(&box, "l", "t");
    box_exchange(&box, "l", "a/x");
    box_create(&box, "l/6", ENTRY_FILE);
    box_create(&box, "e", ENTRY_DIR);
    box_create(&box, "e/1", ENTRY_FILE);
    box_delete(&box, "e");
    box_create(&box, "e", ENTRY_DIR);
    box_create(&box, "e/2", ENTRY_FILE);
    box_link(&box, "m", "t");
    box_exchange(&box, "m", "e");
    box_delete(&box, "e");
    box_create(&box, "e", ENTRY_DIR);
    box_create(&box, "e/3", ENTRY_FILE);
    int64_t last = box_commit(&box);
    assert_int_equal(send_rows(&box, mirror, 1, last), MIRROR_APPLIED);
    check_mirror(&box, mirror);
    /* The old meaning is refused: "b" went to "c". */
    box_create(&box, "b/x/7", ENTRY_FILE);
    box_move(&box, "b", "c");
    int64_t next = box_commit(&box) + 1;
    assert_int_equal(send_rows(&box, mirror, last + 1, next - 1), MIRROR_APPLIED);
    struct mirror_batch batch = {.epoch = mirror_cursor(mirror)->epoch};
    batch.first = batch.last = next;
    batch.prev_sum = mirror_cursor(mirror)->sum;
    batch.rows = ROW(31, "\"kind\":\"create\",\"id\":31," FILE_AT("b/x/8"));
    batch.len = strlen(batch.rows);
    assert_int_equal(next, 31); /* as in the row */
    assert_int_equal(apply_batch(&box, mirror, &batch), MIRROR_REFUSED);
    assert_non_null(strstr(box.err.text, "directory"));
    check_mirror(&box, mirror);
    mirror_close(mirror);
    box_close(&box);
}

static void test_deep(void **state)
{
    (void)state;
    enum { DEPTH = 1000 };
    struct box box;
    char path[DEPTH * 2 + 8];
    size_t len = 0;
    box_open(&box);
    struct mirror *mirror = open_mirror(&box);
    for (int i = 0; i < DEPTH; i++) {
        path[len++] = (char)('a' + i % 26);
        path[len] = '\0';
        box_create(&box, path, ENTRY_DIR);
        path[len++] = '/';
    }
    memcpy(path + len, "f", 2);
    box_create(&box, path, ENTRY_FILE);
    box_move(&box, path, "f");
    int64_t last = box_commit(&box);
    assert_int_equal(send_rows(&box, mirror, 1, last), MIRROR_APPLIED);
    check_mirror(&box, mirror);
    box_delete(&box, "a");
    last = box_commit(&box);
    assert_int_equal(send_rows(&box, mirror, last, last), MIRROR_APPLIED);
    check_mirror(&box, mirror);
    mirror_close(mirror);
    box_close(&box);
}

/* Sends what the mirror has not, in batches of random length. */
static void catch_up(struct box *box, struct mirror *mirror, unsigned *seed)
{
    int64_t last = journal_info(box->journal)->last_seq;
    while (mirror_cursor(mirror)->seq < last) {
        int64_t first = mirror_cursor(mirror)->seq + 1;
        int64_t end = first + rand_r(seed) % 20;
        if (send_rows(box, mirror, first, end < last ? end : last) != MIRROR_APPLIED)
            fail_msg("%s", box->err.text);
    }
    if (last)
        check_mirror(box, mirror);
}

/* Random histories with hostile names, in random batches: the mirror's tree and sum are the
 * journal's after every batch that reaches its end; the journal's own checks hold as well. */
static void test_random_histories(void **state)
{
    (void)state;
    enum { RUNS = 6, COMMITS = 25 };
    for (unsigned run = 0; run < RUNS; run++) {
        struct box box;
        unsigned seed = 4711 + run;
        print_message("seed %u\n", seed);
        box_open(&box);
        struct mirror *mirror = open_mirror(&box);
        for (int i = 0; i < COMMITS; i++) {
            for (int step = rand_r(&seed) % 30; step >= 0; step--)
                box_random(&box, &seed);
            (void)box_commit(&box);
            if (i == COMMITS / 2)
                assert_int_equal(journal_set_indexed(box.journal, NULL), 0);
            if (i % 8 == 0) {
                box_reopen(&box);
                box_check(&box);
            }
            catch_up(&box, mirror, &seed);
        }
        box_check(&box);
        mirror_close(mirror);
        box_close(&box);
    }
}

/* Applies batches, and tells of each. */
static void apply_for_ever(const char *dir)
{
    struct mirror *mirror = NULL;

    if (mirror_open(dir, "m-1", &mirror, NULL) != 0)
        return;
    for (;;) {
        char rows[256];
        enum mirror_outcome outcome;
        long long next = (long long)mirror_cursor(mirror)->seq + 1;
        int len = snprintf(rows, sizeof rows,
                           "{\"seq\":%lld,\"kind\":\"create\",\"id\":%lld," FILE_AT(
                               "f%lld") "}\n{\"seq\":%lld,\"kind\":\"gap\",\"state\":\"open\"}\n",
                           next, next, next, next + 1);
        struct mirror_batch batch = {.epoch = 1,
                                     .first = next,
                                     .last = next + 1,
                                     .prev_sum = (uint64_t)next,
                                     .last_sum = (uint64_t)next + 2,
                                     .rows = rows,
                                     .len = (size_t)len};
        if (mirror_apply(mirror, &batch, &outcome, NULL) != 0 || outcome != MIRROR_APPLIED)
            return;
        kill_tell(next);
    }
}

/* Killed anywhere, the mirror is at the end of a batch. */
static void test_kill(void **state)
{
    (void)state;
    enum { KILLS = 5 };
    struct box box;
    box_open(&box);
    int64_t least = 0;
    for (int round = 0; round < KILLS; round++) {
        int64_t acked = kill_after(box.dir, 7 + 11 * round);
        struct mirror *mirror = open_mirror(&box);
        const struct mirror_cursor *cursor = mirror_cursor(mirror);
        assert_true(cursor->seq >= acked + 1 && cursor->seq > least);
        assert_int_equal(cursor->entries * 2, cursor->seq);
        assert_int_equal(cursor->batches * 2, cursor->seq);
        least = cursor->seq;
        mirror_close(mirror);
    }
    box_close(&box);
}

int main(void)
{
    kill_main(apply_for_ever);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_that_change_their_meaning),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
