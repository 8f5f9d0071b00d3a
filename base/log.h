/* log.h: the daemon's own words, one line a message, to stderr or the log file.
 *
 * "2026-11-23T08:15:30.123Z warn  folder 'docs': ...". Only stages log (never the
 * low layers), an error once, with its consequence. Messages pass through the
 * terminal escape, so a file name cannot forge a line. Any thread. The sink is the
 * one piece of mutable file-scope state in the house. */
#ifndef SPOOR_LOG_H
#define SPOOR_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* "error" "warn" "info" "debug". */
const char *log_level_name(enum log_level level);
/* Messages above `level` are dropped; `fd` stays the caller's. Default: 2, LOG_INFO. */
void log_setup(int fd, enum log_level level);
bool log_enabled(enum log_level level);
/* Beside the sink `also` gets each message at warn or error that is not dropped, terminal-safe and
 * without time and level, in the thread that logs; it must not log. NULL, the default: nobody. */
void log_also(void (*also)(enum log_level level, const char *message));
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* At most one message a `period` for one place: the caller keeps the struct with the fault it
 * reports. Returns true when it may speak now, with the number it kept silent in *skipped. */
struct log_limit {
    int64_t next_mono_ns;
    int64_t skipped;
};
bool log_allowed(struct log_limit *limit, int64_t period_ns, int64_t *skipped);

#endif
