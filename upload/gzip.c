/* gzip.c: zlib behind the few calls we need of it.
 *
 * Output goes straight into the caller's buffer, in pieces of GZIP_PIECE, so that a
 * batch is never held twice. zlib writes no time and no name into the header; its
 * bytes still differ between versions, which is why batches are stored (batch.h). */
#include "gzip.h"

#include <zlib.h>

#include "buf.h"
#include "err.h"

#define GZIP_PIECE  (64 << 10)
#define GZIP_WINDOW (15 + 16) /* 32 KiB window; +16: gzip wrapping, not zlib's */
#define GZIP_MEMORY 9         /* the largest hash table: fastest */

struct gzip {
    z_stream stream;
};

int gzip_new(int level, struct gzip **out, struct err *err)
{
    struct gzip *gzip = calloc(1, sizeof *gzip);
    if (!gzip)
        return err_set(err, ERR_NOMEM, 0, "cannot set up gzip: out of memory");
    int code = deflateInit2(&gzip->stream, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                            Z_DEFAULT_STRATEGY);
    if (code != Z_OK) {
        free(gzip);
        return err_set(err, code == Z_MEM_ERROR ? ERR_NOMEM : ERR_INVALID, 0,
                       "cannot set up gzip at level %d: zlib error %d", level, code);
    }
    *out = gzip;
    return 0;
}

void gzip_free(struct gzip *gzip)
{
    if (!gzip)
        return;
    (void)deflateEnd(&gzip->stream); /* says only that a stream was unfinished */
    free(gzip);
}

void gzip_begin(struct gzip *gzip)
{
    (void)deflateReset(&gzip->stream); /* fails only on a broken stream state */
}

static void run(struct gzip *gzip, int flush, struct buf *out)
{
    z_stream *stream = &gzip->stream;
    for (;;) {
        char *room = buf_extend(out, GZIP_PIECE);
        if (!room)
            return;
        stream->next_out = (Bytef *)room;
        stream->avail_out = GZIP_PIECE;
        int code = deflate(stream, flush);
        buf_truncate(out, out->len - stream->avail_out);
        /* Full output means more may wait; Z_BUF_ERROR then only says that none did. */
        if (code == Z_STREAM_END || stream->avail_out > 0)
            return;
    }
}

void gzip_add(struct gzip *gzip, const void *bytes, size_t len, struct buf *out)
{
    const uint8_t *at = bytes;
    while (len > 0 && buf_ok(out)) {
        size_t piece = len < UINT32_MAX ? len : UINT32_MAX;
        gzip->stream.next_in = (z_const Bytef *)at;
        gzip->stream.avail_in = (uInt)piece;
        run(gzip, Z_NO_FLUSH, out);
        at += piece;
        len -= piece;
    }
}

void gzip_finish(struct gzip *gzip, struct buf *out)
{
    gzip->stream.next_in = NULL;
    gzip->stream.avail_in = 0;
    run(gzip, Z_FINISH, out);
}

/* Inflates until the end, an error, or a byte more than `out` may hold. */
static int inflate_all(z_stream *stream, struct buf *out, bool *over)
{
    int code = Z_OK;
    while (code == Z_OK && !*over) {
        char spare; /* the byte too much: only its being written counts */
        size_t room = out->limit - out->len;
        size_t piece = room < GZIP_PIECE ? room : GZIP_PIECE;
        char *at = piece ? buf_extend(out, piece) : &spare;
        if (!at)
            return Z_MEM_ERROR;
        stream->next_out = (Bytef *)at;
        stream->avail_out = piece ? (uInt)piece : 1;
        code = inflate(stream, Z_NO_FLUSH);
        if (piece)
            buf_truncate(out, out->len - stream->avail_out);
        else
            *over = stream->avail_out == 0;
    }
    return code;
}

int gzip_unpack(const void *bytes, size_t len, struct buf *out, struct err *err)
{
    z_stream stream = {0};
    bool over = false;
    if (len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, 0, "cannot unpack gzip body: over 4 GiB");
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return err_set(err, ERR_NOMEM, 0, "cannot unpack gzip body: out of memory");
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)len;
    int code = inflate_all(&stream, out, &over);
    const char *why = stream.msg; /* a constant of zlib's, NULL when the input just ends */
    (void)inflateEnd(&stream);    /* cannot fail on a stream that was set up */
    if (over)
        return err_set(err, ERR_LIMIT, 0, "cannot unpack gzip body: over %zu bytes unpacked",
                       out->limit);
    if (code == Z_STREAM_END && stream.avail_in == 0)
        return 0;
    if (code == Z_STREAM_END)
        return err_set(err, ERR_INVALID, 0, "cannot unpack gzip body: bytes after its end");
    if (code == Z_MEM_ERROR)
        return err_set(err, ERR_NOMEM, 0, "cannot unpack gzip body: out of memory");
    return err_set(err, ERR_INVALID, 0, "cannot unpack gzip body: %s",
                   why ? why : "it ends too early");
}
