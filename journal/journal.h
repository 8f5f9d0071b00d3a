/* journal.h: one folder's durable journal: the change rows, the tree table and the
 * consumers, in one SQLite file. This is the writer; readers are in reader.h.
 *
 * Everything here belongs to one thread, the folder's. A journal_commit() that returned
 * 0 survives SIGKILL and power loss (WAL, synchronous=FULL). After ERR_IO, ERR_FULL or
 * ERR_CORRUPT from any call nothing of that call was done and the journal must be closed,
 * opened again and its tree loaded again before the next write (an fsync that failed may
 * have dropped the pages it could not write, and the next one succeed: fsync(2), EIO). */
#ifndef SPOOR_JOURNAL_H
#define SPOOR_JOURNAL_H

#include "change.h"

struct err;
struct journal;
struct tree;
struct tree_source;

#define JOURNAL_FILE          "journal.db"
#define JOURNAL_ID_FILE       "journal.id"
#define JOURNAL_ID_SIZE       40 /* bytes of its text form, NUL included */
#define JOURNAL_CONSUMERS_MAX 256
#define JOURNAL_RESERVE_BYTES (256 << 10) /* released when the disk is full */

struct journal_info {
    char id[JOURNAL_ID_SIZE]; /* random, kept in a file of its own beside the database */
    char folder[65];
    int64_t epoch;     /* wall ms at which this history was begun: new after corruption or a fork */
    int64_t epoch_seq; /* rows after this one are of this epoch */
    int64_t last_seq;  /* 0: no row yet */
    uint64_t last_sum; /* of that row; the epoch's nonce when there is none */
    int64_t floor_seq; /* rows up to here are purged */
    uint64_t floor_sum; /* sum of row floor_seq; the nonce when 0 */
    uint64_t tree_sum;  /* sum mod 2^64 of hash(id, parent, name, public attributes) */
    bool indexed;       /* the first index is complete */
    bool gap_open;      /* an open gap row has no closing row yet */
    bool root_known;
    struct file_id root;  /* the folder's root directory */
    int64_t root_fs_type; /* statfs f_type */
    bool machine_changed; /* this open made a new id: the old one came from another machine */
    bool rolled_back;     /* this open made a new epoch: rows that had been committed were gone */
};

/* Opens or creates `dir`/journal.db (dir exists, private). A file that is no journal of ours, is
 * newer than this program, or fails its checks is refused with ERR_CORRUPT or ERR_UNSUPPORTED and
 * left as it is; journal_move_aside() then makes room. The text says what to do. */
int journal_open(const char *dir, const char *folder, struct journal **out, struct err *err);
/* Renames the database with its log to journal.db.corrupt-<time>; never deletes. Refused when one
 * of them cannot be read to its end: then the disk fails, which SQLite reports as corruption. */
int journal_move_aside(const char *dir, struct err *err);
/* Checkpoints and closes. NULL allowed. */
void journal_close(struct journal *journal);

const struct journal_info *journal_info(const struct journal *journal);

/* Fills an empty tree with every directory and all counts, in one pass that also verifies
 * tree_sum: ERR_CORRUPT when it does not hold; after a failure the tree is half filled. The root's
 * identity and mode are left to the caller. */
int journal_load_tree(struct journal *journal, struct tree *tree, struct err *err);
/* The source from which that tree gets its files; valid while the journal is open. */
struct tree_source journal_tree_source(struct journal *journal);

/* The names of files (no directories) with this inode number: the id of the directory and the name,
 * which lives for the call. Nothing until the first index is complete. */
int journal_each_name(struct journal *journal, uint64_t number,
                      void (*visit)(void *ctx, int64_t parent, struct bytes name), void *ctx,
                      struct err *err);

/* Applies the edits to the tree table, appends one row for each that is not quiet (seq continues
 * from last_seq, sum chained, CHANGE_END on the last), all in one transaction. An edit whose key
 * is not as it says (row absent, name taken, other id) is ERR_CORRUPT. `edits` may be thousands. */
int journal_commit(struct journal *journal, const struct edit *edits, size_t count, int64_t wall_ms,
                   struct err *err);

/* Opens or closes the gap: one row each, in its own transaction; a second open while one is open,
 * or a close without one, does nothing. `reason` is a CHANGE_OVERFLOW, ... flag. */
int journal_gap(struct journal *journal, bool open, uint32_t reason, int64_t wall_ms,
                struct err *err);

/* The first index is complete: builds the identity index and remembers it. */
int journal_set_indexed(struct journal *journal, struct err *err);
int journal_set_root(struct journal *journal, struct file_id root, int64_t fs_type,
                     struct err *err);

/* Consumers: those whose acknowledged seq keeps rows from being purged. The numbers are stored. */
enum journal_consumer {
    JOURNAL_UPLOAD = 1, /* of the configuration, as long as it stands there */
    JOURNAL_READER = 2, /* added by somebody, see JOURNAL_READER_ADD; kept until removed */
};
const char *journal_consumer_name(enum journal_consumer kind);
/* An upload. Adding one that exists does nothing; ERR_EXISTS when a reader has that name. A new one
 * starts at `acked` (0: it wants everything). */
int journal_consumer_add(struct journal *journal, const char *name, int64_t acked, struct err *err);
/* Of either kind. */
int journal_consumer_remove(struct journal *journal, const char *name, struct err *err);
/* Acknowledges up to `seq` (only grows, never past last_seq: else ERR_INVALID) and forgets the
 * stored batch when it is covered, and a snapshot. */
int journal_ack(struct journal *journal, const char *name, int64_t seq, int64_t wall_ms,
                struct err *err);
/* The last error of a consumer, for status; "" clears it. */
int journal_consumer_error(struct journal *journal, const char *name, const char *text,
                           int64_t wall_ms, struct err *err);

/* The one batch in flight of a consumer: stored with its bytes before its first send, replaced
 * only by a call that says so (413, 409). */
struct journal_batch {
    int64_t epoch, first, last;
    uint64_t prev_sum, last_sum; /* of rows first-1 and last */
    int64_t rows;                /* rows inside */
    bool gzip;
    bool newest;        /* `last` was the newest row when it was formed */
    uint64_t tree_sum;  /* meaningful when newest */
    uint8_t digest[32]; /* SHA-256 of `body` */
    struct bytes body;
    int64_t deletes; /* entries it takes from the server, as the mass-delete brake counts them */
    int64_t time_ms; /* wall time at which it was formed */
    /* Not 0: part `part` (from 1) of that generation of a snapshot; first and last then count the
     * snapshot's entries from 1, and prev_sum, last_sum and tree_sum mean nothing. */
    int64_t gen, part;
};
#define JOURNAL_QUARANTINE_MAX 10000                       /* rows set aside, of one consumer */
#define JOURNAL_BRAKE_KEPT_MS  (24 * 3600 * INT64_C(1000)) /* deletes are remembered so long */
int journal_batch_store(struct journal *journal, const char *consumer,
                        const struct journal_batch *batch, struct err *err);

/* The tree as it stood after row `seq`, copied for one consumer whose server cannot be brought up
 * to date by rows (RULES 18). Rows up to `seq` are no longer kept for it, and it counts as having
 * acknowledged nothing, until journal_ack() of `seq` or beyond says that it has the tree. */
struct journal_snapshot {
    int64_t gen; /* generation: a consumer's later snapshot has a higher one */
    int64_t epoch, seq;
    uint64_t sum;      /* of row `seq` */
    uint64_t tree_sum; /* of the copied tree */
    int64_t entries;
    int64_t time_ms;     /* wall time of the copy */
    int64_t first;       /* its place in the table */
    int64_t parts, sent; /* acknowledged parts, and the entries in them */
};

/* What others order: how a consumer's server gets to stand where the journal does again (each is
 * one transaction and forgets the consumer's batch in flight), and what is done for readers. */
enum journal_resync {
    /* Rows after `value` are to be sent (again): acknowledged becomes `value`, which may be lower;
     * a snapshot is given up. ERR_INVALID when it lies before the floor or beyond the end. */
    JOURNAL_REWIND,
    /* Copies the tree as generation `value`; an older one is dropped. ERR_INVALID before the first
     * index is complete. ERR_FULL leaves the journal usable. */
    JOURNAL_SNAPSHOT,
    /* The server has part `value`, the stored one. */
    JOURNAL_PART,
    /* The mass-delete brake holds: nothing from row `value` on is sent until it is released. */
    JOURNAL_HOLD,
    /* Every row there is by now may go, and what was deleted of late counts no more. */
    JOURNAL_RELEASE,
    /* The stored batch, a single row that the server refuses with `status` and `text`, is set aside
     * and acknowledged: a log goes on without it. ERR_LIMIT: JOURNAL_QUARANTINE_MAX are. */
    JOURNAL_QUARANTINE,
    /* What is set aside of row `value` (0: all) is to be sent once more, */
    JOURNAL_RETRY,
    /* was refused again, with `status` and `text`, */
    JOURNAL_REFUSED,
    /* or is forgotten: delivered, or given up. */
    JOURNAL_DROP,
    /* Of the journal, not of one consumer: its next rows are of a new epoch, above `value`. For
     * when another history with the present one's name is about: every replica then gets a
     * snapshot. */
    JOURNAL_NEW_EPOCH,
    /* Likewise: it takes another id, under which servers know nothing of it yet. */
    JOURNAL_NEW_ID,
    /* Likewise: reads all that can be checked; ERR_CORRUPT when somebody's doubt was right. */
    JOURNAL_CHECK,
    /* Not of an upload, but of a reader: a new one, that is to get all rows there are. Not 0:
     * `value` is the epoch of the rows it has, as of a journal that is gone. ERR_EXISTS when
     * something has that name. */
    JOURNAL_READER_ADD,
    /* It has rows up to `value`, which may be where it stands already: as journal_ack().
     * ERR_NOTFOUND when there is no such reader. */
    JOURNAL_READER_ACK,
    /* It is forgotten. ERR_NOTFOUND likewise. */
    JOURNAL_READER_REMOVE,
};
struct journal_order {
    enum journal_resync what;
    const char *consumer;
    int64_t value;
    int status;       /* of an answer, where `what` says so */
    const char *text; /* likewise */
};
int journal_resync(struct journal *journal, const struct journal_order *order, int64_t wall_ms,
                   struct err *err);

/* Which rows stay. */
struct journal_keep {
    int64_t after_wall_ms; /* what is as young; INT64_MIN: all */
    /* Readers are not waited for that were not heard of since then (INT64_MIN: they always are) and
     * for which a row has waited since before then. */
    int64_t heard_after_wall_ms;
    int64_t rows_max; /* above so many the oldest go, young or wanted as they may be; 0: no limit */
};
/* Deletes rows that every consumer has acknowledged and that `keep` does not keep, at most
 * `max_rows` of them, moving the floor in the same transaction; *purged says how many. Without any
 * consumer rows are purged by age alone. */
int journal_purge(struct journal *journal, const struct journal_keep *keep, int64_t max_rows,
                  int64_t *purged, struct err *err);

/* A passive checkpoint, out of turn: SQLite makes one by itself every 2000 pages of the log. */
int journal_checkpoint(struct journal *journal, struct err *err);
/* Bytes of the write-ahead log's file, 0 when there is none. It is kept near 16 MiB (schema.c), but
 * while any connection has a read transaction open it can only grow
 * (https://www.sqlite.org/wal.html, "Avoiding Excessively Large WAL Files"). */
int64_t journal_wal_bytes(const struct journal *journal);

#endif
