/* platform.h: the one place that tells the operating systems apart, and the
 * ban on the C library's unbounded calls. Every source file of the project
 * gets it first, by the compiler's -include; no file needs to name it. */
#ifndef SPOOR_PLATFORM_H
#define SPOOR_PLATFORM_H

#ifndef _WIN32
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* statx, openat2, O_PATH, accept4, pipe2, mremap */
#endif
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef _WIN32
#include <unistd.h>
#endif

#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))
#define ARRAY_LEN(a)            (sizeof(a) / sizeof((a)[0]))

#if defined(__GNUC__) && !defined(SPOOR_ALLOW_BANNED)
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll
#pragma GCC poison system popen mktemp tmpnam
#endif

#endif
