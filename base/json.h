/* json.h: writing JSON (RFC 8259) straight into a buffer, one object a line.
 *
 *   json_begin(&buf); json_i64(&buf, "seq", 7); json_str(&buf, "path", p, n); json_end(&buf);
 *
 * Commas are set by looking at the last byte written. Keys are literals that need no
 * escaping. Any thread; one writer a buffer. Reading JSON is left to SQLite. */
#ifndef SPOOR_JSON_H
#define SPOOR_JSON_H

struct buf;

void json_begin(struct buf *buf); /* "{" , after a comma where one is due */
void json_end(struct buf *buf);   /* "}" */
void json_key(struct buf *buf, const char *key);
/* "key":[ ... ] holding objects written by json_begin() or plain json_item_str(). */
void json_array_begin(struct buf *buf, const char *key);
void json_array_end(struct buf *buf);

void json_i64(struct buf *buf, const char *key, int64_t value);
void json_bool(struct buf *buf, const char *key, bool value);
void json_null(struct buf *buf, const char *key);
/* A text known to be UTF-8; anything else becomes U+FFFD byte by byte. */
void json_str(struct buf *buf, const char *key, const char *bytes, size_t len);
void json_cstr(struct buf *buf, const char *key, const char *text);
/* Bytes that may be no UTF-8: "key" when they are, else "key_b64" in base64. `key_b64` is given
 * whole by the caller so that no name is put together at run time. */
void json_bytes(struct buf *buf, const char *key, const char *key_b64, const char *bytes,
                size_t len);
/* A quoted string without key, for arrays. */
void json_item_str(struct buf *buf, const char *bytes, size_t len);

#endif
