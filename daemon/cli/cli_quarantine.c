/* cli_quarantine.c: `spoor quarantine`: the rows that a log refused for good, what it said, and
 * what is to become of them; and `spoor resync`, for a replica, which can do without no row. Main
 * thread. */
#include "cli.h"

#include "buf.h"
#include "cli_alone.h"
#include "cli_render.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "gzip.h"
#include "json.h"
#include "num.h"
#include "reader.h"
#include "text.h"

#define BODY_MAX (64 << 20) /* bytes of a row as it was sent, unpacked */

struct quarantine_job {
    const struct cli *cli;
    const struct config_folder *folder;
    struct reader *reader;
    const char *upload; /* of the walk */
    int64_t seq;        /* show: this row alone; 0 all */
    struct buf out;
    int64_t found;
};

/* The row as it was sent. */
static bool unpack(const struct journal_batch *batch, struct buf *out)
{
    if (batch->gzip)
        return gzip_unpack(batch->body.at, batch->body.len, out, NULL) == 0;
    buf_add(out, batch->body.at, batch->body.len);
    return buf_ok(out);
}

static void print_json(struct quarantine_job *job, const struct reader_quarantined *row,
                       const struct buf *body)
{
    struct buf *out = &job->out;
    char time[CLOCK_TEXT_SIZE];
    clock_format_ms(row->time_ms, time);
    json_begin(out);
    json_cstr(out, "folder", job->folder->name);
    json_cstr(out, "upload", job->upload);
    json_i64(out, "epoch", row->batch.epoch);
    json_i64(out, "seq", row->batch.last);
    json_cstr(out, "time", time);
    json_i64(out, "status", row->status);
    json_str(out, "answer", row->answer.at ? row->answer.at : "", row->answer.len);
    json_bool(out, "retry", row->retry);
    json_str(out, "sent", body->data ? body->data : "", body->len);
    json_end(out);
    buf_add_char(out, '\n');
}

static int print_row(void *ctx, const struct reader_quarantined *row)
{
    struct quarantine_job *job = ctx;
    struct buf body;
    char time[CLOCK_TEXT_SIZE];
    if (job->seq && (job->seq < row->batch.first || job->seq > row->batch.last))
        return 0;
    job->found++;
    buf_init(&body, BODY_MAX);
    (void)unpack(&row->batch, &body); /* what is damaged is shown as far as it goes */
    if (job->cli->json) {
        print_json(job, row, &body);
    } else {
        clock_format_ms(row->time_ms, time);
        buf_addf(&job->out, "%s  %s -> %s  row %lld%s: ", time, job->folder->name, job->upload,
                 (long long)row->batch.last, row->retry ? ", to be sent once more" : "");
        text_add_escaped(&job->out, row->answer.at ? row->answer.at : "", row->answer.len);
        buf_add_char(&job->out, '\n');
        if (job->seq)
            buf_add(&job->out, body.data ? body.data : "", body.len);
    }
    buf_deinit(&body);
    return 0;
}

static int print_folder(struct quarantine_job *job, const struct config *config)
{
    struct err err = {0};
    int rc = 0;
    int code = EXIT_OK;
    job->reader = cli_open_reader(config, job->folder, &code);
    if (!job->reader)
        return code;
    for (size_t u = 0; u < config->upload_count && rc == 0; u++) {
        job->upload = config->uploads[u].name;
        rc = reader_quarantine(job->reader, job->upload, print_row, job, &err);
    }
    reader_close(job->reader);
    return rc ? cli_fail(&err) : EXIT_OK;
}

static int print(const struct cli *cli, const struct config *config, int64_t seq)
{
    struct quarantine_job job = {.cli = cli, .seq = seq};
    int code = EXIT_OK;
    buf_init(&job.out, RENDER_OUT_MAX);
    for (size_t i = 0; i < config->folder_count && code == EXIT_OK; i++) {
        job.folder = &config->folders[i];
        if (!cli->folder || strcmp(cli->folder, job.folder->name) == 0)
            code = print_folder(&job, config);
    }
    if (code == EXIT_OK)
        code = render_flush(&job.out, true);
    if (code == EXIT_OK && job.found == 0 && seq) {
        cli_say("spoor: row %lld is not in quarantine", (long long)seq);
        code = EXIT_FAILED;
    } else if (code == EXIT_OK && job.found == 0 && !cli->json) {
        cli_say("nothing is in quarantine");
    }
    buf_deinit(&job.out);
    return code;
}

static int wish(const struct cli *cli, const struct config *config, const struct cli_wish *wanted,
                const char *done)
{
    struct err err = {0};
    if (cli_wish(cli, config, wanted, &err))
        return cli_fail(&err);
    cli_say("%s", done);
    return EXIT_OK;
}

static int usage(void)
{
    cli_say("spoor: quarantine: say list, show SEQ, retry SEQ|all or drop SEQ|all");
    return EXIT_USAGE;
}

int cli_quarantine(const struct cli *cli)
{
    static const char *const verbs[] = {"list", "show", "retry", "drop"};
    int64_t seq = 0;
    size_t verb = 0;
    int code = EXIT_OK;
    while (verb < ARRAY_LEN(verbs) &&
           (cli->arg_count == 0 || strcmp(cli->args[0], verbs[verb]) != 0))
        verb++;
    if (verb == ARRAY_LEN(verbs) || cli->arg_count != (verb == 0 ? 1 : 2))
        return usage();
    bool all = verb > 1 && strcmp(cli->args[1], "all") == 0;
    if (verb > 0 && !all && num_parse_i64(cli->args[1], 1, INT64_MAX, &seq) != 0)
        return usage();
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    const struct cli_wish retry = {.verb = "retry-rows", .what = JOURNAL_RETRY, .seq = seq};
    const struct cli_wish drop = {.verb = "drop-rows", .what = JOURNAL_DROP, .seq = seq};
    if (verb < 2)
        code = print(cli, config, seq);
    else if (verb == 2)
        code = wish(cli, config, &retry, "asked for: what is still refused comes back");
    else
        code = wish(cli, config, &drop, "asked for: dropped rows are not sent any more");
    config_free(config);
    return code;
}

int cli_resync(const struct cli *cli)
{
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    const struct cli_wish wanted = {
        .verb = "resync", .what = JOURNAL_SNAPSHOT, .upload = cli->arg_count ? cli->args[0] : NULL};
    code = wish(cli, config, &wanted, "asked for: the tree is sent whole");
    config_free(config);
    return code;
}
