/* buf.h: a growing byte buffer with an upper bound and a sticky error.
 *
 * Appends never return an error one must check each time: the first failure
 * (no memory, or `limit` exceeded) sets `failed`, later appends do nothing, and
 * the writer asks buf_ok() once at the end. One thread at a time. */
#ifndef SPOOR_BUF_H
#define SPOOR_BUF_H

struct buf {
    char *data; /* always NUL-terminated one past len when data != NULL */
    size_t len;
    size_t cap;
    size_t limit; /* bytes; len never exceeds it */
    bool failed;
};

/* Caller's storage; allocates nothing yet. `limit` is in bytes. */
void buf_init(struct buf *buf, size_t limit);
/* Frees the bytes; the struct may be initialised again. NULL allowed. */
void buf_deinit(struct buf *buf);
/* Empties it and clears the error; the memory stays for reuse. */
void buf_reset(struct buf *buf);
bool buf_ok(const struct buf *buf);

void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Decimal, without the cost of printf: the row writer's hot path. */
void buf_add_i64(struct buf *buf, int64_t value);
void buf_add_u64(struct buf *buf, uint64_t value);
/* Room for `len` more bytes, uninitialised, already counted in len; NULL on failure. */
char *buf_extend(struct buf *buf, size_t len);
/* Cuts back to `len` bytes (<= buf->len). */
void buf_truncate(struct buf *buf, size_t len);

#endif
