/* facts.h: what a round has seen: for each name looked at, what the disk held.
 *
 * Keyed by (directory identity, name), never by path: a hint names a directory that
 * may have moved since. A name whose look failed (permission, I/O error, another
 * file system mounted there) is no fact at all: unknown never becomes absent (RULES 1).
 * One thread. */
#ifndef SPOOR_FACTS_H
#define SPOOR_FACTS_H

#include "change.h"

/* Why a name is looked at; several may come together. */
enum hint_flag {
    HINT_NAME = 1,     /* created, deleted or renamed */
    HINT_CONTENT = 2,  /* written, and the writer may still have it open */
    HINT_CLOSED = 4,   /* closed after writing: believed even when stat shows nothing (mmap) */
    HINT_ATTRIB = 8,   /* chmod, chown, times, link count */
    HINT_ENTERED = 16, /* a directory that came from somewhere the watch does not see */
    HINT_SCAN = 32,    /* a scan found a difference, or Windows did: nothing is known of why */
};

struct fact {
    struct file_id dir;
    struct bytes name; /* owned by the facts */
    uint64_t clock;    /* order of the looks within the round */
    bool present;      /* else absent: ENOENT, seen in a directory whose identity was verified */
    bool ignored;      /* absent to us because a rule ignores it */
    bool voided;       /* set by reconcile: not used, look again in a later round */
    bool partial;      /* a writer has it open */
    uint8_t hints;     /* enum hint_flag */
    uint8_t deferrals; /* how often reconcile has put off deciding this name */
    enum entry_type type;
    uint32_t link_count;
    struct file_id file;
    struct entry_attrs attrs; /* target owned by the facts */
    struct actor actor;
    struct fact *chain;      /* private */
    struct fact *chain_file; /* private */
};

struct facts;

int facts_new(struct facts **out);
void facts_free(struct facts *facts);
void facts_clear(struct facts *facts);

/* Adds one (the key must be new), copying name and target; sets its clock. NULL: no memory. */
struct fact *facts_add(struct facts *facts, const struct fact *fact);
struct fact *facts_find(const struct facts *facts, struct file_id dir, struct bytes name);
/* Facts that say "present" with this identity, voided ones included: first, then ->chain_file
 * by facts_next_file(). */
struct fact *facts_first_file(const struct facts *facts, struct file_id file);
struct fact *facts_next_file(const struct fact *fact);
size_t facts_count(const struct facts *facts);
/* In the order they were added (= clock). */
struct fact *facts_get(const struct facts *facts, size_t index);

#endif
