/* reader_private.h: what reader*.c share. Nobody else includes it. */
#ifndef SPOOR_READER_PRIVATE_H
#define SPOOR_READER_PRIVATE_H

#include "query.h"
#include "reader.h"
#include "sql.h"

struct reader {
    struct sql sql;
    sqlite3_stmt *statements[QR_COUNT];
    int dirfd;
};

/* One snapshot over several statements. *mine says whether this call began it: a visitor may use
 * the reader that calls it, inside the snapshot that stands. */
int reader_begin(struct reader *reader, bool *mine, struct err *err);
/* Ends it when it is ours. Always succeeds: nothing was written. */
void reader_end(struct reader *reader, bool mine);

#endif
