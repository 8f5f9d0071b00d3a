/* test_journal_commit.c: every kind of edit, edits that do not fit the tree table, gaps, and
 * loading the tree, damaged ones too. */
#include "journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_journal.h"
#include "tree.h"

/* --- committing --- */

static void test_every_kind(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    box_check(&box);
    assert_int_equal(journal_set_indexed(box.journal, NULL), 0);
    box_write(&box, "d/f");
    box_chmod(&box, "d", 0700);
    box_touch(&box, "d/f");
    (void)box_commit(&box);
    box_check(&box);
    box_replace(&box, "d/f");
    box_create(&box, "x", ENTRY_FILE);
    box_move(&box, "x", "d/f"); /* replaces */
    box_move(&box, "d", "moved");
    box_create(&box, "moved/e/h", ENTRY_DIR);
    (void)box_commit(&box);
    box_check(&box);
    box_exchange(&box, "moved/e", "l");
    (void)box_commit(&box);
    box_check(&box);
    box_exchange(&box, "l/g", "moved/f"); /* "l" is the directory now */
    box_create(&box, "z", ENTRY_DIR);
    box_move(&box, "l", "z/l"); /* under a directory with a larger id */
    (void)box_commit(&box);
    box_check(&box);
    box_reopen(&box);
    box_check(&box);
    box_delete(&box, "z");
    box_delete(&box, "moved/f");
    int64_t last = box_commit(&box);
    box_check(&box);
    assert_string_equal(
        box_select(&box, "SELECT group_concat(kind||':'||coalesce(entries,''),' ') FROM "
                         "(SELECT * FROM v_changes WHERE seq>6 ORDER BY seq)"),
        "modify: attrib: modify: create: move: move:3 create: exchange: exchange: create: move:2 "
        "delete:3 delete:");
    assert_string_equal(box_select(&box, "SELECT group_concat(seq) FROM change WHERE flags&4"),
                        "6,8,13,14,17,19");
    assert_int_equal(last, 19);
    box_close(&box);
}

static void test_quiet_only(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    box_write(&box, "d/f");
    box_touch(&box, "d/f");
    (void)box_commit(&box);
    assert_string_equal(box_select(&box, "SELECT flags&4 FROM change WHERE seq=7"), "4");
    struct journal_info before = *journal_info(box.journal);
    box_touch(&box, "d/e/g");
    (void)box_commit(&box);
    assert_memory_equal(journal_info(box.journal), &before, sizeof before);
    box_check(&box);
    assert_int_equal(journal_commit(box.journal, NULL, 0, 1, NULL), 0);
    assert_memory_equal(journal_info(box.journal), &before, sizeof before);
    box_close(&box);
}

/* Takes one good edit and spoils it; the commit must refuse it, change nothing, and the journal
 * must refuse every write until it is opened again. */
static void expect_misfit(struct box *box, void (*spoil)(struct edit *edit))
{
    struct journal_info before = *journal_info(box->journal);
    struct edit *edit = &box->edits[box->edit_count - 1];
    struct edit good = *edit;
    spoil(edit);
    assert_int_equal(journal_commit(box->journal, box->edits, box->edit_count, 5, &box->err),
                     ERR_CORRUPT);
    assert_memory_equal(journal_info(box->journal), &before, sizeof before);
    *edit = good;
    assert_int_equal(journal_commit(box->journal, box->edits, box->edit_count, 5, NULL),
                     ERR_CORRUPT);
    assert_int_equal(journal_gap(box->journal, true, CHANGE_OVERFLOW, 5, NULL), ERR_CORRUPT);
    box_reopen(box);
    assert_int_equal(journal_info(box->journal)->last_seq, before.last_seq);
    assert_true(journal_info(box->journal)->tree_sum == before.tree_sum);
}

static void spoil_id(struct edit *edit)
{
    edit->entry += 1;
}
static void spoil_name(struct edit *edit)
{
    edit->name = bytes_str("nothing-has-this-name");
}
static void spoil_parent(struct edit *edit)
{
    edit->parent = 12345;
}
static void spoil_type(struct edit *edit)
{
    edit->type = edit->type == ENTRY_FILE ? ENTRY_DIR : ENTRY_FILE;
}
static void spoil_target(struct edit *edit)
{
    edit->to_parent = 0;
    edit->to_name = bytes_str("fifo");
}
static void spoil_other(struct edit *edit)
{
    edit->other = 3;
}

static void test_misfits_are_refused(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    box_create(&box, "new", ENTRY_FILE);
    expect_misfit(&box, spoil_id);
    (void)box_commit(&box);
    box_write(&box, "d/f");
    box_write(&box, "new");
    expect_misfit(&box, spoil_id);
    expect_misfit(&box, spoil_name);
    expect_misfit(&box, spoil_parent);
    expect_misfit(&box, spoil_type);
    (void)box_commit(&box);
    box_touch(&box, "new");
    expect_misfit(&box, spoil_id);
    (void)box_commit(&box);
    box_move(&box, "new", "d/new");
    expect_misfit(&box, spoil_id);
    expect_misfit(&box, spoil_target); /* taken */
    expect_misfit(&box, spoil_other);  /* nothing is replaced */
    (void)box_commit(&box);
    box_move(&box, "d/new", "fifo");
    expect_misfit(&box, spoil_other);
    (void)box_commit(&box);
    box_exchange(&box, "l", "d/e/g");
    expect_misfit(&box, spoil_id);
    expect_misfit(&box, spoil_other);
    (void)box_commit(&box);
    box_delete(&box, "d");
    expect_misfit(&box, spoil_id);
    expect_misfit(&box, spoil_name);
    (void)box_commit(&box);
    box_check(&box);
    box_close(&box);
}

static void test_name_taken(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    struct edit edit = {
        .kind = CHANGE_CREATE,
        .type = ENTRY_FILE,
        .entry = 7,
        .name = bytes_str("fifo"),
        .path = bytes_str("fifo"),
    };
    assert_int_equal(journal_commit(box.journal, &edit, 1, 5, &box.err), ERR_CORRUPT);
    assert_non_null(strstr(box.err.text, "fifo"));
    edit.kind = CHANGE_GAP;
    box_reopen(&box);
    assert_int_equal(journal_commit(box.journal, &edit, 1, 5, &box.err), ERR_INVALID);
    box_check(&box);
    box_close(&box);
}

static void test_deep(void **state)
{
    (void)state;
    enum { DEPTH = 1000 };
    struct box box;
    char *path = malloc((size_t)DEPTH * 8);
    size_t len = 0;
    assert_non_null(path);
    box_open(&box);
    for (int i = 0; i < DEPTH; i++) {
        len += (size_t)snprintf(path + len, 8, i ? "/%c%02d" : "%c%02d", 'a' + i % 26, i % 100);
        box_create(&box, path, ENTRY_DIR);
        if (i % 100 == 99)
            (void)box_commit(&box);
    }
    struct tree *tree = NULL;
    assert_int_equal(tree_new(&tree, NULL), 0);
    assert_int_equal(journal_load_tree(box.journal, tree, &box.err), 0);
    assert_int_equal(tree_entry_count(tree), DEPTH);
    tree_free(tree);
    box_delete(&box, "a00");
    (void)box_commit(&box);
    assert_int_equal(box.entry_count, 0);
    assert_int_equal(journal_info(box.journal)->tree_sum, 0);
    box_check(&box);
    box_close(&box);
    free(path);
}

/* The parents' ids run against the order in which the table is read. */
static void test_load_of_reversed_chain(void **state)
{
    (void)state;
    struct box box;
    char name[16], to[256] = "";
    box_open(&box);
    for (int i = 0; i < 30; i++) {
        (void)snprintf(name, sizeof name, "d%02d", i); /* fits */
        box_create(&box, name, ENTRY_DIR);
    }
    (void)box_commit(&box);
    for (int i = 29; i > 0; i--) { /* d00 goes below d01 below d02 ... */
        size_t len = strlen(to);
        (void)snprintf(to + len, sizeof to - len, "%sd%02d", len ? "/" : "", i);
        char path[300];
        (void)snprintf(path, sizeof path, "%s/d%02d", to, i - 1);
        (void)snprintf(name, sizeof name, "d%02d", i - 1);
        box_move(&box, name, path);
        (void)snprintf(path, sizeof path, "%s/file", to);
        box_create(&box, path, ENTRY_FILE);
    }
    (void)box_commit(&box);
    box_check(&box);
    box_close(&box);
}

/* --- loading --- */

/* Every public field of an entry is under the sum, and the number of entries. */
static void test_damaged_entries_are_noticed(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE entry SET name=X'6667' WHERE name=CAST('f' AS BLOB)",
        "UPDATE entry SET size=size+1 WHERE id=2",
        "UPDATE entry SET mtime=mtime+1 WHERE id=2",
        "UPDATE entry SET mode=mode|64 WHERE id=2",
        "UPDATE entry SET id=77 WHERE id=2",
        "UPDATE entry SET parent=3 WHERE id=2",
        "UPDATE entry SET type=4 WHERE id=2",
        "UPDATE entry SET type=1 WHERE id=3",
        "UPDATE entry SET target=X'00' WHERE id=5",
        "UPDATE entry SET parent=3 WHERE id=3",
        "UPDATE entry SET parent=99 WHERE id=3",
        "UPDATE entry SET parent=-1 WHERE id=3",
        "UPDATE entry SET id=1 WHERE id=3",
        "DELETE FROM entry WHERE id=6",
        "INSERT INTO entry SELECT parent,X'41',50,4,0,0,0,0,0,0,NULL FROM entry WHERE id=6",
        "UPDATE meta SET tree_sum=tree_sum+1",
        "UPDATE meta SET entries=entries+1",
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct box box;
        box_open(&box);
        box_fill(&box);
        assert_int_equal(box_load(&box), 0);
        box_sql(&box, damages[i]);
        box_reopen(&box);
        if (box_load(&box) != ERR_CORRUPT)
            fail_msg("not noticed: %s", damages[i]);
        box_close(&box);
    }
}

static size_t count_file(struct tree *tree, struct file_id file)
{
    size_t count = 0;
    for (struct entry *entry = tree_first(tree, file); entry; entry = tree_next(entry))
        count++;
    return count;
}

static void test_tree_source(void **state)
{
    (void)state;
    struct box box;
    struct tree *tree = NULL;
    box_open(&box);
    box_fill(&box);
    box_create(&box, "hard", ENTRY_FILE);
    struct model_entry *hard = &box.entries[box.entry_count - 1];
    struct model_entry *linked = &box.entries[model_find(&box, "d/f")];
    hard->file = box.edits[0].file = linked->file; /* a hard link */
    (void)box_commit(&box);
    struct file_id file = linked->file;

    struct tree_source source = journal_tree_source(box.journal);
    assert_int_equal(tree_new(&tree, &source), 0);
    assert_int_equal(journal_load_tree(box.journal, tree, NULL), 0);
    tree_load_file(tree, file); /* not indexed yet: nothing is known by identity */
    assert_int_equal(count_file(tree, file), 0);
    assert_int_equal(journal_set_indexed(box.journal, NULL), 0);
    assert_int_equal(journal_set_indexed(box.journal, NULL), 0);
    assert_true(journal_info(box.journal)->indexed);
    tree_load_file(tree, file);
    assert_int_equal(count_file(tree, file), 2);
    tree_load_file(tree, file);
    assert_int_equal(count_file(tree, file), 2);
    tree_load_file(tree, (struct file_id){file.a, file.b + 1}); /* the number used again */
    assert_null(tree_first(tree, (struct file_id){file.a, file.b + 1}));
    tree_unload_files(tree);
    assert_int_equal(count_file(tree, file), 0);

    struct entry *dir = tree_dir_by_id(tree, 3);
    struct entry *found = tree_at(tree, dir, bytes_str("g"));
    assert_non_null(found);
    assert_int_equal(found->id, 4);
    assert_int_equal(found->size, 40);
    assert_null(tree_at(tree, dir, bytes_str("f")));
    found = tree_at(tree, tree_root(tree), bytes_str("l"));
    assert_non_null(found);
    assert_int_equal(found->target_len, 3);
    tree_load_children(tree, tree_root(tree));
    assert_non_null(tree_find(tree, tree_root(tree), bytes_str("fifo")));
    assert_non_null(tree_find(tree, tree_root(tree), bytes_str("hard")));
    assert_int_equal(tree_failed(tree, NULL), 0);
    assert_int_equal(tree_entry_count(tree), 7);
    tree_free(tree);

    box_reopen(&box);
    assert_true(journal_info(box.journal)->indexed);
    box_close(&box);
}

/* --- gaps --- */

static void test_gap(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    box_fill(&box);
    assert_int_equal(journal_gap(box.journal, false, CHANGE_OVERFLOW, 1, NULL), 0);
    assert_int_equal(journal_info(box.journal)->last_seq, 6);
    assert_int_equal(journal_gap(box.journal, true, CHANGE_OVERFLOW, 1, NULL), 0);
    assert_int_equal(journal_gap(box.journal, true, CHANGE_INTERNAL, 2, NULL), 0);
    assert_int_equal(journal_info(box.journal)->last_seq, 7);
    box_reopen(&box);
    assert_true(journal_info(box.journal)->gap_open);
    assert_int_equal(journal_gap(box.journal, false, CHANGE_OVERFLOW, 61001, NULL), 0);
    assert_false(journal_info(box.journal)->gap_open);
    assert_string_equal(
        box_select(&box, "SELECT group_concat(seq||' '||time||' '||state||' '||reason,',') "
                         "FROM v_gaps"),
        "7 1970-01-01T00:00:00.001Z open overflow,8 1970-01-01T00:01:01.001Z closed overflow");
    box_write(&box, "d/f");
    (void)box_commit(&box);
    box_check(&box);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_quiet_only),
        cmocka_unit_test(test_misfits_are_refused),
        cmocka_unit_test(test_name_taken),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_load_of_reversed_chain),
        cmocka_unit_test(test_damaged_entries_are_noticed),
        cmocka_unit_test(test_tree_source),
        cmocka_unit_test(test_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
