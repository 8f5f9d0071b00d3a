/* cli_consumer.h: what cli_consumer.c and cli_read.c share. Main thread. */
#ifndef SPOOR_CLI_CONSUMER_H
#define SPOOR_CLI_CONSUMER_H

#include "journal.h"

struct buf;
struct cli;
struct config;
struct config_folder;
struct err;
struct reader_consumer;

/* Has a reader's order (JOURNAL_READER_...) written: by the daemon when it runs, else by us under
 * its lock. 0: it is committed. */
int cli_consumer_write(const struct config *config, const struct config_folder *folder,
                       const struct journal_order *order, struct err *err);
/* What is known of a consumer: the keys consumer, kind, folder, acked, pending, heard_time, and of
 * a reader lost (rows purged before it acknowledged them); or the same in words. */
void consumer_add_json(struct buf *out, const char *folder, const struct reader_consumer *consumer,
                       const struct journal_info *info);
void consumer_add_text(struct buf *out, const struct reader_consumer *consumer,
                       const struct journal_info *info, int64_t now_ms);

/* `spoor consumer read NAME`; an exit code. */
int cli_read(const struct cli *cli, const struct config *config,
             const struct config_folder *folder);

#endif
