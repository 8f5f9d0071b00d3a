/* cli_alone.c: see cli_alone.h. */
#include "cli_alone.h"

#include "buf.h"
#include "cli.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "err.h"
#include "json.h"
#include "osfile.h"
#include "reader.h"

#define ASK_WAIT_NS (10 * CLOCK_NS_PER_S)
#define DIR_MAX     8192

int cli_ask(const struct config *config, const struct buf *request, struct err *err)
{
    struct buf answer, refusal;
    buf_init(&answer, CONTROL_LINE_MAX);
    buf_init(&refusal, CONTROL_LINE_MAX);
    int rc = control_call(config->daemon.state_dir, request->data, clock_mono_ns() + ASK_WAIT_NS,
                          &answer, err);
    if (rc == 0 && reader_json_get(answer.data, answer.len, "$.error", &refusal, NULL) == 0)
        rc = err_set(err, ERR_CONFLICT, 0, "%s", refusal.data);
    buf_deinit(&answer);
    buf_deinit(&refusal);
    return rc;
}

int cli_alone_open(const struct config *config, const struct config_folder *folder,
                   struct cli_alone *out, struct err *err)
{
    struct buf path;
    *out = (struct cli_alone){.lock = -1};
    buf_init(&path, DIR_MAX);
    cli_folder_dir(config, folder, &path);
    int rc = 0;
    int dir = osfile_open_dir(config->daemon.state_dir, err);
    if (dir < 0) {
        rc = dir;
    } else {
        out->lock = osfile_lock(dir, "lock", NULL, err);
        rc = out->lock < 0 ? out->lock : 0;
        (void)close(dir); /* opened to look only */
    }
    if (rc == 0)
        rc = journal_open(path.data, folder->name, &out->journal, err);
    buf_deinit(&path);
    return rc;
}

void cli_alone_close(struct cli_alone *alone)
{
    journal_close(alone->journal);
    if (alone->lock >= 0)
        (void)close(alone->lock); /* gives the lock back */
}

static int wish_alone(const struct config *config, const struct config_folder *folder,
                      const struct config_upload *upload, const struct cli_wish *wish,
                      struct err *err)
{
    struct cli_alone alone;
    struct journal_order order = {.what = wish->what, .consumer = upload->name};
    order.value = wish->what == JOURNAL_SNAPSHOT ? clock_wall_ms() : wish->seq;
    int rc = cli_alone_open(config, folder, &alone, err);
    rc = rc ? rc : journal_resync(alone.journal, &order, clock_wall_ms(), err);
    cli_alone_close(&alone);
    return rc;
}

static bool is_meant(const struct cli *cli, const struct cli_wish *wish,
                     const struct config_folder *folder, const struct config_upload *upload)
{
    bool able = wish->what != JOURNAL_SNAPSHOT || upload->format == CONFIG_FORMAT_SPOOR;
    return able && (!cli->folder || strcmp(cli->folder, folder->name) == 0) &&
           (!wish->upload || strcmp(wish->upload, upload->name) == 0) &&
           config_upload_serves(upload, folder->name);
}

int cli_wish(const struct cli *cli, const struct config *config, const struct cli_wish *wish,
             struct err *err)
{
    struct buf request;
    buf_init(&request, CONTROL_REQUEST_MAX);
    json_begin(&request);
    json_cstr(&request, "do", wish->verb);
    if (cli->folder)
        json_cstr(&request, "folder", cli->folder);
    if (wish->upload)
        json_cstr(&request, "upload", wish->upload);
    json_i64(&request, "seq", wish->seq);
    json_end(&request);
    int rc = cli_ask(config, &request, err);
    buf_deinit(&request);
    if (rc != ERR_NOTFOUND)
        return rc;
    rc = err_set(err, ERR_NOTFOUND, 0, "no upload that this can be done for");
    for (size_t f = 0; f < config->folder_count; f++)
        for (size_t u = 0; u < config->upload_count && (rc == 0 || rc == ERR_NOTFOUND); u++) {
            int done = is_meant(cli, wish, &config->folders[f], &config->uploads[u])
                           ? wish_alone(config, &config->folders[f], &config->uploads[u], wish, err)
                           : ERR_NOTFOUND;
            if (done != ERR_NOTFOUND)
                rc = done;
        }
    return rc;
}
