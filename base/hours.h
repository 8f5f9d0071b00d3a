/* hours.h: a daily span of hours, as 22:00-06:00, by this machine's local time. Any thread. */
#ifndef SPOOR_HOURS_H
#define SPOOR_HOURS_H

struct hours {
    int from_min, to_min; /* minutes since midnight; the same: always */
};

/* "HH:MM-HH:MM", over midnight too; "" is always. False: it is neither. */
bool hours_parse(const char *text, struct hours *out);
/* 0 within the span; outside how long until it begins, but at most an hour: the local time may be
 * set, and summer ends. */
int64_t hours_wait_ms(const struct hours *hours, int64_t wall_ms);

#endif
