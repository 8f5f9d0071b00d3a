/* cli_tree.c: `spoor tree [PATH] [--at SEQ]`: the tree as the journal holds it, now or as it
 * was after a row, depth first. Reads the journal only, never the disk. Main thread. */
#include "cli.h"

#include <inttypes.h>

#include "buf.h"
#include "cli_render.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "reader.h"
#include "row.h"

struct tree_job {
    const struct cli *cli;
    struct bytes below;
    struct buf out;
    bool colour;
    bool seen; /* an entry at or below the path was there */
    int code;  /* of standard output */
};

static int print_entry(void *ctx, const struct reader_entry *entry)
{
    struct tree_job *job = ctx;
    /* Depth first keeps a subtree together: after it nothing more can come. */
    if (!bytes_path_is_within(entry->path, job->below))
        return job->seen ? 1 : 0;
    job->seen = true;
    if (job->cli->null_ends) {
        buf_add(&job->out, entry->path.at, entry->path.len);
        buf_add_char(&job->out, '\0');
    } else if (job->cli->json) {
        row_write_entry(&job->out, entry);
    } else {
        render_entry(&job->out, entry, job->colour);
        buf_add_char(&job->out, '\n');
    }
    job->code = render_flush(&job->out, false);
    return job->code ? 1 : 0;
}

static int note_seq(void *ctx, const struct change *change)
{
    int64_t *seq = ctx;
    *seq = change->seq;
    return 1;
}

/* --at as a seq: a time means the last row that was committed by then. */
static int find_seq(struct reader *reader, const char *at, int64_t *seq, struct err *err)
{
    struct moment moment;
    struct journal_info info;
    int rc = moment_parse(at, clock_wall_ms(), &moment, err);
    if (rc || (rc = reader_info(reader, &info, err)))
        return rc;
    if (moment.is_seq && moment.seq > info.last_seq)
        return err_set(err, ERR_NOTFOUND, 0, "row %s: not there yet, the last is %" PRId64, at,
                       info.last_seq);
    if (moment.is_seq) {
        *seq = moment.seq;
        return 0;
    }
    struct reader_range range = {
        .first = 1, .last = info.last_seq, .reverse = true, .until_ms = moment.wall_ms};
    *seq = 0;
    rc = reader_rows(reader, &range, note_seq, seq, err);
    if (rc >= 0 && *seq == 0 && info.floor_seq)
        return err_set(err, ERR_NOTFOUND, 0,
                       "time '%s': rows up to %" PRId64 " are purged (retention)", at,
                       info.floor_seq);
    return rc < 0 ? rc : 0;
}

static int print_tree(struct tree_job *job, struct reader *reader, struct err *err)
{
    int64_t seq;
    int rc;
    if (job->cli->at) {
        rc = find_seq(reader, job->cli->at, &seq, err);
        if (!rc)
            rc = reader_tree_at(reader, seq, print_entry, job, err);
    } else {
        rc = reader_tree(reader, NULL, print_entry, job, err);
    }
    if (rc < 0)
        return rc;
    if (!job->seen && job->below.len)
        return err_set(err, ERR_NOTFOUND, 0, "path '%s': the journal's tree has no such entry",
                       job->cli->args[0]);
    return 0;
}

int cli_tree(const struct cli *cli)
{
    int code = EXIT_USAGE;
    if (cli->json && cli->null_ends) {
        cli_say("spoor: tree: -0 and --json exclude each other");
        return code;
    }
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct err err;
    struct reader *reader = NULL;
    struct tree_job job = {.cli = cli, .colour = cli_is_terminal()};
    struct buf path;
    buf_init(&job.out, RENDER_OUT_MAX);
    buf_init(&path, 1 << 20);
    const struct config_folder *folder = cli_pick_folder(cli, config, &code);
    if (!folder)
        goto out;
    reader = cli_open_reader(config, folder, &code);
    if (!reader)
        goto out;
    if (cli->arg_count && render_path_arg(folder, cli->args[0], &path, &err)) {
        code = cli_fail(&err);
        goto out;
    }
    job.below = bytes_of(path.data, path.len);
    code = print_tree(&job, reader, &err) ? cli_fail_reading(config, folder, &err) : job.code;
    if (!code)
        code = render_flush(&job.out, true);
out:
    reader_close(reader);
    buf_deinit(&path);
    buf_deinit(&job.out);
    config_free(config);
    return code;
}
