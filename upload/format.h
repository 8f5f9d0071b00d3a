/* format.h: what a batch looks like in each of the formats an upload speaks: how rows are put
 * together to a body, its media type, and the address it goes to. Any thread. */
#ifndef SPOOR_FORMAT_H
#define SPOOR_FORMAT_H

#include "config.h"

struct buf;
struct change;
struct journal_batch;
struct journal_info;

/* Whose rows. */
struct format {
    enum config_format kind;
    const char *journal; /* id */
    const char *folder;
    int64_t gen; /* not 0: rows tell of the entries in that generation of a snapshot */
};

/* A body is what begin, row by row, and end append; it may be ended after any row. */
void format_begin(const struct format *format, struct buf *out);
void format_row(const struct format *format, const struct change *change, bool first,
                struct buf *out);
void format_end(const struct format *format, struct buf *out);

const char *format_media_type(enum config_format kind);
/* Where a log's batch goes: the configured url with {journal}, {epoch}, {first} and {last} filled
 * in. */
void format_add_url(struct buf *out, const char *url, const struct journal_info *info,
                    const struct journal_batch *batch);

#endif
