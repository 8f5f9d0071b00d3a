/* compare.h: two trees side by side: the journal's, pushed entry by entry by
 * reader_tree(), against another one (the disk, a server's mirror) that is pulled. Both come
 * depth first with names in byte order, so one pass and a little memory are enough.
 *
 * A difference is reported once, at the top: what is missing or of another type is not
 * followed below. What could not be looked at on the other side is no difference and
 * counted apart. Knows nothing of where the trees come from. One thread. */
#ifndef SPOOR_COMPARE_H
#define SPOOR_COMPARE_H

#include "buf.h"
#include "change.h"

struct err;
struct reader_entry;

#define COMPARE_PATH_MAX (1 << 20) /* bytes of one path */

/* An entry of the other side. */
struct compare_item {
    struct bytes path; /* lives until the next one is asked for */
    enum entry_type type;
    struct entry_attrs attrs;
    int64_t id;   /* logical id, 0: this side has none to compare */
    bool unknown; /* path, or what is below it, could not be looked at; the rest is unset */
    int os;       /* unknown: why */
};

struct compare_side {
    const char *name; /* "disk", "server": in every line that is printed */
    void *ctx;
    /* 1: *out is filled; 0: no more; negative: error. */
    int (*next)(void *ctx, struct compare_item *out, struct err *err);
};

struct compare {
    const struct compare_side *side;
    const char *folder;
    bool json;
    struct buf *out;         /* one line a difference, or one JSON object */
    int (*flush)(void *ctx); /* after each line; nonzero ends the comparison. NULL: none */
    void *flush_ctx;
    int64_t entries;     /* of the journal, compared or not */
    int64_t differences; /* lines but for the unknown ones */
    int64_t unknown;     /* names that could not be looked at, mount points not counted */
    struct compare_item item;
    bool has_item, ended;
    struct buf last_path;               /* of the other side, to check its order */
    struct buf skip_journal, skip_side; /* what is at or below these is settled */
    bool skips_journal, skips_side;
    int stopped; /* what flush() returned, or a negative error */
};

/* Caller's storage; `side`, `folder` and `out` must live as long. */
void compare_init(struct compare *compare, const struct compare_side *side, const char *folder,
                  bool json, struct buf *out);
void compare_deinit(struct compare *compare);
/* The journal's next entry. 0, negative error, or what flush() returned. */
int compare_entry(struct compare *compare, const struct reader_entry *entry, struct err *err);
/* The journal's tree is at its end: the rest of the other side is extra. Same results. */
int compare_finish(struct compare *compare, struct err *err);

/* The order both sides must come in: byte order with '/' before every other byte. */
int compare_path_order(struct bytes x, struct bytes y);

#endif
