/* log.c: the daemon's own words, one line a message.
 *
 * A line is put together first and written by one write(2), so that lines of several threads do
 * not mix, in the file or the pipe. What the message quotes (file names, a server's answer)
 * passes the terminal escape. The sink below is the one piece of mutable file-scope state in
 * the house: atomics, so that a reload may change the level at any time. Any thread. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "buf.h"
#include "clock.h"
#include "output.h"
#include "text.h"

#define LOG_MESSAGE_MAX 4096                  /* bytes of one message before escaping */
#define LOG_LINE_MAX    (6 * LOG_MESSAGE_MAX) /* bytes of one line; an escape has up to six */

static _Atomic int sink_fd = 2;
static _Atomic int sink_level = LOG_INFO;
static void (*_Atomic sink_also)(enum log_level level, const char *message);

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    return (size_t)level < ARRAY_LEN(names) ? names[level] : "unknown";
}

void log_setup(int fd, enum log_level level)
{
    atomic_store(&sink_fd, fd);
    atomic_store(&sink_level, (int)level);
}

void log_also(void (*also)(enum log_level level, const char *message))
{
    atomic_store(&sink_also, also);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&sink_level, memory_order_relaxed);
}

/* A log that cannot be written has nobody to be told; the daemon's work goes on. */
static void write_line(const char *bytes, size_t len)
{
    (void)output_write(atomic_load(&sink_fd), bytes, len);
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[LOG_MESSAGE_MAX];
    char now[CLOCK_TEXT_SIZE];
    struct buf line;
    va_list args;
    int saved = errno; /* callers log between a failure and its handling */

    if (!log_enabled(level))
        return;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n < 0)
        n = 0;
    size_t len = (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;

    buf_init(&line, LOG_LINE_MAX + 64);
    clock_format_ms(clock_wall_ms(), now);
    buf_addf(&line, "%s %-5s ", now, log_level_name(level));
    size_t head = line.len;
    text_add_escaped(&line, message, len);
    if (len < (size_t)n)
        buf_add_str(&line, "...");
    void (*also)(enum log_level, const char *) = level <= LOG_WARN ? atomic_load(&sink_also) : NULL;
    if (also && buf_ok(&line))
        also(level, line.data + head);
    buf_add_char(&line, '\n');
    if (buf_ok(&line)) {
        write_line(line.data, line.len);
    } else {
        static const char lost[] = "a message was lost: out of memory\n";
        write_line(lost, sizeof lost - 1);
    }
    buf_deinit(&line);
    errno = saved;
}

bool log_allowed(struct log_limit *limit, int64_t period_ns, int64_t *skipped)
{
    int64_t now = clock_mono_ns();

    if (now < limit->next_mono_ns) {
        limit->skipped++;
        return false;
    }
    if (skipped)
        *skipped = limit->skipped;
    limit->skipped = 0;
    limit->next_mono_ns = now + period_ns;
    return true;
}
