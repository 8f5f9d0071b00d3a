/* sim_check.c: what must hold, told by a replica that is as naive as can be: a list of paths.
 *
 * I1: each row is applicable, and after each commit the replica is the tree table. I4, I5: seq is
 * gapless and never goes back, whatever crashed. I6: gaps open and close in turn. I2: after a sync
 * the replica is the disk. I3: the server's tree is the replica. */
#include "mirror.h"
#include "reader.h"
#include "row.h"
#include "sim.h"
#include "sim_walk.h"

/* ---- the replica ---- */

static const char too_much[] = "it is too much for the simulation";

static struct sim_entry *find(struct sim_replica *replica, struct bytes path)
{
    for (int i = 0; i < replica->count; i++) {
        if (bytes_equal(bytes_str(replica->entries[i].path), path)) {
            return &replica->entries[i];
        }
    }
    return NULL;
}

static bool lies_below(const struct sim_entry *entry, struct bytes top)
{
    return strlen(entry->path) > top.len && entry->path[top.len] == '/' &&
           memcmp(entry->path, top.at, top.len) == 0;
}

static int count_below(const struct sim_replica *replica, struct bytes top)
{
    int count = 0;
    for (int i = 0; i < replica->count; i++) {
        count += lies_below(&replica->entries[i], top);
    }
    return count;
}

static bool has_parent(struct sim_replica *replica, struct bytes path)
{
    size_t len = path.len;
    while (len > 0 && path.at[len - 1] != '/') {
        len--;
    }
    if (len == 0) {
        return true;
    }
    const struct sim_entry *parent = find(replica, bytes_of(path.at, len - 1));
    return parent && parent->type == ENTRY_DIR;
}

static void remove_below(struct sim_replica *replica, struct bytes top)
{
    int kept = 0;
    for (int i = 0; i < replica->count; i++) {
        const struct sim_entry *entry = &replica->entries[i];
        if (!lies_below(entry, top) && !bytes_equal(bytes_str(entry->path), top)) {
            replica->entries[kept++] = *entry;
        }
    }
    replica->count = kept;
}

static void set_attrs(struct sim_entry *entry, const struct change *row)
{
    entry->attrs = row->attrs;
    entry->attrs.target = (struct bytes){0};
    size_t len = row->attrs.target.len;
    memcpy(entry->target, row->attrs.target.at ? row->attrs.target.at : "", len);
    entry->target[len] = '\0';
    entry->type = row->type;
}

static const char *create(struct sim_replica *replica, const struct change *row)
{
    if (find(replica, row->path)) {
        return "the name is taken";
    }
    if (!has_parent(replica, row->path)) {
        return "there is no such parent";
    }
    if (replica->count == SIM_ENTRIES || row->path.len >= SIM_PATH) {
        return too_much;
    }
    struct sim_entry *entry = &replica->entries[replica->count++];
    *entry = (struct sim_entry){.id = row->entry};
    memcpy(entry->path, row->path.at, row->path.len);
    set_attrs(entry, row);
    return row->entry == row->seq ? NULL : "its id is not its seq";
}

/* Gives an entry another beginning of its path. */
static bool repath(struct sim_entry *entry, size_t from_len, struct bytes path)
{
    char rest[SIM_PATH];
    size_t len = strlen(entry->path) - from_len;
    memcpy(rest, entry->path + from_len, len);
    if (path.len + len >= SIM_PATH) {
        return false;
    }
    memcpy(entry->path, path.at, path.len);
    memcpy(entry->path + path.len, rest, len);
    entry->path[path.len + len] = '\0';
    return true;
}

static const char *move(struct sim_replica *replica, const struct change *row)
{
    const struct sim_entry *from = find(replica, row->from), *to = find(replica, row->path);
    if (!from || from->id != row->entry) {
        return "there is no such entry";
    }
    bool own = row->path.len > row->from.len && row->path.at[row->from.len] == '/' &&
               memcmp(row->path.at, row->from.at, row->from.len) == 0;
    if (own || !has_parent(replica, row->path)) {
        return "there is no such parent";
    }
    if (to && (to->type == ENTRY_DIR || from->type == ENTRY_DIR || to->id != row->other)) {
        return "the target is taken";
    }
    if (row->entries != count_below(replica, row->from)) {
        return "it says another number of entries";
    }
    if (to) {
        remove_below(replica, row->path);
    }
    for (int i = 0; i < replica->count; i++) {
        struct sim_entry *entry = &replica->entries[i];
        if (lies_below(entry, row->from) || bytes_equal(bytes_str(entry->path), row->from)) {
            if (!repath(entry, row->from.len, row->path)) {
                return too_much;
            }
        }
    }
    return NULL;
}

static const char *exchange(struct sim_replica *replica, const struct change *row)
{
    const struct sim_entry *x = find(replica, row->from), *y = find(replica, row->path);
    if (!x || !y || x->id != row->entry || y->id != row->other) {
        return "there are no such entries";
    }
    if (lies_below(x, row->path) || lies_below(y, row->from)) {
        return "one lies below the other";
    }
    for (int i = 0; i < replica->count; i++) {
        struct sim_entry *entry = &replica->entries[i];
        struct bytes path = bytes_str(entry->path);
        bool ok = true;
        if (lies_below(entry, row->from) || bytes_equal(path, row->from)) {
            ok = repath(entry, row->from.len, row->path);
        } else if (lies_below(entry, row->path) || bytes_equal(path, row->path)) {
            ok = repath(entry, row->path.len, row->from);
        }
        if (!ok) {
            return too_much;
        }
    }
    return NULL;
}

static const char *apply_gap(struct sim_replica *replica, const struct change *row)
{
    bool open = row->flags & CHANGE_GAP_OPEN;
    if (open == replica->gap_open) {
        return "I6: gaps open and close in turn";
    }
    replica->gap_open = open;
    replica->gaps += open;
    return NULL;
}

static const char *apply(struct sim_replica *replica, const struct change *row)
{
    struct sim_entry *entry = row->path.len ? find(replica, row->path) : NULL;
    switch (row->kind) {
    case CHANGE_CREATE:
        return create(replica, row);
    case CHANGE_MODIFY:
    case CHANGE_ATTRIB:
        if (!entry || entry->id != row->entry) {
            return "there is no such entry";
        }
        set_attrs(entry, row);
        return NULL;
    case CHANGE_MOVE:
        return move(replica, row);
    case CHANGE_EXCHANGE:
        return exchange(replica, row);
    case CHANGE_DELETE:
        if (!entry || entry->id != row->entry) {
            return "there is no such entry";
        }
        if (row->entries != count_below(replica, row->path)) {
            return "it says another number of entries";
        }
        remove_below(replica, row->path);
        return NULL;
    case CHANGE_GAP:
        return apply_gap(replica, row);
    }
    return "it is of no kind";
}

/* ---- rows and the tree table ---- */

static int take_row(void *ctx, const struct change *row)
{
    struct sim *sim = ctx;
    struct sim_replica *replica = &sim->replica;
    size_t at = sim->rows.len;
    row_write(&sim->rows, "folder", row);
    const char *why = row->seq == replica->seq + 1 ? apply(replica, row) : "I4: it follows another";
    replica->seq = row->seq;
    replica->sum = row->sum;
    if (why) {
        (void)sim_wrong(sim, "I1: %s: %.*s", why, (int)(sim->rows.len - at), sim->rows.data + at);
    }
    return why != NULL;
}

static bool same_attrs(const struct sim_entry *entry, enum entry_type type,
                       const struct entry_attrs *attrs)
{
    return entry->type == type && entry->attrs.size == attrs->size &&
           entry->attrs.mtime_ns == attrs->mtime_ns && entry->attrs.mode == attrs->mode &&
           bytes_equal(bytes_str(entry->target), attrs->target);
}

struct comparison {
    struct sim *sim;
    const char *with;
    int count;
    bool identities; /* it knows of them */
};

static int compare_entry(void *ctx, const struct reader_entry *seen)
{
    struct comparison *comparison = ctx;
    const struct sim_entry *entry = find(&comparison->sim->replica, seen->path);
    comparison->count++;
    if (comparison->identities) {
        sim_identity_note(comparison->sim, seen);
    }
    if (!entry || entry->id != seen->id || !same_attrs(entry, seen->type, &seen->attrs)) {
        (void)sim_wrong(comparison->sim, "%s: '%.*s' is not what the rows make of it",
                        comparison->with, (int)seen->path.len, seen->path.at);
        return 1;
    }
    return 0;
}

static bool compare_tree(struct sim *sim, struct reader *reader)
{
    struct comparison comparison = {.sim = sim, .with = "I1: the tree table", .identities = true};
    struct err err = {0};
    sim_identity_begin(sim);
    int rc = reader_tree(reader, NULL, compare_entry, &comparison, &err);
    if (rc < 0) {
        return sim_wrong(sim, "the tree cannot be read: %s", err.text);
    }
    if (rc == 0 && comparison.count != sim->replica.count) {
        return sim_wrong(sim, "I1: the tree table has %d entries, the rows make %d",
                         comparison.count, sim->replica.count);
    }
    return rc == 0 && sim_identity_check(sim);
}

static bool check_news(struct sim *sim, struct reader *reader, const struct journal_info *info)
{
    struct sim_replica *replica = &sim->replica;
    struct err err = {0};
    uint64_t sum = 0;
    if (info->last_seq < replica->seq) {
        return sim_wrong(sim, "I5: row %lld is lost, the last is %lld", (long long)replica->seq,
                         (long long)info->last_seq);
    }
    if (replica->seq &&
        (reader_sum(reader, replica->seq, &sum, &err) != 0 || sum != replica->sum)) {
        return sim_wrong(sim, "I4: row %lld is another now", (long long)replica->seq);
    }
    if (info->last_seq == replica->seq) {
        return true;
    }
    int gaps = replica->gaps;
    struct reader_range range = {
        .first = replica->seq + 1, .last = info->last_seq, .verify = true, .until_ms = INT64_MAX};
    int rc = reader_rows(reader, &range, take_row, sim, &err);
    if (rc < 0) {
        return sim_wrong(sim, "the rows cannot be read: %s", err.text);
    }
    if (rc == 0 && replica->seq != info->last_seq) {
        return sim_wrong(sim, "I4: rows up to %lld, the last should be %lld",
                         (long long)replica->seq, (long long)info->last_seq);
    }
    if (replica->gaps > gaps) {
        sim->losses_told = sim->losses;
    }
    return rc == 0 && compare_tree(sim, reader);
}

bool sim_check_rows(struct sim *sim)
{
    struct journal_info info;
    struct err err = {0};
    int rc = sim->reader ? 0 : reader_open(sim_engine_dir(sim), &sim->reader, &err);
    if (rc == ERR_NOTFOUND && sim->replica.seq == 0) {
        return true;
    }
    rc = rc ? rc : reader_info(sim->reader, &info, &err);
    return rc == 0 ? check_news(sim, sim->reader, &info)
                   : sim_wrong(sim, "the journal cannot be read: %s", err.text);
}

bool sim_check_mirror(struct sim *sim)
{
    struct comparison comparison = {.sim = sim, .with = "I3: the server's tree"};
    struct err err = {0};
    if (!sim_server_open(sim)) {
        return sim->replica.seq == 0 || sim_wrong(sim, "I3: the server has nothing");
    }
    int rc = mirror_tree(sim->mirror, compare_entry, &comparison, &err);
    if (rc < 0) {
        return sim_wrong(sim, "the mirror cannot be read: %s", err.text);
    }
    if (rc == 0 && comparison.count != sim->replica.count) {
        return sim_wrong(sim, "I3: the server has %d entries, the rows make %d", comparison.count,
                         sim->replica.count);
    }
    return rc == 0;
}

/* ---- the disk ---- */

static void skip_below(void *ctx, const char *path)
{
    struct sim_replica *replica = &((struct sim *)ctx)->replica;
    struct bytes top = bytes_str(path);
    for (int i = 0; i < replica->count; i++) {
        replica->entries[i].seen |= top.len == 0 || lies_below(&replica->entries[i], top);
    }
}

struct disk_check {
    struct sim *sim;
    bool links;
};

static bool may_be_stale(const struct disk_check *check, const struct sim_node *node,
                         const struct sim_entry *entry)
{
    return check->links && node->many_links && entry->type == node->type;
}

static bool check_name(void *ctx, const char *path, int index)
{
    const struct disk_check *check = ctx;
    struct sim *sim = check->sim;
    const struct sim_node *node = &sim->disk.nodes[index];
    struct sim_entry *entry = find(&sim->replica, bytes_str(path));
    struct entry_attrs attrs = {0};
    if (node->covered) { /* what is below cannot be seen now: nothing is said of it */
        if (entry) {
            entry->seen = true;
        }
        skip_below(sim, path);
        return true;
    }
    if (node->type == ENTRY_FILE) {
        attrs.size = node->size;
        attrs.mtime_ns = node->mtime_ns;
    }
    if (node->type == ENTRY_SYMLINK) {
        attrs.target = bytes_str(sim_target(node->target));
    } else {
        attrs.mode = node->mode;
    }
    if (!entry) {
        return sim_wrong(sim, "I2: '%s' is on the disk only", path);
    }
    if (!same_attrs(entry, (enum entry_type)node->type, &attrs) &&
        !may_be_stale(check, node, entry)) {
        return sim_wrong(sim, "I2: '%s' is another on the disk", path);
    }
    entry->seen = true;
    return true;
}

static void check_frozen(void *ctx, const char *path)
{
    const struct disk_check *check = ctx;
    skip_below(check->sim, path);
}

bool sim_check_disk(struct sim *sim, bool links)
{
    struct disk_check check = {sim, links};
    struct sim_replica *replica = &sim->replica;
    if (replica->gap_open) {
        return sim_wrong(sim, "I6: the gap is open after a sync");
    }
    if (sim->losses != sim->losses_told) {
        return sim_wrong(sim, "I6: %d overflows, and no gap row after the last", sim->losses);
    }
    for (int i = 0; i < replica->count; i++) {
        replica->entries[i].seen = false;
    }
    if (!sim_walk(&sim->disk, check_name, check_frozen, &check)) {
        return false;
    }
    for (int i = 0; i < replica->count; i++) {
        if (!replica->entries[i].seen) {
            return sim_wrong(sim, "I2: '%s' is in the tree only", replica->entries[i].path);
        }
    }
    return true;
}
