/* banned.h: the C library's unbounded calls, refused by the compiler from here on. Comes after the
 * system's headers: platform.h includes it, on Windows native_windows.h, since windows.h and what
 * includes it name some of these in macros of their own. */
#ifndef SPOOR_BANNED_H
#define SPOOR_BANNED_H

#if defined(__GNUC__) && !defined(SPOOR_ALLOW_BANNED)
#undef popen /* a macro on Windows, which cannot be poisoned */
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll
#pragma GCC poison system popen mktemp tmpnam
#endif

#endif
