/* json.c: JSON (RFC 8259) written straight into a buffer.
 *
 * The row writer's hot path: runs of plain bytes are copied whole, numbers printed without
 * printf, and whether a comma is due is read off the last byte written. DEL and the C1 controls
 * are escaped too, which JSON allows: a log shown on a terminal stays harmless. One writer a
 * buffer. */
#include "json.h"

#include "buf.h"
#include "text.h"

/* What a byte asks for inside a string. */
enum { PLAIN = 0, ESCAPE = 1, MULTIBYTE = 2 };

static const unsigned char byte_class[256] = {
    [0x00 ... 0x1f] = ESCAPE,    ['"'] = ESCAPE, ['\\'] = ESCAPE, [0x7f] = ESCAPE,
    [0x80 ... 0xff] = MULTIBYTE,
};

static void comma(struct buf *buf)
{
    if (buf->len == 0)
        return;
    switch (buf->data[buf->len - 1]) {
    case '{':
    case '[':
    case ':':
    case ',':
    case '\n':
        return;
    default:
        buf_add_char(buf, ',');
    }
}

void json_begin(struct buf *buf)
{
    comma(buf);
    buf_add_char(buf, '{');
}

void json_end(struct buf *buf)
{
    buf_add_char(buf, '}');
}

void json_key(struct buf *buf, const char *key)
{
    comma(buf);
    buf_add_char(buf, '"');
    buf_add_str(buf, key);
    buf_add(buf, "\":", 2);
}

void json_array_begin(struct buf *buf, const char *key)
{
    json_key(buf, key);
    buf_add_char(buf, '[');
}

void json_array_end(struct buf *buf)
{
    buf_add_char(buf, ']');
}

void json_i64(struct buf *buf, const char *key, int64_t value)
{
    json_key(buf, key);
    buf_add_i64(buf, value);
}

void json_bool(struct buf *buf, const char *key, bool value)
{
    json_key(buf, key);
    if (value)
        buf_add(buf, "true", 4);
    else
        buf_add(buf, "false", 5);
}

void json_null(struct buf *buf, const char *key)
{
    json_key(buf, key);
    buf_add(buf, "null", 4);
}

static void add_escape(struct buf *buf, unsigned code)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', hex[code >> 4 & 15], hex[code & 15]};

    switch (code) {
    case '\n':
        buf_add(buf, "\\n", 2);
        break;
    case '\t':
        buf_add(buf, "\\t", 2);
        break;
    case '\r':
        buf_add(buf, "\\r", 2);
        break;
    case '"':
        buf_add(buf, "\\\"", 2);
        break;
    case '\\':
        buf_add(buf, "\\\\", 2);
        break;
    default:
        buf_add(buf, text, sizeof text);
    }
}

static void add_quoted(struct buf *buf, const char *bytes, size_t len)
{
    size_t plain = 0; /* where the run not yet added begins */
    size_t at = 0;

    buf_add_char(buf, '"');
    while (at < len) {
        unsigned char byte = (unsigned char)bytes[at];
        uint32_t code = byte;
        size_t n = 1;
        if (byte_class[byte] == PLAIN) {
            at++;
            continue;
        }
        if (byte_class[byte] == MULTIBYTE) {
            n = text_utf8_next(bytes + at, len - at, &code);
            if (n > 0 && code > 0x9f) {
                at += n;
                continue;
            }
        }
        buf_add(buf, bytes + plain, at - plain);
        if (n == 0) {
            buf_add(buf, "\xef\xbf\xbd", 3); /* U+FFFD */
            n = 1;
        } else {
            add_escape(buf, code);
        }
        at += n;
        plain = at;
    }
    if (len > plain)
        buf_add(buf, bytes + plain, len - plain);
    buf_add_char(buf, '"');
}

void json_str(struct buf *buf, const char *key, const char *bytes, size_t len)
{
    json_key(buf, key);
    add_quoted(buf, bytes, len);
}

void json_cstr(struct buf *buf, const char *key, const char *text)
{
    json_str(buf, key, text, strlen(text));
}

void json_bytes(struct buf *buf, const char *key, const char *key_b64, const char *bytes,
                size_t len)
{
    if (text_is_utf8(bytes, len)) {
        json_str(buf, key, bytes, len);
        return;
    }
    json_key(buf, key_b64);
    buf_add_char(buf, '"');
    text_add_base64(buf, bytes, len);
    buf_add_char(buf, '"');
}

void json_item_str(struct buf *buf, const char *bytes, size_t len)
{
    comma(buf);
    add_quoted(buf, bytes, len);
}
