/* control.c: the control channel's server, whatever the system: who is connected, when a request is
 * complete, what is sent back. A client sends one line, gets one line, is closed. Memory is bounded
 * by CONTROL_CLIENTS_MAX requests and answers. Leaves the bytes' ways to the system's part
 * (control_private.h) and the meaning of requests to daemon_control.c. The main thread. */
#include "control_private.h"

#include "err.h"

void control_drop(struct control *control, struct client *client)
{
    if (client->state == CLIENT_FREE)
        return;
    control_door_end(control->door, client->place);
    buf_deinit(&client->in);
    buf_deinit(&client->out);
    *client = (struct client){.state = CLIENT_FREE};
}

int control_open(const char *state_dir, struct control **out, struct err *err)
{
    struct control *control = calloc(1, sizeof *control);
    int rc = 0;

    if (!control)
        return err_set(err, ERR_NOMEM, 0, "no memory for the control channel");
    rc = control_door_open(state_dir, &control->door, err);
    if (rc != 0) {
        free(control);
        return rc;
    }
    *out = control;
    return 0;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control_drop(control, &control->clients[i]);
    control_door_close(control->door);
    free(control);
}

struct client *control_admit(struct control *control)
{
    struct client *place = NULL;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        bool older = !place || client->number < place->number; /* a free one has number 0 */
        if ((client->state == CLIENT_FREE || client->state == CLIENT_ASKING) && older)
            place = client;
    }
    if (!place)
        return NULL;
    control_drop(control, place);
    *place = (struct client){.state = CLIENT_ASKING,
                             .place = (size_t)(place - control->clients),
                             .number = ++control->last_number};
    buf_init(&place->in, CONTROL_REQUEST_MAX);
    buf_init(&place->out, CONTROL_LINE_MAX + 1);
    return place;
}

static void answer_client(struct control *control, struct client *client, const char *line,
                          size_t len)
{
    client->state = CLIENT_READING;
    buf_add(&client->out, line, len);
    buf_add_char(&client->out, '\n');
    if (!buf_ok(&client->out)) {
        static const char failed[] =
            "{\"ok\":false,\"error\":\"the answer is too long or memory ran out\"}\n";
        buf_reset(&client->out);
        buf_add(&client->out, failed, sizeof failed - 1);
    }
    control_door_send(control, client);
}

bool control_take(struct control *control, struct client *client, const char *bytes, size_t count,
                  size_t *line_len)
{
    buf_add(&client->in, bytes, count);
    if (!buf_ok(&client->in)) {
        static const char failed[] = "{\"ok\":false,\"error\":\"the request is too long\"}";
        answer_client(control, client, failed, sizeof failed - 1);
        return false;
    }
    const char *end = client->in.len ? memchr(client->in.data, '\n', client->in.len) : NULL;
    if (!end)
        return false;
    *line_len = (size_t)(end - client->in.data);
    client->state = CLIENT_WAITING;
    return true;
}

/* Its place, or CONTROL_CLIENTS_MAX. */
static size_t find_waiting(const struct control *control, uint64_t number)
{
    size_t i = 0;

    while (i < CONTROL_CLIENTS_MAX &&
           (control->clients[i].state != CLIENT_WAITING || control->clients[i].number != number))
        i++;
    return i;
}

void control_answer(struct control *control, uint64_t client, const char *line, size_t len)
{
    size_t place = find_waiting(control, client);

    if (place < CONTROL_CLIENTS_MAX)
        answer_client(control, &control->clients[place], line, len);
}

bool control_has_client(const struct control *control, uint64_t client)
{
    return find_waiting(control, client) < CONTROL_CLIENTS_MAX;
}
