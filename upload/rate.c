/* rate.c: see rate.h. A slot is found by its number modulo RATE_SLOTS; those that time has passed
 * over are emptied when the next one is written, and left out when they are read. */
#include "rate.h"

#include "clock.h"

static int64_t slot_at(int64_t now_ns)
{
    return now_ns / (RATE_SLOT_MS * CLOCK_NS_PER_MS);
}

void rate_init(struct rate *rate, int64_t now_ns)
{
    *rate = (struct rate){.begun_ns = now_ns, .newest = slot_at(now_ns)};
}

void rate_add(struct rate *rate, int64_t now_ns, int64_t count)
{
    int64_t slot = slot_at(now_ns);
    if (slot - rate->newest >= RATE_SLOTS)
        memset(rate->counts, 0, sizeof rate->counts);
    else
        for (int64_t passed = rate->newest + 1; passed <= slot; passed++)
            rate->counts[passed % RATE_SLOTS] = 0;
    rate->newest = slot;
    rate->counts[slot % RATE_SLOTS] += count;
}

int64_t rate_get(const struct rate *rate, int64_t now_ns, int64_t *window_ms)
{
    int64_t oldest = slot_at(now_ns) - RATE_SLOTS + 1;
    int64_t since_ns = oldest * RATE_SLOT_MS * CLOCK_NS_PER_MS;
    int64_t sum = 0;
    for (int64_t slot = rate->newest - RATE_SLOTS + 1; slot <= rate->newest; slot++)
        if (slot >= oldest && slot >= 0)
            sum += rate->counts[slot % RATE_SLOTS];
    since_ns = since_ns > rate->begun_ns ? since_ns : rate->begun_ns;
    *window_ms = (now_ns - since_ns) / CLOCK_NS_PER_MS;
    *window_ms = *window_ms > 0 ? *window_ms : 1;
    return sum;
}
