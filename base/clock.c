/* clock.c: RFC 3339 times in UTC, written and read without the C library's calendar.
 *
 * By hand since the row writer prints two times a row, and gmtime_r with snprintf costs more
 * than the rest of the row; and since timegm is not everywhere. Leap seconds do not exist in
 * Unix time: a second of 60 is read as the first of the next minute. Any thread. */
#include "clock.h"

#include "err.h"

#define DAYS_PER_ERA   146097 /* 400 Gregorian years */
#define DAYS_TO_1970   719468 /* from 0000-03-01 */
#define SECONDS_A_DAY  86400
#define FIRST_SECOND   INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_SECOND    INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define OFFSET_HOURS   23
#define FRACTION_PARTS 9 /* digits of a nanosecond */

/* Civil date and days since 1970, both ways, after the usual trick: years counted from March,
 * so that the leap day comes last, in eras of 400 years. */
static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (unsigned)((5 * day_of_year + 2) / 153);
    *day = (unsigned)(day_of_year - (153 * from_march + 2) / 5 + 1);
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static char *put_digits(char *at, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + width;
}

static void format_time(int64_t second, int64_t fraction, int width, char *at)
{
    if (second < FIRST_SECOND) {
        second = FIRST_SECOND;
        fraction = 0;
    } else if (second > LAST_SECOND) {
        second = LAST_SECOND;
        fraction = width == 3 ? 999 : 999999999;
    }
    int64_t days = second / SECONDS_A_DAY;
    int64_t rest = second % SECONDS_A_DAY;
    if (rest < 0) {
        rest += SECONDS_A_DAY;
        days--;
    }
    int64_t year;
    unsigned month, day;
    civil_from_days(days, &year, &month, &day);
    at = put_digits(at, year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, rest / 3600, 2);
    *at++ = ':';
    at = put_digits(at, rest / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, rest % 60, 2);
    *at++ = '.';
    at = put_digits(at, fraction, width);
    *at++ = 'Z';
    *at = '\0';
}

void clock_format_ns(int64_t wall_ns, char out[CLOCK_TEXT_SIZE])
{
    int64_t second = wall_ns / CLOCK_NS_PER_S;
    int64_t fraction = wall_ns % CLOCK_NS_PER_S;

    if (fraction < 0) {
        fraction += CLOCK_NS_PER_S;
        second--;
    }
    format_time(second, fraction, 9, out);
}

void clock_format_ms(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    int64_t second = wall_ms / 1000;
    int64_t fraction = wall_ms % 1000;

    if (fraction < 0) {
        fraction += 1000;
        second--;
    }
    format_time(second, fraction, 3, out);
}

/* What is left to read. */
struct reader {
    const char *at;
    const char *end;
};

/* Exactly `width` digits, or -1. */
static int64_t take_number(struct reader *in, int width)
{
    int64_t value = 0;

    if (in->end - in->at < width)
        return -1;
    for (int i = 0; i < width; i++) {
        char c = *in->at++;
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

static bool take_char(struct reader *in, const char *any_of)
{
    if (in->at == in->end || *in->at == '\0' || !strchr(any_of, *in->at))
        return false;
    in->at++;
    return true;
}

static int take_date(struct reader *in, int64_t *out_days)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = take_number(in, 4);

    if (year < 0 || !take_char(in, "-"))
        return ERR_INVALID;
    int64_t month = take_number(in, 2);
    if (month < 1 || month > 12 || !take_char(in, "-"))
        return ERR_INVALID;
    int64_t day = take_number(in, 2);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > month_days[month - 1] || (month == 2 && day == 29 && !leap))
        return ERR_INVALID;
    *out_days = days_from_civil(year, (unsigned)month, (unsigned)day);
    return 0;
}

/* Digits after the point; those beyond a nanosecond are read and dropped. */
static int take_fraction(struct reader *in, int64_t *out_ns)
{
    int64_t value = 0;
    int digits = 0;

    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++, digits++)
        if (digits < FRACTION_PARTS)
            value = value * 10 + (*in->at - '0');
    if (digits == 0)
        return ERR_INVALID;
    for (; digits < FRACTION_PARTS; digits++)
        value *= 10;
    *out_ns = value;
    return 0;
}

static int take_offset(struct reader *in, int64_t *out_seconds)
{
    if (take_char(in, "Zz")) {
        *out_seconds = 0;
        return 0;
    }
    bool east = in->at < in->end && *in->at == '+';
    if (!take_char(in, "+-"))
        return ERR_INVALID;
    int64_t hours = take_number(in, 2);
    if (hours < 0 || hours > OFFSET_HOURS || !take_char(in, ":"))
        return ERR_INVALID;
    int64_t minutes = take_number(in, 2);
    if (minutes < 0 || minutes > 59)
        return ERR_INVALID;
    *out_seconds = (hours * 60 + minutes) * (east ? 60 : -60);
    return 0;
}

static int take_time(struct reader *in, int64_t *out_seconds, int64_t *out_ns)
{
    int64_t hour = take_number(in, 2);
    if (hour < 0 || hour > 23 || !take_char(in, ":"))
        return ERR_INVALID;
    int64_t minute = take_number(in, 2);
    if (minute < 0 || minute > 59 || !take_char(in, ":"))
        return ERR_INVALID;
    int64_t second = take_number(in, 2);
    if (second < 0 || second > 60)
        return ERR_INVALID;
    if (take_char(in, ".") && take_fraction(in, out_ns) != 0)
        return ERR_INVALID;
    int64_t offset = 0;
    if (take_offset(in, &offset) != 0)
        return ERR_INVALID;
    *out_seconds = hour * 3600 + minute * 60 + second - offset;
    return 0;
}

int clock_parse(const char *text, size_t len, int64_t *out_wall_ns)
{
    struct reader in = {text, text + len};
    int64_t days, seconds = 0, ns = 0;

    if (take_date(&in, &days) != 0)
        return ERR_INVALID;
    if (in.at < in.end && (!take_char(&in, "Tt ") || take_time(&in, &seconds, &ns) != 0))
        return ERR_INVALID;
    seconds += days * SECONDS_A_DAY;
    /* Before 1970 the fraction counts down from the next second: INT64_MIN itself is a time, and
     * its second, rounded down, is not. */
    if (seconds < 0 && ns > 0) {
        seconds++;
        ns -= CLOCK_NS_PER_S;
    }
    /* int64 nanoseconds end in 1677 and 2262. */
    if (in.at != in.end || __builtin_mul_overflow(seconds, CLOCK_NS_PER_S, &seconds) ||
        __builtin_add_overflow(seconds, ns, &seconds))
        return ERR_INVALID;
    *out_wall_ns = seconds;
    return 0;
}
