/* helper_scan.h: a folder, its tree and its journal for the tests of the two scans, and the
 * naive walk by full paths that they are measured against. */
#ifndef SPOOR_HELPER_SCAN_H
#define SPOOR_HELPER_SCAN_H

#include <pthread.h>

#include "disk.h"
#include "helper_temp.h"
#include "rules.h"
#include "scan.h"
#include "tree.h"

#define SCAN_TEST_TROUBLES 64

/* One entry as the walk sees it, or as a scan told of it. */
struct walked {
    char *path; /* relative to the folder */
    enum entry_type type;
    struct file_id file;
    struct entry_attrs attrs; /* without target */
    char *target;             /* "" */
};

struct walk {
    struct walked *items; /* by path */
    size_t count, cap;
};

struct scan_test {
    struct temp_dir temp;   /* root/ is the folder, state/ holds the journal */
    struct temp_dir folder; /* the folder itself */
    char state[160];
    struct disk disk;
    struct disk_ops ops; /* a copy: a test may put its own in */
    struct rules *rules;
    struct tree *tree;
    struct journal *journal; /* NULL: visits go to the tree alone */
    struct scan_env env;
    bool stop;
    int64_t next_id;
    struct walk told; /* by scan_index(), in the order told */
    int stop_after;   /* visits; 0: never */
    int fail_after;
    int visits;

    pthread_mutex_t lock; /* guards what follows */
    int trouble_count;
    struct {
        char path[256];
        int os;
        char text[512];
    } troubles[SCAN_TEST_TROUBLES];
    int64_t dirs, entries; /* last progress */
};

int scan_test_setup(void **state);
int scan_test_teardown(void **state);

/* The first index, into the tree and, with `journal`, a new journal. */
int scan_test_index(struct scan_test *test, bool journal, struct err *err);
/* The first index without a journal; and what was told is what a walk by full paths finds. */
void scan_test_must_walk(struct scan_test *test);
void scan_test_expect_walk(struct scan_test *test, const char *const *ignored);
int scan_test_compare(struct scan_test *test, struct scan_result *out, struct err *err);
/* As after a start: the tree comes from the journal. */
void scan_test_reload(struct scan_test *test);
/* The first two with a journal; a failure fails the test. */
void scan_test_must_index(struct scan_test *test);
void scan_test_must_compare(struct scan_test *test, struct scan_result *out);

/* A next number below `bound`, from a seed (splitmix64). */
uint64_t scan_test_random(uint64_t *seed, uint64_t bound);
/* Fills the folder: `dirs` directories below random earlier ones, each with up to a dozen entries
 * of all types. Directories are "d<i>", i from 0; paths[i] (NULL allowed) is set to the path. */
void scan_test_grow(struct scan_test *test, uint64_t seed, int dirs, char (*paths)[256]);

/* What differs between systems: adds one entry, which lies at `full`; and makes something in the
 * folder that is no plain file, a link or another kind. */
void walk_entry(struct walk *walk, const char *full, const char *path);
void scan_test_special(struct scan_test *test, const char *path, bool link);

/* Adds an entry of which nothing but the path is known. */
struct walked *walk_add(struct walk *walk, const char *path);
/* The folder as it is, by nothing but full paths; ".." and what `ignored` names are left out. */
void walk_folder(struct walk *walk, const char *root, const char *const *ignored);
void walk_free(struct walk *walk);
const struct walked *walk_find(const struct walk *walk, const char *path);
/* By path. */
void walk_sort(struct walk *walk);
/* Same in all that counts (RULES 9). */
bool walked_equal(const struct walked *x, const struct walked *y);

/* Did the scan complain of this directory, with this errno? */
bool scan_test_troubled(const struct scan_test *test, const char *path, int os);
/* The directory's entry in the tree. */
struct entry *scan_test_dir(struct scan_test *test, const char *path);
struct file_id scan_test_file(struct scan_test *test, const char *path);
/* Is the name in this directory in the result? */
bool scan_test_found(const struct scan_result *result, struct file_id dir, const char *name);

#endif
