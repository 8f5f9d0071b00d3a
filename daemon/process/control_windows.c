/* control_windows.c: the control pipe, both ends (CreateNamedPipeW, overlapped).
 *
 * The server is a handful of pipe instances in the main thread's wait, each with one read, write or
 * connection under way and one event: a client sends one line, gets one line, is closed. One free
 * instance listens. Memory is bounded by CONTROL_CLIENTS_MAX requests and answers. The pipe is
 * called by the identity of the state directory, its access list names the user, administrators and
 * the system, and it takes none from the network. Leaves the meaning of requests to daemon.c. The
 * client end is for the command line, any thread. */
#include "control_windows.h"

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "native_windows.h"

#define PIPE_NAME_MAX  96    /* units */
#define PIPE_OUT_BYTES 65536 /* what the system takes before a client reads */
#define CONTROL_CHUNK  CONTROL_REQUEST_MAX
#define CONTROL_WRITE  65536 /* bytes written at once */

enum client_state {
    CLIENT_FREE,
    CLIENT_LISTENING, /* nobody is there yet */
    CLIENT_ASKING,    /* its line is not complete */
    CLIENT_WAITING,   /* handed over, no answer yet; a read tells when it leaves */
    CLIENT_READING,   /* the answer is on its way */
};

struct client {
    enum client_state state;
    HANDLE pipe;
    HANDLE event;    /* reset by hand; set when what is under way is through */
    OVERLAPPED over; /* the kernel's while in flight */
    bool in_flight;
    uint64_t number; /* never used again: an answer to a client that left finds nobody */
    struct buf in;
    struct buf out;
    size_t sent;
    char chunk[CONTROL_CHUNK]; /* the kernel's too */
};

struct control {
    wchar_t name[PIPE_NAME_MAX];
    uint64_t last_number;
    struct client clients[CONTROL_CLIENTS_MAX];
};

_Static_assert(CONTROL_CLIENTS_MAX + 2 <= MAXIMUM_WAIT_OBJECTS, "one wait for all");

/* The state directory may be reached by many paths; all lead to one pipe. */
static bool pipe_name(const char *state_dir, wchar_t out[PIPE_NAME_MAX])
{
    struct osfile_identity id;

    if (!osfile_identify(state_dir, &id))
        return false;
    int n = _snwprintf(out, PIPE_NAME_MAX, L"\\\\.\\pipe\\spoor-%016llx-%016llx%016llx",
                       (unsigned long long)id.volume, (unsigned long long)id.high,
                       (unsigned long long)id.low);
    return n > 0 && n < PIPE_NAME_MAX;
}

/* ---- server ---- */

static void drop_client(struct client *client)
{
    DWORD n = 0;

    if (client->state == CLIENT_FREE)
        return;
    /* Until it is through the kernel may write into `chunk` and `over`. */
    if (client->in_flight) {
        (void)CancelIoEx(client->pipe, &client->over); /* not found: it is through already */
        (void)GetOverlappedResult(client->pipe, &client->over, &n, TRUE); /* either way */
    }
    /* What was written can still be read at the other end, until that is closed too. */
    (void)CloseHandle(client->pipe);
    (void)CloseHandle(client->event);
    buf_deinit(&client->in);
    buf_deinit(&client->out);
    *client = (struct client){.state = CLIENT_FREE};
}

/* After a call that began something: it goes on, or is through with its event set, or failed. */
static void began(struct client *client, BOOL done)
{
    DWORD os = done ? 0 : GetLastError();

    client->in_flight = os == 0 || os == ERROR_IO_PENDING;
    if (!client->in_flight)
        drop_client(client); /* it left: its own business */
}

static void start_over(struct client *client)
{
    client->over = (OVERLAPPED){.hEvent = client->event};
}

static void start_reading(struct client *client)
{
    start_over(client);
    began(client, ReadFile(client->pipe, client->chunk, sizeof client->chunk, NULL, &client->over));
}

static void start_writing(struct client *client)
{
    size_t left = client->out.len - client->sent;

    start_over(client);
    began(client,
          WriteFile(client->pipe, client->out.data + client->sent,
                    left < CONTROL_WRITE ? (DWORD)left : CONTROL_WRITE, NULL, &client->over));
}

static DWORD make_instance(const wchar_t *name, bool first, HANDLE *out)
{
    PSECURITY_DESCRIPTOR descriptor = native_private_descriptor(false);
    SECURITY_ATTRIBUTES security = {.nLength = sizeof security, .lpSecurityDescriptor = descriptor};

    if (!descriptor)
        return GetLastError();
    /* The first must be the first: nobody may have made the name before and answer for us. */
    HANDLE pipe = CreateNamedPipeW(
        name,
        PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0),
        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, PIPE_OUT_BYTES, CONTROL_REQUEST_MAX, 0, &security);
    DWORD os = pipe == INVALID_HANDLE_VALUE ? GetLastError() : 0;
    (void)LocalFree(descriptor); /* cannot fail for what the system gave */
    if (os == 0)
        *out = pipe;
    return os;
}

/* A free place; when all are taken, that of the oldest client that has not even asked yet. */
static struct client *find_place(struct control *control)
{
    struct client *oldest = NULL;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (client->state == CLIENT_FREE)
            return client;
        if (client->state == CLIENT_ASKING && (!oldest || client->number < oldest->number))
            oldest = client;
    }
    if (oldest)
        drop_client(oldest);
    return oldest;
}

/* Sees to it that one instance listens, if there is a place: else who comes waits for one. */
static DWORD listen_on(struct control *control, bool first)
{
    DWORD os = 0;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].state == CLIENT_LISTENING)
            return 0;
    struct client *client = find_place(control);
    if (!client)
        return 0;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), pipe = NULL;
    os = event ? make_instance(control->name, first, &pipe) : GetLastError();
    if (os != 0) {
        if (event)
            (void)CloseHandle(event); /* nobody waits for it */
        return os;
    }
    *client = (struct client){.state = CLIENT_LISTENING, .pipe = pipe, .event = event};
    buf_init(&client->in, CONTROL_REQUEST_MAX);
    buf_init(&client->out, CONTROL_LINE_MAX + 1);
    start_over(client);
    BOOL done = ConnectNamedPipe(pipe, &client->over);
    if (!done && GetLastError() == ERROR_PIPE_CONNECTED)
        done = SetEvent(event); /* came in between: nothing is under way, and it reads as done */
    began(client, done);
    return 0;
}

int control_open(const char *state_dir, struct control **out, struct err *err)
{
    struct control *control = calloc(1, sizeof *control);

    if (!control)
        return err_set(err, ERR_NOMEM, 0, "no memory for the control pipe");
    DWORD os =
        pipe_name(state_dir, control->name) ? listen_on(control, true) : ERROR_FILE_NOT_FOUND;
    if (os != 0) {
        control_close(control);
        return err_native(err, os, "cannot make the control pipe of '%s'", state_dir);
    }
    *out = control;
    return 0;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        drop_client(&control->clients[i]);
    free(control);
}

size_t control_wait_handles(const struct control *control, void **handles, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX && count < max; i++)
        if (control->clients[i].in_flight)
            handles[count++] = control->clients[i].event;
    return count;
}

static void answer_client(struct client *client, const char *line, size_t len)
{
    DWORD n = 0;

    if (client->in_flight) {                           /* the read that tells when it leaves */
        (void)CancelIoEx(client->pipe, &client->over); /* not found: it is through already */
        (void)GetOverlappedResult(client->pipe, &client->over, &n, TRUE); /* the write tells */
        client->in_flight = false;
    }
    client->state = CLIENT_READING;
    buf_add(&client->out, line, len);
    buf_add_char(&client->out, '\n');
    if (!buf_ok(&client->out)) {
        static const char failed[] =
            "{\"ok\":false,\"error\":\"the answer is too long or memory ran out\"}\n";
        buf_reset(&client->out);
        buf_add(&client->out, failed, sizeof failed - 1);
    }
    start_writing(client);
}

void control_answer(struct control *control, uint64_t client, const char *line, size_t len)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *at = &control->clients[i];
        if (at->state == CLIENT_WAITING && at->number == client) {
            answer_client(at, line, len);
            return;
        }
    }
}

bool control_has_client(const struct control *control, uint64_t client)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].state == CLIENT_WAITING && control->clients[i].number == client)
            return true;
    return false;
}

/* Adds what was read. True when the request's line is complete, its length in *line_len. */
static bool take_request(struct client *client, size_t count, size_t *line_len)
{
    buf_add(&client->in, client->chunk, count);
    if (!buf_ok(&client->in)) {
        static const char failed[] = "{\"ok\":false,\"error\":\"the request is too long\"}";
        answer_client(client, failed, sizeof failed - 1);
        return false;
    }
    const char *end = client->in.len ? memchr(client->in.data, '\n', client->in.len) : NULL;
    if (end)
        *line_len = (size_t)(end - client->in.data);
    else
        start_reading(client);
    return end != NULL;
}

/* What was under way has ended well, with so many bytes. */
static void advance(struct control *control, struct client *client, size_t count,
                    void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                    void *ctx)
{
    size_t len = 0;

    switch (client->state) {
    case CLIENT_LISTENING:
        client->state = CLIENT_ASKING;
        client->number = ++control->last_number;
        start_reading(client);
        break;
    case CLIENT_ASKING:
        if (!take_request(client, count, &len))
            break;
        client->state = CLIENT_WAITING;
        start_reading(client); /* only to see it leave */
        /* May answer, and so free the place, before it returns. */
        if (client->state == CLIENT_WAITING)
            handle(ctx, client->number, client->in.data, len);
        break;
    case CLIENT_WAITING:
        start_reading(client); /* it said more than one line: nobody listens */
        break;
    case CLIENT_READING:
        client->sent += count;
        if (client->sent < client->out.len)
            start_writing(client);
        else
            drop_client(client);
        break;
    case CLIENT_FREE:
        break;
    }
}

void control_serve(struct control *control,
                   void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                   void *ctx)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        DWORD n = 0;
        if (!client->in_flight || WaitForSingleObject(client->event, 0) != WAIT_OBJECT_0)
            continue;
        BOOL good = GetOverlappedResult(client->pipe, &client->over, &n, FALSE);
        client->in_flight = false;
        if (good)
            advance(control, client, n, handle, ctx);
        else
            drop_client(client); /* gone */
    }
    /* Should it fail, for want of memory or handles, the next event tries again. */
    (void)listen_on(control, false);
}

/* ---- client ---- */

static DWORD left_ms(int64_t deadline_mono_ns)
{
    if (deadline_mono_ns == INT64_MAX)
        return INFINITE;
    int64_t left = deadline_mono_ns - clock_mono_ns();
    if (left <= 0)
        return 0;
    left = (left - 1) / CLOCK_NS_PER_MS + 1; /* rounded up: not awake before the deadline */
    return left < INT32_MAX ? (DWORD)left : INT32_MAX;
}

static int too_late(struct err *err)
{
    return err_set(err, ERR_TIMEOUT, 0, "the daemon did not answer in time");
}

static int open_pipe(const char *state_dir, int64_t deadline_mono_ns, HANDLE *out, struct err *err)
{
    wchar_t name[PIPE_NAME_MAX];
    bool known = pipe_name(state_dir, name);

    for (;;) {
        /* Whoever answers may learn who we are, but not act as us. */
        HANDLE pipe = known
                          ? CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                        FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT |
                                            SECURITY_IDENTIFICATION,
                                        NULL)
                          : INVALID_HANDLE_VALUE;
        DWORD os = known ? GetLastError() : ERROR_FILE_NOT_FOUND;
        if (pipe != INVALID_HANDLE_VALUE) {
            *out = pipe;
            return 0;
        }
        if (os == ERROR_FILE_NOT_FOUND)
            return err_set(err, ERR_NOTFOUND, 0, "no daemon runs in '%s'", state_dir);
        if (os != ERROR_PIPE_BUSY)
            return err_native(err, os, "cannot reach the daemon of '%s'", state_dir);
        DWORD ms = left_ms(deadline_mono_ns);
        if (ms == 0) /* which would mean the server's own choice */
            return too_late(err);
        /* Until an instance listens; that it fails shows at the next try. */
        (void)WaitNamedPipeW(name, ms);
    }
}

/* Waits for what was begun; after the deadline it is cancelled, and the kernel done with it. *os as
 * GetLastError(), 0 when it went well with *count bytes. */
static int finish(HANDLE pipe, OVERLAPPED *over, BOOL done, int64_t deadline_mono_ns, DWORD *os,
                  DWORD *count, struct err *err)
{
    *os = done ? 0 : GetLastError();
    if (*os != 0 && *os != ERROR_IO_PENDING)
        return 0;
    bool late = WaitForSingleObject(over->hEvent, left_ms(deadline_mono_ns)) == WAIT_TIMEOUT;
    if (late)
        (void)CancelIoEx(pipe, over); /* not found: it is through already */
    *os = GetOverlappedResult(pipe, over, count, TRUE) ? 0 : GetLastError();
    return late ? too_late(err) : 0;
}

static int send_request(HANDLE pipe, HANDLE event, const char *request, int64_t deadline_mono_ns,
                        struct err *err)
{
    struct buf line;
    int rc = 0;

    buf_init(&line, CONTROL_REQUEST_MAX);
    buf_add_str(&line, request);
    buf_add_char(&line, '\n');
    if (!buf_ok(&line))
        rc = err_set(err, ERR_LIMIT, 0, "the request to the daemon is too long");
    for (size_t sent = 0; rc == 0 && sent < line.len;) {
        OVERLAPPED over = {.hEvent = event};
        DWORD os = 0, n = 0;
        BOOL done = WriteFile(pipe, line.data + sent, (DWORD)(line.len - sent), NULL, &over);
        rc = finish(pipe, &over, done, deadline_mono_ns, &os, &n, err);
        if (os == ERROR_NO_DATA || os == ERROR_BROKEN_PIPE)
            break; /* refused: the reason can still be read */
        if (rc == 0 && os != 0)
            rc = err_native(err, os, "cannot ask the daemon");
        sent += n;
    }
    buf_deinit(&line);
    return rc;
}

/* `line` gets everything up to the newline, without it. */
static int read_answer(HANDLE pipe, HANDLE event, int64_t deadline_mono_ns, struct buf *line,
                       struct err *err)
{
    char chunk[CONTROL_CHUNK];

    for (;;) {
        OVERLAPPED over = {.hEvent = event};
        DWORD os = 0, n = 0;
        BOOL done = ReadFile(pipe, chunk, sizeof chunk, NULL, &over);
        int rc = finish(pipe, &over, done, deadline_mono_ns, &os, &n, err);
        if (rc != 0)
            return rc;
        if (os != 0)
            return err_set(err, ERR_NETWORK, 0,
                           "the daemon went away before it answered; see its log");
        const char *end = memchr(chunk, '\n', n);
        buf_add(line, chunk, end ? (size_t)(end - chunk) : n);
        if (!buf_ok(line))
            return err_set(err, ERR_LIMIT, 0, "the daemon's answer is too long");
        if (end)
            return 0;
    }
}

int control_call(const char *state_dir, const char *request, int64_t deadline_mono_ns,
                 struct buf *answer, struct err *err)
{
    struct buf line;
    HANDLE pipe = NULL, event = NULL;
    int rc = open_pipe(state_dir, deadline_mono_ns, &pipe, err);

    if (rc != 0)
        return rc;
    buf_init(&line, CONTROL_LINE_MAX);
    event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!event)
        rc = err_native(err, GetLastError(), "cannot make an event");
    if (rc == 0)
        rc = send_request(pipe, event, request, deadline_mono_ns, err);
    if (rc == 0)
        rc = read_answer(pipe, event, deadline_mono_ns, &line, err);
    if (rc != 0)
        goto out;
    buf_add(answer, line.data, line.len);
    if (!buf_ok(answer))
        rc = err_set(err, ERR_NOMEM, 0, "no room for the daemon's answer");
out:
    (void)CloseHandle(pipe); /* all was said */
    if (event)
        (void)CloseHandle(event); /* nothing waits for it */
    buf_deinit(&line);
    return rc;
}
