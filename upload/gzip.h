/* gzip.h: RFC 1952 by zlib: a stream that compresses into a buffer, kept for the next
 * batch, and a whole body unpacked under a limit. One thread a stream. */
#ifndef SPOOR_GZIP_H
#define SPOOR_GZIP_H

struct buf;
struct err;
struct gzip;

/* `level` 1 to 9; takes about 270 KiB until gzip_free(). */
int gzip_new(int level, struct gzip **out, struct err *err);
void gzip_free(struct gzip *gzip);
/* Starts a stream anew; what was unfinished is forgotten. */
void gzip_begin(struct gzip *gzip);
/* Compresses `len` bytes, appending to `out` (sticky: ask buf_ok()). */
void gzip_add(struct gzip *gzip, const void *bytes, size_t len, struct buf *out);
void gzip_finish(struct gzip *gzip, struct buf *out);

/* Unpacks one whole gzip member, appended to `out`. ERR_INVALID: not gzip, torn, checksum wrong or
 * bytes after its end; ERR_LIMIT: more than `out` may hold (a zip bomb ends here). */
int gzip_unpack(const void *bytes, size_t len, struct buf *out, struct err *err);

#endif
