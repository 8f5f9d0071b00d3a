/* posix_windows.h: the few functions of POSIX 2008 and GNU that string.h lacks on Windows, by
 * their own names and with their own contracts, so that portable code need not know. platform.h
 * includes it everywhere. Any thread. */
#ifndef SPOOR_POSIX_WINDOWS_H
#define SPOOR_POSIX_WINDOWS_H

#define EDQUOT 1133 /* a number that no call returns: quotas are ERROR_DISK_FULL, not an errno */

char *strndup(const char *text, size_t len);
void *memrchr(const void *bytes, int c, size_t len);
void *memmem(const void *bytes, size_t len, const void *part, size_t part_len);
int rand_r(unsigned *seed);
/* Zeroes, and is never optimised away. */
void explicit_bzero(void *bytes, size_t len);

#endif
