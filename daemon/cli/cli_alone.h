/* cli_alone.h: how a command changes something: the daemon does it when it runs, since a journal
 * has one writer; else the command is that writer, under the daemon's lock. Main thread. */
#ifndef SPOOR_CLI_ALONE_H
#define SPOOR_CLI_ALONE_H

#include "journal.h"

struct buf;
struct config;
struct config_folder;
struct err;

/* Sends the request (one JSON object). 0: done. ERR_NOTFOUND: no daemon runs. ERR_CONFLICT: it
 * refused, in its own words. */
int cli_ask(const struct config *config, const struct buf *request, struct err *err);

/* Something that is wanted of uploads, as upload_wish() has it. */
struct cli_wish {
    const char *verb; /* of the control channel */
    enum journal_resync what;
    const char *upload; /* NULL: of all that serve the folder */
    int64_t seq;        /* a row in quarantine, 0 all */
};

/* For the folder that --folder names, or all. ERR_NOTFOUND: no upload that it can be done for. */
struct cli;
int cli_wish(const struct cli *cli, const struct config *config, const struct cli_wish *wish,
             struct err *err);

struct cli_alone {
    struct journal *journal;
    int lock;
};

/* Errors as of osfile_lock() and journal_open(). cli_alone_close() is due whatever the outcome. */
int cli_alone_open(const struct config *config, const struct config_folder *folder,
                   struct cli_alone *out, struct err *err);
void cli_alone_close(struct cli_alone *alone);

#endif
