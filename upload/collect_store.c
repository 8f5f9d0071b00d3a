/* collect_store.c: mirrors by journal id, the least recently used one closed first.
 *
 * Opening costs a few file operations, an open one about 2 MB of SQLite's cache: 32 serve
 * thousands of clients that report now and then. The HTTP thread. */
#include "collect_store.h"

#include <errno.h>

#include "buf.h"
#include "collect.h"
#include "err.h"
#include "json.h"
#include "mirror.h"
#include "osfile.h"
#include "row.h"
#include "wire.h"

#define STORE_LOCK     "collect.lock"
#define STORE_SUFFIX   ".db"
#define SPOOL_PIECE    (256 << 10) /* bytes written at a time */
#define SPOOL_LINE_MAX (8 << 20)   /* a path of TREE_DEPTH_MAX names, each byte escaped */

struct slot {
    struct mirror *mirror; /* NULL: free */
    char journal[JOURNAL_ID_SIZE];
    int64_t used; /* the store's clock at the last use */
};

struct collect_store {
    char *dir;
    int dirfd;
    int lock;
    int64_t clock;
    int64_t journals; /* files in the directory */
    struct slot slots[COLLECT_STORE_OPEN_MAX];
};

bool collect_store_is_id(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return len > 0 && len < JOURNAL_ID_SIZE && text[len] == '\0';
}

/* "<id>.db" -> id. */
static bool id_of_file(const char *name, char out[JOURNAL_ID_SIZE])
{
    size_t len = strlen(name);
    size_t tail = strlen(STORE_SUFFIX);
    if (len <= tail || len - tail >= JOURNAL_ID_SIZE ||
        strcmp(name + len - tail, STORE_SUFFIX) != 0)
        return false;
    memcpy(out, name, len - tail);
    out[len - tail] = '\0';
    return collect_store_is_id(out);
}

static int count_journal(void *ctx, const char *name, struct err *err)
{
    struct collect_store *store = ctx;
    char journal[JOURNAL_ID_SIZE];
    (void)err;
    store->journals += id_of_file(name, journal);
    return 0;
}

int collect_store_open(const char *dir, struct collect_store **out, struct err *err)
{
    struct collect_store *store = calloc(1, sizeof *store);
    if (!store)
        return err_set(err, ERR_NOMEM, 0, "cannot open store '%s': out of memory", dir);
    store->dirfd = -1;
    store->lock = -1;
    store->dir = strdup(dir);
    int code = store->dir
                   ? osfile_make_private_dir(dir, err)
                   : err_set(err, ERR_NOMEM, 0, "cannot open store '%s': out of memory", dir);
    if (code)
        goto out;
    store->dirfd = osfile_open_dir(dir, err);
    if (store->dirfd < 0) {
        code = store->dirfd;
        goto out;
    }
    store->lock = osfile_lock(store->dirfd, STORE_LOCK, NULL, err);
    if (store->lock < 0) {
        code = store->lock;
        (void)err_prefix(err, "another collector uses store '%s'", dir); /* code is kept above */
        goto out;
    }
    code = osfile_list(store->dirfd, count_journal, store, err);
    if (code)
        (void)err_prefix(err, "store '%s'", dir); /* code is kept above */

out:
    if (code)
        collect_store_close(store);
    else
        *out = store;
    return code;
}

void collect_store_close(struct collect_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < ARRAY_LEN(store->slots); i++)
        mirror_close(store->slots[i].mirror);
    if (store->lock >= 0)
        (void)close(store->lock); /* nothing was written that could be lost */
    if (store->dirfd >= 0)
        (void)close(store->dirfd);
    free(store->dir);
    free(store);
}

static struct slot *find(struct collect_store *store, const char *journal)
{
    for (size_t i = 0; i < ARRAY_LEN(store->slots); i++) {
        struct slot *slot = &store->slots[i];
        if (slot->mirror && strcmp(slot->journal, journal) == 0)
            return slot;
    }
    return NULL;
}

static struct slot *oldest(struct collect_store *store)
{
    struct slot *best = &store->slots[0];
    for (size_t i = 0; i < ARRAY_LEN(store->slots); i++) {
        struct slot *slot = &store->slots[i];
        if (!slot->mirror)
            return slot;
        if (slot->used < best->used)
            best = slot;
    }
    return best;
}

static int exists(const struct collect_store *store, const char *journal, struct err *err)
{
    char name[JOURNAL_ID_SIZE + sizeof STORE_SUFFIX];
    (void)snprintf(name, sizeof name, "%s" STORE_SUFFIX, journal); /* is_id(): it fits */
    return osfile_exists(store->dirfd, name, err);
}

int collect_store_get(struct collect_store *store, const char *journal, bool create,
                      struct mirror **out, struct err *err)
{
    struct slot *slot = find(store, journal);
    if (!slot) {
        int there = exists(store, journal, err);
        if (there < 0)
            return there;
        if (!there && !create)
            return err_set(err, ERR_NOTFOUND, 0, "journal '%s': nothing was received of it",
                           journal);
        if (!there && store->journals >= COLLECT_JOURNALS_MAX)
            return err_set(err, ERR_LIMIT, 0, "journal '%s': this server keeps %d journals already",
                           journal, COLLECT_JOURNALS_MAX);
        slot = oldest(store);
        mirror_close(slot->mirror);
        slot->mirror = NULL;
        int code = mirror_open(store->dir, journal, &slot->mirror, err);
        if (code) {
            slot->mirror = NULL;
            return code;
        }
        store->journals += !there;
        (void)snprintf(slot->journal, sizeof slot->journal, "%s", journal); /* is_id(): it fits */
    }
    slot->used = ++store->clock;
    *out = slot->mirror;
    return 0;
}

void collect_store_drop(struct collect_store *store, const char *journal)
{
    struct slot *slot = find(store, journal);
    if (!slot)
        return;
    mirror_close(slot->mirror);
    slot->mirror = NULL;
}

static void write_sum(struct buf *out, const char *key, uint64_t sum)
{
    char text[WIRE_SUM_DIGITS + 1];
    (void)snprintf(text, sizeof text, WIRE_SUM_FORMAT, (unsigned long long)sum); /* fits */
    json_cstr(out, key, text);
}

void collect_store_write_cursor(struct buf *out, const struct mirror_cursor *cursor)
{
    json_begin(out);
    json_cstr(out, "journal", cursor->journal);
    json_cstr(out, "folder", cursor->folder);
    json_i64(out, "epoch", cursor->epoch);
    json_i64(out, "seq", cursor->seq);
    write_sum(out, "sum", cursor->sum);
    write_sum(out, "tree_sum", cursor->tree_sum);
    json_i64(out, "entries", cursor->entries);
    json_i64(out, "batches", cursor->batches);
    json_end(out);
    buf_add_char(out, '\n');
}

struct listing {
    struct collect_store *store;
    struct buf *out;
};

static int list_journal(void *ctx, const char *name, struct err *err)
{
    struct listing *listing = ctx;
    struct mirror *mirror;
    char journal[JOURNAL_ID_SIZE];
    if (!id_of_file(name, journal))
        return 0;
    int code = collect_store_get(listing->store, journal, false, &mirror, err);
    if (!code)
        collect_store_write_cursor(listing->out, mirror_cursor(mirror));
    return code;
}

int collect_store_list(struct collect_store *store, struct buf *out, struct err *err)
{
    struct listing listing = {store, out};
    return osfile_list(store->dirfd, list_journal, &listing, err);
}

struct spool {
    int fd;
    int64_t size;
    struct buf lines;
    struct err *err;
};

static int spool_flush(struct spool *spool)
{
    if (!buf_ok(&spool->lines))
        return err_set(spool->err, ERR_NOMEM, 0, "cannot write tree: out of memory");
    size_t done = 0;
    while (done < spool->lines.len) {
        ssize_t wrote = write(spool->fd, spool->lines.data + done, spool->lines.len - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return err_os(spool->err, wrote ? errno : EIO, "cannot write tree to a spool file");
        done += (size_t)wrote;
    }
    spool->size += (int64_t)done;
    buf_reset(&spool->lines);
    return 0;
}

static int spool_entry(void *ctx, const struct reader_entry *entry)
{
    struct spool *spool = ctx;
    row_write_entry(&spool->lines, entry);
    if (spool->lines.len >= SPOOL_PIECE || !buf_ok(&spool->lines))
        return spool_flush(spool);
    return 0;
}

int collect_store_spool(struct collect_store *store, const char *journal, int *fd, int64_t *size,
                        struct err *err)
{
    struct spool spool = {.fd = -1, .err = err};
    struct mirror *mirror;
    buf_init(&spool.lines, SPOOL_PIECE + SPOOL_LINE_MAX);
    int code = collect_store_get(store, journal, false, &mirror, err);
    if (code)
        goto out;
    spool.fd = osfile_spool(store->dirfd, err);
    if (spool.fd < 0) {
        code = spool.fd;
        goto out;
    }
    code = mirror_tree(mirror, spool_entry, &spool, err);
    if (!code)
        code = spool_flush(&spool);

out:
    buf_deinit(&spool.lines);
    if (code && spool.fd >= 0)
        (void)close(spool.fd);
    if (!code) {
        *fd = spool.fd;
        *size = spool.size;
    }
    return code;
}
