/* journal_id.h: the journal's name for servers, in a small text file beside the database.
 *
 * It is apart from the database so that it outlives corruption, and it is bound to the
 * machine: a cloned disk or a copied state directory would otherwise make two clients of
 * one journal, and the server would drop the rows of one as duplicates (RULES 14). The file
 * also remembers the highest epoch, so that a database begun anew gets a higher one even when
 * the clock went back. Any thread; one at a time. */
#ifndef SPOOR_JOURNAL_ID_H
#define SPOOR_JOURNAL_ID_H

#include "journal.h"

struct err;

struct journal_id {
    char id[JOURNAL_ID_SIZE];
    int64_t epoch;        /* of the last database begun, 0 none */
    char machine[40];     /* hash of the machine's id, "unknown" when it has none */
    bool machine_changed; /* the id is new because the file came from another machine */
};

/* Reads dirfd/journal.id. ERR_NOTFOUND: no such file; ERR_CORRUPT: not in its form. */
int journal_id_read(int dirfd, struct journal_id *out, struct err *err);
/* Reads it and checks the machine; makes and writes a new id where there is none, or where the
 * machine is another. */
int journal_id_obtain(int dirfd, struct journal_id *out, struct err *err);
/* Gives *id another id, and the file with it. */
int journal_id_renew(int dirfd, struct journal_id *id, struct err *err);
/* Replaces the file, durably. */
int journal_id_write(int dirfd, const struct journal_id *id, struct err *err);

#endif
