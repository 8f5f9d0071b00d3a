/* num.c: numbers, durations and sizes from text and back.
 *
 * One bounded parser of digits serves all; units are two tables. Leaves messages to
 * the caller, who knows which key or argument it was. Any thread. */
#include "num.h"

#include "err.h"

struct unit {
    const char *name;
    int64_t factor;
};

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_H   (60 * NS_PER_MIN)
#define NS_PER_DAY (24 * NS_PER_H)

/* From the smallest on: num_human() steps upwards. */
static const struct unit duration_units[] = {
    {"ns", 1},           {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S},
    {"min", NS_PER_MIN}, {"h", NS_PER_H},   {"d", NS_PER_DAY},
};

static const struct unit byte_units[] = {
    {"B", 1},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
};

static const struct unit decimal_units[] = {
    {"kB", INT64_C(1000)},
    {"MB", INT64_C(1000000)},
    {"GB", INT64_C(1000000000)},
    {"TB", INT64_C(1000000000000)},
};

/* Reads a sign (where allowed) and digits up to the first other byte. */
static int parse_digits(const char *text, bool sign, const char **end, int64_t *out)
{
    bool negative = sign && *text == '-';
    int64_t value = 0;
    bool over = false;

    text += negative;
    if (*text < '0' || *text > '9')
        return ERR_INVALID;
    for (; *text >= '0' && *text <= '9'; text++) {
        /* Counted downwards: the negative half of int64 is the larger one. */
        over |= __builtin_mul_overflow(value, 10, &value);
        over |= __builtin_sub_overflow(value, *text - '0', &value);
    }
    *end = text;
    if (over || (!negative && value == INT64_MIN))
        return ERR_LIMIT;
    *out = negative ? value : -value;
    return 0;
}

int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
    const char *end = text;
    int64_t value = 0;
    int rc = parse_digits(text, true, &end, &value);

    if (rc == ERR_INVALID || *end != '\0')
        return ERR_INVALID;
    if (rc != 0 || value < min || value > max)
        return ERR_LIMIT;
    *out = value;
    return 0;
}

static const struct unit *find_unit(const struct unit *units, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

/* Digits and one of the units; `rc` of the digits comes after that of the unit, since "9x" is
 * no number at all however many digits stand before the x. */
static int scale(int rc, int64_t value, const struct unit *unit, int64_t *out)
{
    if (!unit)
        return ERR_INVALID;
    if (rc != 0 || __builtin_mul_overflow(value, unit->factor, &value))
        return ERR_LIMIT;
    *out = value;
    return 0;
}

int num_parse_duration(const char *text, int64_t *out_ns)
{
    const char *end = text;
    int64_t value = 0;
    int rc = parse_digits(text, false, &end, &value);

    if (rc == ERR_INVALID)
        return rc;
    if (*end == '\0' && rc == 0 && value == 0) {
        *out_ns = 0;
        return 0;
    }
    return scale(rc, value, find_unit(duration_units, ARRAY_LEN(duration_units), end), out_ns);
}

int num_parse_bytes(const char *text, int64_t *out_bytes)
{
    const char *end = text;
    int64_t value = 0;
    int rc = parse_digits(text, false, &end, &value);

    if (rc == ERR_INVALID)
        return rc;
    const struct unit *unit = *end == '\0' ? &byte_units[0] : NULL;
    if (!unit)
        unit = find_unit(byte_units, ARRAY_LEN(byte_units), end);
    if (!unit)
        unit = find_unit(decimal_units, ARRAY_LEN(decimal_units), end);
    return scale(rc, value, unit, out_bytes);
}

/* Keeps in `out` the shorter of what is there and value in this unit, when that is exact. */
static void offer(int64_t value, const struct unit *unit, const char *name, char out[32])
{
    char text[32];

    if (value % unit->factor != 0)
        return;
    (void)snprintf(text, sizeof text, "%lld%s", (long long)(value / unit->factor), name);
    if (out[0] == '\0' || strlen(text) < strlen(out))
        memcpy(out, text, sizeof text);
}

void num_format_duration(int64_t ns, char out[32])
{
    out[0] = '\0';
    if (ns == 0)
        (void)snprintf(out, 32, "0"); /* the one number without a unit */
    for (size_t i = ARRAY_LEN(duration_units); ns != 0 && i-- > 0;)
        if (ns % duration_units[i].factor == 0) {
            offer(ns, &duration_units[i], duration_units[i].name, out);
            return;
        }
}

void num_format_bytes(int64_t bytes, char out[32])
{
    out[0] = '\0';
    if (bytes == 0)
        (void)snprintf(out, 32, "0");
    for (size_t i = ARRAY_LEN(byte_units); bytes != 0 && i-- > 1;)
        offer(bytes, &byte_units[i], byte_units[i].name, out);
    for (size_t i = ARRAY_LEN(decimal_units); bytes != 0 && i-- > 0;)
        offer(bytes, &decimal_units[i], decimal_units[i].name, out);
    if (bytes != 0)
        offer(bytes, &byte_units[0], "", out);
}

/* The largest unit of which there is at least one, with one decimal unless that is 0. */
static void human(int64_t value, const struct unit *units, size_t count, char out[32])
{
    double size = value < 0 ? -(double)value : (double)value;
    size_t at = 0;

    /* Compared after rounding to a tenth: 1023.97 KiB shall read "1 MiB", not "1024 KiB". */
    while (at + 1 < count) {
        double tenths = size / (double)units[at].factor * 10 + 0.5;
        double next = (double)units[at + 1].factor / (double)units[at].factor * 10;
        if (tenths < next)
            break;
        at++;
    }
    int64_t tenths = (int64_t)(size / (double)units[at].factor * 10 + 0.5);
    const char *sign = value < 0 ? "-" : "";
    if (tenths % 10 == 0)
        (void)snprintf(out, 32, "%s%lld %s", sign, (long long)(tenths / 10), units[at].name);
    else
        (void)snprintf(out, 32, "%s%lld.%d %s", sign, (long long)(tenths / 10), (int)(tenths % 10),
                       units[at].name);
}

void num_human_duration(int64_t ns, char out[32])
{
    if (ns == 0)
        (void)snprintf(out, 32, "0 s");
    else
        human(ns, duration_units, ARRAY_LEN(duration_units), out);
}

void num_human_bytes(int64_t bytes, char out[32])
{
    human(bytes, byte_units, ARRAY_LEN(byte_units), out);
}
