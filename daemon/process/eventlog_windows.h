/* eventlog_windows.h: Windows' event log, where administrators look for what a service says. Any
 * thread. */
#ifndef SPOOR_EVENTLOG_WINDOWS_H
#define SPOOR_EVENTLOG_WINDOWS_H

#include "log.h"

struct err;

/* Names the program `file`, which holds the texts of events_windows.mc, as the source of our events
 * in the log Application, resp. takes that back. Both take an administrator; what is so already is
 * no error. */
int eventlog_register(const wchar_t *file, struct err *err);
int eventlog_unregister(struct err *err);

/* Writes an EVENT_... of events_windows.h; `text` stands in it for %1, NULL where there is none. An
 * event that cannot be written is lost: nobody else could be told. */
void eventlog_write(unsigned long event, const char *text);
/* For log_also(): the log's warnings and errors. */
void eventlog_message(enum log_level level, const char *message);

#endif
