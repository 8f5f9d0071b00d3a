/* treewalk.h: a stored tree, depth first, names in byte order, with paths, in memory
 * that grows with the depth and not with the tree. For the tree table, the mirror's and
 * a replayed one alike. The connection's thread. */
#ifndef SPOOR_TREEWALK_H
#define SPOOR_TREEWALK_H

#include <sqlite3.h>

struct err;
struct reader_entry;
struct sql;

/* `children` gives, in the layout of query_read_entry(), the children of directory ?1 whose names
 * come after ?2, by name. A nonzero return of `visit` ends the walk and is returned; bytes of the
 * entry live for the call. The caller holds a read transaction. */
int treewalk(const struct sql *sql, sqlite3_stmt *children,
             int (*visit)(void *ctx, const struct reader_entry *entry), void *ctx, struct err *err);

#endif
