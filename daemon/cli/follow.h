/* follow.h: waiting for a journal to grow, from another process, without polling while
 * nothing happens: what `spoor log --follow` sleeps in. One thread. */
#ifndef SPOOR_FOLLOW_H
#define SPOOR_FOLLOW_H

struct err;
struct follow;

enum follow_event {
    FOLLOW_CHANGED,  /* look: the journal was, or may have been, written */
    FOLLOW_REPLACED, /* journal.db is another file now: open it again, then look */
    FOLLOW_CLOSED,   /* nobody reads our standard output any more */
};

/* `dir` is where journal.db lies. What is written after this returned is noticed. */
int follow_open(const char *dir, struct follow **out, struct err *err);
/* Blocks until there is an event. */
int follow_wait(struct follow *follow, enum follow_event *out, struct err *err);
/* NULL allowed. */
void follow_close(struct follow *follow);

#endif
