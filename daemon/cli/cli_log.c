/* cli_log.c: `spoor log [PATH]`: the journal's rows, newest last, and with --follow each new
 * one as it is committed, with a line whenever a consumer has acknowledged more.
 *
 * Rows come from a read-only connection, so it works with the daemon up or down. Memory does
 * not grow with the journal: -n finds its first row by counting backwards, then reads
 * forwards. Main thread. */
#include "cli.h"

#include <inttypes.h>

#include "buf.h"
#include "cli_render.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "follow.h"
#include "reader.h"
#include "row.h"
#include "text.h"

struct log_acks {
    struct {
        char name[65];
        int64_t acked;
    } items[JOURNAL_CONSUMERS_MAX];
    size_t count;
};

struct log_job {
    const struct cli *cli;
    const struct config_folder *folder;
    struct buf out;
    bool colour;
    bool escaped_names;
    int64_t rows_left; /* -1: no limit */
    int64_t seq_found; /* of the last row visited */
    int code;          /* of standard output */
    struct log_acks acks;
    bool acks_moved;
};

/* Nonzero ends a walk; standard output is gone then, or enough rows were seen. */
enum { WALK_ENOUGH = 1, WALK_NO_OUTPUT = 2 };

/* Programs get the bytes as they are; a terminal, which could be harmed by them, does not. */
static void add_name(struct log_job *job, struct bytes name)
{
    if (job->escaped_names)
        text_add_escaped(&job->out, name.at, name.len);
    else
        buf_add(&job->out, name.at, name.len);
    buf_add_char(&job->out, job->cli->null_ends ? '\0' : '\n');
}

static int print_row(void *ctx, const struct change *change)
{
    struct log_job *job = ctx;
    if (job->rows_left == 0)
        return WALK_ENOUGH;
    if (job->rows_left > 0)
        job->rows_left--;
    if (job->cli->names) {
        if (change->kind == CHANGE_GAP)
            return 0; /* has no name */
        if (change->kind == CHANGE_EXCHANGE)
            add_name(job, change->from);
        add_name(job, change->path);
    } else if (job->cli->json) {
        row_write(&job->out, job->folder->name, change);
    } else {
        render_row(&job->out, change, job->colour);
        buf_add_char(&job->out, '\n');
    }
    job->code = render_flush(&job->out, false);
    return job->code ? WALK_NO_OUTPUT : 0;
}

/* Counts instead of printing: where do the last N rows begin? */
static int count_row(void *ctx, const struct change *change)
{
    struct log_job *job = ctx;
    job->seq_found = change->seq;
    return --job->rows_left <= 0 ? WALK_ENOUGH : 0;
}

/* --since and --until into the range, of which last is the newest row. */
static int set_moments(const struct cli *cli, struct reader_range *range, struct err *err)
{
    struct moment moment;
    int64_t now_ms = clock_wall_ms();
    int rc;
    if (cli->since) {
        if ((rc = moment_parse(cli->since, now_ms, &moment, err)))
            return rc;
        if (moment.is_seq)
            range->first = moment.seq > 1 ? moment.seq : 1;
        else
            range->since_ms = moment.wall_ms;
    }
    if (cli->until) {
        if ((rc = moment_parse(cli->until, now_ms, &moment, err)))
            return rc;
        if (!moment.is_seq)
            range->until_ms = moment.wall_ms;
        else if (moment.seq < range->last)
            range->last = moment.seq;
    }
    return 0;
}

/* Prints the rows of the range, honouring -n and --reverse. */
static int print_range(struct log_job *job, struct reader *reader, struct reader_range range,
                       struct err *err)
{
    job->rows_left = job->cli->count;
    if (job->rows_left == 0 || range.first > range.last)
        return 0;
    if (job->rows_left > 0 && !job->cli->reverse) {
        struct reader_range back = range;
        back.reverse = true;
        back.verify = false; /* what is printed is checked below */
        job->seq_found = 0;
        int rc = reader_rows(reader, &back, count_row, job, err);
        if (rc < 0 || !job->seq_found)
            return rc;
        range.first = job->seq_found;
        job->rows_left = job->cli->count;
    }
    range.reverse = job->cli->reverse;
    int rc = reader_rows(reader, &range, print_row, job, err);
    return rc < 0 ? rc : 0;
}

static int note_ack(void *ctx, const struct reader_consumer *consumer)
{
    struct log_job *job = ctx;
    struct log_acks *acks = &job->acks;
    size_t i = 0;
    while (i < acks->count && strcmp(acks->items[i].name, consumer->name) != 0)
        i++;
    if (i == acks->count) {
        if (i == ARRAY_LEN(acks->items))
            return 0; /* the journal holds no more than that */
        (void)snprintf(acks->items[i].name, sizeof(acks->items[i].name), "%s", consumer->name);
        acks->items[i].acked = 0;
        acks->count++;
    }
    if (consumer->acked == acks->items[i].acked)
        return 0;
    acks->items[i].acked = consumer->acked;
    buf_addf(&job->out, "%s   \xE2\x9C\x93 %s acknowledged up to %" PRId64 "%s\n",
             job->colour ? "\033[2m" : "", consumer->name, consumer->acked,
             job->colour ? "\033[0m" : "");
    return 0;
}

/* All that is new since `range->first`, which moves on. */
static int print_news(struct log_job *job, struct reader *reader, struct reader_range *range,
                      struct err *err)
{
    struct journal_info info;
    int rc = reader_info(reader, &info, err);
    if (rc)
        return rc;
    if (info.last_seq >= range->first) {
        range->last = info.last_seq;
        job->rows_left = -1;
        rc = reader_rows(reader, range, print_row, job, err);
        if (rc < 0 || job->code)
            return rc < 0 ? rc : 0;
        range->first = info.last_seq + 1;
    }
    if (!job->cli->json && !job->cli->names) {
        rc = reader_consumers(reader, note_ack, job, err);
        if (rc)
            return rc;
    }
    job->code = render_flush(&job->out, true);
    return 0;
}

/* The journal was moved aside and begun anew (it was corrupt): go on with the new one. */
static int reopen(struct log_job *job, const char *dir, struct reader **reader,
                  struct reader_range *range, struct err *err)
{
    struct reader *fresh;
    struct journal_info before, after;
    int rc = reader_info(*reader, &before, err);
    if (rc)
        return rc;
    rc = reader_open(dir, &fresh, err);
    if (rc == ERR_NOTFOUND)
        return 0; /* being made: its own write comes later and wakes us again */
    if (rc)
        return rc;
    rc = reader_info(fresh, &after, err);
    if (rc) {
        reader_close(fresh);
        return rc;
    }
    reader_close(*reader);
    *reader = fresh;
    if (before.epoch != after.epoch) {
        cli_say("folder '%s': the journal was begun anew, epoch %" PRId64, job->folder->name,
                after.epoch);
        range->first = 1;
        job->acks.count = 0;
    }
    return 0;
}

static int follow_rows(struct log_job *job, const char *dir, struct follow *follow,
                       struct reader **reader, struct reader_range range, struct err *err)
{
    for (;;) {
        int rc = print_news(job, *reader, &range, err);
        /* A checkpoint or a recovery may be under way: the next look finds it done. */
        if (rc && rc != ERR_BUSY)
            return rc;
        if (job->code)
            return 0;
        enum follow_event event;
        rc = follow_wait(follow, &event, err);
        if (rc)
            return rc;
        if (event == FOLLOW_CLOSED)
            return 0;
        if (event == FOLLOW_REPLACED && (rc = reopen(job, dir, reader, &range, err)))
            return rc;
    }
}

static int check_usage(const struct cli *cli)
{
    const char *wrong = NULL;
    if (cli->null_ends && !cli->names)
        wrong = "-0 goes with --names";
    else if (cli->names && cli->json)
        wrong = "--names and --json exclude each other";
    else if (cli->follow && cli->reverse)
        wrong = "--follow and --reverse exclude each other";
    else if (cli->follow && cli->until)
        wrong = "--follow and --until exclude each other";
    if (!wrong)
        return EXIT_OK;
    cli_say("spoor: log: %s", wrong);
    return EXIT_USAGE;
}

/* The range that PATH, --since and --until mean; `path` holds the bytes of its prefix. */
static int find_range(struct log_job *job, struct reader *reader, struct buf *path,
                      struct reader_range *range, struct err *err)
{
    struct journal_info info;
    int rc = reader_info(reader, &info, err);
    if (rc)
        return rc;
    *range = (struct reader_range){
        .first = 1, .last = info.last_seq, .verify = true, .until_ms = INT64_MAX};
    rc = set_moments(job->cli, range, err);
    if (rc)
        return rc;
    if (job->cli->arg_count) {
        rc = render_path_arg(job->folder, job->cli->args[0], path, err);
        if (rc)
            return rc;
        range->below = bytes_of(path->data, path->len);
    }
    if (info.floor_seq && job->cli->since && range->first <= info.floor_seq)
        cli_say("folder '%s': rows up to %" PRId64 " are purged (retention)", job->folder->name,
                info.floor_seq);
    return 0;
}

/* What is to be printed, in order: the rows there are, then those that come. */
static int run_job(struct log_job *job, const char *dir, struct reader **reader, struct err *err)
{
    struct reader_range range;
    struct buf path;
    struct follow *follow = NULL;
    buf_init(&path, 1 << 20);
    /* First the watch, then the rows: none falls between. */
    int rc = job->cli->follow ? follow_open(dir, &follow, err) : 0;
    if (rc)
        goto out;
    rc = find_range(job, *reader, &path, &range, err);
    if (rc)
        goto out;
    rc = print_range(job, *reader, range, err);
    if (rc || job->code)
        goto out;
    if (follow) {
        range.first = range.last + 1 > range.first ? range.last + 1 : range.first;
        rc = follow_rows(job, dir, follow, reader, range, err);
    }
out:
    follow_close(follow);
    buf_deinit(&path);
    return rc;
}

int cli_log(const struct cli *cli)
{
    int code = check_usage(cli);
    if (code)
        return code;
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct err err;
    struct reader *reader = NULL;
    struct log_job *job = calloc(1, sizeof(*job));
    struct buf dir;
    buf_init(&dir, 1 << 16);
    if (!job) {
        code = EXIT_FAILED;
        cli_say("spoor: log: no memory");
        goto out;
    }
    *job = (struct log_job){.cli = cli,
                            .colour = cli_is_terminal(),
                            .escaped_names = !cli->null_ends && isatty(STDOUT_FILENO)};
    buf_init(&job->out, RENDER_OUT_MAX);
    job->folder = cli_pick_folder(cli, config, &code);
    if (!job->folder)
        goto out;
    reader = cli_open_reader(config, job->folder, &code);
    if (!reader)
        goto out;
    cli_folder_dir(config, job->folder, &dir);
    int rc = run_job(job, dir.data, &reader, &err);
    if (!job->code)
        job->code = render_flush(&job->out, true);
    code = rc ? cli_fail_reading(config, job->folder, &err) : job->code;
out:
    reader_close(reader);
    if (job)
        buf_deinit(&job->out);
    free(job);
    buf_deinit(&dir);
    config_free(config);
    return code;
}
