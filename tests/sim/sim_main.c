/* sim_main.c: runs seeds, twice each of some of them to see that the journals are the same (I7),
 * shortens what fails to the fewest operations that still fail the same way, and prints it so that
 * it can be put into tests/sim/cases, where each file is a test.
 *
 *   sim [--seeds N] [--first S] [--twice K] [--jobs J] [--script FILE]... [--print S] [--verbose]
 *
 * --twice: every K-th seed is run again. --jobs: so many processes share the seeds. --verbose: with
 * the engine's log and the journal's rows. Exit 0: all is well; 1: something failed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "clock.h"
#include "log.h"
#include "num.h"
#include "osfile.h"
#include "sim.h"

enum { SCRIPT_BYTES = 1 << 20, FAILURES_MAX = 10, JOBS_MAX = 64 };

struct tally {
    int64_t runs, failed, looks, commits, crashes, rows, snapshots;
};

struct totals {
    struct tally by_kernel[SIM_KERNELS];
    int64_t failed;
    bool show; /* the rows of scripts */
    char dir[SIM_ROOT_PATH];
};

/* What a run says of itself to the process that judges it. */
struct outcome {
    char why[512];
    struct tally tally;
};

static void add_tally(struct tally *to, const struct tally *from)
{
    to->runs += from->runs;
    to->failed += from->failed;
    to->looks += from->looks;
    to->commits += from->commits;
    to->crashes += from->crashes;
    to->rows += from->rows;
    to->snapshots += from->snapshots;
}

/* One run; its rows are the caller's to free. */
static void run_once(const struct totals *totals, const struct sim_script *script, struct sim *sim,
                     struct outcome *outcome)
{
    *sim = (struct sim){.kernel = {.inotify_fd = -1, .fanotify_fd = -1}};
    memcpy(sim->dir, totals->dir, sizeof sim->dir);
    sim_world = sim;
    sim_run(sim, script);
    add_tally(&outcome->tally, &(struct tally){.runs = 1,
                                               .looks = sim->looks,
                                               .commits = sim->commits,
                                               .crashes = sim->crashes,
                                               .rows = sim->replica.seq,
                                               .snapshots = sim->snapshots});
    memcpy(outcome->why, sim->why, sizeof outcome->why);
}

static bool same_rows(const struct sim *x, const struct sim *y)
{
    if (x->rows.len != y->rows.len || x->replica.sum != y->replica.sum) {
        return false;
    }
    return !x->rows.data || !y->rows.data || memcmp(x->rows.data, y->rows.data, x->rows.len) == 0;
}

/* In the child. */
static void play(const struct totals *totals, const struct sim_script *script, bool twice,
                 struct outcome *outcome)
{
    struct sim *first = calloc(1, sizeof *first), *second = calloc(1, sizeof *second);
    if (!first || !second) {
        abort();
    }
    run_once(totals, script, first, outcome);
    if (totals->show) {
        printf("%.*s", (int)first->rows.len, first->rows.data ? first->rows.data : "");
        (void)fflush(stdout); /* the process ends without */
    }
    if (twice && !outcome->why[0]) {
        run_once(totals, script, second, outcome);
        if (!outcome->why[0] && !same_rows(first, second)) {
            (void)snprintf(outcome->why, sizeof outcome->why, "I7: two runs give two journals");
        }
    }
    buf_deinit(&first->rows);
    buf_deinit(&second->rows);
    free(first);
    free(second);
}

/* "" or what is wrong. In a process of its own: the engine may die of what it is given. */
static void try(struct totals *totals, const struct sim_script *script, bool twice, char why[512])
{
    struct outcome outcome = {.why = ""};
    int ends[2], status = 0;
    if (pipe(ends) != 0) {
        abort();
    }
    (void)fflush(stdout); /* or the child would print it, too */
    pid_t child = fork();
    if (child < 0) {
        abort();
    }
    if (child == 0) {
        play(totals, script, twice, &outcome);
        _exit(write(ends[1], &outcome, sizeof outcome) == (ssize_t)sizeof outcome ? 0 : 1);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], &outcome, sizeof outcome);
    close(ends[0]);
    if (waitpid(child, &status, 0) != child || got != (ssize_t)sizeof outcome || status != 0) {
        (void)snprintf(outcome.why, sizeof outcome.why, "the engine died: %s %d",
                       WIFSIGNALED(status) ? "signal" : "exit",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    add_tally(&totals->by_kernel[script->config.kernel], &outcome.tally);
    memcpy(why, outcome.why, sizeof outcome.why);
}

/* The same failure, whatever the path or number in its words. */
static bool same_kind(const char *x, const char *y)
{
    size_t len = strcspn(x, "'0123456789");
    return strcspn(y, "'0123456789") == len && memcmp(x, y, len) == 0;
}

static void drop(const struct sim_script *from, int first, int count, struct sim_script *to)
{
    *to = *from;
    memmove(&to->ops[first], &to->ops[first + count],
            (size_t)(from->count - first - count) * sizeof to->ops[0]);
    to->count -= count;
}

/* Leaves out whatever can be left out: halves first, then quarters, down to single operations. */
static void shorten(struct totals *totals, struct sim_script *script, bool twice, char why[512])
{
    struct sim_script shorter;
    char now[512];
    for (int step = script->count / 2; step > 0;) {
        bool any = false;
        for (int i = 0; i + step <= script->count;) {
            drop(script, i, step, &shorter);
            try(totals, &shorter, twice, now);
            if (now[0] && same_kind(now, why)) {
                *script = shorter;
                memcpy(why, now, sizeof now);
                any = true;
            } else {
                i += step;
            }
        }
        step = step == 1 ? (any ? 1 : 0) : step / 2;
    }
}

static void tell_failure(struct totals *totals, struct sim_script *script, const char *name,
                         bool twice, char why[512])
{
    struct buf text;
    totals->failed++;
    totals->by_kernel[script->config.kernel].failed++;
    printf("FAILED %s: %s\n", name, why);
    int count = script->count;
    shorten(totals, script, twice, why);
    buf_init(&text, SCRIPT_BYTES);
    sim_script_print(script, &text);
    printf("# %s, %d of %d operations: %s\n%.*s\n", name, script->count, count, why, (int)text.len,
           text.data);
    (void)fflush(stdout); /* what a long run found is to be seen at once */
    buf_deinit(&text);
}

/* Every `step`-th seed of first, first + 1, ... up to first + count. */
static void run_seeds(struct totals *totals, int64_t first, int64_t end, int64_t step,
                      int64_t twice)
{
    for (int64_t seed = first; seed < end && totals->failed < FAILURES_MAX; seed += step) {
        struct sim_script script;
        char why[512], name[32];
        bool again = twice && seed % twice == 0;
        sim_script_make((uint64_t)seed, &script);
        try(totals, &script, again, why);
        if (why[0]) {
            (void)snprintf(name, sizeof name, "seed %lld", (long long)seed);
            tell_failure(totals, &script, name, again, why);
        }
    }
}

/* Shares the seeds among processes, and adds up what they did. */
static void run_jobs(struct totals *totals, int64_t first, int64_t count, int64_t twice,
                     int64_t jobs)
{
    pid_t children[JOBS_MAX];
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    (void)fflush(stdout); /* or each child would print it, too */
    for (int64_t job = 0; job < jobs; job++) {
        children[job] = fork();
        if (children[job] < 0) {
            abort();
        }
        if (children[job] == 0) {
            size_t len = strlen(totals->dir);
            (void)snprintf(totals->dir + len, sizeof totals->dir - len, "-%lld", (long long)job);
            run_seeds(totals, first + job, first + count, jobs, twice);
            (void)fflush(stdout);
            /* Less than PIPE_BUF: whole, whoever else writes. */
            _exit(write(ends[1], totals->by_kernel, sizeof totals->by_kernel) < 0);
        }
    }
    close(ends[1]);
    for (int64_t job = 0; job < jobs; job++) {
        int status = 0;
        struct tally done[SIM_KERNELS];
        bool ok = waitpid(children[job], &status, 0) == children[job] && status == 0 &&
                  read(ends[0], done, sizeof done) == (ssize_t)sizeof done;
        totals->failed += !ok;
        for (int i = 0; ok && i < SIM_KERNELS; i++) {
            add_tally(&totals->by_kernel[i], &done[i]);
            totals->failed += done[i].failed;
        }
    }
    close(ends[0]);
}

static void print_tally(const char *what, const struct tally *tally)
{
    printf("%-8s %lld runs, %lld failed; %lld calls of the system, %lld commits, %lld crashes, "
           "%lld rows, %lld snapshots\n",
           what, (long long)tally->runs, (long long)tally->failed, (long long)tally->looks,
           (long long)tally->commits, (long long)tally->crashes, (long long)tally->rows,
           (long long)tally->snapshots);
}

static void print_totals(const struct totals *totals)
{
    struct tally sum = {0};
    for (int i = 0; i < SIM_KERNELS; i++) {
        if (totals->by_kernel[i].runs) {
            print_tally(sim_kernel_name(i), &totals->by_kernel[i]);
        }
        add_tally(&sum, &totals->by_kernel[i]);
    }
    print_tally("all", &sum);
}

static int run_script(struct totals *totals, const char *path)
{
    struct sim_script script;
    struct buf text;
    struct err err = {0};
    char why[512];
    buf_init(&text, SCRIPT_BYTES);
    int rc = osfile_read(AT_FDCWD, path, SCRIPT_BYTES, &text, &err);
    rc = rc ? rc : sim_script_parse(text.data ? text.data : "", text.len, &script, &err);
    buf_deinit(&text);
    if (rc != 0) {
        (void)fprintf(stderr, "sim: '%s': %s\n", path, err.text);
        return 2;
    }
    try(totals, &script, true, why);
    if (why[0]) {
        printf("FAILED %s: %s\n", path, why);
        totals->failed++;
        totals->by_kernel[script.config.kernel].failed++;
    }
    return why[0] != '\0';
}

static void print_script(uint64_t seed)
{
    struct sim_script script;
    struct buf text;
    buf_init(&text, SCRIPT_BYTES);
    sim_script_make(seed, &script);
    sim_script_print(&script, &text);
    printf("%.*s", (int)text.len, text.data);
    buf_deinit(&text);
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: sim [--seeds N] [--first S] [--twice K] [--jobs J] "
                          "[--script FILE]... [--print SEED] [--verbose]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct totals totals = {0};
    int64_t seeds = -1, first = 1, twice = 4, jobs = 1, value = 0;
    int rc = 0, scripts = 0;
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    log_setup(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR);
    (void)snprintf(totals.dir, sizeof totals.dir, "%s/spoor-sim-%lld", place, (long long)getpid());
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        const char *text = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(option, "--verbose") == 0) {
            log_setup(STDERR_FILENO, LOG_DEBUG);
            totals.show = true;
            continue;
        }
        if (strcmp(option, "--script") == 0 && *text) {
            int outcome = run_script(&totals, text);
            rc = outcome > rc ? outcome : rc;
            scripts++;
        } else if (num_parse_i64(text, 0, INT64_MAX, &value) != 0) {
            return usage();
        } else if (strcmp(option, "--seeds") == 0) {
            seeds = value;
        } else if (strcmp(option, "--first") == 0) {
            first = value;
        } else if (strcmp(option, "--twice") == 0) {
            twice = value;
        } else if (strcmp(option, "--jobs") == 0 && value > 0 && value <= JOBS_MAX) {
            jobs = value;
        } else if (strcmp(option, "--print") == 0) {
            print_script((uint64_t)value);
            return 0;
        } else {
            return usage();
        }
        i++;
    }
    if (seeds < 0 && !scripts) {
        seeds = 100;
    }
    if (seeds > 0) {
        run_jobs(&totals, first, seeds, twice, jobs);
    }
    print_totals(&totals);
    return rc > 1 ? rc : totals.failed != 0;
}
