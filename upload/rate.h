/* rate.h: how much went through of late: counts of the last minute, in slots. Pure; the caller
 * guards it. */
#ifndef SPOOR_RATE_H
#define SPOOR_RATE_H

#define RATE_SLOTS   12
#define RATE_SLOT_MS 5000

struct rate {
    int64_t begun_ns; /* monotonic */
    int64_t newest;   /* number of the slot written last */
    int64_t counts[RATE_SLOTS];
};

void rate_init(struct rate *rate, int64_t now_ns);
void rate_add(struct rate *rate, int64_t now_ns, int64_t count);
/* What was counted in the last minute, or since the beginning where that is later; *window_ms is
 * the time it took, at least 1. */
int64_t rate_get(const struct rate *rate, int64_t now_ns, int64_t *window_ms);

#endif
