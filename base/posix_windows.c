/* posix_windows.c: see posix_windows.h. Any thread. */
#include <windows.h>

char *strndup(const char *text, size_t len)
{
    size_t have = strnlen(text, len);
    char *copy = malloc(have + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text, have);
    copy[have] = '\0';
    return copy;
}

void *memrchr(const void *bytes, int c, size_t len)
{
    const unsigned char *at = bytes;

    while (len > 0)
        if (at[--len] == (unsigned char)c)
            return (void *)(at + len);
    return NULL;
}

void *memmem(const void *bytes, size_t len, const void *part, size_t part_len)
{
    const char *at = bytes;

    for (; len >= part_len; at++, len--)
        if (memcmp(at, part, part_len) == 0)
            return (void *)at;
    return NULL;
}

int rand_r(unsigned *seed)
{
    uint32_t state = *seed * 1664525u + 1013904223u; /* the upper bits are the better ones */

    *seed = state;
    return (int)(state >> 16) & RAND_MAX;
}

void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? NULL : realloc(old, bytes);
}

struct order {
    int (*compare)(const void *a, const void *b, void *ctx);
    void *ctx;
};

static int compare_by(void *order, const void *a, const void *b)
{
    const struct order *by = order;

    return by->compare(a, b, by->ctx);
}

void qsort_r(void *items, size_t count, size_t size,
             int (*compare)(const void *a, const void *b, void *ctx), void *ctx)
{
    struct order order = {compare, ctx};

    qsort_s(items, count, size, compare_by, &order); /* Microsoft's, of the same kind */
}

char *strchrnul(const char *text, int c)
{
    while (*text && *text != (char)c)
        text++;
    return (char *)text;
}

const char *strerrordesc_np(int os)
{
    return os == ESTALE ? "Stale file handle" : strerror(os); /* which keeps its text a thread */
}

ssize_t getline(char **line, size_t *size, FILE *file)
{
    size_t len = 0;

    for (int c = 0; c != '\n' && (c = getc(file)) != EOF; (*line)[len++] = (char)c) {
        if (*line && len + 2 <= *size)
            continue;
        size_t room = *line && *size >= 60 ? 2 * *size : 120;
        char *more = realloc(*line, room);
        if (!more)
            return -1; /* with ENOMEM, and the end not reached */
        *line = more;
        *size = room;
    }
    if (len == 0 || ferror(file))
        return -1;
    (*line)[len] = '\0';
    return (ssize_t)len;
}

void explicit_bzero(void *bytes, size_t len)
{
    SecureZeroMemory(bytes, len);
}
