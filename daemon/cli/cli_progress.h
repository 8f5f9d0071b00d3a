/* cli_progress.h: a line on a terminal that says how far the uploads are, while a command waits for
 * them: what the first full send of a folder looks like. */
#ifndef SPOOR_CLI_PROGRESS_H
#define SPOOR_CLI_PROGRESS_H

struct config;
struct config_folder;
struct progress;

/* Begins to draw on standard error, from a thread of its own; `only` and the config as of
 * status_view_load(), until progress_stop(). NULL, and nothing is drawn, where that is no terminal
 * or there is no memory: what is waited for does not hang on it. */
struct progress *progress_start(const struct config *config, const struct config_folder *only);
/* Ends it and clears the line. NULL allowed. */
void progress_stop(struct progress *progress);

#endif
