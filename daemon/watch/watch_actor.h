/* watch_actor.h: the program behind the process that a record names, asked while it may still be
 * there, and kept for a moment afterwards. Private to the fanotify back-end, which guards it with
 * its lock.
 *
 * The name is /proc/PID/comm's, which anybody may read. The name of the executable itself, by
 * /proc/PID/exe, asks for the right to trace the process (proc(5)), and that goes with the
 * capabilities and the Landlock domain. A record carries no time and a number may be given to
 * another process: should that happen between the record and the question, or within ACTOR_KEEP_MS
 * of the last answer, the name is another's. The kernel gives numbers in turn, so all of them
 * (4,194,304 on a 64-bit system that systemd set up, 32,768 by default) must go round meanwhile. */
#ifndef SPOOR_WATCH_ACTOR_H
#define SPOOR_WATCH_ACTOR_H

#include "change.h"

#define ACTOR_KEEP_MS 500 /* a name is believed so long after its process could be asked last */
#define ACTOR_SLOTS   64

struct watch_actor {
    struct actor actor;
    uint64_t asked_round; /* the read of records in which it was asked about last */
    int64_t answered_ns;  /* monotonic; when it answered last, 0: never */
};

/* Zero is ready for use. */
struct watch_actors {
    uint64_t round;
    struct watch_actor slots[ACTOR_SLOTS];
};

/* A new read of records begins: processes are asked anew. */
void watch_actors_begin(struct watch_actors *actors);
/* Who that is; stays until the next call. pid 0 (a process of another namespace) stays 0. */
const struct actor *watch_actors_of(struct watch_actors *actors, int32_t pid);

#endif
