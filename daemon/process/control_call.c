/* control_call.c: a client's call of the daemon, whatever the system: one line there, one line
 * back, until a deadline. For the command line; any thread. */
#include "control_private.h"

#include "clock.h"
#include "err.h"

#define CONTROL_CHUNK 16384 /* bytes read at once */

int control_left_ms(int64_t deadline_mono_ns)
{
    if (deadline_mono_ns == INT64_MAX)
        return -1;
    int64_t left = deadline_mono_ns - clock_mono_ns();
    if (left <= 0)
        return 0;
    left = (left - 1) / CLOCK_NS_PER_MS + 1;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

int control_too_late(struct err *err)
{
    return err_set(err, ERR_TIMEOUT, 0, "the daemon did not answer in time");
}

static int send_request(struct control_line *line, const char *request, int64_t deadline_mono_ns,
                        struct err *err)
{
    struct buf text;
    int rc = 0;

    buf_init(&text, CONTROL_REQUEST_MAX);
    buf_add_str(&text, request);
    buf_add_char(&text, '\n');
    if (buf_ok(&text))
        rc = control_line_send(line, text.data, text.len, deadline_mono_ns, err);
    else
        rc = err_set(err, ERR_LIMIT, 0, "the request to the daemon is too long");
    buf_deinit(&text);
    return rc;
}

/* `text` gets everything up to the newline, without it. */
static int read_answer(struct control_line *line, int64_t deadline_mono_ns, struct buf *text,
                       struct err *err)
{
    char chunk[CONTROL_CHUNK];
    size_t count = 0;

    for (;;) {
        int rc = control_line_read(line, chunk, sizeof chunk, deadline_mono_ns, &count, err);
        if (rc != 0)
            return rc;
        if (count == 0)
            return err_set(err, ERR_NETWORK, 0,
                           "the daemon went away before it answered; see its log");
        const char *end = memchr(chunk, '\n', count);
        buf_add(text, chunk, end ? (size_t)(end - chunk) : count);
        if (!buf_ok(text))
            return err_set(err, ERR_LIMIT, 0, "the daemon's answer is too long");
        if (end)
            return 0;
    }
}

int control_call(const char *state_dir, const char *request, int64_t deadline_mono_ns,
                 struct buf *answer, struct err *err)
{
    struct control_line *line = NULL;
    struct buf text;
    int rc = control_line_open(state_dir, deadline_mono_ns, &line, err);

    buf_init(&text, CONTROL_LINE_MAX);
    if (rc == 0)
        rc = send_request(line, request, deadline_mono_ns, err);
    if (rc == 0)
        rc = read_answer(line, deadline_mono_ns, &text, err);
    if (rc == 0) {
        buf_add(answer, text.data, text.len);
        if (!buf_ok(answer))
            rc = err_set(err, ERR_NOMEM, 0, "no room for the daemon's answer");
    }
    control_line_close(line);
    buf_deinit(&text);
    return rc;
}
