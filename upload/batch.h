/* batch.h: which rows go into the next batch, and their bytes.
 *
 * A batch covers a contiguous range of one epoch. It is cut at the end of a commit, since
 * only there does a replayed tree stand as the disk stood; a commit larger than the limits is
 * cut within, but never while an entry stands at a temporary name (RULES 21). Formed once,
 * stored, and from then on only its stored bytes count (RULES 15). One thread a writer. */
#ifndef SPOOR_BATCH_H
#define SPOOR_BATCH_H

#include "buf.h"
#include "config.h"
#include "journal.h"

struct batch_writer;
struct err;
struct reader;

/* A batch that cannot be cut inside its limits may grow to so many times of them, and in any case
 * to these: what one round of looks can park, however small the configured limits are. A server
 * takes more (mirror.h). */
#define BATCH_OVER_MAX    4
#define BATCH_ROWS_FLOOR  (256 << 10)
#define BATCH_BYTES_FLOOR ((int64_t)128 << 20)
/* So many rows are covered by a batch of which few are sent, and then to the next good cut: one
 * walk ends soon after a stop, and none keeps the journal's log from being cut for long. */
#define BATCH_COVERED_MAX (128 << 10)
/* Bytes of a stored body at most; the limits of the configuration lie below. */
#define BATCH_BODY_MAX ((size_t)1 << 30)

/* How large a batch may be, and what it looks like. */
struct brake;
struct batch_limits {
    int64_t rows;
    int64_t bytes; /* encoded, before compression; of a folded batch, about */
    enum config_format format;
    struct brake *brake; /* NULL: none */
    bool fold;           /* what the rows come to instead of each row: see fold.h */
    unsigned kinds;      /* of batch_kinds(): which rows are sent, 0 all */
};

/* `head.body` looks at `body` and is good as long as that is unchanged. */
struct batch {
    struct journal_batch head;
    struct buf body;
};

void batch_init(struct batch *batch);
/* Frees the bytes; may be used again. NULL allowed. */
void batch_deinit(struct batch *batch);

/* The kinds of rows that are named, as a set (bit 1 << enum change_kind); 0 when none is named. */
unsigned batch_kinds(const struct config_list *names);

/* `level` 1 to 9, or 0 for plain bodies. */
int batch_writer_new(int level, struct batch_writer **out, struct err *err);
void batch_writer_free(struct batch_writer *writer);

/* Forms a batch of rows acked+1... as they stand in the journal, the chain checked. What of them is
 * not sent (folded away, of another kind) is covered all the same: head.rows may be 0.
 * ERR_NOTFOUND: there is none beyond `acked`. ERR_HELD: the brake holds before the first commit.
 * ERR_LIMIT: no place to cut within BATCH_OVER_MAX times the limits or the floors. ERR_CORRUPT: the
 * rows fail their checks. On failure *out is empty. */
int batch_build(struct batch_writer *writer, struct reader *reader, int64_t acked,
                const struct batch_limits *limits, struct batch *out, struct err *err);

/* Forms the next part of a snapshot: entries sent+1... within the limits (one at least). Errors as
 * above; ERR_NOTFOUND: all were sent. */
int batch_build_part(struct batch_writer *writer, struct reader *reader,
                     const struct journal_snapshot *snapshot, const struct batch_limits *limits,
                     struct batch *out, struct err *err);

/* Reads the consumer's stored batch and checks its digest. ERR_NOTFOUND: none; ERR_CORRUPT: its
 * bytes are not those that were stored (a new one must be formed). */
int batch_load(struct reader *reader, const char *consumer, struct batch *out, struct err *err);

#endif
