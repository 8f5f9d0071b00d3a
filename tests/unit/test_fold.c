/* test_fold.c: replay(fold(rows)) = replay(rows), by enumeration of all short sequences and by
 * random long ones. The oracle is a tree of its own that takes rows strictly,
 * by path, and compares ids, places and attributes. */
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "err.h"
#include "fold.h"
#include "helper_share.h"

#define NODES_MAX 48
#define ROWS_MAX  32
#define PATH_SIZE 24
#define DEPTH_MAX 3

struct node {
    char path[PATH_SIZE];
    enum entry_type type;
    int64_t id;
    int64_t value; /* its attributes */
};

struct world {
    struct node nodes[NODES_MAX];
    size_t count;
};

/* A row that owns its bytes. */
struct step {
    struct change row;
    char path[PATH_SIZE];
    char from[PATH_SIZE];
};

static struct node *find(struct world *world, const char *path)
{
    for (size_t i = 0; i < world->count; i++)
        if (strcmp(world->nodes[i].path, path) == 0)
            return &world->nodes[i];
    return NULL;
}

static bool below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && path[len] == '/';
}

static bool parent_stands(struct world *world, const char *path)
{
    char parent[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    if (!slash)
        return true;
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    const struct node *node = find(world, parent);
    return node && node->type == ENTRY_DIR;
}

static void remove_tree(struct world *world, const char *top)
{
    char path[PATH_SIZE];
    size_t kept = 0;
    (void)snprintf(path, sizeof path, "%s", top);
    for (size_t i = 0; i < world->count; i++)
        if (strcmp(world->nodes[i].path, path) != 0 && !below(world->nodes[i].path, path))
            world->nodes[kept++] = world->nodes[i];
    world->count = kept;
}

static void rename_tree(struct world *world, const char *from, const char *to)
{
    char moved[2 * PATH_SIZE];
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[i];
        if (strcmp(node->path, from) != 0 && !below(node->path, from))
            continue;
        (void)snprintf(moved, sizeof moved, "%s%s", to, node->path + strlen(from));
        assert_true(strlen(moved) < PATH_SIZE);
        memcpy(node->path, moved, strlen(moved) + 1);
    }
}

static void text_of(struct bytes bytes, char out[PATH_SIZE])
{
    assert_true(bytes.len < PATH_SIZE);
    memcpy(out, bytes.at ? bytes.at : "", bytes.len);
    out[bytes.len] = '\0';
}

/* False: the row does not apply. */
static bool apply(struct world *world, const struct change *row)
{
    char path[PATH_SIZE], from[PATH_SIZE];
    if (row->kind == CHANGE_GAP)
        return true;
    text_of(row->path, path);
    text_of(row->from, from);
    struct node *there = find(world, path);
    struct node *source = find(world, from);
    if (!parent_stands(world, path))
        return false;
    switch (row->kind) {
    case CHANGE_CREATE:
        if (there || world->count == NODES_MAX)
            return false;
        there = &world->nodes[world->count++];
        *there = (struct node){"", row->type, row->entry, row->attrs.size};
        memcpy(there->path, path, sizeof path);
        return true;
    case CHANGE_MODIFY:
    case CHANGE_ATTRIB:
        if (!there || there->id != row->entry)
            return false;
        there->value = row->attrs.size;
        return true;
    case CHANGE_DELETE:
        if (!there || there->id != row->entry)
            return false;
        remove_tree(world, path);
        return true;
    case CHANGE_MOVE:
        if (!source || source->id != row->entry || strcmp(path, from) == 0 || below(path, from) ||
            (there ? there->id : 0) != row->other ||
            (there && (there->type == ENTRY_DIR || source->type == ENTRY_DIR)))
            return false;
        if (there)
            remove_tree(world, path);
        rename_tree(world, from, path);
        return true;
    case CHANGE_EXCHANGE:
        if (!source || !there || source->id != row->entry || there->id != row->other ||
            below(path, from) || below(from, path))
            return false;
        rename_tree(world, path, "*");
        rename_tree(world, from, path);
        rename_tree(world, "*", from);
        return true;
    default:
        return false;
    }
}

static int by_path(const void *x, const void *y)
{
    const struct node *a = x, *b = y;
    return strcmp(a->path, b->path);
}

static bool same(struct world *x, struct world *y)
{
    if (x->count != y->count)
        return false;
    qsort(x->nodes, x->count, sizeof *x->nodes, by_path);
    qsort(y->nodes, y->count, sizeof *y->nodes, by_path);
    for (size_t i = 0; i < x->count; i++) {
        const struct node *a = &x->nodes[i], *b = &y->nodes[i];
        if (strcmp(a->path, b->path) != 0 || a->id != b->id || a->type != b->type ||
            a->value != b->value)
            return false;
    }
    return true;
}

static void print_row(const struct change *row)
{
    print_message("  %s %s id %lld path %.*s from %.*s other %lld value %lld\n",
                  change_kind_name(row->kind), entry_type_name(row->type), (long long)row->entry,
                  (int)row->path.len, row->path.at ? row->path.at : "", (int)row->from.len,
                  row->from.at ? row->from.at : "", (long long)row->other,
                  (long long)row->attrs.size);
}

struct tally {
    int64_t sequences, rows, kept;
};

/* Folds a copy of the steps' rows and compares. */
static void check(const struct world *start, const struct step *steps, size_t count,
                  struct tally *tally)
{
    struct change rows[ROWS_MAX];
    struct world plain = *start, folded = *start;
    size_t kept = count;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        rows[i] = steps[i].row;
        good = good && apply(&plain, &rows[i]);
    }
    assert_true(good); /* or the test makes rows that no journal has */
    assert_int_equal(fold_rows(rows, &kept, NULL), 0);
    for (size_t i = 0; i < kept; i++)
        good = good && apply(&folded, &rows[i]) && (i == 0 || rows[i - 1].seq < rows[i].seq);
    if (!good || !same(&plain, &folded)) {
        print_message("these rows\n");
        for (size_t i = 0; i < count; i++)
            print_row(&steps[i].row);
        print_message("were folded to\n");
        for (size_t i = 0; i < kept; i++)
            print_row(&rows[i]);
        fail_msg("and do not come out the same");
    }
    tally->sequences++;
    tally->rows += (int64_t)count;
    tally->kept += (int64_t)kept;
}

static void set_row(struct step *step, enum change_kind kind, const struct node *node,
                    const char *path)
{
    char copy[PATH_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", path);
    *step = (struct step){.row = {.kind = kind, .type = node->type, .entry = node->id}};
    step->row.attrs.size = node->value;
    memcpy(step->path, copy, sizeof copy);
    step->row.path = bytes_str(step->path);
}

static void set_from(struct step *step, const char *from)
{
    (void)snprintf(step->from, sizeof step->from, "%s", from);
    step->row.from = bytes_str(step->from);
}

/* A step's views point into itself: a copy must look at its own bytes. */
static void copy_step(struct step *to, const struct step *from)
{
    *to = *from;
    to->row.path = bytes_str(to->path);
    to->row.from = from->row.from.at ? bytes_str(to->from) : (struct bytes){0};
}

static int depth_of(const char *path)
{
    int depth = 1;
    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

/* Every path whose directory is there. */
static size_t places(struct world *world, const char *names, char out[][PATH_SIZE])
{
    size_t count = 0;
    for (const char *name = names; *name; name++)
        (void)snprintf(out[count++], PATH_SIZE, "%c", *name);
    for (size_t i = 0; i < world->count; i++) {
        const struct node *node = &world->nodes[i];
        if (node->type != ENTRY_DIR || depth_of(node->path) >= DEPTH_MAX)
            continue;
        for (const char *name = names; *name; name++)
            (void)snprintf(out[count++], PATH_SIZE, "%.*s/%c", PATH_SIZE - 4, node->path, *name);
    }
    return count;
}

#define STEPS_MAX 2048

static size_t moves_of(struct world *world, const struct node *node, char at[][PATH_SIZE],
                       size_t at_count, struct step *out)
{
    size_t count = 0;
    size_t tail = 0;
    for (size_t i = 0; i < world->count; i++)
        if (below(world->nodes[i].path, node->path)) {
            size_t len = strlen(world->nodes[i].path) - strlen(node->path);
            tail = len > tail ? len : tail;
        }
    for (size_t i = 0; i < at_count; i++) {
        const struct node *there = find(world, at[i]);
        if (strcmp(at[i], node->path) == 0 || below(at[i], node->path) ||
            strlen(at[i]) + tail >= PATH_SIZE ||
            (there && (there->type == ENTRY_DIR || node->type == ENTRY_DIR)))
            continue;
        set_row(&out[count], CHANGE_MOVE, node, at[i]);
        set_from(&out[count], node->path);
        out[count++].row.other = there ? there->id : 0;
    }
    return count;
}

static bool room_for_exchange(const struct node *x, const struct node *y)
{
    return strcmp(x->path, y->path) < 0 && !below(x->path, y->path) && !below(y->path, x->path) &&
           depth_of(x->path) + depth_of(y->path) < 2 * DEPTH_MAX;
}

/* All rows that apply to the world; `id` is a new entry's. */
static size_t possible(struct world *world, const char *names, int64_t id, struct step *out)
{
    char at[NODES_MAX * 4][PATH_SIZE];
    size_t at_count = places(world, names, at);
    size_t count = 0;
    for (size_t i = 0; i < at_count; i++) {
        struct node fresh = {"", ENTRY_FILE, id, id * 10};
        if (find(world, at[i]))
            continue;
        set_row(&out[count++], CHANGE_CREATE, &fresh, at[i]);
        fresh.type = ENTRY_DIR;
        set_row(&out[count++], CHANGE_CREATE, &fresh, at[i]);
    }
    for (size_t i = 0; i < world->count; i++) {
        struct node node = world->nodes[i];
        set_row(&out[count++], CHANGE_DELETE, &node, node.path);
        node.value++;
        set_row(&out[count++], node.type == ENTRY_DIR ? CHANGE_ATTRIB : CHANGE_MODIFY, &node,
                node.path);
        node.value--;
        count += moves_of(world, &node, at, at_count, out + count);
        for (size_t j = 0; j < world->count; j++) {
            const struct node *other = &world->nodes[j];
            if (!room_for_exchange(&node, other))
                continue;
            set_row(&out[count], CHANGE_EXCHANGE, &node, other->path);
            set_from(&out[count], node.path);
            out[count++].row.other = other->id;
        }
        assert_true(count + NODES_MAX * 5 < STEPS_MAX);
    }
    return count;
}

static void shape(int which, struct world *out)
{
    static const struct node shapes[4][4] = {
        {{"", 0, 0, 0}},
        {{"a", ENTRY_FILE, 1, 1}, {"d", ENTRY_DIR, 2, 1}},
        {{"a", ENTRY_FILE, 1, 1},
         {"d", ENTRY_DIR, 2, 1},
         {"d/a", ENTRY_FILE, 3, 1},
         {"d/b", ENTRY_FILE, 4, 1}},
        {{"d", ENTRY_DIR, 1, 1}, {"d/d", ENTRY_DIR, 2, 1}, {"d/d/a", ENTRY_FILE, 3, 1}},
    };
    *out = (struct world){0};
    for (size_t i = 0; i < ARRAY_LEN(shapes[0]) && shapes[which][i].id; i++)
        out->nodes[out->count++] = shapes[which][i];
}

struct enumeration {
    const struct world *start;
    const char *names;
    size_t depth;
    struct step steps[ROWS_MAX];
    struct tally tally;
};

static void enumerate(struct enumeration *enumeration, const struct world *world, size_t count)
{
    struct world base = *world;
    struct step *choices;
    if (count > 0)
        check(enumeration->start, enumeration->steps, count, &enumeration->tally);
    if (count == enumeration->depth)
        return;
    choices = calloc(STEPS_MAX, sizeof *choices);
    assert_non_null(choices);
    size_t choice_count = possible(&base, enumeration->names, 100 + (int64_t)count, choices);
    for (size_t i = 0; i < choice_count; i++) {
        struct world next = base;
        copy_step(&enumeration->steps[count], &choices[i]);
        enumeration->steps[count].row.seq = (int64_t)count + 1;
        assert_true(apply(&next, &enumeration->steps[count].row));
        enumerate(enumeration, &next, count + 1);
    }
    free(choices);
}

static void enumerate_all(const char *names, size_t depth)
{
    for (int which = 0; which < 4; which++) {
        struct enumeration *enumeration = calloc(1, sizeof *enumeration);
        struct world start;
        assert_non_null(enumeration);
        shape(which, &start);
        enumeration->start = &start;
        enumeration->names = names;
        enumeration->depth = depth;
        enumerate(enumeration, &start, 0);
        print_message("names %s, shape %d: %lld sequences, %lld rows folded to %lld\n", names,
                      which, (long long)enumeration->tally.sequences,
                      (long long)enumeration->tally.rows, (long long)enumeration->tally.kept);
        assert_true(enumeration->tally.kept < enumeration->tally.rows);
        free(enumeration);
    }
}

static void test_every_three_rows(void **state)
{
    (void)state;
    enumerate_all("ad", 3);
}

static void test_every_four_rows_of_one_name(void **state)
{
    (void)state;
    enumerate_all("a", 4);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static const struct step *pick(const struct step *choices, size_t count, uint64_t *random)
{
    static const int weights[] = {
        [CHANGE_CREATE] = 8, [CHANGE_MODIFY] = 16,  [CHANGE_ATTRIB] = 4,
        [CHANGE_MOVE] = 4,   [CHANGE_EXCHANGE] = 1, [CHANGE_DELETE] = 12,
    };
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += (uint64_t)weights[choices[i].row.kind];
    uint64_t at = next_random(random) % (total ? total : 1); /* something always can happen */
    for (size_t i = 0; i < count; i++) {
        uint64_t weight = (uint64_t)weights[choices[i].row.kind];
        if (at < weight)
            return &choices[i];
        at -= weight;
    }
    return &choices[0];
}

static void test_random_rows(void **state)
{
    (void)state;
    const char *seeds = getenv("SPOOR_TEST_SEED");
    uint64_t first = seeds ? strtoull(seeds, NULL, 10) : 1;
    uint64_t runs = 20000 / (uint64_t)test_share();
    struct tally tally = {0};
    struct step *choices = calloc(STEPS_MAX, sizeof *choices);
    assert_non_null(choices);
    for (uint64_t seed = first; seed < first + runs; seed++) {
        uint64_t random = seed;
        struct world start;
        struct step steps[ROWS_MAX];
        shape((int)(next_random(&random) % 4), &start);
        struct world now = start;
        size_t rows = 3 + next_random(&random) % 22;
        for (size_t i = 0; i < rows; i++) {
            size_t count = possible(&now, "abd", 100 + (int64_t)i, choices);
            copy_step(&steps[i], pick(choices, count, &random));
            steps[i].row.seq = (int64_t)i + 1;
            assert_true(apply(&now, &steps[i].row));
        }
        check(&start, steps, rows, &tally);
    }
    print_message("seeds %llu..%llu: %lld rows folded to %lld\n", (unsigned long long)first,
                  (unsigned long long)(first + runs - 1), (long long)tally.rows,
                  (long long)tally.kept);
    free(choices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_three_rows),
        cmocka_unit_test(test_every_four_rows_of_one_name),
        cmocka_unit_test(test_random_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
