/* rules.h: which names of a folder are ignored: the configuration's patterns and every
 * .spoorignore in the tree, deepest first, as git does it. An ignored name is absent to the
 * engine, on both sides (RULES 12). Thread-safe: readers share, a changed file excludes. */
#ifndef SPOOR_RULES_H
#define SPOOR_RULES_H

#include "bytes.h"
#include "config.h"
#include "fileid.h"
#include "tree.h"

struct entry;
struct err;
struct rules;

#define RULES_FILE_NAME TREE_RULES_NAME
#define RULES_FILES_MAX 65536

int rules_new(const struct config_list *patterns, struct rules **out, struct err *err);
void rules_free(struct rules *rules);

/* The content of dir/.spoorignore is now this; *changed says whether it was another before. */
int rules_set(struct rules *rules, struct file_id dir, const char *text, size_t len, bool *changed,
              struct err *err);
/* There is none any more; returns true when there was one. */
bool rules_drop(struct rules *rules, struct file_id dir);
bool rules_has(struct rules *rules, struct file_id dir);
/* Is there any pattern at all, configured or in a file? */
bool rules_any(const struct rules *rules);

/* One directory above the name, from the root down: levels[0] is the root with offset 0; `offset`
 * is where the path continues below that directory. */
struct rules_level {
    struct file_id dir;
    size_t offset;
};
/* `path` is relative to the folder; its parents are known not to be ignored. */
bool rules_ignored(struct rules *rules, const struct rules_level *levels, size_t count,
                   struct bytes path, bool is_dir);
/* The same for a name in a directory of the tree: builds path and levels from the entries. Reads
 * only id, file, parent and name of `dir` and its ancestors. */
bool rules_ignored_in(struct rules *rules, const struct entry *dir, struct bytes name, bool is_dir);

#endif
