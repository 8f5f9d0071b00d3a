/* clock.h: the two clocks, never mixed, and RFC 3339 times (UTC). Any thread. */
#ifndef SPOOR_CLOCK_H
#define SPOOR_CLOCK_H

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S  INT64_C(1000000000)
#define CLOCK_TEXT_SIZE 40 /* bytes for any formatted time, NUL included */

/* Nanoseconds since some fixed point; never goes back, stands still in suspend. */
int64_t clock_mono_ns(void);
/* Nanoseconds, resp. milliseconds, since 1970-01-01 UTC. */
int64_t clock_wall_ns(void);
int64_t clock_wall_ms(void);

/* "2026-11-23T08:15:30.123456789Z"; years 0000 to 9999, others print as the nearest bound. */
void clock_format_ns(int64_t wall_ns, char out[CLOCK_TEXT_SIZE]);
/* "2026-11-23T08:15:30.123Z". */
void clock_format_ms(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);
/* Reads either, also with an offset ("+01:00"), without a fraction, with a blank
 * for the T, or a bare date ("2026-11-23", midnight UTC). 0 or ERR_INVALID. */
int clock_parse(const char *text, size_t len, int64_t *out_wall_ns);

#endif
