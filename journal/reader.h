/* reader.h: reading a journal, with the daemon up or down: rows, the tree, the
 * consumers. A connection of its own, read only; several threads may have one each.
 * Snapshots are short: nothing is held open between calls, unless said so. */
#ifndef SPOOR_READER_H
#define SPOOR_READER_H

#include "change.h"
#include "journal.h"

struct err;
struct reader;

/* ERR_NOTFOUND when there is no journal yet. */
int reader_open(const char *dir, struct reader **out, struct err *err);
void reader_close(struct reader *reader);
/* The present state, read afresh. */
int reader_info(struct reader *reader, struct journal_info *out, struct err *err);
/* Entries in the tree table, root not counted. */
int reader_entry_count(struct reader *reader, int64_t *out, struct err *err);

/* Rows first..last in order (or the reverse), each checked against the chain.
 * `visit` gets bytes that live for the call; nonzero ends the walk and is returned; it may make the
 * reader's other calls, not this one. A row whose checksum does not fit is ERR_CORRUPT with its
 * seq. */
struct reader_range {
    int64_t first; /* lowest seq wanted */
    int64_t last;  /* highest */
    bool reverse;
    bool verify;        /* check the chain while reading */
    struct bytes below; /* len 0: all; else only rows whose path or from is at or below it */
    int64_t since_ms, until_ms; /* wall time of the row; 0 and INT64_MAX for all */
};
int reader_rows(struct reader *reader, const struct reader_range *range,
                int (*visit)(void *ctx, const struct change *change), void *ctx, struct err *err);
/* The sum of row `seq`: also of the floor; seq 0 gives the nonce. ERR_NOTFOUND when purged. */
int reader_sum(struct reader *reader, int64_t seq, uint64_t *out, struct err *err);

/* Consumers as they stand. */
struct reader_consumer {
    char name[65];
    int64_t acked;
    int64_t acked_ms;          /* wall time of the last acknowledgement, 0 never */
    int64_t oldest_pending_ms; /* wall time of row acked+1, 0 none */
    char error[512];
    int64_t error_ms;
    int64_t batch_first, batch_last; /* in flight, 0 none; of a snapshot its entries */
    int64_t held;                    /* the brake holds it at this row, 0 not */
    int64_t released;                /* rows up to this one pass the brake */
    int64_t quarantined, retries;    /* rows set aside, and those that are to be sent once more */
    int64_t snapshot_entries;        /* of the snapshot on its way to it, -1 none */
    int64_t snapshot_sent;           /* of these acknowledged */
    enum journal_consumer kind;
    int64_t epoch;    /* of a reader: the one whose rows it has */
    int64_t heard_ms; /* of a reader: wall time of when it was added or acknowledged last */
};
int reader_consumers(struct reader *reader,
                     int (*visit)(void *ctx, const struct reader_consumer *consumer), void *ctx,
                     struct err *err);
/* What is set aside for a consumer, in order, the batch with its body. Bytes live for the call;
 * nonzero ends the walk and is returned. */
struct reader_quarantined {
    struct journal_batch batch;
    int64_t time_ms; /* of the refusal */
    int status;
    struct bytes answer;
    bool retry; /* to be sent once more */
};
int reader_quarantine(struct reader *reader, const char *consumer,
                      int (*visit)(void *ctx, const struct reader_quarantined *row), void *ctx,
                      struct err *err);
/* Entries deleted by this consumer's batches that were formed since then and acknowledged. */
int reader_brake(struct reader *reader, const char *consumer, int64_t since_ms, int64_t *out,
                 struct err *err);
/* The stored batch of a consumer; body is appended to `body`. ERR_NOTFOUND: none. */
struct buf;
int reader_batch(struct reader *reader, const char *consumer, struct journal_batch *out,
                 struct buf *body, struct err *err);

/* The snapshot on its way to a consumer. ERR_NOTFOUND: none. */
int reader_snapshot(struct reader *reader, const char *consumer, struct journal_snapshot *out,
                    struct err *err);
/* Its entries after the first `sent`, each as the row that creates it, parents before what they
 * hold. `visit` as in reader_rows(). */
int reader_snapshot_rows(struct reader *reader, const struct journal_snapshot *snapshot,
                         int64_t sent, int (*visit)(void *ctx, const struct change *change),
                         void *ctx, struct err *err);

/* One entry of the tree, as tree --json prints it. */
struct reader_entry {
    int64_t id, parent;
    struct bytes name;
    struct bytes path; /* walks that build paths */
    enum entry_type type;
    struct file_id file;
    struct entry_attrs attrs; /* ctime_ns included */
};
/* The whole tree, depth first, names in byte order within each directory, in one snapshot whose
 * info is in *at (NULL allowed). */
int reader_tree(struct reader *reader, struct journal_info *at,
                int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx,
                struct err *err);
/* The tree as it was after row `seq`, rebuilt by replaying rows 1..seq: ERR_NOTFOUND when rows have
 * been purged (the text names the floor). Same order, same visit; identity and ctime are 0. */
int reader_tree_at(struct reader *reader, int64_t seq,
                   int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx,
                   struct err *err);

/* For scan workers: the children of directories first_id..last_id in (parent, name) order. The
 * cursor holds a snapshot until it is closed or set on another range. */
struct reader_cursor;
int reader_cursor_open(struct reader *reader, struct reader_cursor **out, struct err *err);
void reader_cursor_close(struct reader_cursor *cursor);
int reader_cursor_range(struct reader_cursor *cursor, int64_t first_id, int64_t last_id,
                        struct err *err);
/* 1: *out is filled (bytes live until the next call), 0: end, negative: error. */
int reader_cursor_next(struct reader_cursor *cursor, struct reader_entry *out, struct err *err);

/* Reading one JSON object (a control answer, a server's cursor) by SQLite's own functions. `path`
 * is as "$.acked". The text is appended to `out`. ERR_NOTFOUND: no such key, or null. ERR_INVALID:
 * no JSON. */
int reader_json_get(const char *json, size_t len, const char *path, struct buf *out,
                    struct err *err);
int reader_json_get_i64(const char *json, size_t len, const char *path, int64_t *out,
                        struct err *err);

#endif
