/* wake.h: a flag that wakes a waiting thread: an eventfd on Linux, so that one
 * poll waits for it and for a kernel queue alike. Setting is safe from any thread
 * and from a signal handler; it never blocks and is never lost. */
#ifndef SPOOR_WAKE_H
#define SPOOR_WAKE_H

struct err;

struct wake {
    int fd;
};

int wake_open(struct wake *wake, struct err *err);
/* NULL and a never opened one (fd -1) allowed. */
void wake_close(struct wake *wake);
void wake_set(struct wake *wake);
/* Clears the flag; true when it was set. */
bool wake_clear(struct wake *wake);
/* Waits until the flag is set, then clears it; `deadline_mono_ns` INT64_MAX waits for
 * ever. True when it was set, false when the deadline passed. */
bool wake_wait(struct wake *wake, int64_t deadline_mono_ns);

#endif
