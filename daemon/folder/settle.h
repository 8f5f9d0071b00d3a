/* settle.h: the dirty set: which names must be looked at again, and when.
 *
 * A name is due when it has been quiet for `settle`, or dirty for `max_delay` however busy. A name
 * that was written and not closed since is held until the close, at most until max_delay. One that
 * is busy on end is due after max_delay, then twice that, and so on up to `partial_max` (RULES 11);
 * it becomes an ordinary name again when it was quiet. Directories to be listed are marks of their
 * own. Pure: no disk, no clock, no lock; the folder guards it. Bounded: beyond SETTLE_NAMES_MAX
 * names collapse into marks on their directories, beyond SETTLE_MARKS_MAX marks the caller is told
 * that all is dirty. */
#ifndef SPOOR_SETTLE_H
#define SPOOR_SETTLE_H

#include "bytes.h"
#include "facts.h"
#include "fileid.h"

struct settle;

#define SETTLE_NAMES_MAX 65536
#define SETTLE_MARKS_MAX 65536
#define SETTLE_NEVER     INT64_MAX
#define SETTLE_LEVELS    8 /* doublings of max_delay */

struct settle_times {
    int64_t settle_ns;
    int64_t max_delay_ns;
    int64_t partial_max_ns;
};

/* A dirty name as the round gets it. */
struct settle_name {
    struct file_id dir;
    struct bytes name; /* lives until the name is taken or the set changes */
    uint8_t hints;     /* enum hint_flag, gathered */
    uint8_t deferrals;
    uint8_t failures; /* looks in a row that gave "unknown" */
    uint8_t level;    /* how often it was looked at while busy */
    bool busy;        /* due by max_delay, not by being quiet */
    bool open;        /* written and not closed since */
    bool partial;     /* its last row said partial */
    int64_t last_ns;  /* touched last */
    int64_t first_ns; /* dirty since */
    struct actor actor;
};

/* A directory to be listed: with all below it when deep. */
struct settle_mark {
    struct file_id dir;
    bool deep;
    uint8_t failures;
    int64_t due_ns;
    int64_t first_ns; /* dirty since the names that made it necessary were; 0: always */
};

int settle_new(const struct settle_times *times, struct settle **out);
void settle_free(struct settle *settle);
void settle_set_times(struct settle *settle, const struct settle_times *times);

/* A hint, and whose doing it is (NULL: not known). False: the set is full beyond marks; everything
 * was dropped and the caller must scan. */
bool settle_mark_name(struct settle *settle, struct file_id dir, struct bytes name, uint8_t hints,
                      const struct actor *actor, int64_t now_ns);
/* Puts a taken name back with what it had; due at `due_ns` at the latest (RULES: voided names
 * come again in the next round, unknown ones after a back-off). */
bool settle_put_back(struct settle *settle, const struct settle_name *name, int64_t due_ns);
bool settle_mark_dir(struct settle *settle, const struct settle_mark *mark);
/* A name that was looked at while it was busy, or is journaled as partial, rests: when it becomes
 * dirty again it waits longer than before; when it stays clean and is partial it is due once more
 * after that time, without hints, so that the row can be completed; else it is forgotten then. */
void settle_rest(struct settle *settle, const struct settle_name *name, int64_t now_ns);

/* The next name that is due at now_ns: taken out of the set and copied to *out, its name to
 * `bytes`, which is emptied first. False: none. With a barrier (`force_before_ns` above 0) names
 * that are dirty since before it are due, and no younger ones: what those lead to would be waited
 * for too, and while somebody works in the folder there is always more of it. */
struct buf;
bool settle_take(struct settle *settle, int64_t now_ns, int64_t force_before_ns,
                 struct settle_name *out, struct buf *bytes);
/* What waits after a failed look or listing is due now, once. */
void settle_hurry(struct settle *settle, int64_t now_ns);

/* Takes this very name if it is dirty (the round looks at it anyway); out->name is `name`. */
bool settle_take_name(struct settle *settle, struct file_id dir, struct bytes name,
                      struct settle_name *out);
bool settle_take_dir(struct settle *settle, int64_t now_ns, int64_t force_before_ns,
                     struct settle_mark *out);
bool settle_take_this_dir(struct settle *settle, struct file_id dir, struct settle_mark *out);

/* Walks all dirty names (to peek at them): stops at nonzero. The set must not change. */
int settle_each_name(const struct settle *settle,
                     int (*visit)(void *ctx, const struct settle_name *name), void *ctx);
bool settle_has_name(const struct settle *settle, struct file_id dir, struct bytes name);

/* When the next thing is due, SETTLE_NEVER when nothing is dirty. */
int64_t settle_next_due(const struct settle *settle);
/* Anything left that was dirty before that time, or that such a name led to, and that is not merely
 * waiting for a retry of an unknown look? */
bool settle_pending_before(const struct settle *settle, int64_t before_ns);
size_t settle_name_count(const struct settle *settle); /* without those that rest */
size_t settle_dir_count(const struct settle *settle);
size_t settle_unknown_count(const struct settle *settle); /* waiting after an unknown look */
void settle_clear(struct settle *settle);

#endif
