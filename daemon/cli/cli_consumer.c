/* cli_consumer.c: `spoor consumer`: readers of a journal beside the uploads: added, listed,
 * acknowledged, removed. Reading is cli_read.c's. Main thread. */
#include "cli_consumer.h"

#include "buf.h"
#include "cli.h"
#include "cli_alone.h"
#include "cli_render.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "err.h"
#include "json.h"
#include "num.h"
#include "reader.h"
#include "text.h"

#define LIST_WIDTH_LEAST 8 /* columns of a name */
#define DOT              " \xC2\xB7 "

static int write_alone(const struct config *config, const struct config_folder *folder,
                       const struct journal_order *order, struct err *err)
{
    struct cli_alone alone;
    int rc = cli_alone_open(config, folder, &alone, err);
    rc = rc ? rc : journal_resync(alone.journal, order, clock_wall_ms(), err);
    cli_alone_close(&alone);
    return rc;
}

int cli_consumer_write(const struct config *config, const struct config_folder *folder,
                       const struct journal_order *order, struct err *err)
{
    const char *act = order->what == JOURNAL_READER_ADD   ? "add"
                      : order->what == JOURNAL_READER_ACK ? "ack"
                                                          : "remove";
    struct buf request;
    buf_init(&request, CONTROL_REQUEST_MAX);
    json_begin(&request);
    json_cstr(&request, "do", "consumer");
    json_cstr(&request, "act", act);
    json_cstr(&request, "folder", folder->name);
    json_cstr(&request, "name", order->consumer);
    json_i64(&request, "seq", order->value);
    json_end(&request);
    int rc = buf_ok(&request) ? cli_ask(config, &request, err)
                              : err_set(err, ERR_INVALID, 0, "the name is too long");
    buf_deinit(&request);
    return rc == ERR_NOTFOUND ? write_alone(config, folder, order, err) : rc;
}

/* ---- list ---- */

static int64_t consumer_lost(const struct reader_consumer *consumer,
                             const struct journal_info *info)
{
    return info->floor_seq > consumer->acked ? info->floor_seq - consumer->acked : 0;
}

static int64_t consumer_pending(const struct reader_consumer *consumer,
                                const struct journal_info *info)
{
    /* It may have acknowledged more between the two looks. */
    return info->last_seq > consumer->acked ? info->last_seq - consumer->acked : 0;
}

struct list_job {
    const struct cli *cli;
    const char *folder;
    struct journal_info info;
    int64_t now_ms;
    struct buf out;
};

void consumer_add_json(struct buf *out, const char *folder, const struct reader_consumer *consumer,
                       const struct journal_info *info)
{
    json_cstr(out, "consumer", consumer->name);
    json_cstr(out, "kind", journal_consumer_name(consumer->kind));
    json_cstr(out, "folder", folder);
    json_i64(out, "acked", consumer->acked);
    json_i64(out, "pending", consumer_pending(consumer, info));
    if (consumer->kind == JOURNAL_READER)
        json_i64(out, "lost", consumer_lost(consumer, info));
    render_json_time(out, "heard_time", consumer->heard_ms);
}

void consumer_add_text(struct buf *out, const struct reader_consumer *consumer,
                       const struct journal_info *info, int64_t now_ms)
{
    int64_t lost = consumer->kind == JOURNAL_READER ? consumer_lost(consumer, info) : 0;
    int64_t heard_ms = consumer->heard_ms;
    char age[32];
    buf_add_str(out, "acknowledged ");
    render_count(out, consumer->acked);
    buf_add_str(out, DOT);
    render_count(out, consumer_pending(consumer, info));
    buf_add_str(out, " pending");
    if (lost > 0) {
        buf_add_str(out, ", of these ");
        render_count(out, lost);
        buf_add_str(out, " purged");
    }
    if (heard_ms > 0) {
        num_human_duration((now_ms > heard_ms ? now_ms - heard_ms : 0) * CLOCK_NS_PER_MS, age);
        buf_addf(out, DOT "heard of %s ago", age);
    } else {
        buf_add_str(out, DOT "not heard of yet");
    }
}

static int list_consumer(void *ctx, const struct reader_consumer *consumer)
{
    struct list_job *job = ctx;
    struct buf *out = &job->out;
    if (job->cli->json) {
        json_begin(out);
        consumer_add_json(out, job->folder, consumer, &job->info);
        json_end(out);
    } else {
        buf_addf(out, "%-*s  %s of %s  ", LIST_WIDTH_LEAST, consumer->name,
                 journal_consumer_name(consumer->kind), job->folder);
        consumer_add_text(out, consumer, &job->info, job->now_ms);
    }
    buf_add_char(out, '\n');
    return 0;
}

static int list(const struct cli *cli, const struct config *config)
{
    struct list_job job = {.cli = cli, .now_ms = clock_wall_ms()};
    int code = EXIT_OK;
    buf_init(&job.out, RENDER_OUT_MAX);
    for (size_t i = 0; i < config->folder_count && code == EXIT_OK; i++) {
        struct err err = {0};
        job.folder = config->folders[i].name;
        if (cli->folder && strcmp(cli->folder, job.folder) != 0)
            continue;
        struct reader *reader = cli_open_reader(config, &config->folders[i], &code);
        if (!reader)
            break;
        if (reader_info(reader, &job.info, &err) ||
            reader_consumers(reader, list_consumer, &job, &err))
            code = cli_fail_reading(config, &config->folders[i], &err);
        reader_close(reader);
    }
    if (code == EXIT_OK)
        code = render_flush(&job.out, true);
    buf_deinit(&job.out);
    return code;
}

/* ---- the others ---- */

/* A name that no upload has, in any folder: else the next configuration could take it away. */
static int check_new(const struct config *config, const char *name, struct err *err)
{
    const char *fault = config_name_fault(name);
    if (fault)
        return err_set(err, ERR_INVALID, 0, "reader '%.64s': %s", name, fault);
    for (size_t i = 0; i < config->upload_count; i++)
        if (strcmp(config->uploads[i].name, name) == 0)
            return err_set(err, ERR_EXISTS, 0,
                           "reader '%s': the configuration has an upload of that name; choose "
                           "another",
                           name);
    return 0;
}

static int act(const struct cli *cli, const struct config *config,
               const struct config_folder *folder, struct err *err)
{
    const char *what = cli->args[0];
    struct journal_order order = {.what = JOURNAL_READER_ADD, .consumer = cli->args[1]};
    int rc = 0;
    if (strcmp(what, "add") == 0) {
        rc = check_new(config, order.consumer, err);
    } else if (strcmp(what, "remove") == 0) {
        order.what = JOURNAL_READER_REMOVE;
    } else {
        order.what = JOURNAL_READER_ACK;
        if (num_parse_i64(cli->args[2], 0, INT64_MAX, &order.value) != 0)
            rc = err_set(err, ERR_INVALID, 0, "ack '%s': not a sequence number", cli->args[2]);
    }
    return rc ? rc : cli_consumer_write(config, folder, &order, err);
}

static bool check_usage(const struct cli *cli)
{
    static const struct {
        const char *act;
        int args;
        bool json, read;
    } acts[] = {{"add", 2, false, false},
                {"list", 1, true, false},
                {"read", 2, true, true},
                {"ack", 3, false, false},
                {"remove", 2, false, false}};
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (strcmp(cli->args[0], acts[i].act) == 0)
            return cli->arg_count == acts[i].args && (!cli->json || acts[i].json) &&
                   ((!cli->follow && !cli->ack) || acts[i].read);
    return false;
}

int cli_consumer(const struct cli *cli)
{
    int code = EXIT_USAGE;
    if (!check_usage(cli)) {
        cli_say("spoor: consumer: say 'add NAME', 'list [--json]', 'read NAME [--follow] [--ack]', "
                "'ack NAME SEQ' or 'remove NAME'");
        return code;
    }
    struct config *config = cli_load_config(cli, &code);
    if (!config)
        return code;
    struct err err = {0};
    const struct config_folder *folder = NULL;
    bool lists = strcmp(cli->args[0], "list") == 0;
    if (!lists || cli->folder)
        folder = cli_pick_folder(cli, config, &code);
    if (lists && (folder || !cli->folder))
        code = list(cli, config);
    else if (folder && strcmp(cli->args[0], "read") == 0)
        code = cli_read(cli, config, folder);
    else if (folder)
        code = act(cli, config, folder, &err) ? cli_fail(&err) : EXIT_OK;
    config_free(config);
    return code;
}
