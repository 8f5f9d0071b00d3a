/* scan_list.h: one directory of the disk as a scan sees it: its names in order, what each is,
 * without what the rules ignore. Private to scan_*.c; one thread each. */
#ifndef SPOOR_SCAN_LIST_H
#define SPOOR_SCAN_LIST_H

#include "arena.h"
#include "buf.h"
#include "disk.h"
#include "scan.h"

struct scan_crew;

#define SCAN_LIST_BYTES_MAX (256 << 20) /* names of one directory */
#define SCAN_KEEP_BYTES     (1 << 20)   /* scratch kept from one directory to the next */

/* Records of one or several directories; their bytes lie in the arena. A record of type
 * ENTRY_NONE is a name that could not be looked at. */
struct scan_found {
    struct arena arena;
    struct scan_record *records;
    size_t count, cap;
};

void scan_found_init(struct scan_found *found);
void scan_found_deinit(struct scan_found *found);
/* Empties it; memory beyond SCAN_KEEP_BYTES is given back. */
void scan_found_reset(struct scan_found *found);

struct scan_lister {
    struct buf names; /* as disk.list() gives them */
    struct bytes *order;
    size_t count, cap;
    struct disk_entry look;
};

void scan_lister_init(struct scan_lister *lister);
void scan_lister_deinit(struct scan_lister *lister);

/* Lists and sorts. */
enum disk_answer scan_lister_names(struct scan_lister *lister, const struct disk *disk,
                                   struct disk_dir *dir, int *os);
/* Is the name among them? */
bool scan_lister_has(const struct scan_lister *lister, struct bytes name);

/* Looks at every name listed and appends what is there and not ignored to `found`; names that
 * vanished meanwhile are left out. *unknown counts those that could not be looked at; the first
 * is told as trouble. ERR_NOMEM; ERR_CANCELLED when the scan has ended. */
int scan_lister_look(struct scan_lister *lister, struct scan_crew *crew, const struct entry *entry,
                     struct disk_dir *dir, struct scan_found *found, size_t *unknown);

/* The rules of `entry`: reads its RULES_FILE_NAME. 0: the rules are as the disk has them; else the
 * errno that keeps us from knowing which names are ignored. */
int scan_load_rules(const struct scan_env *env, const struct entry *entry, struct disk_dir *dir);

#endif
