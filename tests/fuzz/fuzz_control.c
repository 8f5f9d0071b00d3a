/* fuzz_control.c: what a client writes into the control socket, over a real socket: framing, the
 * limit, and the values that the daemon asks of a request. Server and client are one thread:
 * all that is sent fits the socket's buffer. */
#include "control_linux.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "buf.h"
#include "err.h"
#include "fuzz.h"
#include "reader.h"

#define INPUT_MAX (4 * CONTROL_REQUEST_MAX)

static struct {
    char dir[64];
    struct control *control;
    int requests;
} server;

static void remove_server(void)
{
    control_close(server.control);
    (void)rmdir(server.dir); /* empty now */
}

static void open_server(void)
{
    struct err err = {0};

    (void)snprintf(server.dir, sizeof server.dir, "/tmp/spoor-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(server.dir));
    FUZZ_CHECK(control_open(server.dir, &server.control, &err) == 0);
    FUZZ_CHECK(atexit(remove_server) == 0);
}

static void handle(void *ctx, uint64_t client, const char *request, size_t len)
{
    static const char *const keys[] = {"$.do", "$.folder", "$.uploaded", "$.act", "$.name"};
    static const char done[] = "{\"ok\":true}";
    struct err err = {0};
    struct buf value;

    (void)ctx; /* the server above */
    FUZZ_CHECK(len < CONTROL_REQUEST_MAX && !memchr(request, '\n', len));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        buf_init(&value, CONTROL_REQUEST_MAX);
        int rc = reader_json_get(request, len, keys[i], &value, &err);
        FUZZ_CHECK(rc == 0 || rc == ERR_NOTFOUND || rc == ERR_INVALID || rc == ERR_LIMIT);
        buf_deinit(&value);
    }
    server.requests++;
    control_answer(server.control, client, done, sizeof done - 1);
}

/* One turn of the daemon's loop, without waiting. */
static void serve(void)
{
    struct pollfd fds[CONTROL_FDS_MAX];
    size_t count = control_poll_fds(server.control, fds, ARRAY_LEN(fds));

    FUZZ_CHECK(poll(fds, count, 0) >= 0);
    control_serve(server.control, fds, count, handle, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[256];
    const uint8_t *line_end = size ? memchr(data, '\n', size) : NULL;
    bool whole = line_end && line_end - data < CONTROL_REQUEST_MAX - 1;

    if (size > INPUT_MAX)
        return 0;
    if (!server.control)
        open_server();
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/" CONTROL_SOCKET, server.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    server.requests = 0;
    serve();
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
        FUZZ_CHECK(n > 0);
        sent += (size_t)n;
    }
    serve();
    /* Never more than one request a client. One whose line and what came behind it fit is served.
     */
    FUZZ_CHECK(server.requests <= 1 && (!whole || size >= CONTROL_REQUEST_MAX || server.requests));
    if (server.requests) {
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        FUZZ_CHECK(n > 0 && answer[n - 1] == '\n');
    }
    (void)close(fd); /* what is unread is nobody's loss */
    serve();
    return 0;
}
