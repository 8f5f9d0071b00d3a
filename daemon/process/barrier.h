/* barrier.h: the `spoor sync` calls that wait for their folders (RULES 28).
 *
 * A call is a client of the control socket, one ticket a folder, and whether the uploads'
 * acknowledgements are waited for too. Pure bookkeeping on the main thread: it is asked to
 * look again whenever the engine made progress; nothing polls. */
#ifndef SPOOR_BARRIER_H
#define SPOOR_BARRIER_H

struct barriers;
struct control;
struct engine;

int barriers_new(struct barriers **out);
void barriers_free(struct barriers *barriers);

/* A new call: `folder` "" means all. Answered at once when it cannot be. */
void barriers_add(struct barriers *barriers, struct engine *engine, struct control *control,
                  uint64_t client, const char *folder, bool uploaded);
/* Answers those that are done or can never be, forgets those whose client has gone. */
void barriers_check(struct barriers *barriers, struct engine *engine, struct control *control);
/* The engine is another one now: every call begins again with it, which covers more. */
void barriers_restart(struct barriers *barriers, struct engine *engine, struct control *control);
/* Refuses all that is left, with this reason. */
void barriers_refuse(struct barriers *barriers, struct control *control, const char *why);

#endif
