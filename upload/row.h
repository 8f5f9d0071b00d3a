/* row.h: a row and a tree entry in their wire form, one JSON object a line: what
 * batches carry and what `log --json` and `tree --json` print. The hot path: no
 * printf. Any thread. */
#ifndef SPOOR_ROW_H
#define SPOOR_ROW_H

struct buf;
struct change;
struct reader_entry;

/* Appends the object and a newline. Keys: seq epoch folder time kind type path from size mtime
 * mode target id other entries partial replaced ignored state reason; absent where they say
 * nothing; *_b64 where the bytes are no UTF-8. */
void row_write(struct buf *out, const char *folder, const struct change *change);
/* The same with a key "snapshot": the row tells of an entry that was there when generation `gen` of
 * a snapshot was taken. */
void row_write_snapshot(struct buf *out, const char *folder, const struct change *change,
                        int64_t gen);
/* id path type size mtime mode target. */
void row_write_entry(struct buf *out, const struct reader_entry *entry);

#endif
