/* sim_host.c: what else of the system the engine would notice: randomness, threads, and the two
 * moments of a commit in which it may die. Functions of the engine's own rooms are wrapped at link
 * time; scan_index() is a plain version of the real one, whose workers would make the order of
 * looks a matter of luck: same helpers, same order of visits, no ring and no threads. */
#include "osfile.h"
#include "scan.h"
#include "scan_crew.h"
#include "scan_list.h"
#include "scan_reach.h"
#include "rules.h"
#include "sim.h"
#include "sql.h"
#include "tree.h"

int __wrap_osfile_random(void *out, size_t len, struct err *err);
int __wrap_sql_commit(const struct sql *sql, struct err *err);
int __real_sql_commit(const struct sql *sql, struct err *err);
int __wrap_scan_crew_start(struct scan_crew *crew, int count, void *(*work)(void *), void *arg,
                           struct err *err);

int __wrap_osfile_random(void *out, size_t len, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = (uint8_t)sim_random(&sim_world->random);
    }
    return 0;
}

int __wrap_sql_commit(const struct sql *sql, struct err *err)
{
    sim_seam();
    int rc = __real_sql_commit(sql, err);
    sim_world->commits++;
    sim_seam();
    return rc;
}

/* The work of one worker, done by the caller: the comparison's workers wait for nobody. */
int __wrap_scan_crew_start(struct scan_crew *crew, int count, void *(*work)(void *), void *arg,
                           struct err *err)
{
    (void)crew;
    (void)count;
    (void)err;
    (void)work(arg);
    return 0;
}

/* ---- the first index ---- */

struct indexing {
    struct scan_crew crew;
    struct scan_reach reach;
    struct scan_lister lister;
    struct scan_found found;
    struct entry *queue[SIM_NODES];
    size_t head, tail;
};

static void trouble(struct indexing *in, struct entry *dir, enum disk_answer answer, int os)
{
    dir->flags |= TREE_RELIST;
    if (answer == DISK_UNKNOWN) {
        scan_crew_trouble(&in->crew, dir, os, "cannot read the directory");
    }
}

static void watch_it(struct indexing *in, struct entry *dir, struct disk_dir *open)
{
    const struct scan_env *env = in->crew.env;
    struct err err = {0};
    dir->flags &= (uint8_t) ~(TREE_RELIST | TREE_UNWATCHED);
    dir->watch = -1;
    if (env->disk->ops->watch(env->disk->ctx, open, dir->file, !dir->parent, &dir->watch, &err)) {
        dir->watch = -1;
        dir->flags |= TREE_UNWATCHED;
        env->trouble(env->ctx, dir, err.os, err.text);
    }
}

/* Lists and looks; false: nothing of it may be told. */
static bool look_into(struct indexing *in, struct entry *dir, struct disk_dir *open, int *code)
{
    size_t unknown = 0;
    int os = 0;
    watch_it(in, dir, open);
    enum disk_answer answer = scan_lister_names(&in->lister, in->crew.env->disk, open, &os);
    if (answer == DISK_PRESENT && scan_lister_has(&in->lister, bytes_str(RULES_FILE_NAME))) {
        dir->flags |= TREE_RULES;
        os = scan_load_rules(in->crew.env, dir, open);
        answer = os ? DISK_UNKNOWN : DISK_PRESENT;
    }
    if (answer != DISK_PRESENT) {
        trouble(in, dir, answer, os);
        return false;
    }
    scan_found_reset(&in->found);
    *code = scan_lister_look(&in->lister, &in->crew, dir, open, &in->found, &unknown);
    size_t kept = 0;
    for (size_t i = 0; i < in->found.count; i++) {
        if (in->found.records[i].type != ENTRY_NONE) {
            in->found.records[kept++] = in->found.records[i];
        }
    }
    in->found.count = kept;
    dir->flags |= unknown ? TREE_RELIST : 0;
    return *code == 0;
}

int scan_index(const struct scan_env *env, struct entry *root,
               int (*visit)(void *ctx, struct entry *dir, const struct scan_record *records,
                            size_t count, struct entry **children, struct err *err),
               void *ctx, struct err *err)
{
    struct indexing *in = calloc(1, sizeof *in);
    struct entry *children[SIM_NAMES];
    int code = 0;
    scan_crew_init(&in->crew, env);
    scan_reach_init(&in->reach, env->disk);
    scan_lister_init(&in->lister);
    scan_found_init(&in->found);
    in->queue[in->tail++] = root;
    while (in->head < in->tail && code == 0) {
        struct entry *dir = in->queue[in->head++];
        struct disk_dir *open;
        int os = 0;
        bool here;
        enum disk_answer answer = scan_reach_open(&in->reach, dir, &open, &os, &here);
        if (in->reach.root_lost) {
            code = err_set(err, ERR_NOTFOUND, 0, "the folder is gone");
        } else if (answer != DISK_PRESENT) {
            trouble(in, dir, answer, os);
        } else if (look_into(in, dir, open, &code)) {
            memset(children, 0, sizeof children);
            code = visit(ctx, dir, in->found.records, in->found.count, children, err);
            for (size_t i = 0; i < in->found.count && code == 0; i++) {
                if (children[i]) {
                    in->queue[in->tail++] = children[i];
                }
            }
        }
    }
    scan_found_deinit(&in->found);
    scan_lister_deinit(&in->lister);
    scan_reach_deinit(&in->reach);
    scan_crew_deinit(&in->crew);
    free(in);
    return code;
}
