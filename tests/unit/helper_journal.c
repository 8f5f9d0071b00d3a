/* helper_journal.c: the box, the model and the edits of helper_journal.h. */
#include "helper_journal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "helper_temp.h"
#include "tree.h"

#define FIRST_WALL_MS INT64_C(1790000000123)

static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 64;
    array = realloc(array, *cap * size);
    assert_non_null(array);
    return array;
}

/* A string that lives as long as the box. */
char *box_keep(struct box *box, const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    box->strings = grown(box->strings, box->string_count, &box->string_cap, sizeof(char *));
    box->strings[box->string_count++] = copy;
    return copy;
}

void box_open(struct box *box)
{
    *box = (struct box){.wall_ms = FIRST_WALL_MS, .next_ino = 100};
    temp_make(box->dir, sizeof box->dir);
    if (journal_open(box->dir, "docs", &box->journal, &box->err) != 0)
        fail_msg("%s", box->err.text);
}

void box_reopen(struct box *box)
{
    journal_close(box->journal);
    box->journal = NULL;
    if (journal_open(box->dir, "docs", &box->journal, &box->err) != 0)
        fail_msg("%s", box->err.text);
}

void box_expect_open(struct box *box, int code)
{
    journal_close(box->journal);
    box->journal = NULL;
    assert_int_equal(journal_open(box->dir, "docs", &box->journal, &box->err), code);
    assert_true(code == 0 || strlen(box->err.text) > 0);
}

void box_fill(struct box *box)
{
    box_create(box, "d", ENTRY_DIR);
    box_create(box, "d/f", ENTRY_FILE);
    box_create(box, "d/e", ENTRY_DIR);
    box_create(box, "d/e/g", ENTRY_FILE);
    box_link(box, "l", "d/f");
    box_create(box, "fifo", ENTRY_OTHER);
    (void)box_commit(box); /* the last seq is 6 */
}

const char *box_file(const struct box *box, const char *name)
{
    static char path[320];
    (void)snprintf(path, sizeof path, "%s/%s", box->dir, name); /* fits */
    return path;
}

void box_put_file(const struct box *box, const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(box_file(box, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

int box_load(struct box *box)
{
    struct tree *tree = NULL;
    assert_int_equal(tree_new(&tree, NULL), 0);
    int code = journal_load_tree(box->journal, tree, &box->err);
    tree_free(tree);
    return code;
}

void box_close(struct box *box)
{
    journal_close(box->journal);
    temp_delete(box->dir);
    for (size_t i = 0; i < box->string_count; i++)
        free(box->strings[i]);
    free(box->strings);
    free(box->entries);
    free(box->edits);
}

/* --- the model --- */

static size_t find_child(const struct box *box, int64_t parent, const char *name, size_t len)
{
    size_t i = 0;
    while (i < box->entry_count &&
           (box->entries[i].parent != parent || strlen(box->entries[i].name) != len ||
            memcmp(box->entries[i].name, name, len) != 0))
        i++;
    return i;
}

size_t model_find(const struct box *box, const char *path)
{
    int64_t parent = 0;
    for (;;) {
        size_t len = strcspn(path, "/");
        size_t index = find_child(box, parent, path, len);
        if (path[len] == '\0' || index == box->entry_count)
            return index;
        parent = box->entries[index].id;
        path += len + 1;
    }
}

static size_t find_id(const struct box *box, int64_t id)
{
    size_t i = 0;
    while (i < box->entry_count && box->entries[i].id != id)
        i++;
    return i;
}

char *model_path(struct box *box, size_t index)
{
    char path[65536];
    size_t at = sizeof path - 1;
    path[at] = '\0';
    for (int64_t id = box->entries[index].id; id; id = box->entries[find_id(box, id)].parent) {
        const struct model_entry *entry = &box->entries[find_id(box, id)];
        size_t len = strlen(entry->name);
        assert_true(at > len + 1);
        if (path[at] != '\0')
            path[--at] = '/';
        at -= len;
        memcpy(path + at, entry->name, len);
    }
    return box_keep(box, path + at);
}

/* The id of a path's directory and its last name. */
static int64_t split(const struct box *box, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    char dir[65536];
    *name = slash ? slash + 1 : path;
    if (!slash)
        return 0;
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    size_t index = model_find(box, dir);
    assert_true(index < box->entry_count);
    return box->entries[index].id;
}

int64_t model_count_below(const struct box *box, int64_t id)
{
    int64_t count = 0;
    for (size_t i = 0; i < box->entry_count; i++)
        if (box->entries[i].parent == id)
            count +=
                1 + (box->entries[i].type == ENTRY_DIR ? model_count_below(box, box->entries[i].id)
                                                       : 0);
    return count;
}

static void forget(struct box *box, size_t index)
{
    int64_t id = box->entries[index].id;
    bool is_dir = box->entries[index].type == ENTRY_DIR;
    box->entries[index] = box->entries[--box->entry_count];
    for (size_t i = 0; is_dir && i < box->entry_count;) {
        if (box->entries[i].parent == id) {
            forget(box, i);
            i = 0;
        } else {
            i++;
        }
    }
}

/* --- edits --- */

static struct edit *add_edit(struct box *box, enum change_kind kind,
                             const struct model_entry *entry, const char *path)
{
    box->edits = grown(box->edits, box->edit_count, &box->edit_cap, sizeof(struct edit));
    struct edit *edit = &box->edits[box->edit_count++];
    *edit = (struct edit){
        .kind = kind,
        .type = entry->type,
        .entry = entry->id,
        .parent = entry->parent,
        .name = bytes_str(entry->name),
        .attrs = entry->attrs,
        .file = entry->file,
        .path = bytes_str(box_keep(box, path)),
    };
    box->rows++;
    return edit;
}

static int64_t next_seq(const struct box *box)
{
    return journal_info(box->journal)->last_seq + box->rows + 1;
}

static struct model_entry *new_entry(struct box *box, const char *path, enum entry_type type)
{
    const char *name;
    int64_t parent = split(box, path, &name);
    int64_t id = next_seq(box);
    box->entries = grown(box->entries, box->entry_count, &box->entry_cap, sizeof *box->entries);
    struct model_entry *entry = &box->entries[box->entry_count++];
    *entry = (struct model_entry){
        .id = id,
        .parent = parent,
        .name = box_keep(box, name),
        .type = type,
        .attrs = {.mode = type == ENTRY_SYMLINK ? 0u
                          : type == ENTRY_DIR   ? 0755u
                                                : 0644u,
                  .ctime_ns = id * 7},
        .file = {box->next_ino++, 5000000},
    };
    if (type == ENTRY_FILE) {
        entry->attrs.size = id * 10;
        entry->attrs.mtime_ns = INT64_C(1700000000000000000) + id;
    }
    return entry;
}

void box_create(struct box *box, const char *path, enum entry_type type)
{
    add_edit(box, CHANGE_CREATE, new_entry(box, path, type), path);
}

void box_link(struct box *box, const char *path, const char *target)
{
    struct model_entry *entry = new_entry(box, path, ENTRY_SYMLINK);
    entry->attrs.target = bytes_str(box_keep(box, target));
    add_edit(box, CHANGE_CREATE, entry, path);
}

static struct model_entry *must_find(struct box *box, const char *path)
{
    size_t index = model_find(box, path);
    assert_true(index < box->entry_count);
    return &box->entries[index];
}

void box_write(struct box *box, const char *path)
{
    struct model_entry *entry = must_find(box, path);
    entry->attrs.size += 3;
    entry->attrs.mtime_ns += 1000001;
    entry->attrs.ctime_ns += 1;
    add_edit(box, CHANGE_MODIFY, entry, path)->flags = CHANGE_PARTIAL;
}

void box_replace(struct box *box, const char *path)
{
    struct model_entry *entry = must_find(box, path);
    entry->attrs.size += 5;
    entry->file.a = box->next_ino++;
    add_edit(box, CHANGE_MODIFY, entry, path)->flags = CHANGE_REPLACED;
}

void box_chmod(struct box *box, const char *path, uint32_t mode)
{
    struct model_entry *entry = must_find(box, path);
    entry->attrs.mode = mode;
    add_edit(box, CHANGE_ATTRIB, entry, path);
}

void box_touch(struct box *box, const char *path)
{
    struct model_entry *entry = must_find(box, path);
    entry->attrs.ctime_ns += 17;
    add_edit(box, CHANGE_ATTRIB, entry, path)->quiet = true;
    box->rows--;
}

void box_delete(struct box *box, const char *path)
{
    size_t index = model_find(box, path);
    struct edit *edit = add_edit(box, CHANGE_DELETE, must_find(box, path), path);
    edit->entries = edit->type == ENTRY_DIR ? model_count_below(box, edit->entry) : 0;
    forget(box, index);
}

void box_move(struct box *box, const char *from, const char *to)
{
    const char *name;
    size_t there = model_find(box, to);
    int64_t other = there < box->entry_count ? box->entries[there].id : 0;
    int64_t parent = split(box, to, &name);
    struct edit *edit = add_edit(box, CHANGE_MOVE, must_find(box, from), to);
    edit->from = bytes_str(box_keep(box, from));
    edit->to_parent = parent;
    edit->to_name = bytes_str(box_keep(box, name));
    edit->other = other;
    edit->entries = edit->type == ENTRY_DIR ? model_count_below(box, edit->entry) : 0;
    if (other)
        forget(box, there);
    struct model_entry *entry = must_find(box, from);
    entry->parent = parent;
    entry->name = box_keep(box, name);
    entry->attrs.ctime_ns += 2;
    edit->attrs.ctime_ns += 2;
}

void box_exchange(struct box *box, const char *from, const char *to)
{
    struct model_entry *x = must_find(box, from), *y = must_find(box, to);
    struct edit *edit = add_edit(box, CHANGE_EXCHANGE, x, to);
    edit->from = bytes_str(box_keep(box, from));
    edit->to_parent = y->parent;
    edit->to_name = bytes_str(y->name);
    edit->other = y->id;
    int64_t parent = x->parent;
    char *name = x->name;
    x->parent = y->parent;
    x->name = y->name;
    y->parent = parent;
    y->name = name;
}

static bool is_at_or_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void random_pair(struct box *box, unsigned *seed, const char *from, const char *to)
{
    const struct model_entry *x = must_find(box, from);
    size_t there = model_find(box, to);
    if (is_at_or_below(to, from) || is_at_or_below(from, to))
        return;
    if (there == box->entry_count)
        box_move(box, from, to);
    else if (rand_r(seed) % 2)
        box_exchange(box, from, to);
    else if (x->type != ENTRY_DIR && box->entries[there].type != ENTRY_DIR)
        box_move(box, from, to);
}

static void random_change(struct box *box, unsigned *seed, const char *path)
{
    const struct model_entry *entry = must_find(box, path);
    int dice = rand_r(seed) % 6;
    if (dice == 0)
        box_delete(box, path);
    else if (dice == 1)
        box_touch(box, path);
    else if (dice == 2 && entry->type != ENTRY_SYMLINK)
        box_chmod(box, path, 0600u + (unsigned)(rand_r(seed) % 64));
    else if (entry->type == ENTRY_FILE && dice == 3)
        box_replace(box, path);
    else if (entry->type == ENTRY_FILE)
        box_write(box, path);
}

void box_random(struct box *box, unsigned *seed)
{
    static const char *const names[] = {
        "a", "b", "c\n", "d'\"\\", "\xff\xfe", "\xc3\xa9t\xc3\xa9", "e e", "\x01"};
    char path[512], other[512];
    const char *dirs[2] = {"", ""};
    for (int i = 0; i < 2; i++) {
        size_t pick = (size_t)rand_r(seed) % (box->entry_count + 1);
        if (pick < box->entry_count && box->entries[pick].type == ENTRY_DIR)
            dirs[i] = model_path(box, pick);
        if (strlen(dirs[i]) > 200)
            dirs[i] = "";
    }
    (void)snprintf(path, sizeof path, "%s%s%s", dirs[0], *dirs[0] ? "/" : "",
                   names[(size_t)rand_r(seed) % ARRAY_LEN(names)]); /* fits */
    (void)snprintf(other, sizeof other, "%s%s%s", dirs[1], *dirs[1] ? "/" : "",
                   names[(size_t)rand_r(seed) % ARRAY_LEN(names)]);
    if (model_find(box, path) < box->entry_count) {
        if (rand_r(seed) % 2)
            random_pair(box, seed, path, other);
        else
            random_change(box, seed, path);
        return;
    }
    int dice = rand_r(seed) % 5;
    if (dice == 0)
        box_link(box, path, names[(size_t)rand_r(seed) % ARRAY_LEN(names)]);
    else
        box_create(box, path, dice < 3 ? ENTRY_DIR : dice == 3 ? ENTRY_FILE : ENTRY_OTHER);
}

int64_t box_commit(struct box *box)
{
    if (journal_commit(box->journal, box->edits, box->edit_count, box->wall_ms, &box->err) != 0)
        fail_msg("%s", box->err.text);
    box->wall_ms += 1000;
    box_drop_edits(box);
    return journal_info(box->journal)->last_seq;
}

void box_drop_edits(struct box *box)
{
    box->edit_count = 0;
    box->rows = 0;
}
