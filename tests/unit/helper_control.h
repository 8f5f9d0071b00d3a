/* helper_control.h: the two systems' ends of the control channel for its test: one turn of the
 * server's loop, and clients that misbehave as control_call() does not. */
#ifndef SPOOR_HELPER_CONTROL_H
#define SPOOR_HELPER_CONTROL_H

struct control;

/* Waits until there is something for the server, or `wait_ms` are over, and serves it. Returns how
 * many of what it waits for were ready. */
int control_turn(struct control *control, int wait_ms,
                 void (*handle)(void *ctx, uint64_t client, const char *request, size_t len),
                 void *ctx);
/* Clients that it waits for. */
size_t control_client_count(struct control *control);

/* A client's bare connection. Each ends the test when it fails. */
struct rawline {
    intptr_t handle;
};

struct rawline rawline_open(const char *state_dir);
void rawline_send(struct rawline line, const char *text);
/* Everything up to the end, which the server must have made, as text. Returns its bytes. */
size_t rawline_read(struct rawline line, char *out, size_t size);
/* Reads this much at least, and no more than is there. */
void rawline_read_some(struct rawline line, size_t bytes);
void rawline_close(struct rawline line);

#endif
