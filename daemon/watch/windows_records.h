/* windows_records.h: from records of ReadDirectoryChanges to calls of the sink: the half of the
 * Windows back-end that asks no system, built and tested on every one. Private to this room; the
 * back-end's lock guards it. */
#ifndef SPOOR_WINDOWS_RECORDS_H
#define SPOOR_WINDOWS_RECORDS_H

#include "watch.h"
#include "watch_places.h"
#include "windows_parse.h"

#define WINDOWS_PATH_UNITS_MAX 32767 /* of a path in the system (MSDN, "Maximum Path Length") */
#define WINDOWS_FORMER_SLOTS   64    /* places that directories left by a rename */
#define WINDOWS_TOLD_SLOTS     1024  /* names whose look is on its way */

/* What the files of barriers begin with, in the root: no record of one becomes a hint. */
#define WINDOWS_BARRIER_PREFIX ".spoor-sync-"
bool windows_is_barrier(struct bytes name);

/* The first half of a rename, until the second comes. */
struct windows_rename {
    bool any;
    bool held;      /* since the read before this one */
    int32_t number; /* of the directory that was there; -1: none that was added */
    uint64_t at;
    uint64_t file; /* WINDOWS_IDS */
};

struct windows_records {
    struct watch_sink sink;
    /* A barrier's file, by the rest of its name, was made. Called with what `sink` is given. */
    void (*barrier)(void *ctx, struct bytes rest);
    void *barrier_ctx;
    struct watch_places places;
    int32_t root; /* number; -1: not added */
    struct windows_rename rename;
    struct {
        uint64_t at;
        int32_t number;
    } former[WINDOWS_FORMER_SLOTS];
    uint64_t told[WINDOWS_TOLD_SLOTS];
    char path[WINDOWS_PATH_UNITS_MAX * 3];
};

/* `barrier` NULL: there are none. */
void windows_records_init(struct windows_records *records, const struct watch_sink *sink,
                          void (*barrier)(void *ctx, struct bytes rest), void *barrier_ctx);
void windows_records_deinit(struct windows_records *records);

/* watch.h's add and remove. What is added again may be so at another place. */
int windows_records_add(struct windows_records *records, const struct watch_dir *dir,
                        int32_t *number, struct err *err);
void windows_records_remove(struct windows_records *records, int32_t number);
size_t windows_records_count(const struct windows_records *records);

/* Hands over a completed read of `len` bytes. False: records were lost, as the sink has been told:
 * none were read (the kernel drops all when its buffer is full, and completes with 0 bytes), or
 * they cannot be understood. */
bool windows_records_take(struct windows_records *records, enum windows_layout layout,
                          const char *buffer, size_t len);
/* The root is gone: nothing is watched any more. */
void windows_records_root_gone(struct windows_records *records);

#endif
