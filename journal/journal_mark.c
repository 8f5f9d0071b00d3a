/* journal_mark.c: see journal_mark.h. One line, always of the same length and written by one
 * call, with a hash of what is before it:
 *
 *   spoor-mark 1 01790000000000000000 00000000000000000042 00f3c2a19b1d7e55 5d0c3a...
 */
#include "journal_mark.h"

#include "hash.h"
#include "num.h"

#define MARK_FORMAT "spoor-mark 1 %020lld %020lld %016llx "
#define HASH_FORMAT "%016llx\n"
#define HASH_BYTES  17
#define LINE_BYTES  (13 + 21 + 21 + 17 + HASH_BYTES)

/* "spoor mark" in ASCII. */
static const struct hash_key mark_key = {UINT64_C(0x6d20726f6f7073), UINT64_C(0x6b7261)};

static void format(const struct journal_mark *mark, char out[LINE_BYTES + 1])
{
    int len = snprintf(out, LINE_BYTES + 1, MARK_FORMAT, (long long)mark->epoch,
                       (long long)mark->seq, (unsigned long long)mark->sum); /* fixed width */
    (void)snprintf(out + len, (size_t)(LINE_BYTES + 1 - len), HASH_FORMAT,
                   (unsigned long long)hash_bytes(mark_key, out, (size_t)len)); /* likewise */
}

/* Reads the numbers by their places; whether they are what was written, the hash says. */
static void parse(const char *line, struct journal_mark *out)
{
    char number[21] = "";
    memcpy(number, line + 13, 20);
    (void)num_parse_i64(number, 0, INT64_MAX, &out->epoch); /* else it stays 0: another line */
    memcpy(number, line + 34, 20);
    (void)num_parse_i64(number, 0, INT64_MAX, &out->seq); /* as above */
    char sum[17] = "";
    memcpy(sum, line + 55, 16);
    out->sum = strtoull(sum, NULL, 16); /* 16 digits at most cannot overflow */
}

bool journal_mark_read(int fd, struct journal_mark *out)
{
    char line[LINE_BYTES + 1] = "", again[LINE_BYTES + 1];
    struct journal_mark mark = {0};
    if (lseek(fd, 0, SEEK_SET) != 0 || read(fd, line, LINE_BYTES) != LINE_BYTES)
        return false;
    parse(line, &mark);
    format(&mark, again);
    if (memcmp(line, again, LINE_BYTES) != 0)
        return false;
    *out = mark;
    return true;
}

void journal_mark_write(int fd, const struct journal_mark *mark)
{
    char line[LINE_BYTES + 1];
    format(mark, line);
    /* A short write (a full disk) leaves a mark that does not fit its hash: none at all. */
    if (lseek(fd, 0, SEEK_SET) == 0 && write(fd, line, LINE_BYTES) != LINE_BYTES)
        return;
}
