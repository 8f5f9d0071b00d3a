/* control_pipe_windows.h: where both ends find the control pipe. Any thread. */
#ifndef SPOOR_CONTROL_PIPE_WINDOWS_H
#define SPOOR_CONTROL_PIPE_WINDOWS_H

#include <wchar.h>

#define CONTROL_PIPE_NAME_MAX 96 /* units */

/* By the identity of the state directory: it may be reached by many paths, all lead to one pipe.
 * False: there is no such directory. */
bool control_pipe_name(const char *state_dir, wchar_t out[CONTROL_PIPE_NAME_MAX]);

#endif
