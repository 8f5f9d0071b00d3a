/* schema.h: the tables and views of the journal and of the mirror, and the numbered
 * steps by which a file of an older version becomes one of this version.
 *
 * `application_id` says whose file it is, `user_version` which schema. A file that is not ours,
 * or newer than this program, is left untouched. One thread. */
#ifndef SPOOR_SCHEMA_H
#define SPOOR_SCHEMA_H

struct err;
struct sql;

#define SCHEMA_JOURNAL_ID 0x53504f31 /* "SPO1" */
#define SCHEMA_MIRROR_ID  0x53504d31 /* "SPM1" */

/* The tree as a replay of rows builds it: in the mirror's file, and in a temporary one. */
#define SCHEMA_NODE_TABLE(table)                                                                   \
    "CREATE TABLE " table "(parent INTEGER NOT NULL, name BLOB NOT NULL, id INTEGER NOT NULL,"     \
    " type INTEGER NOT NULL, mode INTEGER NOT NULL, size INTEGER NOT NULL,"                        \
    " mtime INTEGER NOT NULL, target BLOB, PRIMARY KEY(parent,name)) STRICT, WITHOUT ROWID;"

/* Step i makes version i+1 out of version i. */
struct schema {
    int32_t application_id;
    const char *const *steps;
    int count; /* steps, and so the newest version */
};

extern const struct schema schema_journal;
extern const struct schema schema_mirror;
/* Makes `node_next` the mirror's tree, and an empty one in its place. To be run in a transaction.
 */
extern const char schema_mirror_switch[];

/* Reads whose file it is and its version: 0 for an empty file. ERR_CORRUPT when it is another
 * program's, ERR_UNSUPPORTED when it is newer than `schema`. Changes nothing. */
int schema_version(const struct sql *sql, const struct schema *schema, int *version,
                   struct err *err);
/* Takes the file from `version` to the newest in one transaction: a reader beside it never meets a
 * version in between, and a step that fails leaves the file as it was. */
int schema_migrate(const struct sql *sql, const struct schema *schema, int version,
                   struct err *err);
/* What must be set on an empty file before its first table, and on every writer's connection. */
int schema_settings(const struct sql *sql, struct err *err);

#endif
