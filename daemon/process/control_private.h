/* control_private.h: what both systems' control channels have in common: the table of clients, of
 * which control.c knows the requests and answers, and the line that a client has to the daemon, of
 * which control_call.c knows what is said on it. How bytes come and go is in control_linux.c and
 * control_windows.c, resp. control_call_linux.c and control_call_windows.c. */
#ifndef SPOOR_CONTROL_PRIVATE_H
#define SPOOR_CONTROL_PRIVATE_H

#include "buf.h"
#include "control.h"

/* ---- server; the main thread ---- */

#define CONTROL_REFUSED "{\"ok\":false,\"error\":\"refused: another user, or too many clients\"}\n"

enum client_state {
    CLIENT_FREE,
    CLIENT_ASKING,  /* its line is not complete */
    CLIENT_WAITING, /* handed over, no answer yet */
    CLIENT_READING, /* the answer is on its way */
};

struct client {
    enum client_state state;
    size_t place;    /* its number in the table */
    uint64_t number; /* never used again: an answer to a client that left finds nobody */
    struct buf in;
    struct buf out;
    size_t sent;
};

struct control {
    struct control_door *door; /* the system's part, of the listener and of each place */
    uint64_t last_number;
    struct client clients[CONTROL_CLIENTS_MAX];
};

/* Somebody has come: a place, ASKING; when all are taken, that of the oldest client that has not
 * even asked yet. NULL: all wait for answers. */
struct client *control_admit(struct control *control);
/* Adds what an asking client said. True: its request is complete, the first *line_len bytes of
 * `in`, and it is WAITING. False: go on reading, if it is still ASKING: it may have been refused.
 */
bool control_take(struct control *control, struct client *client, const char *bytes, size_t count,
                  size_t *line_len);
/* Has it been told everything, or gone: frees its place. */
void control_drop(struct control *control, struct client *client);

/* The system's part. */
int control_door_open(const char *state_dir, struct control_door **out, struct err *err);
void control_door_close(struct control_door *door); /* all clients are dropped; or NULL */
/* Begins to send `out`; drops the client when all is sent or it has gone. */
void control_door_send(struct control *control, struct client *client);
/* Ends its connection; what was sent can still be read. */
void control_door_end(struct control_door *door, size_t place);

/* ---- client; any thread ---- */

struct control_line;

/* Each waits until the deadline: ERR_TIMEOUT. ERR_NOTFOUND: no daemon. */
int control_line_open(const char *state_dir, int64_t deadline_mono_ns, struct control_line **out,
                      struct err *err);
void control_line_close(struct control_line *line); /* or NULL */
/* Sends all. Also 0 when the daemon has closed its end: what it said before can still be read. */
int control_line_send(struct control_line *line, const char *bytes, size_t len,
                      int64_t deadline_mono_ns, struct err *err);
/* *count is 0 when the daemon has closed its end. */
int control_line_read(struct control_line *line, char *chunk, size_t size, int64_t deadline_mono_ns,
                      size_t *count, struct err *err);

/* What is left, rounded up so that nobody is awake before the deadline; -1 for INT64_MAX, which
 * is what both systems' waits call for ever. */
int control_left_ms(int64_t deadline_mono_ns);
int control_too_late(struct err *err);

#endif
