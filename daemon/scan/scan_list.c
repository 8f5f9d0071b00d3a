/* scan_list.c: see scan_list.h.
 *
 * Names are sorted before they are looked at: sixteen bytes move more cheaply than a record, and
 * the records then lie in the order of the tree table. */
#include "scan_list.h"

#include <errno.h>

#include "ignore.h"
#include "rules.h"
#include "scan_crew.h"
#include "tree.h"

#define LOOKS_BETWEEN_STOPS 1024

void scan_found_init(struct scan_found *found)
{
    *found = (struct scan_found){0};
    arena_init(&found->arena);
}

void scan_found_deinit(struct scan_found *found)
{
    arena_deinit(&found->arena);
    free(found->records);
    *found = (struct scan_found){0};
}

void scan_found_reset(struct scan_found *found)
{
    arena_reset(&found->arena);
    found->count = 0;
    if (found->cap * sizeof *found->records > SCAN_KEEP_BYTES) {
        free(found->records);
        found->records = NULL;
        found->cap = 0;
    }
}

static bool grow(void **array, size_t *cap, size_t wanted, size_t size)
{
    if (wanted <= *cap)
        return true;
    size_t next = *cap ? *cap * 2 : 64;
    if (next < wanted)
        next = wanted;
    void *grown = reallocarray(*array, next, size);
    if (!grown)
        return false;
    *array = grown;
    *cap = next;
    return true;
}

void scan_lister_init(struct scan_lister *lister)
{
    *lister = (struct scan_lister){0};
    buf_init(&lister->names, SCAN_LIST_BYTES_MAX);
}

void scan_lister_deinit(struct scan_lister *lister)
{
    buf_deinit(&lister->names);
    free(lister->order);
    *lister = (struct scan_lister){0};
}

static void reset(struct scan_lister *lister)
{
    lister->count = 0;
    buf_reset(&lister->names);
    if (lister->names.cap > SCAN_KEEP_BYTES) {
        scan_lister_deinit(lister);
        scan_lister_init(lister);
    }
}

static int compare_names(const void *x, const void *y)
{
    return bytes_compare(*(const struct bytes *)x, *(const struct bytes *)y);
}

enum disk_answer scan_lister_names(struct scan_lister *lister, const struct disk *disk,
                                   struct disk_dir *dir, int *os)
{
    reset(lister);
    enum disk_answer answer = disk->ops->list(disk->ctx, dir, &lister->names, os);
    if (answer != DISK_PRESENT)
        return answer;
    const char *at = lister->names.data;
    const char *end = at + lister->names.len;
    while (at < end) {
        uint16_t len;
        if (!grow((void **)&lister->order, &lister->cap, lister->count + 1,
                  sizeof *lister->order)) {
            *os = ENOMEM;
            return DISK_UNKNOWN;
        }
        memcpy(&len, at, sizeof len);
        at += sizeof len;
        lister->order[lister->count++] = bytes_of(at, len);
        at += len;
    }
    if (lister->count > 1)
        qsort(lister->order, lister->count, sizeof *lister->order, compare_names);
    return DISK_PRESENT;
}

bool scan_lister_has(const struct scan_lister *lister, struct bytes name)
{
    return lister->count > 0 && bsearch(&name, lister->order, lister->count, sizeof *lister->order,
                                        compare_names) != NULL;
}

/* Ignored, though its type may be unknown? Most often it is a mount point, so a directory;
 * otherwise only what is ignored whatever it is. */
static bool unknown_ignored(struct rules *rules, const struct entry *entry, struct bytes name,
                            int os)
{
    return rules_ignored_in(rules, entry, name, true) &&
           (os == EXDEV || rules_ignored_in(rules, entry, name, false));
}

static int add_record(struct scan_found *found, struct bytes name, const struct disk_entry *look,
                      bool known)
{
    if (!grow((void **)&found->records, &found->cap, found->count + 1, sizeof *found->records))
        return ERR_NOMEM;
    struct scan_record *record = &found->records[found->count];
    *record = (struct scan_record){.type = ENTRY_NONE};
    record->name = bytes_of(arena_copy(&found->arena, name.at, name.len), name.len);
    if (known) {
        record->type = look->type;
        record->file = look->file;
        record->attrs = look->attrs;
        if (look->attrs.target.len > 0) {
            struct bytes target = look->attrs.target;
            record->attrs.target =
                bytes_of(arena_copy(&found->arena, target.at, target.len), target.len);
            if (!record->attrs.target.at)
                return ERR_NOMEM;
        }
    }
    if (!record->name.at)
        return ERR_NOMEM;
    found->count++;
    return 0;
}

int scan_lister_look(struct scan_lister *lister, struct scan_crew *crew, const struct entry *entry,
                     struct disk_dir *dir, struct scan_found *found, size_t *unknown)
{
    const struct disk *disk = crew->env->disk;
    struct rules *rules = crew->env->rules;
    struct disk_entry *look = &lister->look;
    int code = 0;
    *unknown = 0;
    for (size_t i = 0; i < lister->count && !code; i++) {
        struct bytes name = lister->order[i];
        if (i % LOOKS_BETWEEN_STOPS == LOOKS_BETWEEN_STOPS - 1 && scan_crew_ended(crew))
            return ERR_CANCELLED;
        switch (disk->ops->look(disk->ctx, dir, name, look)) {
        case DISK_PRESENT:
            if (!rules_ignored_in(rules, entry, name, look->type == ENTRY_DIR))
                code = add_record(found, name, look, true);
            break;
        case DISK_ABSENT:
            break; /* gone since it was listed; its directory is watched, so that is a hint */
        case DISK_UNKNOWN:
            if (unknown_ignored(rules, entry, name, look->os))
                break;
            if ((*unknown)++ == 0)
                scan_crew_trouble_name(crew, entry, look->os, name);
            code = add_record(found, name, look, false);
            break;
        }
    }
    return code;
}

int scan_load_rules(const struct scan_env *env, const struct entry *entry, struct disk_dir *dir)
{
    struct buf text;
    bool changed;
    int os = 0;
    buf_init(&text, IGNORE_FILE_MAX + 1);
    switch (env->disk->ops->read_file(env->disk->ctx, dir, bytes_str(RULES_FILE_NAME),
                                      IGNORE_FILE_MAX, &text, &os)) {
    case DISK_PRESENT:
        /* Fails by size or memory alone; both say that not all patterns could be taken. */
        os =
            rules_set(env->rules, entry->file, text.data ? text.data : "", text.len, &changed, NULL)
                ? EFBIG
                : 0;
        break;
    case DISK_ABSENT:
        (void)rules_drop(env->rules, entry->file); /* whether there were any does not matter */
        os = 0;
        break;
    case DISK_UNKNOWN:
        break;
    }
    buf_deinit(&text);
    return os;
}
