/* daemon_wait_windows.h: asking the daemon's main thread without a console: what a service's
 * handler of control codes does. */
#ifndef SPOOR_DAEMON_WAIT_WINDOWS_H
#define SPOOR_DAEMON_WAIT_WINDOWS_H

#include "daemon_wait.h"

/* The daemon's wait ends with these bits of enum daemon_asked; before there is one they wait for
 * it. Any thread. */
void daemon_wait_ask(unsigned asked);

#endif
