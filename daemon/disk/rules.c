/* rules.c: which names are ignored: one pattern set a source, asked from the deepest directory up.
 *
 * The configuration's patterns come last, as git's info/exclude does. The patterns themselves are
 * config/ignore.c's; the walk that keeps out of ignored directories is the caller's. Scan workers
 * ask while the folder's thread sets: a reader-writer lock, and no lock at all as long as there
 * is no pattern anywhere, which is the usual folder. */
#include "rules.h"

#include <pthread.h>

#include "buf.h"
#include "err.h"
#include "hash.h"
#include "ignore.h"
#include "tree.h"

#define FIRST_BUCKETS   64
#define PATH_ON_STACK   4096
#define LEVELS_ON_STACK 128

struct source {
    struct source *next; /* in its bucket */
    struct file_id dir;
    struct ignore *set;
    size_t len; /* of the text, with its hash: is it the same as before? */
    uint64_t text_hash;
};

struct rules {
    struct ignore *config;
    size_t pattern_count;  /* atomic: of all sets together */
    pthread_rwlock_t lock; /* guards all below */
    struct source **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

static size_t bucket_of(struct file_id dir, size_t bucket_count)
{
    uint64_t mixed = (dir.a ^ dir.b * UINT64_C(0xd6e8feb86659fd93)) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (bucket_count - 1);
}

static struct source **find_locked(struct rules *rules, struct file_id dir)
{
    struct source **link = &rules->buckets[bucket_of(dir, rules->bucket_count)];
    while (*link && !file_id_equal((*link)->dir, dir))
        link = &(*link)->next;
    return link;
}

/* More buckets; when there is no memory for them the chains only get longer. */
static void grow_locked(struct rules *rules)
{
    size_t bucket_count = rules->bucket_count * 2;
    struct source **buckets = calloc(bucket_count, sizeof(*buckets));
    if (!buckets)
        return;
    for (size_t i = 0; i < rules->bucket_count; i++) {
        struct source *source = rules->buckets[i];
        while (source) {
            struct source *next = source->next;
            struct source **head = &buckets[bucket_of(source->dir, bucket_count)];
            source->next = *head;
            *head = source;
            source = next;
        }
    }
    free(rules->buckets);
    rules->buckets = buckets;
    rules->bucket_count = bucket_count;
}

static void count_patterns(struct rules *rules, const struct ignore *before,
                           const struct ignore *after)
{
    size_t change = (after ? ignore_count(after) : 0) - (before ? ignore_count(before) : 0);
    __atomic_add_fetch(&rules->pattern_count, change, __ATOMIC_RELEASE);
}

static int parse_config(const struct config_list *patterns, struct ignore **out, struct err *err)
{
    struct buf text;
    buf_init(&text, IGNORE_FILE_MAX);
    for (size_t i = 0; patterns && i < patterns->count; i++) {
        buf_add_str(&text, patterns->items[i]);
        buf_add_char(&text, '\n');
    }
    int code;
    if (!buf_ok(&text))
        code = err_set(err, ERR_LIMIT, 0,
                       "the configuration's ignore patterns have more than %d "
                       "bytes",
                       IGNORE_FILE_MAX);
    else
        code = ignore_parse(text.data ? text.data : "", text.len, out, err);
    buf_deinit(&text);
    return code;
}

int rules_new(const struct config_list *patterns, struct rules **out, struct err *err)
{
    struct rules *rules = calloc(1, sizeof *rules);
    struct source **buckets = calloc(FIRST_BUCKETS, sizeof(*buckets));
    int code = 0;
    if (!rules || !buckets)
        code = err_set(err, ERR_NOMEM, 0, "no memory for ignore rules");
    else
        code = parse_config(patterns, &rules->config, err);
    if (code) {
        free(rules);
        free(buckets);
        return code;
    }
    rules->buckets = buckets;
    rules->bucket_count = FIRST_BUCKETS;
    pthread_rwlock_init(&rules->lock, NULL);
    count_patterns(rules, NULL, rules->config);
    *out = rules;
    return 0;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < rules->bucket_count; i++) {
        struct source *source = rules->buckets[i];
        while (source) {
            struct source *next = source->next;
            ignore_free(source->set);
            free(source);
            source = next;
        }
    }
    free(rules->buckets);
    ignore_free(rules->config);
    pthread_rwlock_destroy(&rules->lock);
    free(rules);
}

/* Files `made` in place of what is there; takes it over on success. */
static int set_locked(struct rules *rules, struct source *made, bool *changed, struct err *err)
{
    struct source **link = find_locked(rules, made->dir);
    struct source *old = *link;
    if (!old && rules->count == RULES_FILES_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d files named '%s'", RULES_FILES_MAX,
                       RULES_FILE_NAME);
    *changed = !old || old->len != made->len || old->text_hash != made->text_hash;
    made->next = old ? old->next : NULL;
    *link = made;
    count_patterns(rules, old ? old->set : NULL, made->set);
    if (old) {
        ignore_free(old->set);
        free(old);
    } else if (++rules->count > rules->bucket_count) {
        grow_locked(rules);
    }
    return 0;
}

int rules_set(struct rules *rules, struct file_id dir, const char *text, size_t len, bool *changed,
              struct err *err)
{
    const struct hash_key key = {dir.a, dir.b};
    struct source *made = calloc(1, sizeof *made);
    if (!made)
        return err_set(err, ERR_NOMEM, 0, "no memory for ignore rules");
    made->dir = dir;
    made->len = len;
    made->text_hash = hash_bytes(key, len ? text : "", len);
    int code = ignore_parse(len ? text : "", len, &made->set, err);
    if (!code) {
        pthread_rwlock_wrlock(&rules->lock);
        code = set_locked(rules, made, changed, err);
        pthread_rwlock_unlock(&rules->lock);
    }
    if (code) {
        ignore_free(made->set);
        free(made);
    }
    return code;
}

bool rules_drop(struct rules *rules, struct file_id dir)
{
    pthread_rwlock_wrlock(&rules->lock);
    struct source **link = find_locked(rules, dir);
    struct source *old = *link;
    if (old) {
        *link = old->next;
        rules->count--;
        count_patterns(rules, old->set, NULL);
        ignore_free(old->set);
        free(old);
    }
    pthread_rwlock_unlock(&rules->lock);
    return old != NULL;
}

bool rules_has(struct rules *rules, struct file_id dir)
{
    pthread_rwlock_rdlock(&rules->lock);
    bool has = *find_locked(rules, dir) != NULL;
    pthread_rwlock_unlock(&rules->lock);
    return has;
}

bool rules_any(const struct rules *rules)
{
    return __atomic_load_n(&rules->pattern_count, __ATOMIC_ACQUIRE) > 0;
}

/* A rule file is never ignored, not even by "*" or ".*" as in git: only what is in the tree tells
 * the next start which directories have rules. */
static bool is_rule_file(struct bytes path)
{
    const struct bytes name = bytes_str(RULES_FILE_NAME);
    if (path.len < name.len)
        return false;
    const size_t start = path.len - name.len;
    return memcmp(path.at + start, name.at, name.len) == 0 &&
           (start == 0 || path.at[start - 1] == '/');
}

bool rules_ignored(struct rules *rules, const struct rules_level *levels, size_t count,
                   struct bytes path, bool is_dir)
{
    if (!rules_any(rules) || (!is_dir && is_rule_file(path)))
        return false;
    enum ignore_verdict verdict = IGNORE_NONE;
    pthread_rwlock_rdlock(&rules->lock);
    for (size_t i = count; i > 0 && verdict == IGNORE_NONE && rules->count > 0; i--) {
        const struct rules_level *level = &levels[i - 1];
        const struct source *source = *find_locked(rules, level->dir);
        if (source)
            verdict = ignore_match(source->set, path.at + level->offset, path.len - level->offset,
                                   is_dir);
    }
    pthread_rwlock_unlock(&rules->lock);
    if (verdict == IGNORE_NONE)
        verdict = ignore_match(rules->config, path.at, path.len, is_dir);
    return verdict == IGNORE_YES;
}

bool rules_ignored_in(struct rules *rules, const struct entry *dir, struct bytes name, bool is_dir)
{
    if (!rules_any(rules))
        return false;
    size_t len = name.len, count = 0;
    for (const struct entry *at = dir; at; at = at->parent) {
        len += at->parent ? at->name_len + 1u : 0;
        count++;
    }
    char path_here[PATH_ON_STACK];
    struct rules_level levels_here[LEVELS_ON_STACK];
    char *path = len <= sizeof path_here ? path_here : malloc(len);
    struct rules_level *levels =
        count <= LEVELS_ON_STACK ? levels_here : calloc(count, sizeof *levels);
    bool ignored = false; /* also without memory: then the next look decides */
    if (path && levels) {
        size_t offset = len - name.len, level = count;
        if (name.len > 0)
            memcpy(path + offset, name.at, name.len);
        for (const struct entry *at = dir; at; at = at->parent) {
            levels[--level] = (struct rules_level){at->file, offset};
            if (!at->parent)
                break;
            path[--offset] = '/';
            offset -= at->name_len;
            memcpy(path + offset, at->name, at->name_len);
        }
        ignored = rules_ignored(rules, levels, count, bytes_of(path, len), is_dir);
    }
    if (path != path_here)
        free(path);
    if (levels != levels_here)
        free(levels);
    return ignored;
}
