/* test_windows_records.c: buffers of ReadDirectoryChanges that Wine cannot make, in both layouts,
 * and what the sink is told of each. Directory 1 is the root. What is told is compared as text:
 *   "1/name N"     a hint of a name in directory 1: N name, E entered, A attributes, S unknown
 *   "gone 5"       directory 5 is watched no more */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "helper_notify.h"
#include "windows_records.h"

struct test {
    struct windows_records records;
    struct windows_buffer buffer;
    struct buf told;
};

static void on_hint(void *ctx, struct file_id dir, struct bytes name, uint8_t hints,
                    const struct actor *actor)
{
    (void)actor; /* not known on Windows */
    struct test *test = ctx;
    static const struct {
        uint8_t bit;
        char letter;
    } letters[] = {{HINT_NAME, 'N'}, {HINT_ENTERED, 'E'}, {HINT_ATTRIB, 'A'},
                   {HINT_SCAN, 'S'}, {HINT_CONTENT, 'c'}, {HINT_CLOSED, 'x'}};
    buf_addf(&test->told, "%u/%.*s ", (unsigned)dir.a, (int)name.len, name.at);
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (hints & letters[i].bit)
            buf_add_char(&test->told, letters[i].letter);
    buf_add_str(&test->told, ", ");
}

static void on_unwatched(void *ctx, struct file_id dir, int32_t number)
{
    struct test *test = ctx;
    (void)number;
    buf_addf(&test->told, "gone %u, ", (unsigned)dir.a);
}

static void on_lost(void *ctx, enum watch_loss loss)
{
    struct test *test = ctx;
    buf_addf(&test->told, "lost %d, ", (int)loss);
}

static void on_barrier(void *ctx, struct bytes rest)
{
    struct test *test = ctx;
    buf_addf(&test->told, "barrier %.*s, ", (int)rest.len, rest.at);
}

static void on_batch(void *ctx)
{
    (void)ctx;
}

static int32_t add(struct test *test, uint64_t dir, uint64_t parent, const char *name)
{
    struct err err = {0};
    int32_t number = -1;
    struct watch_dir found = {
        .file = {dir, 0}, .root = parent == 0, .parent = {parent, 0}, .name = bytes_str(name)};
    if (windows_records_add(&test->records, &found, &number, &err))
        fail_msg("%s", err.text);
    return number;
}

static void setup(struct test *test, enum windows_layout layout)
{
    struct watch_sink sink = {.ctx = test,
                              .hint = on_hint,
                              .unwatched = on_unwatched,
                              .lost = on_lost,
                              .batch = on_batch};
    buf_init(&test->told, 1 << 20);
    windows_records_init(&test->records, &sink, on_barrier, test);
    windows_buffer_init(&test->buffer, layout);
    add(test, 1, 0, "");
}

static void teardown(struct test *test)
{
    windows_records_deinit(&test->records);
    buf_deinit(&test->told);
}

static void put(struct test *test, enum windows_action action, const char *path, uint64_t file,
                uint64_t parent)
{
    windows_buffer_add(&test->buffer, action, path, file, parent, file < 100);
}

/* Hands over what was put, and compares what that told. Files are 100 and up, directories below. */
static void expect(struct test *test, const char *told)
{
    buf_reset(&test->told);
    buf_add_str(&test->told, "");
    bool whole = windows_records_take(&test->records, test->buffer.layout, test->buffer.at,
                                      test->buffer.len);
    assert_int_equal(whole, !strstr(told, "lost"));
    if (test->told.len >= 2)
        buf_truncate(&test->told, test->told.len - 2);
    assert_string_equal(test->told.len ? test->told.data : "", told);
    windows_buffer_init(&test->buffer, test->buffer.layout);
}

static struct test *start(enum windows_layout layout)
{
    struct test *test = calloc(1, sizeof *test);
    setup(test, layout);
    return test;
}

static struct test *finish(struct test *test)
{
    teardown(test);
    free(test);
    return NULL;
}

/* Runs the block for each `layout` with a `test` of its own. */
#define EACH_LAYOUT                                                                                \
    for (enum windows_layout layout = WINDOWS_PATHS; layout <= WINDOWS_IDS; layout++)              \
        for (struct test *test = start(layout); test; test = finish(test))

/* Not told apart: who wrote, and whether they are done (no gate on Windows: RULES 11). */
static void test_create_write_delete(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "d");
        put(test, WINDOWS_ADDED, "d/f", 100, 2);
        put(test, WINDOWS_MODIFIED, "d/f", 100, 2);
        put(test, WINDOWS_MODIFIED, "d/f", 100, 2);
        put(test, WINDOWS_MODIFIED, "d", 2, 1);
        put(test, WINDOWS_MODIFIED, "d/f", 100, 2);
        put(test, WINDOWS_REMOVED, "d/f", 100, 2);
        expect(test, layout == WINDOWS_IDS ? "2/f N, 2/f S, 1/d A, 2/f S, 2/f N"
                                           : "2/f NE, 2/f S, 1/d A, 2/f S, 2/f N");
    }
}

/* NTFS tells a move to another directory as a removal and an addition. */
static void test_move_across_directories(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "p");
        add(test, 3, 1, "q");
        add(test, 4, 2, "sub");
        add(test, 5, 4, "below");
        put(test, WINDOWS_REMOVED, "p/sub", 4, 2);
        put(test, WINDOWS_ADDED, "q/sub", 4, 3);
        put(test, WINDOWS_MODIFIED, "q/sub/below/f", 100, 5);
        /* Its content was not seen all the time: it may have been elsewhere between the two. */
        expect(test, layout == WINDOWS_IDS ? "2/sub N, gone 4, 3/sub NE, 5/f S"
                                           : "2/sub N, gone 4, 3/sub NE");
        add(test, 4, 3, "sub"); /* found there */
        put(test, WINDOWS_MODIFIED, "q/sub/below/g", 101, 5);
        expect(test, "5/g S");
    }
}

static void test_file_moved_across_directories(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "p");
        put(test, WINDOWS_REMOVED, "p/f", 100, 2);
        put(test, WINDOWS_ADDED, "g", 100, 1);
        expect(test, layout == WINDOWS_IDS ? "2/f N, 1/g N" : "2/f N, 1/g NE");
    }
}

/* Both names are looked at; which of them the directory holds is the look's to say (RULES 7). */
static void test_case_only_rename(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "Foo");
        put(test, WINDOWS_RENAMED_OLD, "Foo", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "foo", 2, 1);
        put(test, WINDOWS_ADDED, "foo/x", 100, 2);
        expect(test,
               layout == WINDOWS_IDS ? "1/Foo N, 1/foo N, 2/x N" : "1/Foo N, 1/foo NE, 2/x NE");
    }
}

/* Real Windows tells the new path from then on, Wine the old one for ever. */
static void test_directory_renamed_then_create_inside(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "new");
        add(test, 3, 2, "x");
        put(test, WINDOWS_RENAMED_OLD, "new", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "moved", 2, 1);
        expect(test, layout == WINDOWS_IDS ? "1/new N, 1/moved N" : "1/new N, 1/moved NE");
        put(test, WINDOWS_ADDED, "moved/x/fresh", 100, 3);
        put(test, WINDOWS_ADDED, "new/x/stale", 101, 3);
        expect(test, layout == WINDOWS_IDS ? "3/fresh N, 3/stale N" : "3/fresh NE, 3/stale NE");
        /* Until there is another of that name. */
        put(test, WINDOWS_ADDED, "new", 4, 1);
        put(test, WINDOWS_ADDED, "new/y", 102, 4);
        expect(test, "1/new NE");
        add(test, 4, 1, "new");
        put(test, WINDOWS_ADDED, "new/z", 103, 4);
        expect(test, layout == WINDOWS_IDS ? "4/z N" : "4/z NE");
    }
}

/* The example of RULES 6: mv x d; create d/f; mv d e. */
static void test_renamed_twice_with_a_change_between(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "x");
        put(test, WINDOWS_RENAMED_OLD, "x", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "d", 2, 1);
        put(test, WINDOWS_ADDED, "d/f", 100, 2);
        put(test, WINDOWS_RENAMED_OLD, "d", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "e", 2, 1);
        expect(test, layout == WINDOWS_IDS ? "1/x N, 1/d N, 2/f N, 1/d N, 1/e N"
                                           : "1/x N, 1/d NE, 2/f NE, 1/d N, 1/e NE");
    }
}

/* Two directories trade names: each change goes to the one that had the name when it was made. */
static void test_names_traded(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "a");
        add(test, 3, 1, "b");
        put(test, WINDOWS_MODIFIED, "a/f", 100, 2);
        put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "t", 2, 1);
        put(test, WINDOWS_RENAMED_OLD, "b", 3, 1);
        put(test, WINDOWS_RENAMED_NEW, "a", 3, 1);
        put(test, WINDOWS_RENAMED_OLD, "t", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "b", 2, 1);
        put(test, WINDOWS_MODIFIED, "a/f", 101, 3);
        expect(test, layout == WINDOWS_IDS
                         ? "2/f S, 1/a N, 1/t N, 1/b N, 1/a N, 1/t N, 1/b N, 3/f S"
                         : "2/f S, 1/a N, 1/t NE, 1/b N, 1/a NE, 1/t N, 1/b NE, 3/f S");
    }
}

/* The system may put the two halves of a rename into two reads. */
static void test_halves_in_two_reads(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "a");
        put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
        expect(test, "1/a N");
        put(test, WINDOWS_RENAMED_NEW, "b", 2, 1);
        put(test, WINDOWS_MODIFIED, "b/f", 100, 2);
        expect(test, layout == WINDOWS_IDS ? "1/b N, 2/f S" : "1/b NE, 2/f S");
    }
}

static void test_lone_halves(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "a");
        add(test, 3, 1, "b");
        /* A first half alone: what was there is not watched any more, at the latest when the next
         * read has not brought the second. */
        put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
        put(test, WINDOWS_RENAMED_OLD, "b", 3, 1);
        expect(test, "1/a N, gone 2, 1/b N");
        put(test, WINDOWS_MODIFIED, "f", 100, 1);
        expect(test, "1/f S, gone 3");
        /* A second half alone: it may have come from anywhere. */
        put(test, WINDOWS_RENAMED_NEW, "c", 4, 1);
        put(test, WINDOWS_MODIFIED, "c/f", 100, 4);
        expect(test, "1/c NE");
        assert_int_equal(windows_records_count(&test->records), 1);
    }
}

/* Halves of two renames that do not follow each other are told apart by their ids. */
static void test_halves_interleaved(void **state)
{
    (void)state;
    struct test *test = start(WINDOWS_IDS);
    add(test, 2, 1, "a");
    put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
    put(test, WINDOWS_RENAMED_NEW, "y", 101, 1);
    put(test, WINDOWS_RENAMED_NEW, "b", 2, 1);
    expect(test, "1/a N, 1/y NE, 1/b N");
    assert_int_equal(windows_records_count(&test->records), 2);
    finish(test);
}

/* A first half alone, then one in that very directory: it is forgotten before it is told of. */
static void test_half_within_a_lone_half(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "a");
        put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
        put(test, WINDOWS_RENAMED_OLD, "a/f", 100, 2);
        expect(test, layout == WINDOWS_IDS ? "1/a N, gone 2" : "1/a N, gone 2, 1/a NE");
    }
}

/* Out of what nobody added, or into it. */
static void test_halves_of_unknown_directories(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "a");
        put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "strange/a", 2, 9);
        expect(test, layout == WINDOWS_IDS ? "1/a N, gone 2" : "1/a N, 1/strange NE, gone 2");
        put(test, WINDOWS_RENAMED_OLD, "strange/b", 4, 9);
        put(test, WINDOWS_RENAMED_NEW, "b", 4, 1);
        expect(test, "1/b NE");
    }
}

/* The short name that a program used, of something whose true name we cannot know (RULES 7). */
static void test_short_names(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        bool ids = layout == WINDOWS_IDS;
        add(test, 2, 1, "Program Files");
        for (int i = 0; i < 2; i++) { /* again, and so it is each time */
            put(test, WINDOWS_MODIFIED, "PROGRA~1/f", 100, 2);
            put(test, WINDOWS_ADDED, "PROGRA~1/g", 101, 2);
            expect(test, ids ? "2/f S, 2/g N" : "1/. E, 1/. E");
        }
        put(test, WINDOWS_REMOVED, "LONGNA~1.TXT", 101, 1);
        expect(test, "1/LONGNA~1.TXT N, 1/. N");
        put(test, WINDOWS_RENAMED_OLD, "LONGNA~2.TX", 101, 1);
        put(test, WINDOWS_RENAMED_NEW, "longname.txt", 101, 1);
        expect(test, ids ? "1/LONGNA~2.TX N, 1/. N, 1/longname.txt N"
                         : "1/LONGNA~2.TX N, 1/. N, 1/longname.txt NE");
        /* Written, made or moved here under it: a look at that name says nothing of the true one.
         */
        put(test, WINDOWS_MODIFIED, "LONGNA~1.TXT", 101, 1);
        expect(test, "1/LONGNA~1.TXT S, 1/. N");
        put(test, WINDOWS_ADDED, "LONGNA~3.TXT", 102, 1);
        expect(test, ids ? "1/LONGNA~3.TXT N, 1/. N" : "1/LONGNA~3.TXT NE, 1/. N");
        /* A directory that is known under its true name. */
        put(test, WINDOWS_REMOVED, "PROGRA~1", 2, 1);
        expect(test, ids ? "1/PROGRA~1 N, 1/. N, gone 2" : "1/PROGRA~1 N, 1/. N");
        /* None of these is one. */
        static const char *const names[] = {"~WRL0001.tmp", "a~b",      "notes~",    "a.~1",
                                            "ninechars~1",  "a~1.html", "\xc3\xa4~", ".~1"};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            char told[64];
            snprintf(told, sizeof told, "1/%s N", names[i]);
            put(test, WINDOWS_REMOVED, names[i], 101, 1);
            expect(test, told);
        }
    }
}

static void test_lone_surrogates(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "\xed\xa0\x80");
        put(test, WINDOWS_REMOVED, "\xed\xa0\x80/s\xed\xb0\x80z", 100, 2);
        expect(test, "2/s\xed\xb0\x80z N");
    }
}

/* A new directory is followed by all that is made in it: it is asked for once, and listed when it
 * is added, whatever happened in it before. */
static void test_below_a_new_directory(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        bool ids = layout == WINDOWS_IDS;
        put(test, WINDOWS_ADDED, "new", 2, 1);
        put(test, WINDOWS_ADDED, "new/x", 3, 2);
        put(test, WINDOWS_ADDED, "new/x/f", 100, 3);
        put(test, WINDOWS_MODIFIED, "new/x/f", 100, 3);
        expect(test, "1/new NE");
        add(test, 2, 1, "new");
        put(test, WINDOWS_MODIFIED, "new/x/f", 100, 3);
        put(test, WINDOWS_MODIFIED, "new/x/g", 101, 3);
        expect(test, ids ? "" : "2/x NE");
        /* Should it be forgotten later on, it is asked for again. */
        int32_t number = add(test, 3, 2, "x");
        windows_records_remove(&test->records, number);
        put(test, WINDOWS_MODIFIED, "new/x/f", 100, 3);
        expect(test, ids ? "" : "2/x NE");
    }
}

/* Found there before its records were read: they may say less, never more. */
static void test_added_ahead_of_its_records(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        bool ids = layout == WINDOWS_IDS;
        add(test, 2, 1, "a");
        add(test, 3, 1, "b");
        put(test, WINDOWS_MODIFIED, "a/f", 100, 2); /* done before mv b away; mv a b */
        add(test, 2, 1, "b");
        expect(test, "2/f S");
        put(test, WINDOWS_RENAMED_OLD, "b", 3, 1);
        put(test, WINDOWS_RENAMED_NEW, "c", 3, 1);
        put(test, WINDOWS_RENAMED_OLD, "a", 2, 1);
        put(test, WINDOWS_RENAMED_NEW, "b", 2, 1);
        expect(test, ids ? "1/b N, 1/c N, 1/a N, 1/b N" : "1/b N, 1/c NE, 1/a N, 1/b NE");
        add(test, 3, 1, "c");
        add(test, 2, 1, "b");
        put(test, WINDOWS_MODIFIED, "b/f", 100, 2);
        put(test, WINDOWS_MODIFIED, "c/f", 101, 3);
        expect(test, "2/f S, 3/f S");
    }
}

static void test_lost(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        bool ids = layout == WINDOWS_IDS;
        char told[32];
        snprintf(told, sizeof told, "lost %d", ids ? WATCH_OVERFLOW : WATCH_FORGOTTEN);
        add(test, 2, 1, "d");
        expect(test, told); /* no bytes */
        assert_int_equal(windows_records_count(&test->records), ids ? 2 : 0);
        add(test, 1, 0, "");
        add(test, 2, 1, "d");
        put(test, WINDOWS_ADDED, "d/f", 100, 2);
        put(test, WINDOWS_ADDED, "d/g", 101, 2);
        test->buffer.len -= 1; /* the last one is not whole */
        snprintf(told, sizeof told, "%s, lost %d", ids ? "2/f N" : "2/f NE",
                 ids ? WATCH_OVERFLOW : WATCH_FORGOTTEN);
        expect(test, told);
        /* Where directories are is not believed any more, where it was paths that said so. */
        put(test, WINDOWS_ADDED, "d/f", 100, 2);
        expect(test, ids ? "2/f N" : "");
    }
}

static void test_barriers(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        add(test, 2, 1, "d");
        put(test, WINDOWS_ADDED, ".spoor-sync-0001", 100, 1);
        put(test, WINDOWS_MODIFIED, ".spoor-sync-0001", 100, 1);
        put(test, WINDOWS_REMOVED, ".spoor-sync-0001", 100, 1);
        put(test, WINDOWS_REMOVED, ".spoor-sync-", 100, 1);
        put(test, WINDOWS_REMOVED, "d/.spoor-sync-0001", 100, 2);
        expect(test, "barrier 0001, 1/.spoor-sync- N, 2/.spoor-sync-0001 N");
        windows_records_remove(&test->records, test->records.root);
        put(test, WINDOWS_ADDED, ".spoor-sync-0002", 100, 1);
        expect(test, "barrier 0002");
    }
}

static void test_root_is_not_a_name(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        put(test, WINDOWS_MODIFIED, "", 1, 0);
        expect(test, "");
        windows_records_remove(&test->records, test->records.root);
        windows_records_remove(&test->records, -1);
        put(test, WINDOWS_ADDED, "f", 100, 1);
        put(test, WINDOWS_ADDED, "d/f", 100, 2);
        expect(test, "");
        assert_int_equal(windows_records_count(&test->records), 0);
    }
}

/* As deep and as long as the system's paths go, and one unit more. */
static void test_longest_path(void **state)
{
    (void)state;
    EACH_LAYOUT
    {
        static const size_t units[] = {WINDOWS_PATH_UNITS_MAX, WINDOWS_PATH_UNITS_MAX + 1};
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            size_t head = layout == WINDOWS_IDS ? 84 : 12;
            char *bytes = calloc(1, head + units[i] * 2);
            uint32_t action = WINDOWS_MODIFIED, length = (uint32_t)units[i] * 2;
            uint64_t parent = 1;
            uint16_t unit = 0x20ac; /* three bytes */
            memcpy(bytes + 4, &action, 4);
            memcpy(bytes + head - 4, &length, 4);
            if (layout == WINDOWS_IDS)
                memcpy(bytes + 72, &parent, 8);
            for (size_t at = 0; at < units[i]; at++)
                memcpy(bytes + head + at * 2, &unit, 2);
            buf_reset(&test->told);
            bool whole = windows_records_take(&test->records, layout, bytes, head + units[i] * 2);
            assert_int_equal(whole, i == 0);
            assert_int_equal(test->told.len > units[0] * 3, i == 0);
            free(bytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_write_delete),
        cmocka_unit_test(test_move_across_directories),
        cmocka_unit_test(test_file_moved_across_directories),
        cmocka_unit_test(test_case_only_rename),
        cmocka_unit_test(test_directory_renamed_then_create_inside),
        cmocka_unit_test(test_renamed_twice_with_a_change_between),
        cmocka_unit_test(test_names_traded),
        cmocka_unit_test(test_halves_in_two_reads),
        cmocka_unit_test(test_lone_halves),
        cmocka_unit_test(test_halves_interleaved),
        cmocka_unit_test(test_half_within_a_lone_half),
        cmocka_unit_test(test_halves_of_unknown_directories),
        cmocka_unit_test(test_short_names),
        cmocka_unit_test(test_lone_surrogates),
        cmocka_unit_test(test_below_a_new_directory),
        cmocka_unit_test(test_added_ahead_of_its_records),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_root_is_not_a_name),
        cmocka_unit_test(test_longest_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
