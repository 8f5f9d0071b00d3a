/* hours.c: see hours.h. */
#include "hours.h"

#include "num.h"

#define DAY_S     (24 * 3600)
#define ASK_MAX_S 3600
#define CLOCK_LEN 5 /* "22:00" */

/* "HH:MM" at the beginning of the text; -1: it is none. */
static int parse_clock(const char *text)
{
    char hour[3] = {0}, minute[3] = {0};
    int64_t h, m;
    if (strlen(text) < CLOCK_LEN || text[2] != ':')
        return -1;
    memcpy(hour, text, 2);
    memcpy(minute, text + 3, 2);
    if (num_parse_i64(hour, 0, 23, &h) != 0 || num_parse_i64(minute, 0, 59, &m) != 0)
        return -1;
    return (int)(h * 60 + m);
}

bool hours_parse(const char *text, struct hours *out)
{
    *out = (struct hours){0};
    if (!*text)
        return true;
    if (strlen(text) != 2 * CLOCK_LEN + 1 || text[CLOCK_LEN] != '-')
        return false;
    out->from_min = parse_clock(text);
    out->to_min = parse_clock(text + CLOCK_LEN + 1);
    return out->from_min >= 0 && out->to_min >= 0 && out->from_min != out->to_min;
}

int64_t hours_wait_ms(const struct hours *hours, int64_t wall_ms)
{
    time_t now = (time_t)(wall_ms / 1000);
    struct tm local;
    if (hours->from_min == hours->to_min || !localtime_r(&now, &local))
        return 0; /* without a local time nothing is withheld */
    int second = (local.tm_hour * 60 + local.tm_min) * 60 + local.tm_sec;
    int from = hours->from_min * 60;
    int span = (hours->to_min * 60 - from + DAY_S) % DAY_S;
    if ((second - from + DAY_S) % DAY_S < span)
        return 0;
    int wait = (from - second + DAY_S) % DAY_S;
    return (wait < ASK_MAX_S ? wait : ASK_MAX_S) * INT64_C(1000);
}
