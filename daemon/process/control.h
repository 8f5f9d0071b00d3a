/* control.h: the daemon's private door: a unix socket 0600 in the state directory, one JSON
 * line each way (RULES 32). The name is reached through the directory's handle, so a long
 * state directory does not hit sockaddr_un's 108 bytes. On Windows a named pipe, for the same
 * few, called by the directory's identity.
 *
 * Requests: {"do":"status"}, {"do":"stop"}, {"do":"reload"}, {"do":"retry"},
 * {"do":"adopt","folder":"..."}, {"do":"check","folder":"..."},
 * {"do":"consumer","act":"add|ack|remove","folder":"...","name":"...","seq":(ack)},
 * {"do":"sync","folder":"..."(optional),"uploaded":true|false}. Answers: one object with
 * "ok":true or "ok":false,"error":"...". */
#ifndef SPOOR_CONTROL_H
#define SPOOR_CONTROL_H

struct buf;
struct err;

#define CONTROL_SOCKET      "control.sock"
#define CONTROL_LINE_MAX    (8 << 20) /* bytes of an answer: all uploads of all folders fit */
#define CONTROL_REQUEST_MAX 4096
#define CONTROL_CLIENTS_MAX 32

/* Client: sends one line, waits for one line (without its newline) until the deadline.
 * ERR_NOTFOUND: no daemon runs there. ERR_TIMEOUT. */
int control_call(const char *state_dir, const char *request, int64_t deadline_mono_ns,
                 struct buf *answer, struct err *err);

/* Server, on the main thread: what it waits for and how it is served is in control_linux.h and
 * control_windows.h, which daemon_wait.h hides. */
struct control;
int control_open(const char *state_dir, struct control **out, struct err *err);
void control_close(struct control *control);

/* Answers and closes; a client that has gone is no error. */
void control_answer(struct control *control, uint64_t client, const char *line, size_t len);
/* Is this client still there, waiting for its answer? */
bool control_has_client(const struct control *control, uint64_t client);

#endif
