/* journal_mark.h: the newest committed row, noted outside the database.
 *
 * Damage to the end of SQLite's log takes the last commits with it, and nothing in the file
 * shows that they ever were. Rows that were given away must not come back as others under the
 * same numbers, so each commit is noted in a small file beside the database: a mark beyond the
 * database's end says that it was rolled back. It is written after the commit and not synced:
 * after a power loss it may be old, which only means that nothing is noticed; there the log is
 * synced. The folder's thread. */
#ifndef SPOOR_JOURNAL_MARK_H
#define SPOOR_JOURNAL_MARK_H

#define JOURNAL_MARK_FILE "journal.mark"

struct journal_mark {
    int64_t epoch, seq;
    uint64_t sum; /* of row `seq` */
};

/* `fd` is the file, open for reading and writing. False: there is none, or it is not whole. */
bool journal_mark_read(int fd, struct journal_mark *out);
/* A failure leaves the mark before, which promises less. */
void journal_mark_write(int fd, const struct journal_mark *mark);

#endif
