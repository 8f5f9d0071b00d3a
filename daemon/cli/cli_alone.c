/* cli_alone.c: see cli_alone.h. */
#include "cli_alone.h"

#include "buf.h"
#include "cli.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "err.h"
#include "journal.h"
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
