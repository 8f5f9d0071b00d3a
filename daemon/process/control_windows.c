/* control_windows.c: the control pipe, the server's end (CreateNamedPipeW, overlapped): a handful
 * of instances in the main thread's wait, each with one read or write under way and one event, and
 * one more that listens. The pipe is called by the identity of the state directory, its access list
 * names the user, administrators and the system, and it takes none from the network. Requests and
 * answers are control.c's. */
#include "control_windows.h"

#include "control_pipe_windows.h"
#include "control_private.h"
#include "err.h"
#include "native_windows.h"

#define PIPE_OUT_BYTES 65536 /* what the system takes before a client reads */
#define CONTROL_WRITE  65536 /* bytes written at once */

struct pipe_end {
    HANDLE pipe;
    HANDLE event;    /* reset by hand; set when what is under way is through */
    OVERLAPPED over; /* the kernel's while in flight */
    bool in_flight;
};

struct control_door {
    wchar_t name[CONTROL_PIPE_NAME_MAX];
    struct pipe_end listener; /* no pipe: could not be made, which the next event tries again */
    struct pipe_end ends[CONTROL_CLIENTS_MAX];
    char chunks[CONTROL_CLIENTS_MAX][CONTROL_REQUEST_MAX]; /* the kernel's too */
};

_Static_assert(CONTROL_HANDLES_MAX + 2 <= MAXIMUM_WAIT_OBJECTS, "one wait for all");

/* Whichever comes first, its end or this, the kernel is done with it. */
static void cancel(struct pipe_end *end)
{
    DWORD n = 0;

    if (!end->in_flight)
        return;
    (void)CancelIoEx(end->pipe, &end->over);                    /* not found: it is through */
    (void)GetOverlappedResult(end->pipe, &end->over, &n, TRUE); /* either way */
    end->in_flight = false;
}

static void close_end(struct pipe_end *end)
{
    if (!end->pipe)
        return;
    cancel(end);
    /* What was written can still be read at the other end, until that is closed too: only
     * DisconnectNamedPipe would throw it away. */
    (void)CloseHandle(end->pipe);
    (void)CloseHandle(end->event); /* nobody waits for it */
    *end = (struct pipe_end){0};
}

void control_door_end(struct control_door *door, size_t place)
{
    close_end(&door->ends[place]);
}

/* What a call that begins something says by its result. */
static DWORD last_error(BOOL done)
{
    return done ? 0 : GetLastError();
}

/* After such a call: it goes on, or is through with its event set, or failed. */
static bool began(struct pipe_end *end, DWORD os)
{
    end->in_flight = os == 0 || os == ERROR_IO_PENDING;
    return end->in_flight;
}

static void start_reading(struct control *control, struct client *client)
{
    struct pipe_end *end = &control->door->ends[client->place];
    char *chunk = control->door->chunks[client->place];

    end->over = (OVERLAPPED){.hEvent = end->event};
    BOOL done = ReadFile(end->pipe, chunk, CONTROL_REQUEST_MAX, NULL, &end->over);
    if (!began(end, last_error(done)))
        control_drop(control, client); /* it left: its own business */
}

void control_door_send(struct control *control, struct client *client)
{
    struct pipe_end *end = &control->door->ends[client->place];
    size_t left = client->out.len - client->sent;

    cancel(end); /* the read that tells when it leaves: the write tells too */
    end->over = (OVERLAPPED){.hEvent = end->event};
    BOOL done = WriteFile(end->pipe, client->out.data + client->sent,
                          left < CONTROL_WRITE ? (DWORD)left : CONTROL_WRITE, NULL, &end->over);
    if (!began(end, last_error(done)))
        control_drop(control, client); /* as above */
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

static DWORD start_listening(struct pipe_end *end)
{
    DWORD os;

    /* Somebody may come before the call, and may have gone too: then the instance is taken back. */
    do {
        end->over = (OVERLAPPED){.hEvent = end->event};
        os = last_error(ConnectNamedPipe(end->pipe, &end->over));
    } while (os == ERROR_NO_DATA && DisconnectNamedPipe(end->pipe));
    if (os == ERROR_PIPE_CONNECTED) {
        /* Nothing is under way, though the call has left a pending state behind: put right what
         * tells that somebody is there. */
        end->over = (OVERLAPPED){.hEvent = end->event};
        os = last_error(SetEvent(end->event));
    }
    return began(end, os) ? 0 : os;
}

static DWORD listen_on(struct control_door *door, bool first)
{
    struct pipe_end *end = &door->listener;

    end->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!end->event)
        return GetLastError();
    DWORD os = make_instance(door->name, first, &end->pipe);
    if (os != 0) {
        (void)CloseHandle(end->event); /* nobody waits for it */
        *end = (struct pipe_end){0};
        return os;
    }
    os = start_listening(end);
    if (os != 0)
        close_end(end);
    return os;
}

int control_door_open(const char *state_dir, struct control_door **out, struct err *err)
{
    struct control_door *door = calloc(1, sizeof *door);

    if (!door)
        return err_set(err, ERR_NOMEM, 0, "no memory for the control pipe");
    DWORD os = control_pipe_name(state_dir, door->name) ? listen_on(door, true)
                                                        : (DWORD)ERROR_FILE_NOT_FOUND;
    if (os != 0) {
        control_door_close(door);
        return err_native(err, os, "cannot make the control pipe of '%s'", state_dir);
    }
    *out = door;
    return 0;
}

void control_door_close(struct control_door *door)
{
    if (!door)
        return;
    close_end(&door->listener);
    free(door);
}

size_t control_wait_handles(const struct control *control, void **handles, size_t max)
{
    const struct control_door *door = control->door;
    size_t count = 0;

    if (door->listener.in_flight && count < max)
        handles[count++] = door->listener.event;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX && count < max; i++)
        if (door->ends[i].in_flight)
            handles[count++] = door->ends[i].event;
    return count;
}

/* Is what was under way through? Then *good says how, and with how many bytes. */
static bool is_through(struct pipe_end *end, bool *good, DWORD *count)
{
    if (!end->in_flight || WaitForSingleObject(end->event, 0) != WAIT_OBJECT_0)
        return false;
    *good = GetOverlappedResult(end->pipe, &end->over, count, FALSE);
    end->in_flight = false;
    return true;
}

static void refuse(struct pipe_end *end)
{
    end->over = (OVERLAPPED){.hEvent = end->event};
    /* A courtesy; a new pipe has room for it. */
    (void)began(end, last_error(WriteFile(end->pipe, CONTROL_REFUSED, sizeof CONTROL_REFUSED - 1,
                                          NULL, &end->over)));
    close_end(end);
}

static void take_client(struct control *control)
{
    struct control_door *door = control->door;
    bool good = false;
    DWORD n = 0;

    if (!is_through(&door->listener, &good, &n))
        return;
    struct pipe_end came = door->listener;
    door->listener = (struct pipe_end){0};
    /* Before this one can go: the name is ours without a break. */
    (void)listen_on(door, false); /* or see control_serve() */
    struct client *client = good ? control_admit(control) : NULL;
    if (client) {
        door->ends[client->place] = came;
        start_reading(control, client);
    } else if (good) {
        refuse(&came);
    } else {
        close_end(&came);
    }
}

/* What was under way has ended well, with so many bytes. */
static void advance(struct control *control, struct client *client, size_t count,
                    void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                    void *ctx)
{
    size_t len = 0;

    if (client->state == CLIENT_READING) {
        client->sent += count;
        if (client->sent < client->out.len)
            control_door_send(control, client);
        else
            control_drop(control, client);
        return;
    }
    /* May answer, and so free the place, before it returns. */
    if (client->state == CLIENT_ASKING &&
        control_take(control, client, control->door->chunks[client->place], count, &len))
        handle(ctx, client->number, client->in.data, len);
    /* The rest of the request, or only to see it leave: it has said its line. */
    if (client->state == CLIENT_ASKING || client->state == CLIENT_WAITING)
        start_reading(control, client);
}

void control_serve(struct control *control,
                   void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                   void *ctx)
{
    struct control_door *door = control->door;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        bool good = false;
        DWORD n = 0;
        if (!is_through(&door->ends[i], &good, &n))
            continue;
        if (good)
            advance(control, &control->clients[i], n, handle, ctx);
        else
            control_drop(control, &control->clients[i]); /* gone */
    }
    take_client(control);
    if (!door->listener.pipe)
        (void)listen_on(door,
                        false); /* for want of memory or handles; the next event tries again */
}
