/* helper_kill.h: a child process that works on a directory until it is killed, between two system
 * calls wherever it happens to be. Where a system has no fork(2) the program is started again. */
#ifndef SPOOR_HELPER_KILL_H
#define SPOOR_HELPER_KILL_H

/* First thing in main(): what a child of this program does in `dir`; it calls kill_tell() for every
 * step that must not be lost, and returns only when something fails. */
void kill_main(void (*work)(const char *dir));
/* In the child: tells the parent; ends the child when it cannot. */
void kill_tell(int64_t number);
/* Runs a child until it has told `count` numbers and kills it. The last that it told, which may be
 * a later one. Ends the test when the child fails. */
int64_t kill_after(const char *dir, int count);

#endif
