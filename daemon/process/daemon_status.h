/* daemon_status.h: the daemon's answer to {"do":"status"}: what every folder and upload is doing
 * now. What stands in the journals the asker reads for himself. Main thread. */
#ifndef SPOOR_DAEMON_STATUS_H
#define SPOOR_DAEMON_STATUS_H

struct buf;
struct engine;

/* One object: ok pid uptime_ms version config sandbox folders[] uploads[]; `sandbox` is the word of
 * struct confine. */
void daemon_status_write(struct buf *out, const struct engine *engine, const char *config_file,
                         const char *sandbox, int64_t started_mono_ns);

#endif
