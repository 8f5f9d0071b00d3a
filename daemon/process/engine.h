/* engine.h: the folders and uploads of one configuration, opened, started and stopped as one.
 *
 * Joins them by threads' calls alone: a folder that has committed wakes the uploads that
 * serve it; an upload's batches and acknowledgements are written by the folder's thread. A
 * reload closes one engine and opens another. All functions are the main thread's. */
#ifndef SPOOR_ENGINE_H
#define SPOOR_ENGINE_H

struct config;
struct engine;
struct err;
struct folder;
struct upload;
struct wake;

/* Opens every folder and every upload of `config`, which must live until engine_close(). `wake` is
 * set when something happened that engine_watch() asked for. Starts nothing. */
int engine_open(const struct config *config, struct wake *wake, struct engine **out,
                struct err *err);
/* Privilege was wanted for marks of fanotify, which are had by now or were refused. */
bool engine_wants_marks(const struct engine *engine);
/* Uploads first, then folders. After a failure only engine_close() is left. */
int engine_start(struct engine *engine, struct err *err);
/* Asks everything to end: the folders' last commits are finished, requests are abandoned. Returns
 * at once. */
void engine_stop(struct engine *engine);
/* After engine_stop(): waits until every folder's thread is through. False: one hangs in a call of
 * its file system (logged), and engine_close() would hang too: the process can only end. */
bool engine_wait_end(struct engine *engine, int64_t deadline_mono_ns);
/* Stops, joins and frees; NULL allowed. */
void engine_close(struct engine *engine);

size_t engine_folder_count(const struct engine *engine);
struct folder *engine_folder(const struct engine *engine, size_t index);
size_t engine_upload_count(const struct engine *engine);
struct upload *engine_upload(const struct engine *engine, size_t index);
bool engine_serves(const struct engine *engine, size_t upload, size_t folder);

/* While on, every progress of a folder or an acknowledgement sets `wake`. What happened before the
 * call is not told again: look at the state after it. */
void engine_watch(struct engine *engine, bool on);
/* What waits in back-off or pause is tried now: the uploads that serve this folder, or all of
 * them with SIZE_MAX. */
void engine_retry(struct engine *engine, size_t folder);
/* True when every upload that serves the folder has `seq` acknowledged. */
bool engine_acknowledged(const struct engine *engine, size_t folder, int64_t seq);

#endif
