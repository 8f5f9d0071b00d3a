/* wtf8.h: names of Windows as bytes and back, without loss.
 *
 * Windows names are any sequence of 16-bit units, which need not be well-formed UTF-16: a lone half
 * of a surrogate pair is allowed. WTF-8 is UTF-8 that may hold such a lone half, as the three bytes
 * that its number has; a whole pair is always the four bytes of its code point, so that every
 * sequence of units has exactly one spelling and no two share one. Pure; any thread. */
#ifndef SPOOR_WTF8_H
#define SPOOR_WTF8_H

#include "bytes.h"

#define WTF8_UNIT_BYTES_MAX 3 /* no unit needs more: a pair makes four */

/* The bytes of `count` units (two bytes each in host order, unaligned is fine) into `out`, which
 * has room for `room`; writes no NUL. ERR_LIMIT: they do not fit; nothing may be read then. */
int wtf8_from_utf16(const void *units, size_t count, char *out, size_t room, size_t *len);

/* The units of `text` into `out`; writes no NUL. ERR_INVALID: no WTF-8 (also a pair spelt as two
 * halves, which would be a second spelling of its code point); ERR_LIMIT: they do not fit. `room`
 * of text.len units is always enough. */
int wtf8_to_utf16(struct bytes text, uint16_t *out, size_t room, size_t *count);

#endif
