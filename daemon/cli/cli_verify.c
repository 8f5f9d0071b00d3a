/* cli_verify.c: `spoor verify`: the journal's tree against the disk, and with --server against
 * what each server of format spoor holds. Exit 3 and one line a difference.
 *
 * With the daemon up it is asked for a sync first, so that what happened before the command
 * is in the journal. The journal is read in one snapshot; what changes on the disk after that
 * may show as a difference, and is said. Main thread. */
#include "cli.h"

#include <inttypes.h>

#include "buf.h"
#include "cli_render.h"
#include "clock.h"
#include "compare.h"
#include "config.h"
#include "control.h"
#include "disk.h"
#include "diskwalk.h"
#include "err.h"
#include "json.h"
#include "reader.h"
#include "rules.h"
#include "servertree.h"

#define VERIFY_SYNC_NS (60 * CLOCK_NS_PER_S) /* for the daemon to catch up */

struct verify_job {
    const struct cli *cli;
    const struct config *config;
    const struct config_folder *folder;
    struct reader *reader;
    struct buf dir; /* of the folder's journal */
    struct buf out;
    bool differs, failed;
    int code; /* of standard output */
};

/* What the journal's entries are handed to. */
struct verify_walk {
    struct compare compare;
    struct journal_info at; /* the snapshot, filled before the first entry */
    int64_t wanted_seq;     /* the snapshot must be at this row; -1: any will do */
    struct err *err;
};

static int visit(void *ctx, const struct reader_entry *entry)
{
    struct verify_walk *walk = ctx;
    if (walk->wanted_seq >= 0 && walk->at.last_seq != walk->wanted_seq)
        return 1; /* before anything was compared or printed */
    return compare_entry(&walk->compare, entry, walk->err);
}

static int flush(void *ctx)
{
    struct verify_job *job = ctx;
    job->code = render_flush(&job->out, false);
    return job->code;
}

static void init_compare(struct verify_job *job, struct compare *compare,
                         const struct compare_side *side)
{
    compare_init(compare, side, job->folder->name, job->cli->json, &job->out);
    compare->flush = flush;
    compare->flush_ctx = job;
}

/* The folder's sync, when a daemon runs. */
static int sync_folder(const struct verify_job *job, struct err *err)
{
    struct buf request, answer;
    buf_init(&request, CONTROL_REQUEST_MAX);
    buf_init(&answer, CONTROL_LINE_MAX);
    json_begin(&request);
    json_cstr(&request, "do", "sync");
    json_cstr(&request, "folder", job->folder->name);
    json_bool(&request, "uploaded", false);
    json_end(&request);
    int rc = control_call(job->config->daemon.state_dir, request.data,
                          clock_mono_ns() + VERIFY_SYNC_NS, &answer, err);
    if (rc == ERR_NOTFOUND) {
        cli_say("the daemon is not running: what changed since it ended is not in the journal");
        rc = 0;
        goto out;
    }
    if (rc)
        goto out;
    struct buf text;
    buf_init(&text, CONTROL_LINE_MAX);
    if (reader_json_get(answer.data, answer.len, "$.error", &text, NULL) == 0)
        rc = err_set(err, ERR_IO, 0, "folder '%s': cannot sync: %s", job->folder->name, text.data);
    buf_deinit(&text);
out:
    buf_deinit(&request);
    buf_deinit(&answer);
    return rc;
}

/* "docs: 104,512 entries, 0 differences from the disk" on standard error. */
static void say_summary(const struct verify_job *job, const struct compare *compare,
                        const char *against)
{
    struct buf text;
    buf_init(&text, 4096);
    render_count(&text, compare->entries);
    buf_addf(&text, " %s, ", compare->entries == 1 ? "entry" : "entries");
    render_count(&text, compare->differences);
    buf_addf(&text, " %s from %s", compare->differences == 1 ? "difference" : "differences",
             against);
    if (compare->unknown) {
        buf_add_str(&text, ", ");
        render_count(&text, compare->unknown);
        buf_add_str(&text, " could not be looked at");
    }
    if (buf_ok(&text))
        cli_say("%s: %s", job->folder->name, text.data);
    buf_deinit(&text);
}

static void count_results(struct verify_job *job, const struct compare *compare)
{
    job->differs = job->differs || compare->differences > 0;
    job->failed = job->failed || compare->unknown > 0;
}

/* Ends a comparison: what reader_tree() returned is one of: 0, its own error, or what the
 * comparison stopped with. Returns a negative error or 0. */
static int finish(struct verify_job *job, struct verify_walk *walk, int rc)
{
    if (rc == 0)
        rc = compare_finish(&walk->compare, walk->err);
    if (rc < 0)
        return rc;
    if (!job->code)
        job->code = render_flush(&job->out, true);
    return 0;
}

static int compare_disk(struct verify_job *job, const struct disk *disk, struct err *err)
{
    struct rules *rules = NULL;
    struct diskwalk *disk_walk = NULL;
    struct journal_info after;
    struct compare_side side = {.name = "disk", .next = diskwalk_next};
    struct verify_walk walk = {.wanted_seq = -1, .err = err};
    init_compare(job, &walk.compare, &side);
    int rc = rules_new(&job->folder->ignore, &rules, err);
    if (!rc)
        rc = diskwalk_open(disk, rules, &disk_walk, err);
    if (rc)
        goto out;
    side.ctx = disk_walk;
    rc = finish(job, &walk, reader_tree(job->reader, &walk.at, visit, &walk, err));
    if (rc || job->code)
        goto out;
    say_summary(job, &walk.compare, "the disk");
    count_results(job, &walk.compare);
    rc = reader_info(job->reader, &after, err);
    if (!rc && walk.compare.differences && after.last_seq != walk.at.last_seq)
        cli_say("%s: rows %" PRId64 " to %" PRId64 " were journaled meanwhile: the folder is in "
                "use, run it again to be sure",
                job->folder->name, walk.at.last_seq + 1, after.last_seq);
out:
    diskwalk_close(disk_walk);
    rules_free(rules);
    compare_deinit(&walk.compare);
    return rc;
}

static int verify_disk(struct verify_job *job, struct err *err)
{
    struct disk disk;
    int rc = sync_folder(job, err);
    if (rc)
        return rc;
    rc = disk_real_open(job->folder->path, NULL, &disk, err);
    if (rc)
        return rc;
    rc = compare_disk(job, &disk, err);
    disk_real_close(&disk);
    if (rc)
        return err_prefix(err, "folder '%s'", job->folder->name);
    return 0;
}

struct acked_query {
    const char *name;
    int64_t acked; /* -1: no such consumer */
};

static int find_acked(void *ctx, const struct reader_consumer *consumer)
{
    struct acked_query *query = ctx;
    if (strcmp(query->name, consumer->name) == 0)
        query->acked = consumer->acked;
    return 0;
}

/* A difference of the two sides as a whole; nothing below it needs comparing. */
static void report_stream(struct verify_job *job, const char *what, int64_t journal, int64_t server)
{
    job->differs = true;
    if (job->cli->json) {
        json_begin(&job->out);
        json_cstr(&job->out, "folder", job->folder->name);
        json_cstr(&job->out, "against", "server");
        json_cstr(&job->out, "difference", what);
        json_i64(&job->out, "journal", journal);
        json_i64(&job->out, "server", server);
        json_end(&job->out);
        buf_add_char(&job->out, '\n');
    } else {
        buf_addf(&job->out, "(the whole): %s: journal %" PRId64 ", server %" PRId64 "\n", what,
                 journal, server);
    }
    job->code = render_flush(&job->out, true);
}

/* Do server and journal speak of the same history up to the server's cursor? *same says so;
 * what differs is reported. */
static int check_cursor(struct verify_job *job, const struct config_upload *upload,
                        const struct servertree_cursor *cursor, const struct journal_info *info,
                        bool *same, struct err *err)
{
    struct acked_query query = {.name = upload->name, .acked = -1};
    *same = false;
    int rc = reader_consumers(job->reader, find_acked, &query, err);
    if (rc)
        return rc;
    if (cursor->known && cursor->epoch && cursor->epoch != info->epoch) {
        report_stream(job, "epoch", info->epoch, cursor->epoch);
        return 0;
    }
    if (cursor->seq > info->last_seq) {
        report_stream(job, "last-seq", info->last_seq, cursor->seq);
        return 0;
    }
    /* The server may be ahead of what we know (its answer was lost), never behind it. */
    if (cursor->seq < query.acked) {
        report_stream(job, "acknowledged-seq", query.acked, cursor->seq);
        return 0;
    }
    uint64_t sum;
    rc = reader_sum(job->reader, cursor->seq, &sum, err);
    if (rc == ERR_NOTFOUND)
        return err_set(err, ERR_NOTFOUND, 0,
                       "upload '%s': the server stands at row %" PRId64 " and rows up to %" PRId64
                       " are purged, so that the tree of then cannot be had; run 'spoor sync "
                       "--uploaded' first",
                       upload->name, cursor->seq, info->floor_seq);
    if (rc)
        return rc;
    if (cursor->seq && sum != cursor->sum) {
        report_stream(job, "sum-of-seq", cursor->seq, cursor->seq);
        return 0;
    }
    *same = true;
    return 0;
}

/* The journal's tree as it was after `seq` against the server's; `current` reads the tree table
 * and gives up with *moved when it is at another row by now. */
static int compare_at(struct verify_job *job, const struct config_upload *upload,
                      struct servertree *tree, int64_t seq, bool current, bool *moved,
                      struct err *err)
{
    struct compare_side side = {.name = "server", .ctx = tree, .next = servertree_next};
    struct verify_walk walk = {.wanted_seq = current ? seq : -1, .err = err};
    init_compare(job, &walk.compare, &side);
    int rc = current ? reader_tree(job->reader, &walk.at, visit, &walk, err)
                     : reader_tree_at(job->reader, seq, visit, &walk, err);
    *moved = current && rc >= 0 && walk.at.last_seq != seq;
    if (*moved) {
        rc = 0;
        goto out;
    }
    if (rc == ERR_NOTFOUND) {
        rc = err_set(err, ERR_NOTFOUND, 0,
                     "upload '%s': the server stands at row %" PRId64 ", the journal has gone on, "
                     "and its first rows are purged, so that the tree of then cannot be had; run "
                     "'spoor sync --uploaded' first",
                     upload->name, seq);
        goto out;
    }
    rc = finish(job, &walk, rc);
    if (rc || job->code)
        goto out;
    char against[160];
    (void)snprintf(against, sizeof(against), "server '%s' at row %" PRId64, upload->name, seq);
    say_summary(job, &walk.compare, against);
    count_results(job, &walk.compare);
out:
    compare_deinit(&walk.compare);
    return rc;
}

static int verify_server(struct verify_job *job, const struct config_upload *upload,
                         struct err *err)
{
    struct journal_info info;
    struct servertree *tree = NULL;
    struct servertree_cursor cursor;
    bool same, moved = true;
    int rc = reader_info(job->reader, &info, err);
    if (rc)
        return rc;
    rc = servertree_fetch(upload, info.id, job->dir.data, &tree, &cursor, err);
    if (rc)
        return rc;
    rc = reader_info(job->reader, &info, err); /* rows came meanwhile */
    if (!rc)
        rc = check_cursor(job, upload, &cursor, &info, &same, err);
    if (rc || !same)
        goto out;
    if (cursor.seq == info.last_seq)
        rc = compare_at(job, upload, tree, cursor.seq, true, &moved, err);
    if (!rc && moved) {
        rc = servertree_rewind(tree, err);
        if (!rc)
            rc = compare_at(job, upload, tree, cursor.seq, false, &moved, err);
    }
out:
    servertree_close(tree);
    return rc;
}

static int verify_servers(struct verify_job *job, struct err *err)
{
    int compared = 0;
    for (size_t i = 0; i < job->config->upload_count && !job->code; i++) {
        const struct config_upload *upload = &job->config->uploads[i];
        if (!config_upload_serves(upload, job->folder->name))
            continue;
        if (upload->format != CONFIG_FORMAT_SPOOR) {
            cli_say("%s: upload '%s' is no mirror (format is not spoor): nothing to compare",
                    job->folder->name, upload->name);
            continue;
        }
        compared++;
        if (verify_server(job, upload, err)) {
            (void)cli_fail_reading(job->config, job->folder,
                                   err); /* the next server is compared all the same */
            job->failed = true;
        }
    }
    if (!compared)
        return err_set(err, ERR_NOTFOUND, 0, "folder '%s': no [upload] of format spoor serves it",
                       job->folder->name);
    return 0;
}

static void verify_folder(struct verify_job *job)
{
    struct err err;
    int code;
    buf_reset(&job->dir);
    cli_folder_dir(job->config, job->folder, &job->dir);
    job->reader = cli_open_reader(job->config, job->folder, &code);
    if (!job->reader) {
        job->failed = true;
        return;
    }
    if ((job->cli->server ? verify_servers : verify_disk)(job, &err)) {
        (void)cli_fail_reading(job->config, job->folder,
                               &err); /* the other folders are compared all the same */
        job->failed = true;
    }
    reader_close(job->reader);
    job->reader = NULL;
}

int cli_verify(const struct cli *cli)
{
    int code = EXIT_OK;
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct verify_job job = {.cli = cli, .config = config};
    buf_init(&job.dir, 1 << 16);
    buf_init(&job.out, RENDER_OUT_MAX);
    if (cli->folder) {
        job.folder = cli_pick_folder(cli, config, &code);
        if (job.folder)
            verify_folder(&job);
    } else {
        for (size_t i = 0; i < config->folder_count && !job.code; i++) {
            job.folder = &config->folders[i];
            verify_folder(&job);
        }
    }
    if (!code)
        code = job.code      ? job.code
               : job.differs ? EXIT_DIFFERS
               : job.failed  ? EXIT_FAILED
                             : EXIT_OK;
    buf_deinit(&job.out);
    buf_deinit(&job.dir);
    config_free(config);
    return code;
}
