/* collect_store.h: the collector's directory of mirrors: few of them open at a time.
 *
 * One file a journal, "<id>.db" (journal/mirror.h). The HTTP thread alone uses it; a lock
 * keeps a second collector out. */
#ifndef SPOOR_COLLECT_STORE_H
#define SPOOR_COLLECT_STORE_H

struct buf;
struct collect_store;
struct err;
struct mirror;
struct mirror_cursor;

#define COLLECT_STORE_OPEN_MAX 32 /* mirrors held open */

/* Makes `dir` 0700 when missing. ERR_BUSY: another collector has it. */
int collect_store_open(const char *dir, struct collect_store **out, struct err *err);
void collect_store_close(struct collect_store *store);

/* True for what may be a journal's id: letters, digits and '-', as mirror_open() asks. */
bool collect_store_is_id(const char *text);

/* The mirror of a journal, the store's own, good until the next call. Without `create` ERR_NOTFOUND
 * when there is none; with it ERR_LIMIT beyond COLLECT_JOURNALS_MAX. */
int collect_store_get(struct collect_store *store, const char *journal, bool create,
                      struct mirror **out, struct err *err);
/* After a failure of that mirror: closes it, so that the next call opens it afresh. */
void collect_store_drop(struct collect_store *store, const char *journal);

/* Appends the cursor as one line of JSON. */
void collect_store_write_cursor(struct buf *out, const struct mirror_cursor *cursor);
/* Appends one such line for each journal. */
int collect_store_list(struct collect_store *store, struct buf *out, struct err *err);
/* Writes the mirrored tree, a line of row.h an entry, into a file without a name, so that a tree
 * of any size takes no memory and the answer can be as slow as its reader. Caller closes *fd. */
int collect_store_spool(struct collect_store *store, const char *journal, int *fd, int64_t *size,
                        struct err *err);

#endif
