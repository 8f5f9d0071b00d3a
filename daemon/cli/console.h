/* console.h: the command line's way to the system: arguments, standard descriptors, Ctrl-C. What is
 * written goes by output.h. Main thread. */
#ifndef SPOOR_CONSOLE_H
#define SPOOR_CONSOLE_H

struct err;

/* First of all: standard descriptors that are closed are opened to nothing, a closed pipe becomes
 * an answer of write, and the arguments are in our own form. False: it cannot be. */
bool console_open(int *argc, char ***argv);

/* For who waits for nothing else. From console_listen(), before any thread is made, Ctrl-C and a
 * request to end no longer end the process, but console_wait_stop(). */
int console_listen(struct err *err);
void console_wait_stop(void);

#endif
