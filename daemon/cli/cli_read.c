/* cli_read.c: `spoor consumer read`: the rows that a reader has not acknowledged, as lines of JSON,
 * and with --follow those that come.
 *
 * Rows are taken from the journal in portions, each written out whole before it is acknowledged
 * (--ack): what a reader that was killed had not acknowledged comes again, what it had does not.
 * No transaction is open while standard output keeps us waiting. Main thread. */
#include "cli_consumer.h"

#include "buf.h"
#include "cli.h"
#include "cli_render.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "follow.h"
#include "json.h"
#include "reader.h"
#include "row.h"

/* A portion ends with the row that reaches either. */
#define PORTION_ROWS  10000
#define PORTION_BYTES (1 << 20)

struct read_job {
    const struct cli *cli;
    const struct config *config;
    const struct config_folder *folder;
    const char *name;
    char *dir;
    struct reader *reader;
    struct journal_info info;
    struct reader_consumer consumer;
    int64_t epoch; /* of the rows the reader has; another is told by a gap */
    int64_t at;    /* rows up to here are written out */
    int64_t last;  /* and to here in the portion, or known to be purged */
    int64_t rows;  /* in the portion */
    bool unacked;  /* the last acknowledgement failed: perhaps it was not written */
    bool replaced; /* the journal is a new one, and the reader was not yet seen in it */
    struct buf out;
    int code; /* of standard output */
};

/* A line of its own: the rows first..last are gone (0, 0: which they were is not known). */
static void add_gap(struct read_job *job, const char *reason, int64_t first, int64_t last)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format_ms(clock_wall_ms(), now);
    json_begin(&job->out);
    json_cstr(&job->out, "kind", "gap");
    json_cstr(&job->out, "state", "open");
    json_cstr(&job->out, "reason", reason);
    json_cstr(&job->out, "folder", job->folder->name);
    json_i64(&job->out, "epoch", job->info.epoch);
    json_cstr(&job->out, "time", now);
    if (last) {
        json_i64(&job->out, "first", first);
        json_i64(&job->out, "last", last);
    }
    json_end(&job->out);
    buf_add_char(&job->out, '\n');
}

static int add_row(void *ctx, const struct change *change)
{
    struct read_job *job = ctx;
    if (change->seq > job->last + 1) /* purged between two looks */
        add_gap(job, "purged", job->last + 1, change->seq - 1);
    row_write(&job->out, job->folder->name, change);
    job->last = change->seq;
    job->rows++;
    return job->rows >= PORTION_ROWS || job->out.len >= PORTION_BYTES;
}

static int take_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct read_job *job = ctx;
    if (consumer->kind != JOURNAL_READER || strcmp(consumer->name, job->name) != 0)
        return 0;
    job->consumer = *consumer;
    return 1;
}

static int find_consumer(struct read_job *job, struct err *err)
{
    int rc = reader_info(job->reader, &job->info, err);
    rc = rc ? rc : reader_consumers(job->reader, take_consumer, job, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, 0,
                       "there is no reader '%s'; 'spoor consumer add %s' makes it", job->name,
                       job->name);
    job->replaced = job->replaced && rc < 0;
    return rc < 0 ? rc : 0;
}

static int acknowledge(struct read_job *job, struct err *err)
{
    const struct journal_order order = {
        .what = JOURNAL_READER_ACK, .consumer = job->name, .value = job->at};
    if (!job->cli->ack)
        return 0;
    int rc = cli_consumer_write(job->config, job->folder, &order, err);
    job->unacked = rc != 0;
    return rc;
}

/* Where to go on, told by a gap where rows are missing before it. */
static void begin_portion(struct read_job *job)
{
    if (job->epoch != job->info.epoch) {
        add_gap(job, "new-epoch", 0, 0);
        job->epoch = job->info.epoch;
        job->at = job->consumer.acked;
    }
    /* Without --ack we are further on than what is acknowledged, unless somebody else was quicker.
     */
    job->at = job->consumer.acked > job->at ? job->consumer.acked : job->at;
    job->last = job->at;
    job->rows = 0;
    if (job->info.floor_seq > job->last) {
        add_gap(job, "purged", job->last + 1, job->info.floor_seq);
        job->last = job->info.floor_seq;
    }
}

/* Writes out one portion and acknowledges it. 1: there may be more. */
static int read_portion(struct read_job *job, struct err *err)
{
    int more = find_consumer(job, err);
    if (more)
        return more;
    begin_portion(job);
    struct reader_range range = {
        .first = job->last + 1, .last = job->info.last_seq, .verify = true, .until_ms = INT64_MAX};
    if (range.first <= range.last)
        more = reader_rows(job->reader, &range, add_row, job, err);
    if (more < 0)
        return more;
    if (job->out.len == 0)
        return job->unacked && job->consumer.acked < job->at ? acknowledge(job, err) : 0;
    job->code = render_flush(&job->out, true);
    if (job->code)
        return 0;
    job->at = job->last;
    int rc = acknowledge(job, err);
    return rc ? rc : more;
}

static int read_portions(struct read_job *job, struct err *err)
{
    int rc;
    do
        rc = read_portion(job, err);
    while (rc == 1 && !job->code);
    return rc < 0 ? rc : 0;
}

/* The journal was moved aside and begun anew, or restored. */
static int reopen(struct read_job *job, struct err *err)
{
    struct reader *fresh = NULL;
    int rc = reader_open(job->dir, &fresh, err);
    if (rc == 0) {
        reader_close(job->reader);
        job->reader = fresh;
        job->replaced = true;
    }
    return rc == ERR_NOTFOUND ? 0 : rc; /* being made: its own write comes later and wakes us */
}

/* What passes: each is over when the journal is written next, which wakes us. */
static bool is_passing(struct read_job *job, int rc, const struct err *err)
{
    if (job->unacked && rc != ERR_NOTFOUND) {
        cli_say("spoor: not acknowledged: %s; trying again when the journal changes", err->text);
        buf_reset(&job->out);
        return true;
    }
    /* A checkpoint or a recovery is under way, or a new journal's readers are yet to be added. */
    return rc == ERR_BUSY || (rc == ERR_NOTFOUND && job->replaced);
}

static int follow_rows(struct read_job *job, struct follow *follow, struct err *err)
{
    for (;;) {
        enum follow_event event;
        int rc = follow_wait(follow, &event, err);
        if (rc || event == FOLLOW_CLOSED)
            return rc;
        rc = event == FOLLOW_REPLACED ? reopen(job, err) : 0;
        rc = rc ? rc : read_portions(job, err);
        if (job->code || (rc && !is_passing(job, rc, err)))
            return rc;
    }
}

static int read_all(struct read_job *job, struct err *err)
{
    struct follow *follow = NULL;
    /* First the watch, then the rows: none falls between. */
    int rc = job->cli->follow ? follow_open(job->dir, &follow, err) : 0;
    rc = rc ? rc : find_consumer(job, err);
    if (rc)
        goto out;
    job->at = job->consumer.acked;
    job->epoch = job->consumer.epoch;
    rc = read_portions(job, err);
    if (follow && !job->code && (rc == 0 || is_passing(job, rc, err)))
        rc = follow_rows(job, follow, err);
out:
    follow_close(follow);
    return rc;
}

int cli_read(const struct cli *cli, const struct config *config, const struct config_folder *folder)
{
    struct read_job job = {.cli = cli, .config = config, .folder = folder, .name = cli->args[1]};
    struct err err = {0};
    struct buf dir;
    int code = EXIT_FAILED;
    buf_init(&dir, 1 << 16);
    buf_init(&job.out, RENDER_OUT_MAX);
    cli_folder_dir(config, folder, &dir);
    job.dir = dir.data;
    job.reader = cli_open_reader(config, folder, &code);
    if (job.reader)
        code = read_all(&job, &err) ? cli_fail_reading(config, folder, &err) : job.code;
    reader_close(job.reader);
    buf_deinit(&job.out);
    buf_deinit(&dir);
    return code;
}
