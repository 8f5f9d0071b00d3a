/* text.h: bytes that people or protocols shall see: UTF-8 validity, terminal
 * escapes, base64, suggestions for misspelt words. Any thread. */
#ifndef SPOOR_TEXT_H
#define SPOOR_TEXT_H

struct buf;

/* True for well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool text_is_utf8(const char *bytes, size_t len);
/* Length (1 to 4) of the well-formed UTF-8 sequence at `bytes`, its code point in *code;
 * 0 where there is none, *code then untouched. len >= 1. */
size_t text_utf8_next(const char *bytes, size_t len, uint32_t *code);

/* Appends the bytes for a terminal: control characters (C0, DEL, C1), bytes that
 * are no UTF-8, bidirectional overrides and the backslash appear as \n, \t, \xNN,
 * \uNNNN or \\; all else as it is. What comes out never moves a cursor. */
void text_add_escaped(struct buf *buf, const char *bytes, size_t len);

/* Standard base64 (RFC 4648 section 4), padded. */
void text_add_base64(struct buf *buf, const void *bytes, size_t len);
/* Appends the decoded bytes; 0, or ERR_INVALID for anything but padded base64. */
int text_decode_base64(const char *text, size_t len, struct buf *out);
/* Lower-case hexadecimal. */
void text_add_hex(struct buf *buf, const void *bytes, size_t len);

/* The candidate nearest to `word` by edit distance, or NULL when none is near
 * enough to be a likely typing error. The result is one of `candidates`. */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);

#endif
