/* text.c: UTF-8, terminal escapes, base64, hexadecimal, and the nearest word.
 *
 * File names are bytes; this is where they become something that people, terminals and
 * JSON can take. Leaves quoting for JSON to json.c. Any thread. */
#include "text.h"

#include "buf.h"
#include "err.h"

#define NEAREST_WORD_MAX 64 /* bytes; longer words have no likely misspelling */

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static inline bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The table of RFC 3629 section 4: only the second byte's range depends on the first. */
size_t text_utf8_next(const char *bytes, size_t len, uint32_t *code)
{
    const unsigned char *b = (const unsigned char *)bytes;

    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    if (b[0] < 0xc2 || b[0] > 0xf4 || len < 2 || !is_tail(b[1]))
        return 0;
    if (b[0] < 0xe0) {
        *code = (uint32_t)(b[0] & 0x1f) << 6 | (b[1] & 0x3f);
        return 2;
    }
    if (len < 3 || !is_tail(b[2]))
        return 0;
    if (b[0] < 0xf0) {
        if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f))
            return 0;
        *code = (uint32_t)(b[0] & 0x0f) << 12 | (uint32_t)(b[1] & 0x3f) << 6 | (b[2] & 0x3f);
        return 3;
    }
    if (len < 4 || !is_tail(b[3]) || (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    *code = (uint32_t)(b[0] & 0x07) << 18 | (uint32_t)(b[1] & 0x3f) << 12 |
            (uint32_t)(b[2] & 0x3f) << 6 | (b[3] & 0x3f);
    return 4;
}

bool text_is_utf8(const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        uint64_t word;
        uint32_t code;
        /* Names are mostly ASCII: eight bytes at once while no top bit is set. */
        while (len - at >= sizeof word) {
            memcpy(&word, bytes + at, sizeof word);
            if (word & UINT64_C(0x8080808080808080))
                break;
            at += sizeof word;
        }
        if (at == len)
            break;
        size_t n = text_utf8_next(bytes + at, len - at, &code);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

/* Code points that steer a terminal or reorder the text around them: controls, the marks,
 * embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX 9), and the
 * line and paragraph separators. */
static bool is_steering(uint32_t code)
{
    return (code >= 0x7f && code <= 0x9f) || code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static void add_escape(struct buf *buf, char kind, uint32_t value, int width)
{
    char text[6] = {'\\', kind};

    for (int i = 0; i < width; i++)
        text[2 + i] = hex_digits[value >> (4 * (width - 1 - i)) & 0xf];
    buf_add(buf, text, 2 + (size_t)width);
}

static void add_steering(struct buf *buf, uint32_t code)
{
    if (code == '\n')
        buf_add(buf, "\\n", 2);
    else if (code == '\t')
        buf_add(buf, "\\t", 2);
    else if (code == '\r')
        buf_add(buf, "\\r", 2);
    else if (code == '\\')
        buf_add(buf, "\\\\", 2);
    else if (code < 0x80)
        add_escape(buf, 'x', code, 2);
    else
        add_escape(buf, 'u', code, 4);
}

void text_add_escaped(struct buf *buf, const char *bytes, size_t len)
{
    size_t plain = 0; /* where the run not yet added begins */
    size_t at = 0;

    while (at < len) {
        uint32_t code = 0;
        size_t n = text_utf8_next(bytes + at, len - at, &code);
        if (n > 0 && code >= 0x20 && code != '\\' && !is_steering(code)) {
            at += n;
            continue;
        }
        buf_add(buf, bytes + plain, at - plain);
        if (n == 0) {
            add_escape(buf, 'x', (unsigned char)bytes[at], 2);
            n = 1;
        } else {
            add_steering(buf, code);
        }
        at += n;
        plain = at;
    }
    if (len > 0)
        buf_add(buf, bytes + plain, len - plain);
}

void text_add_base64(struct buf *buf, const void *bytes, size_t len)
{
    const unsigned char *b = bytes;

    if (len > SIZE_MAX / 4 * 3 - 3) {
        buf->failed = true;
        return;
    }
    char *out = buf_extend(buf, (len + 2) / 3 * 4);
    if (!out)
        return;
    for (; len >= 3; len -= 3, b += 3) {
        *out++ = base64_digits[b[0] >> 2];
        *out++ = base64_digits[(b[0] & 3) << 4 | b[1] >> 4];
        *out++ = base64_digits[(b[1] & 15) << 2 | b[2] >> 6];
        *out++ = base64_digits[b[2] & 63];
    }
    if (len == 0)
        return;
    unsigned char second = len == 2 ? b[1] : 0;
    out[0] = base64_digits[b[0] >> 2];
    out[1] = base64_digits[(b[0] & 3) << 4 | second >> 4];
    out[2] = len == 2 ? base64_digits[(second & 15) << 2] : '=';
    out[3] = '=';
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, the last one or two of which may be padding, to 1..3 bytes. The bits that the
 * padding leaves over must be zero, so that every text has one spelling. */
static int decode_quad(const char *quad, bool last, char out[3])
{
    size_t digits = 4;
    uint32_t bits = 0;

    if (last && quad[3] == '=')
        digits = quad[2] == '=' ? 2 : 3;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(quad[i]);
        if (value < 0)
            return ERR_INVALID;
        bits |= (uint32_t)value << (18 - 6 * i);
    }
    if ((digits == 2 && (bits & 0xffff)) || (digits == 3 && (bits & 0xff)))
        return ERR_INVALID;
    out[0] = (char)(bits >> 16);
    out[1] = (char)(bits >> 8);
    out[2] = (char)bits;
    return (int)digits - 1;
}

int text_decode_base64(const char *text, size_t len, struct buf *out)
{
    size_t before = out->len;

    if (len % 4 != 0)
        return ERR_INVALID;
    for (size_t at = 0; at < len; at += 4) {
        char bytes[3];
        int n = decode_quad(text + at, at + 4 == len, bytes);
        if (n < 0) {
            buf_truncate(out, before);
            return n;
        }
        buf_add(out, bytes, (size_t)n);
    }
    return 0;
}

void text_add_hex(struct buf *buf, const void *bytes, size_t len)
{
    const unsigned char *b = bytes;

    if (len > SIZE_MAX / 2) {
        buf->failed = true;
        return;
    }
    char *out = buf_extend(buf, 2 * len);
    if (!out)
        return;
    for (size_t i = 0; i < len; i++) {
        *out++ = hex_digits[b[i] >> 4];
        *out++ = hex_digits[b[i] & 15];
    }
}

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance: insertions, deletions, substitutions and swaps of
 * neighbours, which are the typing errors people make. Three rows of the table suffice. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = min2(best, min2(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min2(best, before[j - 2] + 1);
            now[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_len];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t len = strlen(word);
    const char *nearest = NULL;
    /* A third of the word may be wrong, and in short words one letter. */
    size_t limit = len < 3 ? 1 : (len + 2) / 3;

    if (len == 0 || len > NEAREST_WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t candidate_len = strlen(candidates[i]);
        if (candidate_len > NEAREST_WORD_MAX)
            continue;
        size_t distance = edit_distance(word, len, candidates[i], candidate_len);
        /* All letters exchanged is no likeness, whatever the limit says. */
        if (distance > limit || distance >= len)
            continue;
        if (distance < limit || !nearest) {
            nearest = candidates[i];
            limit = distance;
        }
    }
    return nearest;
}
