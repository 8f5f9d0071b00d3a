/* wtf8.c: see wtf8.h. The generalised UTF-8 of the WTF-8 encoding (Simon Sapin), decoded by the
 * table of RFC 3629 section 4 with the surrogates let in. */
#include "wtf8.h"

#include "err.h"
#include "text.h"

static uint32_t unit_at(const void *units, size_t at)
{
    uint16_t unit;
    memcpy(&unit, (const char *)units + at * sizeof unit, sizeof unit);
    return unit;
}

/* Of a unit or a code point. */
static bool is_high(uint32_t code)
{
    return code >= 0xd800 && code <= 0xdbff;
}

static bool is_low(uint32_t code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

static size_t encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; --i > 0; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    /* The first byte says by its leading ones how long the sequence is. */
    out[0] = (char)((0xf00 >> len & 0xff) | code);
    return len;
}

int wtf8_from_utf16(const void *units, size_t count, char *out, size_t room, size_t *len)
{
    size_t at = 0, used = 0;
    while (at < count) {
        char bytes[4];
        uint32_t code = unit_at(units, at++);
        if (is_high(code) && at < count && is_low(unit_at(units, at)))
            code = 0x10000 + ((code & 0x3ff) << 10) + (unit_at(units, at++) & 0x3ff);
        size_t more = encode(code, bytes);
        if (more > room - used)
            return ERR_LIMIT;
        memcpy(out + used, bytes, more);
        used += more;
    }
    *len = used;
    return 0;
}

/* Length of the sequence at `at`, its code point in *code; 0: there is none. */
static size_t decode(const char *at, size_t len, uint32_t *code)
{
    const unsigned char *b = (const unsigned char *)at;
    size_t used = text_utf8_next(at, len, code);
    if (used == 0 && len >= 3 && b[0] == 0xed && b[1] >= 0xa0 && b[1] <= 0xbf &&
        (b[2] & 0xc0) == 0x80) {
        *code = 0xd000 | (uint32_t)(b[1] & 0x3f) << 6 | (b[2] & 0x3f);
        used = 3;
    }
    return used;
}

int wtf8_to_utf16(struct bytes text, uint16_t *out, size_t room, size_t *count)
{
    size_t used = 0;
    uint32_t before = 0; /* the code point before this one */
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        size_t taken = decode(text.at + at, text.len - at, &code);
        if (taken == 0 || (is_high(before) && is_low(code)))
            return ERR_INVALID;
        at += taken;
        before = code;
        if (room - used < (code >= 0x10000 ? 2 : 1))
            return ERR_LIMIT;
        if (code >= 0x10000) {
            code -= 0x10000;
            out[used++] = (uint16_t)(0xd800 | code >> 10);
            code = 0xdc00 | (code & 0x3ff);
        }
        out[used++] = (uint16_t)code;
    }
    *count = used;
    return 0;
}
