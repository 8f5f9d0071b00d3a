/* batch.c: forming batches.
 *
 * Folded, what gather.c found is encoded as it stands. Else one walk over the rows. Encoded rows
 * wait in `plain` until a cut behind them is certain; then they go through gzip in pieces, so that
 * of a batch only its compressed bytes and the commit in hand are in memory. The walk ends at the
 * first row that would pass a limit, and the batch at the last good cut before it. Called by the
 * upload's thread. */
#include "batch.h"

#include "brake.h"
#include "change.h"
#include "clock.h"
#include "err.h"
#include "format.h"
#include "gather.h"
#include "gzip.h"
#include "reader.h"
#include "sha256.h"

#define BATCH_PIECE      (128 << 10)       /* plain bytes gathered before gzip runs */
#define BATCH_KEEP_PLAIN ((size_t)1 << 20) /* memory kept for the next batch */
#define BATCH_WALK_ENDS  1                 /* the visitor's way to say: enough */

/* A place where the batch may end: after row `seq`, `at` bytes into `plain`. */
struct cut {
    int64_t seq; /* 0: none yet */
    int64_t rows;
    int64_t deletes;
    uint64_t sum;
    size_t at;
};

struct batch_writer {
    struct gzip *gzip; /* NULL: plain bodies */
    struct buf plain;
    const struct batch_limits *limits;
    struct format format;
    struct buf *body;
    int64_t first_seq;
    int64_t next_seq;
    int64_t epoch;     /* of the batch's rows, 0 none yet */
    int64_t rows;      /* that are sent */
    int64_t deletes;   /* entries, as brake.h counts them */
    int64_t fed_bytes; /* plain bytes that went on to the body */
    struct cut commit; /* the last end of a commit within the limits */
    struct cut loose;  /* the last row after which nothing is parked */
    struct err *err;
};

void batch_init(struct batch *batch)
{
    *batch = (struct batch){0};
    buf_init(&batch->body, BATCH_BODY_MAX);
}

void batch_deinit(struct batch *batch)
{
    if (!batch)
        return;
    buf_deinit(&batch->body);
    batch->head = (struct journal_batch){0};
}

unsigned batch_kinds(const struct config_list *names)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < names->count; i++)
        kinds |= 1U << change_kind_parse(names->items[i]);
    return kinds;
}

int batch_writer_new(int level, struct batch_writer **out, struct err *err)
{
    struct batch_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return err_set(err, ERR_NOMEM, 0, "cannot set up batches: out of memory");
    buf_init(&writer->plain, BATCH_BODY_MAX);
    int code = level > 0 ? gzip_new(level, &writer->gzip, err) : 0;
    if (code) {
        free(writer);
        return code;
    }
    *out = writer;
    return 0;
}

void batch_writer_free(struct batch_writer *writer)
{
    if (!writer)
        return;
    gzip_free(writer->gzip);
    buf_deinit(&writer->plain);
    free(writer);
}

/* Hands the first `len` plain bytes on. Both cuts must lie at or before them. */
static void feed(struct batch_writer *writer, size_t len)
{
    if (writer->gzip)
        gzip_add(writer->gzip, writer->plain.data, len, writer->body);
    else
        buf_add(writer->body, writer->plain.data, len);
    writer->fed_bytes += (int64_t)len;
}

static bool over(const struct batch_writer *writer, int64_t rows_max, int64_t bytes_max)
{
    int64_t bytes = writer->fed_bytes + (int64_t)writer->plain.len;
    return writer->rows > rows_max || bytes > bytes_max;
}

static int64_t grown(int64_t limit, int64_t floor)
{
    return limit > floor / BATCH_OVER_MAX ? limit * BATCH_OVER_MAX : floor;
}

static void note_cut(struct batch_writer *writer, const struct change *change)
{
    if (change->flags & CHANGE_PARKED)
        return;
    struct cut cut = {change->seq, writer->rows, writer->deletes, change->sum, writer->plain.len};
    if (!(change->flags & CHANGE_END)) {
        writer->loose = cut;
        return;
    }
    writer->commit = cut;
    if (writer->plain.len >= BATCH_PIECE) {
        feed(writer, writer->plain.len);
        buf_reset(&writer->plain);
        writer->commit.at = 0;
    }
}

static bool is_sent(const struct batch_limits *limits, const struct change *change)
{
    return !limits->kinds || (limits->kinds & 1U << change->kind);
}

static int add_row(void *ctx, const struct change *change)
{
    struct batch_writer *writer = ctx;
    if (change->seq != writer->next_seq)
        return err_set(writer->err, ERR_CORRUPT, 0,
                       "cannot read journal of folder '%s': row %lld is missing",
                       writer->format.folder, (long long)writer->next_seq);
    /* A journal that was given another epoch has rows of both: one batch tells of one. */
    if (writer->epoch && change->epoch != writer->epoch && writer->commit.seq)
        return BATCH_WALK_ENDS;
    const struct batch_limits *limits = writer->limits;
    writer->deletes += brake_entries(limits->brake, change);
    if (brake_holds(limits->brake, writer->deletes))
        return writer->commit.seq ? BATCH_WALK_ENDS
                                  : err_set(writer->err, ERR_HELD, 0, "the brake holds at row %lld",
                                            (long long)change->seq);
    writer->epoch = change->epoch;
    writer->next_seq++;
    if (is_sent(limits, change))
        format_row(&writer->format, change, writer->rows++ == 0, &writer->plain);
    if (!buf_ok(&writer->plain) || !buf_ok(writer->body))
        return err_set(writer->err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    bool covers_much = limits->kinds && writer->next_seq - writer->first_seq > BATCH_COVERED_MAX;
    bool past = covers_much || over(writer, limits->rows, limits->bytes);
    if (past && (writer->commit.seq || writer->loose.seq))
        return BATCH_WALK_ENDS;
    if (past && over(writer, grown(limits->rows, BATCH_ROWS_FLOOR),
                     grown(limits->bytes, BATCH_BYTES_FLOOR)))
        return err_set(writer->err, ERR_LIMIT, 0,
                       "cannot form batch from row %lld: %lld rows leave no place to cut; raise "
                       "batch_rows or batch_bytes",
                       (long long)writer->first_seq, (long long)writer->rows);
    note_cut(writer, change);
    /* Not on to rows that are not sent: of a single row the batch's last number is its own. */
    bool full = limits->kinds && writer->rows >= limits->rows;
    bool first_cut_past = (past || full) && (writer->commit.seq || writer->loose.seq);
    return first_cut_past ? BATCH_WALK_ENDS : 0;
}

static void begin(struct batch_writer *writer, int64_t first, struct err *err)
{
    writer->err = err;
    writer->rows = 0;
    writer->deletes = 0;
    writer->fed_bytes = 0;
    writer->first_seq = first;
    writer->next_seq = first;
    writer->epoch = 0;
    writer->commit = (struct cut){0};
    writer->loose = (struct cut){0};
    buf_reset(&writer->plain);
    format_begin(&writer->format, &writer->plain);
    if (writer->gzip)
        gzip_begin(writer->gzip);
}

static int walk(struct batch_writer *writer, struct reader *reader, int64_t first, int64_t last,
                struct err *err)
{
    struct reader_range range = {
        .first = first,
        .last = last,
        .verify = true,
        .until_ms = INT64_MAX,
    };
    begin(writer, first, err);
    int code = reader_rows(reader, &range, add_row, writer, err);
    return code == BATCH_WALK_ENDS ? 0 : code;
}

/* ERR_NOTFOUND: no commit fits, the rows must be walked. */
static int walk_folded(struct batch_writer *writer, struct reader *reader, int64_t first,
                       int64_t last, struct err *err)
{
    struct gather gather;
    int code = gather_rows(&gather, reader, first, last, writer->limits, err);
    begin(writer, first, err);
    for (size_t i = 0; i < gather.count && !code; i++) {
        if (!is_sent(writer->limits, &gather.rows[i]))
            continue;
        format_row(&writer->format, &gather.rows[i], writer->rows++ == 0, &writer->plain);
        if (writer->plain.len >= BATCH_PIECE) {
            feed(writer, writer->plain.len);
            buf_reset(&writer->plain);
        }
        if (!buf_ok(&writer->plain) || !buf_ok(writer->body))
            code = err_set(err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    }
    writer->commit =
        (struct cut){gather.last, writer->rows, gather.deletes, gather.last_sum, writer->plain.len};
    gather_free(&gather);
    return code;
}

/* What is in `plain` is the rest of the body. */
static int complete(struct batch_writer *writer, struct err *err)
{
    format_end(&writer->format, &writer->plain);
    feed(writer, writer->plain.len);
    if (writer->gzip)
        gzip_finish(writer->gzip, writer->body);
    return buf_ok(writer->body) && buf_ok(&writer->plain)
               ? 0
               : err_set(err, ERR_NOMEM, 0, "cannot form batch: out of memory");
}

/* Completes the body up to the cut; the rows encoded behind it are forgotten. */
static int finish(struct batch_writer *writer, struct cut *cut, struct err *err)
{
    *cut = writer->commit.seq ? writer->commit : writer->loose;
    if (!cut->seq)
        return err_set(err, ERR_CORRUPT, 0,
                       "cannot form batch from row %lld: the journal's last commit has no end",
                       (long long)writer->first_seq);
    buf_truncate(&writer->plain, cut->at);
    return complete(writer, err);
}

/* The head is done but for what the body says. */
static void seal(struct journal_batch *head, struct batch *out)
{
    head->body = bytes_of(out->body.data, out->body.len);
    sha256(head->body.at, head->body.len, head->digest);
    out->head = *head;
}

static void end(struct batch_writer *writer, int code, struct batch *out)
{
    if (writer->plain.cap > BATCH_KEEP_PLAIN)
        buf_deinit(&writer->plain);
    if (code)
        batch_deinit(out);
}

int batch_build(struct batch_writer *writer, struct reader *reader, int64_t acked,
                const struct batch_limits *limits, struct batch *out, struct err *err)
{
    struct journal_info info;
    struct journal_batch head = {.first = acked + 1, .gzip = writer->gzip != NULL};
    struct cut cut;
    buf_reset(&out->body);
    int code = reader_info(reader, &info, err);
    if (code)
        goto out;
    if (info.last_seq <= acked) {
        code = err_set(err, ERR_NOTFOUND, 0, "no row after %lld", (long long)acked);
        goto out;
    }
    code = reader_sum(reader, acked, &head.prev_sum, err);
    if (code)
        goto out;
    writer->limits = limits;
    writer->format = (struct format){limits->format, info.id, info.folder, 0};
    writer->body = &out->body;
    /* What is left of an older epoch goes out as it stands. */
    bool fold = limits->fold && acked >= info.epoch_seq;
    code = fold ? walk_folded(writer, reader, head.first, info.last_seq, err) : ERR_NOTFOUND;
    if (code == ERR_NOTFOUND)
        code = walk(writer, reader, head.first, info.last_seq, err);
    if (!code)
        code = finish(writer, &cut, err);
    if (code)
        goto out;
    head.epoch = acked >= info.epoch_seq ? info.epoch : writer->epoch;
    head.last = cut.seq;
    head.last_sum = cut.sum;
    head.rows = cut.rows;
    head.deletes = cut.deletes;
    head.time_ms = clock_wall_ms();
    /* Row and tree are of one transaction: the tree's sum belongs to the last row known here. */
    head.newest = cut.seq == info.last_seq;
    head.tree_sum = head.newest ? info.tree_sum : 0;
    seal(&head, out);

out:
    end(writer, code, out);
    return code;
}

/* --- a part of a snapshot: any entry may be its last --- */

static int add_entry(void *ctx, const struct change *change)
{
    struct batch_writer *writer = ctx;
    size_t before = writer->plain.len;
    writer->rows++;
    format_row(&writer->format, change, writer->rows == 1, &writer->plain);
    if (!buf_ok(&writer->plain) || !buf_ok(writer->body))
        return err_set(writer->err, ERR_NOMEM, 0, "cannot form batch: out of memory");
    if (writer->rows > 1 && over(writer, writer->limits->rows, writer->limits->bytes)) {
        writer->rows--;
        buf_truncate(&writer->plain, before);
        return BATCH_WALK_ENDS;
    }
    if (writer->plain.len >= BATCH_PIECE) {
        feed(writer, writer->plain.len);
        buf_reset(&writer->plain);
    }
    return 0;
}

int batch_build_part(struct batch_writer *writer, struct reader *reader,
                     const struct journal_snapshot *snapshot, const struct batch_limits *limits,
                     struct batch *out, struct err *err)
{
    struct journal_info info;
    struct journal_batch head = {
        .epoch = snapshot->epoch,
        .first = snapshot->sent + 1,
        .gzip = writer->gzip != NULL,
        .gen = snapshot->gen,
        .part = snapshot->parts + 1,
    };
    buf_reset(&out->body);
    int code = reader_info(reader, &info, err);
    if (!code && snapshot->sent >= snapshot->entries)
        code = err_set(err, ERR_NOTFOUND, 0, "all of the snapshot is sent");
    if (code)
        goto out;
    writer->limits = limits;
    writer->format = (struct format){limits->format, info.id, info.folder, snapshot->gen};
    writer->body = &out->body;
    begin(writer, head.first, err);
    code = reader_snapshot_rows(reader, snapshot, snapshot->sent, add_entry, writer, err);
    code = code == BATCH_WALK_ENDS ? 0 : code;
    if (!code && writer->rows == 0)
        code = err_set(err, ERR_CORRUPT, 0, "the snapshot for folder '%s' has lost its entries",
                       info.folder);
    if (!code)
        code = complete(writer, err);
    if (code)
        goto out;
    head.rows = writer->rows;
    head.last = head.first + writer->rows - 1;
    seal(&head, out);

out:
    end(writer, code, out);
    return code;
}

int batch_load(struct reader *reader, const char *consumer, struct batch *out, struct err *err)
{
    uint8_t digest[SHA256_SIZE];
    buf_reset(&out->body);
    int code = reader_batch(reader, consumer, &out->head, &out->body, err);
    if (!code && !buf_ok(&out->body))
        code = err_set(err, ERR_NOMEM, 0, "cannot load batch: out of memory");
    if (code) {
        batch_deinit(out);
        return code;
    }
    out->head.body = bytes_of(out->body.data, out->body.len);
    sha256(out->body.data, out->body.len, digest);
    if (memcmp(digest, out->head.digest, sizeof digest) != 0) {
        code = err_set(err, ERR_CORRUPT, 0,
                       "stored batch %lld..%lld of consumer '%s': its bytes fail their digest",
                       (long long)out->head.first, (long long)out->head.last, consumer);
        batch_deinit(out);
    }
    return code;
}
