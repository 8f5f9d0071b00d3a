/* num.h: the one bounded parser of numbers, durations and sizes, and their
 * words for people. Any thread. */
#ifndef SPOOR_NUM_H
#define SPOOR_NUM_H

/* Each takes a NUL-terminated text that must be used up whole, without
 * surrounding blanks; returns 0, ERR_INVALID (not such a number) or ERR_LIMIT
 * (out of int64, or outside min..max). *out is written on success only. */
int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out);
/* "300ms" "5s" "10min" "2h" "7d" "250us"; a bare number is refused (0 alone is
 * allowed). Result in nanoseconds. */
int num_parse_duration(const char *text, int64_t *out_ns);
/* "64MiB" "10kB" "4096" "4096B" "1GiB": KiB MiB GiB TiB are powers of 1024, kB
 * MB GB TB powers of 1000. Result in bytes. */
int num_parse_bytes(const char *text, int64_t *out_bytes);

/* The shortest exact text that the parsers above read back: "1500ms", "64MiB". */
void num_format_duration(int64_t ns, char out[32]);
void num_format_bytes(int64_t bytes, char out[32]);
/* For people, rounded: "1.5 s", "12.3 MiB". */
void num_human_duration(int64_t ns, char out[32]);
void num_human_bytes(int64_t bytes, char out[32]);

#endif
