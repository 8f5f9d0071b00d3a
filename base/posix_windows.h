/* posix_windows.h: the few functions of POSIX 2008 and GNU that string.h lacks on Windows, by
 * their own names and with their own contracts, so that portable code need not know. platform.h
 * includes it everywhere. Any thread. */
#ifndef SPOOR_POSIX_WINDOWS_H
#define SPOOR_POSIX_WINDOWS_H

/* Numbers that no call returns, and (the first) that ours give each other. */
#define ESTALE 1132
#define EDQUOT 1133

char *strndup(const char *text, size_t len);
void *memrchr(const void *bytes, int c, size_t len);
void *memmem(const void *bytes, size_t len, const void *part, size_t part_len);
int rand_r(unsigned *seed);
void *reallocarray(void *old, size_t count, size_t size);
void qsort_r(void *items, size_t count, size_t size,
             int (*compare)(const void *a, const void *b, void *ctx), void *ctx);
char *strchrnul(const char *text, int c);
const char *strerrordesc_np(int os);
ssize_t getline(char **line, size_t *size, FILE *file);
/* Zeroes, and is never optimised away. */
void explicit_bzero(void *bytes, size_t len);

#endif
