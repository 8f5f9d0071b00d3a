/* helper_simdaemon.c: see helper_simdaemon.h. */
#include "helper_simdaemon.h"

#include <stdarg.h>

#include "buf.h"
#include "err.h"

enum { FAR = 1000000, ROUNDS_MAX = 80 };

static bool wrong(struct simdaemon *d, const char *format, ...) PRINTF_LIKE(2, 3);

static bool wrong(struct simdaemon *d, const char *format, ...)
{
    if (d->why[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(d->why, sizeof d->why, format, args);
        va_end(args);
    }
    return false;
}

/* --- the strict server --- */

static int server_find(const struct server *server, const char *path)
{
    for (int i = 0; i < server->count; i++) {
        if (strcmp(server->entries[i].path, path) == 0) {
            return i;
        }
    }
    return -1;
}

static bool at_or_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool parent_ok(const struct server *server, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return true;
    }
    char parent[SERVER_PATH];
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    int index = server_find(server, parent);
    return index >= 0 && server->entries[index].type == ENTRY_DIR;
}

static void server_delete(struct server *server, const char *path)
{
    int kept = 0;
    for (int i = 0; i < server->count; i++) {
        if (!at_or_below(server->entries[i].path, path)) {
            server->entries[kept++] = server->entries[i];
        }
    }
    server->count = kept;
}

static void server_rebase(struct server *server, const char *from, const char *to)
{
    size_t len = strlen(from);
    for (int i = 0; i < server->count; i++) {
        char *path = server->entries[i].path;
        if (at_or_below(path, from)) {
            char moved[SERVER_PATH * 2];
            (void)snprintf(moved, sizeof moved, "%s%s", to, path + len);
            (void)snprintf(path, SERVER_PATH, "%.*s", SERVER_PATH - 1, moved);
        }
    }
}

static const char *server_move(struct server *server, const struct sim_row *row)
{
    int from = server_find(server, row->from), to = server_find(server, row->path);
    if (from < 0) {
        return "moves from nothing";
    }
    if (at_or_below(row->path, row->from)) {
        return "moves into itself";
    }
    if (to >= 0) {
        if (server->entries[to].type == ENTRY_DIR || server->entries[from].type == ENTRY_DIR) {
            return "moves onto something";
        }
        server_delete(server, row->path);
    }
    server_rebase(server, row->from, row->path);
    return NULL;
}

static const char *server_apply(struct server *server, const struct sim_row *row, int64_t version)
{
    int index = server_find(server, row->path);
    if (!parent_ok(server, row->path)) {
        return "has no parent";
    }
    switch (row->kind) {
    case CHANGE_CREATE:
        if (index >= 0) {
            return "creates what is there";
        }
        server->entries[server->count].type = row->type;
        server->entries[server->count].version = version;
        (void)snprintf(server->entries[server->count++].path, SERVER_PATH, "%s", row->path);
        return server->count < SERVER_MAX ? NULL : "has too many entries";
    case CHANGE_MODIFY:
    case CHANGE_ATTRIB:
        if (index < 0 || server->entries[index].type != row->type) {
            return "modifies what is not there";
        }
        server->entries[index].version = version;
        return NULL;
    case CHANGE_DELETE:
        if (index < 0) {
            return "deletes what is not there";
        }
        server_delete(server, row->path);
        return NULL;
    case CHANGE_MOVE:
        return server_move(server, row);
    case CHANGE_EXCHANGE:
        if (index < 0 || server_find(server, row->from) < 0 || at_or_below(row->path, row->from) ||
            at_or_below(row->from, row->path)) {
            return "exchanges what cannot be";
        }
        server_rebase(server, row->path, "\x01");
        server_rebase(server, row->from, row->path);
        server_rebase(server, "\x01", row->from);
        return NULL;
    default:
        return "is of no kind";
    }
}

/* A batch that ends here would leave a temporary name with the server (RULES 21). */
static bool server_parks(const struct server *server)
{
    for (int i = 0; i < server->count; i++) {
        if (strncmp(server->entries[i].path, RECONCILE_PARK_PREFIX,
                    strlen(RECONCILE_PARK_PREFIX)) == 0) {
            return true;
        }
    }
    return false;
}

/* --- three pictures of the same tree --- */

static bool tree_is_server(struct simdaemon *d, const struct entry *dir, int *seen)
{
    struct buf path;
    buf_init(&path, 4096);
    bool ok = true;
    for (const struct entry *e = dir->child; e && ok; e = e->next) {
        buf_reset(&path);
        tree_add_path(e, &path);
        int index = server_find(&d->server, path.data);
        ok = index >= 0 && d->server.entries[index].type == e->type &&
             (e->type == ENTRY_DIR || d->server.entries[index].version == e->size);
        ++*seen;
        if (!ok) {
            (void)wrong(d, "replay differs from the tree at %s", path.data);
        } else if (e->type == ENTRY_DIR) {
            ok = tree_is_server(d, e, seen);
        }
    }
    buf_deinit(&path);
    return ok;
}

static bool entry_is_node(const struct simdaemon *d, const struct entry *e, int kid)
{
    const struct sim_node *disk = &d->fs->nodes[kid];
    return e->type == disk->type && e->file.a == disk->number &&
           (e->type == ENTRY_DIR || e->size == disk->version);
}

static bool tree_is_disk(struct simdaemon *d, const struct entry *dir, int node)
{
    uint32_t below = 0;
    for (int n = 0; n < SIM_NAMES; n++) {
        int kid = d->fs->nodes[node].kids[n];
        const struct entry *e = tree_find(d->tree, dir, sim_name(n));
        if (!kid != !e) {
            return wrong(d, "%d/%d is %s the tree only", node, n, e ? "in" : "not in");
        }
        if (!kid) {
            continue;
        }
        if (!entry_is_node(d, e, kid)) {
            return wrong(d, "%d/%d differs from the disk", node, n);
        }
        below += 1 + (e->type == ENTRY_DIR ? e->entries : 0);
        if (e->type == ENTRY_DIR) {
            if (e->watch < 0 || !d->fs->nodes[kid].watched) {
                return wrong(d, "%d/%d is not watched", node, n);
            }
            if (!tree_is_disk(d, e, kid)) {
                return false;
            }
        }
    }
    for (const struct entry *e = dir->child; e; e = e->next) {
        if (sim_name_index(entry_name(e)) < 0) {
            return wrong(d, "the tree kept %s", e->name);
        }
    }
    return below == dir->entries ? true : wrong(d, "%d counts %u below", node, dir->entries);
}

/* --- identities --- */

struct identities {
    int64_t entry[SIM_NODES]; /* of inodes with exactly one entry, else 0 */
};

/* Numbers are those of the nodes here: what renumbers checks no identities. */
static void count_identities(const struct entry *dir, int *count, struct identities *out)
{
    for (const struct entry *e = dir->child; e; e = e->next) {
        if (e->file.a >= SIM_NODES) {
            continue;
        }
        count[e->file.a]++;
        out->entry[e->file.a] = count[e->file.a] == 1 ? e->id : 0;
        if (e->type == ENTRY_DIR) {
            count_identities(e, count, out);
        }
    }
}

static void count_live(const struct simfs *fs, int node, int *count)
{
    for (int n = 0; n < SIM_NAMES; n++) {
        int kid = fs->nodes[node].kids[n];
        if (kid) {
            count[kid]++;
            if (fs->nodes[kid].type == ENTRY_DIR) {
                count_live(fs, kid, count);
            }
        }
    }
}

static bool identities_kept(struct simdaemon *d, const struct identities *before)
{
    int live[SIM_NODES] = {0};
    count_live(d->fs, SIM_ROOT, live);
    for (int h = 0; h < SIM_NODES; h++) {
        if (!before->entry[h] || live[h] != 1) {
            continue;
        }
        const struct entry *e = tree_first(d->tree, sim_file(d->fs, h));
        while (e && e->id != before->entry[h]) {
            e = tree_next(e);
        }
        if (!e) {
            return wrong(d, "inode %d lives, but its entry %lld is gone", h,
                         (long long)before->entry[h]);
        }
    }
    return true;
}

/* --- the daemon --- */

void simdaemon_drain(struct simdaemon *d)
{
    for (int i = 0; i < d->fs->event_count; i++) {
        const struct sim_event *event = &d->fs->events[i];
        struct file_id dir = {event->dir, 7};
        if (!settle_mark_name(d->settle, dir, sim_name(event->name), event->hints, &d->actor,
                              d->now_ns)) {
            (void)wrong(d, "the dirty set overflowed");
        }
    }
    d->fs->event_count = 0;
}

static void drain(void *ctx)
{
    struct simdaemon *d = ctx;
    pthread_mutex_lock(&d->lock);
    simdaemon_drain(d);
    pthread_mutex_unlock(&d->lock);
}

static int rekey(void *ctx, struct entry *entry, struct file_id file, int64_t ctime_ns)
{
    struct simdaemon *d = ctx;
    tree_rekey(d->tree, entry, file);
    if (!entry_is_dir(entry)) {
        entry->ctime_ns = ctime_ns;
    }
    return 0;
}

int simdaemon_init(struct simdaemon *d, struct simfs *fs, size_t facts_max)
{
    static struct disk disk;
    memset(d, 0, sizeof *d);
    d->fs = fs;
    disk = (struct disk){&sim_disk_ops, fs};
    pthread_mutex_init(&d->lock, NULL);
    struct settle_times times = {.settle_ns = FAR, .max_delay_ns = INT64_C(1000) * FAR};
    if (tree_new(&d->tree, NULL) != 0 || settle_new(&times, &d->settle) != 0 ||
        script_new(&d->script) != 0) {
        return ERR_NOMEM;
    }
    struct observe_env env = {.disk = &disk,
                              .tree = d->tree,
                              .settle = d->settle,
                              .lock = &d->lock,
                              .ctx = d,
                              .drain = drain,
                              .facts_max = facts_max,
                              .weak = &d->weak,
                              .rekey = rekey};
    return observe_new(&env, &d->observe);
}

void simdaemon_deinit(struct simdaemon *d)
{
    observe_free(d->observe);
    tree_free(d->tree);
    settle_free(d->settle);
    script_free(d->script);
    pthread_mutex_destroy(&d->lock);
}

void simdaemon_restart(struct simdaemon *d)
{
    tree_clear(d->tree);
    tree_set_root(d->tree, sim_file(d->fs, SIM_ROOT), 0755);
    settle_clear(d->settle);
    d->server.count = 0;
    d->next_seq = 1;
    d->now_ns = FAR;
    d->row_count = 0;
    d->why[0] = '\0';
    struct settle_mark mark = {.dir = sim_file(d->fs, SIM_ROOT)};
    (void)settle_mark_dir(d->settle, &mark); /* an empty set has room */
}

static int poll_dir(void *ctx, struct entry *dir)
{
    struct simdaemon *d = ctx;
    struct settle_mark mark = {.dir = dir->file};
    return settle_mark_dir(d->settle, &mark) ? 0 : 1;
}

void simdaemon_poll(struct simdaemon *d)
{
    if (tree_each_dir(d->tree, poll_dir, d) != 0) {
        (void)wrong(d, "the dirty set overflowed");
    }
}

int simdaemon_dirty(struct simdaemon *d)
{
    return (int)settle_name_count(d->settle);
}

struct chosen {
    struct settle_name names[SIM_EVENTS];
    char bytes[SIM_EVENTS];
    int count;
};

static int collect(void *ctx, const struct settle_name *name)
{
    struct chosen *chosen = ctx;
    chosen->bytes[chosen->count] = name->name.at[0];
    chosen->names[chosen->count] = *name;
    chosen->names[chosen->count].name = bytes_of(&chosen->bytes[chosen->count], 1);
    chosen->count++;
    return 0;
}

static void choose(struct simdaemon *d, uint64_t bits, bool all)
{
    static struct chosen chosen;
    chosen.count = 0;
    (void)settle_each_name(d->settle, collect, &chosen); /* collect never stops it */
    for (int i = 0; i < chosen.count; i++) {
        struct settle_name taken;
        struct settle_name *name = &chosen.names[i];
        (void)settle_take_name(d->settle, name->dir, name->name, &taken);
        bool now = all || (bits >> (i % 64) & 1);
        (void)settle_put_back(d->settle, &taken, now ? 0 : INT64_C(100) * FAR);
    }
}

static bool apply_row(struct simdaemon *d, const struct edit *edit)
{
    struct sim_row *row = &d->rows[d->row_count];
    *row = (struct sim_row){
        .kind = edit->kind, .type = edit->type, .flags = edit->flags, .actor = edit->actor};
    (void)snprintf(row->path, sizeof row->path, "%.*s", (int)edit->path.len,
                   edit->path.len ? edit->path.at : "");
    (void)snprintf(row->from, sizeof row->from, "%.*s", (int)edit->from.len,
                   edit->from.len ? edit->from.at : "");
    if (++d->row_count == SIM_ROWS) {
        return wrong(d, "too many rows");
    }
    const char *fault = server_apply(&d->server, row, edit->attrs.size);
    if (!fault && server_parks(&d->server) != ((row->flags & CHANGE_PARKED) != 0)) {
        fault = row->flags & CHANGE_PARKED ? "says that something is parked, and nothing is"
                                           : "does not say that something is parked";
    }
    return fault ? wrong(d, "%s %s -> %s %s", change_kind_name(row->kind), row->from, row->path,
                         fault)
                 : true;
}

bool simdaemon_round(struct simdaemon *d, uint64_t bits, bool all)
{
    struct err err = {0};
    enum observe_result result;
    struct identities before = {{0}};
    int count[SIM_NODES] = {0};
    count_identities(tree_root(d->tree), count, &before);
    choose(d, bits, all);
    if (observe_round(d->observe, d->now_ns, 0, &result, &err) != 0) {
        return wrong(d, "observe: %s", err.text);
    }
    if (result != OBSERVE_FACTS) {
        return true;
    }
    struct reconcile_input input = {.facts = observe_facts(d->observe),
                                    .defer = observe_defers(d->observe),
                                    .weak = d->weak,
                                    .next_seq = d->next_seq};
    script_clear(d->script);
    if (reconcile(d->tree, &input, d->script, &err) != 0) {
        return wrong(d, "reconcile: %s", err.text);
    }
    for (size_t i = 0; i < script_count(d->script); i++) {
        const struct edit *edit = script_get(d->script, i);
        if (!edit->quiet && !apply_row(d, edit)) {
            return false;
        }
    }
    d->next_seq += (int64_t)script_rows(d->script);
    int seen = 0;
    if (!tree_is_server(d, tree_root(d->tree), &seen)) {
        return false;
    }
    if (seen != d->server.count) {
        return wrong(d, "replay has %d entries, the tree %d", d->server.count, seen);
    }
    if (!observe_after(d->observe, d->now_ns)) {
        return wrong(d, "the dirty set overflowed");
    }
    return !d->check_identity || identities_kept(d, &before);
}

bool simdaemon_settle(struct simdaemon *d)
{
    simdaemon_drain(d);
    for (int i = 0; settle_name_count(d->settle) || settle_dir_count(d->settle); i++) {
        if (i == ROUNDS_MAX) {
            return wrong(d, "it does not come to rest: %zu names, %zu directories dirty",
                         settle_name_count(d->settle), settle_dir_count(d->settle));
        }
        if (!simdaemon_round(d, 0, true)) {
            return false;
        }
        simdaemon_drain(d);
    }
    return tree_is_disk(d, tree_root(d->tree), SIM_ROOT);
}
