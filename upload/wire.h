/* wire.h: the names of our HTTP headers and the text form of a sum, for both ends of the
 * protocol (PROTOCOL.md). Any thread. */
#ifndef SPOOR_WIRE_H
#define SPOOR_WIRE_H

#define WIRE_JOURNAL "Spoor-Journal"
#define WIRE_FOLDER  "Spoor-Folder"
#define WIRE_EPOCH   "Spoor-Epoch"
#define WIRE_FIRST   "Spoor-First"
#define WIRE_LAST    "Spoor-Last"
#define WIRE_PREV    "Spoor-Prev"
#define WIRE_SUM     "Spoor-Sum"
#define WIRE_TREE    "Spoor-Tree"
#define WIRE_ACKED   "Spoor-Acked"
#define WIRE_PARTS   "Spoor-Parts"
#define WIRE_COUNT   "Spoor-Count"
/* In answers: the newest generation of a snapshot that the server has heard of. */
#define WIRE_GENERATION "Spoor-Generation"
/* Of all generations; far below the end of numbers, so that a next one is never out of reach. */
#define WIRE_GENERATION_MAX (INT64_C(1) << 62)

#define WIRE_SUM_DIGITS 16
#define WIRE_SUM_FORMAT "%016llx"

/* A sum travels as 16 lower-case hexadecimal digits: as a JSON number it would lose bits. */
static inline bool wire_parse_sum(const char *text, uint64_t *out)
{
    if (strlen(text) != WIRE_SUM_DIGITS || strspn(text, "0123456789abcdef") != WIRE_SUM_DIGITS)
        return false;
    *out = strtoull(text, NULL, 16); /* 16 digits cannot overflow */
    return true;
}

#endif
