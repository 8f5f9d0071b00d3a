/* buf.c: a growing byte buffer with an upper bound and a sticky error.
 *
 * Grows by doubling up to the limit. The byte past the last is kept NUL, so that a
 * finished buffer serves as a C string. Leaves locking to its owner: one thread at
 * a time. */
#include "buf.h"

#include <stdarg.h>

#define BUF_FIRST_BYTES 128
#define BUF_DECIMAL_MAX 20 /* digits of UINT64_MAX; INT64_MIN has 19 and a sign */

void buf_init(struct buf *buf, size_t limit)
{
    *buf = (struct buf){.limit = limit};
}

void buf_deinit(struct buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct buf){.limit = buf->limit};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

/* The slow path of reserve(): a bigger block. */
static bool grow(struct buf *buf, size_t len)
{
    if (len > buf->limit - buf->len || len >= SIZE_MAX - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + len + 1;
    size_t cap = buf->cap ? buf->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap - 1 > buf->limit)
        cap = buf->limit + 1;
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

/* Makes room for `len` more bytes and the NUL. */
static inline bool reserve(struct buf *buf, size_t len)
{
    if (buf->failed)
        return false;
    /* len <= cap - 1 - len of content, written so that nothing can wrap */
    if (buf->cap > buf->len && len < buf->cap - buf->len)
        return true;
    return grow(buf, len);
}

char *buf_extend(struct buf *buf, size_t len)
{
    if (!reserve(buf, len))
        return NULL;
    char *room = buf->data + buf->len;
    buf->len += len;
    buf->data[buf->len] = '\0';
    return room;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    char *room = buf_extend(buf, len);
    if (room && len > 0)
        memcpy(room, bytes, len);
}

void buf_add_str(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    char *room = buf_extend(buf, 1);
    if (room)
        *room = c;
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;

    if (!reserve(buf, 0))
        return;
    va_start(args, format);
    int n = vsnprintf(buf->data + buf->len, buf->cap - buf->len, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < buf->cap - buf->len) {
        buf->len += (size_t)n;
        return;
    }
    buf->data[buf->len] = '\0'; /* what did not fit is taken back */
    if (n < 0) {
        buf->failed = true;
        return;
    }
    if (!reserve(buf, (size_t)n))
        return;
    va_start(args, format);
    (void)vsnprintf(buf->data + buf->len, buf->cap - buf->len, format, args); /* measured above */
    va_end(args);
    buf->len += (size_t)n;
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char digits[BUF_DECIMAL_MAX];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_add(buf, digits + at, sizeof digits - at);
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    if (value >= 0) {
        buf_add_u64(buf, (uint64_t)value);
        return;
    }
    buf_add_char(buf, '-');
    buf_add_u64(buf, 0 - (uint64_t)value); /* defined for INT64_MIN too */
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}
