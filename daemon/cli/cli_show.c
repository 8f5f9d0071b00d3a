/* cli_show.c: `spoor show SEQ`, one row with every field, and `spoor pending`, the rows that
 * some consumer has not acknowledged yet, and which. Both read the journal only. Main thread. */
#include "cli.h"

#include <inttypes.h>

#include "buf.h"
#include "cli_render.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "num.h"
#include "reader.h"
#include "row.h"
#include "text.h"

#define SHOW_KEY_WIDTH 12 /* columns of a key, blanks included */

struct consumer_list {
    struct reader_consumer *items; /* JOURNAL_CONSUMERS_MAX of them */
    size_t count;
    bool uploads_only;
};

struct show_job {
    const struct cli *cli;
    const struct config_folder *folder;
    struct reader *reader;
    struct consumer_list consumers;
    struct buf out;
    bool colour;
    bool found;
    int64_t rows_left; /* -1: no limit */
    int code;          /* of standard output */
};

static int add_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct consumer_list *list = ctx;
    if (list->uploads_only && consumer->kind != JOURNAL_UPLOAD)
        return 0; /* a slow reader is no fault of the delivery */
    if (list->count < JOURNAL_CONSUMERS_MAX)
        list->items[list->count++] = *consumer;
    return 0;
}

static void add_key(struct buf *out, const char *key)
{
    buf_addf(out, "%-*s", SHOW_KEY_WIDTH, key);
}

static void add_text(struct buf *out, const char *key, const char *text)
{
    add_key(out, key);
    buf_add_str(out, text);
    buf_add_char(out, '\n');
}

static void add_bytes(struct buf *out, const char *key, struct bytes value)
{
    add_key(out, key);
    text_add_escaped(out, value.at, value.len);
    buf_add_char(out, '\n');
}

static void add_number(struct buf *out, const char *key, int64_t value, const char *unit)
{
    add_key(out, key);
    render_count(out, value);
    buf_add_str(out, unit);
    buf_add_char(out, '\n');
}

/* What an entry of this type has. */
static void add_attrs(struct buf *out, const struct change *change)
{
    char text[CLOCK_TEXT_SIZE];
    if (change->type == ENTRY_FILE) {
        add_number(out, "size", change->attrs.size, " bytes");
        clock_format_ns(change->attrs.mtime_ns, text);
        add_text(out, "mtime", text);
    }
    if (change->type == ENTRY_SYMLINK) {
        add_bytes(out, "target", change->attrs.target);
    } else {
        (void)snprintf(text, sizeof(text), "%04o", (unsigned)change->attrs.mode); /* fits */
        add_text(out, "mode", text);
    }
}

static void add_acknowledged(struct show_job *job, int64_t seq)
{
    for (size_t i = 0; i < job->consumers.count; i++) {
        const struct reader_consumer *consumer = &job->consumers.items[i];
        add_key(&job->out, i ? "" : "consumers");
        text_add_escaped(&job->out, consumer->name, strlen(consumer->name));
        buf_add_str(&job->out, consumer->acked >= seq ? ": acknowledged"
                               : consumer->batch_first && seq >= consumer->batch_first &&
                                       seq <= consumer->batch_last
                                   ? ": in the batch under way"
                                   : ": waits");
        buf_add_char(&job->out, '\n');
    }
}

static int show_row(void *ctx, const struct change *change)
{
    struct show_job *job = ctx;
    struct buf *out = &job->out;
    job->found = true;
    if (job->cli->json) {
        row_write(out, job->folder->name, change);
        return 0;
    }
    char text[CLOCK_TEXT_SIZE];
    buf_addf(out, "%-*s%" PRId64 "\n", SHOW_KEY_WIDTH, "seq", change->seq);
    buf_addf(out, "%-*s%" PRId64 "\n", SHOW_KEY_WIDTH, "epoch", change->epoch);
    add_text(out, "folder", job->folder->name);
    clock_format_ms(change->time_ms, text);
    add_text(out, "time", text);
    add_text(out, "kind", change_kind_name(change->kind));
    if (change->kind == CHANGE_GAP) {
        const char *reason = change_reason_name(change->flags);
        add_text(out, "state", change->flags & CHANGE_GAP_OPEN ? "open" : "closed");
        if (reason)
            add_text(out, "reason", reason);
    } else {
        add_text(out, "type", entry_type_name(change->type));
        add_bytes(out, "path", change->path);
        if (change->from.len)
            add_bytes(out, "from", change->from);
        if (change->kind != CHANGE_DELETE)
            add_attrs(out, change);
        buf_addf(out, "%-*s%" PRId64 "\n", SHOW_KEY_WIDTH, "id", change->entry);
        if (change->other)
            buf_addf(out, "%-*s%" PRId64 "\n", SHOW_KEY_WIDTH,
                     change->kind == CHANGE_EXCHANGE ? "other id" : "replaced id", change->other);
        if (change->entries)
            add_number(out, "entries", change->entries, " below it");
    }
    if (change->flags &
        (CHANGE_PARTIAL | CHANGE_REPLACED | CHANGE_IGNORED | CHANGE_PARKED | CHANGE_END)) {
        add_key(out, "flags");
        render_flags(out, change->flags);
        buf_add_char(out, '\n');
    }
    if (change->actor.pid) {
        add_key(out, "actor");
        render_actor(out, &change->actor);
        buf_add_char(out, '\n');
    }
    if (change->file.a)
        buf_addf(out, "%-*s%" PRIu64 " born %" PRIu64 " ns\n", SHOW_KEY_WIDTH, "file",
                 change->file.a, change->file.b);
    buf_addf(out, "%-*s%016" PRIx64 "\n", SHOW_KEY_WIDTH, "sum", change->sum);
    add_acknowledged(job, change->seq);
    return 0;
}

/* Everything a command needs; false with *code set when something is missing. */
static bool job_open(struct show_job *job, const struct cli *cli, struct config *config,
                     bool uploads_only, int *code)
{
    *job = (struct show_job){.cli = cli, .colour = cli_is_terminal(), .rows_left = cli->count};
    job->consumers.uploads_only = uploads_only;
    buf_init(&job->out, RENDER_OUT_MAX);
    job->folder = cli_pick_folder(cli, config, code);
    if (!job->folder)
        return false;
    job->reader = cli_open_reader(config, job->folder, code);
    if (!job->reader)
        return false;
    job->consumers.items = calloc(JOURNAL_CONSUMERS_MAX, sizeof(*job->consumers.items));
    struct err err;
    if (!job->consumers.items) {
        (void)err_set(&err, ERR_NOMEM, 0, "folder '%s': no memory", job->folder->name);
        *code = cli_fail(&err);
        return false;
    }
    if (reader_consumers(job->reader, add_consumer, &job->consumers, &err) < 0) {
        *code = cli_fail_reading(config, job->folder, &err);
        return false;
    }
    return true;
}

static void job_close(struct show_job *job)
{
    reader_close(job->reader);
    free(job->consumers.items);
    buf_deinit(&job->out);
}

/* Reads and prints one row; the error says when it is purged or not there yet. */
static int show_seq(struct show_job *job, int64_t seq, struct err *err)
{
    struct journal_info info;
    int rc = reader_info(job->reader, &info, err);
    if (rc)
        return rc;
    if (seq > info.last_seq)
        return err_set(err, ERR_NOTFOUND, 0,
                       "row %" PRId64 " of folder '%s': not there yet, the last is %" PRId64, seq,
                       job->folder->name, info.last_seq);
    struct reader_range range = {.first = seq, .last = seq, .verify = true, .until_ms = INT64_MAX};
    rc = reader_rows(job->reader, &range, show_row, job, err);
    if (rc < 0)
        return rc;
    if (!job->found)
        return err_set(err, ERR_NOTFOUND, 0,
                       "row %" PRId64 " of folder '%s': purged, rows up to %" PRId64
                       " are gone (retention)",
                       seq, job->folder->name, info.floor_seq);
    return 0;
}

int cli_show(const struct cli *cli)
{
    int64_t seq;
    int code = EXIT_USAGE;
    if (cli->arg_count != 1 || num_parse_i64(cli->args[0], 1, INT64_MAX, &seq) != 0) {
        cli_say("spoor: show: one sequence number is needed, as in 'spoor show 12'");
        return code;
    }
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct show_job job;
    struct err err;
    if (job_open(&job, cli, config, false, &code))
        code = show_seq(&job, seq, &err) ? cli_fail_reading(config, job.folder, &err)
                                         : render_flush(&job.out, true);
    job_close(&job);
    config_free(config);
    return code;
}

static int print_pending(void *ctx, const struct change *change)
{
    struct show_job *job = ctx;
    if (job->rows_left == 0)
        return 1;
    if (job->rows_left > 0)
        job->rows_left--;
    if (job->cli->json) {
        row_write(&job->out, job->folder->name, change);
    } else {
        render_row(&job->out, change, job->colour);
        const char *between = "  waits for ";
        for (size_t i = 0; i < job->consumers.count; i++) {
            const struct reader_consumer *consumer = &job->consumers.items[i];
            if (consumer->acked >= change->seq)
                continue;
            buf_add_str(&job->out, between);
            text_add_escaped(&job->out, consumer->name, strlen(consumer->name));
            between = ", ";
        }
        buf_add_char(&job->out, '\n');
    }
    job->code = render_flush(&job->out, false);
    return job->code ? 1 : 0;
}

/* "docs: 1,204 rows wait (main 1,204, oldest 12 s)" on standard error. */
static void say_pending(const struct show_job *job, int64_t last_seq, int64_t lowest)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    if (lowest >= last_seq) {
        buf_add_str(&text, job->consumers.count ? "nothing waits"
                                                : "nothing waits: no upload serves this folder");
    } else {
        render_count(&text, last_seq - lowest);
        buf_add_str(&text, last_seq - lowest == 1 ? " row waits (" : " rows wait (");
        const char *between = "";
        for (size_t i = 0; i < job->consumers.count; i++) {
            const struct reader_consumer *consumer = &job->consumers.items[i];
            if (consumer->acked >= last_seq)
                continue;
            buf_addf(&text, "%s%s ", between, consumer->name);
            render_count(&text, last_seq - consumer->acked);
            if (consumer->oldest_pending_ms) {
                char age[32];
                int64_t age_ms = clock_wall_ms() - consumer->oldest_pending_ms;
                num_human_duration(age_ms > 0 ? age_ms * CLOCK_NS_PER_MS : 0, age);
                buf_addf(&text, ", oldest %s", age);
            }
            if (consumer->error[0])
                buf_addf(&text, ", %s", consumer->error);
            between = "; ";
        }
        buf_add_char(&text, ')');
    }
    if (buf_ok(&text))
        cli_say("%s: %s", job->folder->name, text.data);
    buf_deinit(&text);
}

static int run_pending(struct show_job *job, struct err *err)
{
    struct journal_info info;
    int rc = reader_info(job->reader, &info, err);
    if (rc)
        return rc;
    int64_t lowest = info.last_seq;
    for (size_t i = 0; i < job->consumers.count; i++)
        if (job->consumers.items[i].acked < lowest)
            lowest = job->consumers.items[i].acked;
    say_pending(job, info.last_seq, lowest);
    if (lowest >= info.last_seq)
        return 0;
    struct reader_range range = {
        .first = lowest + 1, .last = info.last_seq, .verify = true, .until_ms = INT64_MAX};
    rc = reader_rows(job->reader, &range, print_pending, job, err);
    return rc < 0 ? rc : 0;
}

int cli_pending(const struct cli *cli)
{
    int code = EXIT_FAILED;
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct show_job job;
    struct err err;
    if (job_open(&job, cli, config, true, &code)) {
        code = run_pending(&job, &err) ? cli_fail_reading(config, job.folder, &err) : job.code;
        if (!code)
            code = render_flush(&job.out, true);
    }
    job_close(&job);
    config_free(config);
    return code;
}
