/* windows_records.c: from records of ReadDirectoryChanges to calls of the sink.
 *
 * A record is bound to the identity of its directory here, while it is read (RULES 6): by the id
 * that it carries, or, where there are only paths, by what watch_add() and the renames read so far
 * say of where directories are. That may be behind the disk or ahead of it; what makes it good is
 * that a directory that turned up at a name (added, renamed) is listed deeply (HINT_ENTERED): its
 * path was another when the record of a change in it was made only if its own record is yet to come
 * or has just come. With ids nothing is bound wrongly, so a rename inside its directory, whose two
 * halves both came, is the one thing that needs no listing.
 *
 * A path that leads nowhere has the first name that nobody added looked at, once: mostly a new
 * directory that is being looked at anyway. Runs with the watch's lock held, on whichever thread
 * reads; keeps nothing of the buffer when it returns. */
#include "windows_records.h"

#include "err.h"
#include "wtf8.h"

/* What a record is about. */
struct where {
    struct watch_place *dir;
    struct bytes name;
    uint64_t at;              /* name in dir */
    struct watch_place *here; /* the directory added as that, or NULL */
};

static void hint(struct windows_records *records, const struct watch_place *dir, struct bytes name,
                 uint8_t hints)
{
    records->sink.hint(records->sink.ctx, dir->dir, name, hints, NULL);
}

/* NAME~1 and NAME~1.EXT: made by the system beside the true name, and told in its place where the
 * program used it (RULES 7). */
static bool looks_short(struct bytes name)
{
    const char *dot = memchr(name.at, '.', name.len);
    size_t base = dot ? (size_t)(dot - name.at) : name.len;
    const char *tilde = memchr(name.at, '~', base);
    if (!tilde || base > 8 || name.len - base > 4 || (size_t)(tilde - name.at) + 1 == base)
        return false;
    return tilde[1] >= '0' && tilde[1] <= '9';
}

static bool is_told(const struct windows_records *records, uint64_t at)
{
    return records->told[at % WINDOWS_TOLD_SLOTS] == at;
}

/* The name is being looked at, deeply. One that drops out costs a second look. */
static void set_told(struct windows_records *records, uint64_t at)
{
    records->told[at % WINDOWS_TOLD_SLOTS] = at;
}

/* The directory that a rename took away from there. Wine goes on telling its old path for ever. */
static struct watch_place *formerly(const struct windows_records *records, uint64_t at)
{
    size_t slot = at % WINDOWS_FORMER_SLOTS;
    return records->former[slot].at == at
               ? watch_places_by_number(&records->places, records->former[slot].number)
               : NULL;
}

static void set_former(struct windows_records *records, uint64_t at, int32_t number)
{
    size_t slot = at % WINDOWS_FORMER_SLOTS;
    records->former[slot].at = at;
    records->former[slot].number = number;
}

/* --- binding --- */

/* Takes the first component off the path; false: it is the last. */
static bool cut_component(struct bytes *path, struct bytes *name)
{
    const char *end = memchr(path->at, '\\', path->len);
    size_t len = end ? (size_t)(end - path->at) : path->len;
    *name = bytes_of(path->at, len);
    if (end)
        *path = bytes_of(end + 1, path->len - len - 1);
    return end != NULL;
}

/* Below a directory that nobody added: it may be new, or known under another name. Once, since a
 * new directory is mostly followed by all that is made in it; but under a short name each time,
 * since nobody ever adds one by which the next record would be found. */
static void look_at_stranger(struct windows_records *records, const struct watch_place *dir,
                             struct bytes name, uint64_t at)
{
    if (looks_short(name)) {
        hint(records, dir, bytes_str("."), HINT_ENTERED); /* one of those that are there */
    } else if (!is_told(records, at)) {
        set_told(records, at);
        hint(records, dir, name, HINT_NAME | HINT_ENTERED);
    }
}

static bool find_by_path(struct windows_records *records, struct bytes path, struct where *out)
{
    struct watch_place *dir = watch_places_by_number(&records->places, records->root);
    struct bytes name;
    if (!dir)
        return false;
    while (cut_component(&path, &name)) {
        uint64_t at = watch_place_of(dir->dir, name);
        struct watch_place *below = watch_places_at(&records->places, at);
        if (!below)
            below = formerly(records, at);
        if (!below) {
            look_at_stranger(records, dir, name, at);
            return false;
        }
        dir = below;
    }
    *out = (struct where){.dir = dir, .name = name, .at = watch_place_of(dir->dir, name)};
    out->here = watch_places_at(&records->places, out->at);
    return true;
}

static bool find_by_id(const struct windows_records *records, const struct windows_record *record,
                       struct bytes path, struct where *out)
{
    struct file_id parent = {record->parent, 0}, file = {record->file, 0};
    struct watch_place *dir = watch_places_by_dir(&records->places, parent);
    struct bytes name;
    while (cut_component(&path, &name))
        ; /* the last one is wanted */
    if (!dir)
        return false; /* nobody added it: it is listed when somebody does */
    *out = (struct where){.dir = dir, .name = name, .at = watch_place_of(dir->dir, name)};
    out->here = watch_places_by_dir(&records->places, file);
    if (out->here && out->here->number == records->root)
        out->here = NULL; /* the root is in no directory that is watched */
    return true;
}

/* --- what happened --- */

static void forget(struct windows_records *records, struct watch_place *place)
{
    struct watch_place gone = *place;
    if (gone.number == records->root)
        records->root = -1;
    watch_places_remove(&records->places, place);
    records->sink.unwatched(records->sink.ctx, gone.dir, gone.number);
}

/* What was told of this name may be of one that we know otherwise. */
static void ask_which(struct windows_records *records, const struct where *where)
{
    /* A directory found by its id may have been added under another name. */
    bool known = where->here && where->here->at == where->at;
    if (!known && looks_short(where->name))
        hint(records, where->dir, bytes_str("."), HINT_NAME);
}

/* The name was told as one that is no more. */
static void name_gone(struct windows_records *records, const struct where *where)
{
    hint(records, where->dir, where->name, HINT_NAME);
    ask_which(records, where);
}

/* No second half came: what was there has left the folder, or its new name was lost. */
static void end_rename(struct windows_records *records)
{
    struct watch_place *place = watch_places_by_number(&records->places, records->rename.number);
    if (records->rename.any && place)
        forget(records, place);
    records->rename.any = false;
}

static void take_old(struct windows_records *records, const struct windows_record *record,
                     const struct where *where)
{
    name_gone(records, where);
    records->rename = (struct windows_rename){.any = true,
                                              .number = where->here ? where->here->number : -1,
                                              .at = where->at,
                                              .file = record->file};
}

/* A name that was not there, whoever has it: `seen` says that all below it was told meanwhile. */
static void name_taken(struct windows_records *records, const struct where *where, bool seen)
{
    if (records->former[where->at % WINDOWS_FORMER_SLOTS].at == where->at)
        set_former(records, where->at, -1);
    if (!seen)
        set_told(records, where->at);
    hint(records, where->dir, where->name, seen ? HINT_NAME : HINT_NAME | HINT_ENTERED);
    ask_which(records, where);
}

static void take_new(struct windows_records *records, const struct windows_record *record,
                     const struct where *where, bool ids)
{
    struct windows_rename *rename = &records->rename;
    bool paired = rename->any && (!ids || rename->file == record->file);
    name_taken(records, where, paired && ids);
    if (!paired)
        return;
    struct watch_place *moved = watch_places_by_number(&records->places, rename->number);
    rename->any = false;
    if (!moved)
        return;
    set_former(records, rename->at, moved->number);
    watch_places_move(&records->places, moved, where->at);
}

static void take_removed(struct windows_records *records, const struct where *where)
{
    name_gone(records, where);
    if (where->here)
        forget(records, where->here);
}

/* True when it is of a barrier's file, whether or not the root was added. */
static bool take_barrier(const struct windows_records *records, const struct windows_record *record,
                         struct bytes path)
{
    struct bytes prefix = bytes_str(WINDOWS_BARRIER_PREFIX);
    if (!windows_is_barrier(path) || memchr(path.at, '\\', path.len))
        return false;
    if (record->action == WINDOWS_ADDED && records->barrier)
        records->barrier(records->barrier_ctx,
                         bytes_of(path.at + prefix.len, path.len - prefix.len));
    return true;
}

static void take_record(struct windows_records *records, enum windows_layout layout,
                        const struct windows_record *record, struct bytes path)
{
    struct where where;
    if (take_barrier(records, record, path))
        return;
    if (record->action == WINDOWS_RENAMED_OLD)
        end_rename(records); /* of the one before this */
    bool by_id = layout == WINDOWS_IDS && record->parent != 0;
    if (by_id ? !find_by_id(records, record, path, &where) : !find_by_path(records, path, &where)) {
        /* To somewhere that nobody added: the first half is alone. */
        if (record->action == WINDOWS_RENAMED_NEW)
            end_rename(records);
        return;
    }
    bool dir = record->attributes & WINDOWS_ATTRIBUTE_DIRECTORY;
    switch (record->action) {
    case WINDOWS_ADDED:
        name_taken(records, &where, by_id && !dir);
        break;
    case WINDOWS_REMOVED:
        take_removed(records, &where);
        break;
    case WINDOWS_MODIFIED:
        /* Size, a time or an attribute, no one says which. */
        hint(records, where.dir, where.name, dir || where.here ? HINT_ATTRIB : HINT_SCAN);
        ask_which(records, &where);
        break;
    case WINDOWS_RENAMED_OLD:
        take_old(records, record, &where);
        break;
    case WINDOWS_RENAMED_NEW:
        take_new(records, record, &where, by_id);
        break;
    default:
        hint(records, where.dir, where.name, HINT_NAME); /* of a newer system */
    }
}

/* Writing is told again and again; what it leads to is one look. */
static bool is_repeated(const struct windows_record *x, const struct windows_record *y)
{
    return x->action == WINDOWS_MODIFIED && y->action == WINDOWS_MODIFIED &&
           x->parent == y->parent && x->units == y->units &&
           memcmp(x->path, y->path, x->units * 2) == 0;
}

bool windows_is_barrier(struct bytes name)
{
    struct bytes prefix = bytes_str(WINDOWS_BARRIER_PREFIX);
    return name.len > prefix.len && memcmp(name.at, prefix.at, prefix.len) == 0;
}

void windows_records_init(struct windows_records *records, const struct watch_sink *sink,
                          void (*barrier)(void *ctx, struct bytes rest), void *barrier_ctx)
{
    *records = (struct windows_records){
        .sink = *sink, .barrier = barrier, .barrier_ctx = barrier_ctx, .root = -1};
    watch_places_init(&records->places);
}

void windows_records_deinit(struct windows_records *records)
{
    watch_places_deinit(&records->places);
}

int windows_records_add(struct windows_records *records, const struct watch_dir *dir,
                        int32_t *number, struct err *err)
{
    struct watch_place *place;
    uint64_t at = dir->root ? 0 : watch_place_of(dir->parent, dir->name);
    place = watch_places_by_dir(&records->places, dir->file);
    /* Ahead of its own records: those of before still tell the old path. */
    if (place && place->at != at)
        set_former(records, place->at, place->number);
    int code = watch_places_put(&records->places, dir->file, at, &place, err);
    if (code)
        return code;
    if (dir->root)
        records->root = place->number;
    /* Should it be unknown later on, it is to be told again. */
    if (is_told(records, at))
        records->told[at % WINDOWS_TOLD_SLOTS] = 0;
    *number = place->number;
    return 0;
}

void windows_records_remove(struct windows_records *records, int32_t number)
{
    struct watch_place *place = watch_places_by_number(&records->places, number);
    if (!place)
        return;
    if (number == records->root)
        records->root = -1;
    watch_places_remove(&records->places, place);
}

size_t windows_records_count(const struct windows_records *records)
{
    return records->places.count;
}

static void forget_all(struct windows_records *records)
{
    watch_places_clear(&records->places);
    memset(records->told, 0, sizeof records->told);
    records->rename.any = false;
    records->root = -1;
}

static void lose(struct windows_records *records, enum windows_layout layout)
{
    records->rename.any = false;
    /* Without ids it is not known any more where directories are: some were renamed, perhaps. */
    if (layout == WINDOWS_PATHS)
        forget_all(records);
    records->sink.lost(records->sink.ctx,
                       layout == WINDOWS_PATHS ? WATCH_FORGOTTEN : WATCH_OVERFLOW);
}

void windows_records_root_gone(struct windows_records *records)
{
    const struct watch_place *root = watch_places_by_number(&records->places, records->root);
    struct watch_place gone = root ? *root : (struct watch_place){.number = -1};
    forget_all(records);
    records->sink.lost(records->sink.ctx, WATCH_ROOT_GONE);
    if (root)
        records->sink.unwatched(records->sink.ctx, gone.dir, gone.number);
}

bool windows_records_take(struct windows_records *records, enum windows_layout layout,
                          const char *buffer, size_t len)
{
    struct windows_record record, before = {0};
    size_t offset = 0, path_len;
    int found = len > 0 ? 1 : ERR_LIMIT;
    while (found == 1 && (found = windows_parse(layout, buffer, len, &offset, &record)) == 1) {
        if (record.units > WINDOWS_PATH_UNITS_MAX ||
            wtf8_from_utf16(record.path, record.units, records->path, sizeof records->path,
                            &path_len))
            found = ERR_LIMIT;
        else if (path_len > 0 && !is_repeated(&before, &record))
            take_record(records, layout, &record, bytes_of(records->path, path_len));
        before = record;
    }
    if (found < 0)
        lose(records, layout); /* what is left of the buffer is lost */
    else if (records->rename.held)
        end_rename(records);
    records->rename.held = records->rename.any;
    records->sink.batch(records->sink.ctx);
    return found == 0;
}
