/* platform.h: the one place that tells the operating systems apart, and the
 * ban on the C library's unbounded calls. Every source file of the project
 * gets it first, by the compiler's -include; no file needs to name it. */
#ifndef SPOOR_PLATFORM_H
#define SPOOR_PLATFORM_H

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN 1
#define _WIN32_WINNT        0x0A00 /* Windows 10 */
#define _POSIX_C_SOURCE     200809 /* gmtime_r */
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* statx, openat2, O_PATH, accept4, pipe2; printf of C99 on Windows */
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <unistd.h>

#ifdef _WIN32
/* By default it means the formats of Microsoft's C library, which knows no %zu. */
#define PRINTF_LIKE(text, args) __attribute__((format(gnu_printf, text, args)))
#include "posix_windows.h"
#else
#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))
#endif
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#ifndef _WIN32
#include "banned.h"
#endif

#endif
