/* cli_hold.c: `spoor hold list` and `spoor hold release`: what the mass-delete brake keeps back
 * from which server, and letting it go. Main thread. */
#include "cli.h"

#include "buf.h"
#include "cli_alone.h"
#include "cli_render.h"
#include "config.h"
#include "err.h"
#include "journal.h"
#include "json.h"
#include "reader.h"
#include "text.h"

#define SHOWN_MAX 10 /* deletes that are named, of each held upload */

struct hold_job {
    const struct cli *cli;
    const struct config_folder *folder;
    struct reader *reader;
    struct journal_info info;
    struct buf out;
    int64_t held; /* uploads */
};

/* What is held back from one upload. */
struct tally {
    struct buf *named;
    bool colour;
    int64_t rows;
    int64_t entries;
};

static int count_delete(void *ctx, const struct change *change)
{
    struct tally *tally = ctx;
    if (change->kind != CHANGE_DELETE)
        return 0;
    tally->rows++;
    tally->entries += 1 + change->entries;
    if (!tally->named || tally->rows > SHOWN_MAX)
        return 0;
    buf_add_str(tally->named, "  ");
    render_row(tally->named, change, tally->colour);
    buf_add_char(tally->named, '\n');
    return 0;
}

static void print_held(struct hold_job *job, const struct reader_consumer *consumer,
                       const struct tally *tally)
{
    struct buf *out = &job->out;
    if (job->cli->json) {
        json_begin(out);
        json_cstr(out, "folder", job->folder->name);
        json_cstr(out, "upload", consumer->name);
        json_i64(out, "held", consumer->held);
        json_i64(out, "last", job->info.last_seq);
        json_i64(out, "deletes", tally->rows);
        json_i64(out, "entries", tally->entries);
        json_end(out);
        buf_add_char(out, '\n');
        return;
    }
    buf_addf(out, "%s -> %s: held at row %lld of %lld; %lld deletes wait, of %lld entries\n",
             job->folder->name, consumer->name, (long long)consumer->held,
             (long long)job->info.last_seq, (long long)tally->rows, (long long)tally->entries);
    buf_add_str(out, "  ");
    text_add_escaped(out, consumer->error, strlen(consumer->error));
    buf_add_char(out, '\n');
    buf_add(out, tally->named->data ? tally->named->data : "", tally->named->len);
    if (tally->rows > SHOWN_MAX)
        buf_addf(out, "  and %lld more: spoor log --since %lld\n",
                 (long long)(tally->rows - SHOWN_MAX), (long long)consumer->held);
}

static int list_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct hold_job *job = ctx;
    struct reader_range range = {
        .first = consumer->held,
        .last = job->info.last_seq,
        .until_ms = INT64_MAX,
    };
    struct buf named;
    if (!consumer->held)
        return 0;
    buf_init(&named, 1 << 20);
    struct tally tally = {.named = &named, .colour = cli_is_terminal()};
    int rc = reader_rows(job->reader, &range, count_delete, &tally, NULL);
    if (rc == 0) {
        job->held++;
        print_held(job, consumer, &tally);
    }
    buf_deinit(&named);
    return rc;
}

/* Each folder, or the one that is meant. */
static int list(const struct cli *cli, const struct config *config)
{
    struct hold_job job = {.cli = cli};
    int code = EXIT_OK;
    buf_init(&job.out, RENDER_OUT_MAX);
    for (size_t i = 0; i < config->folder_count && code == EXIT_OK; i++) {
        struct err err = {0};
        job.folder = &config->folders[i];
        if (cli->folder && strcmp(cli->folder, job.folder->name) != 0)
            continue;
        job.reader = cli_open_reader(config, job.folder, &code);
        if (!job.reader)
            break;
        if (reader_info(job.reader, &job.info, &err) ||
            reader_consumers(job.reader, list_consumer, &job, &err))
            code = cli_fail(&err);
        reader_close(job.reader);
    }
    if (code == EXIT_OK && job.held == 0 && !cli->json)
        cli_say("nothing is held");
    if (code == EXIT_OK)
        code = render_flush(&job.out, true);
    buf_deinit(&job.out);
    return code;
}

int cli_hold(const struct cli *cli)
{
    int code = EXIT_USAGE;
    bool lists = cli->arg_count == 1 && strcmp(cli->args[0], "list") == 0;
    bool releases =
        cli->arg_count >= 1 && cli->arg_count <= 2 && strcmp(cli->args[0], "release") == 0;
    if (!lists && !releases) {
        cli_say("spoor: hold: say 'spoor hold list' or 'spoor hold release [UPLOAD]'");
        return code;
    }
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct err err = {0};
    const struct cli_wish wish = {
        .verb = "release",
        .what = JOURNAL_RELEASE,
        .upload = releases && cli->arg_count == 2 ? cli->args[1] : NULL,
    };
    if (lists) {
        code = list(cli, config);
    } else if (cli_wish(cli, config, &wish, &err)) {
        code = cli_fail(&err);
    } else {
        cli_say("released: what is journaled by now goes out");
        code = EXIT_OK;
    }
    config_free(config);
    return code;
}
