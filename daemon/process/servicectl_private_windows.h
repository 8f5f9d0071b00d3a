/* servicectl_private_windows.h: what servicectl_windows.c and servicectl_install_windows.c share.
 * Nobody else includes it. */
#ifndef SPOOR_SERVICECTL_PRIVATE_WINDOWS_H
#define SPOOR_SERVICECTL_PRIVATE_WINDOWS_H

struct err;

/* "cannot WHAT the service: why", with what to do about it where we know. `os` is a number of
 * GetLastError(). */
int servicectl_fail(unsigned long os, const char *what, struct err *err);

#endif
