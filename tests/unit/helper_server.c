/* helper_server.c: one thread, one connection at a time, plain blocking reads; ended by
 * shutting the connection down and dialling itself. */
#include "helper_server.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include "buf.h"
#include "helper_net.h"
#include "num.h"

#define HEAD_MAX (64 << 10)
#define BODY_MAX (64 << 20)

struct request {
    struct buf head; /* with the blank line */
    struct buf body;
    char line[256];
};

struct server {
    const struct server_step *steps;
    size_t step_count;
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    int peer; /* the open connection, -1 none */
    size_t count;
    struct request requests[SERVER_REQUESTS_MAX];
    char value[512];
    char last[64], epoch[64], sum[64], generation[64];
};

static bool find_header(const struct request *request, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    for (const char *at = request->head.data; at && *at; at = strstr(at, "\r\n")) {
        at += strncmp(at, "\r\n", 2) == 0 ? 2 : 0;
        if (strncasecmp(at, name, len) != 0 || at[len] != ':')
            continue;
        at += len + 1 + strspn(at + len + 1, " ");
        (void)snprintf(out, size, "%.*s", (int)strcspn(at, "\r"), at);
        return true;
    }
    return false;
}

static bool read_request(int peer, struct request *request)
{
    char bytes[65536];
    char text[64];
    int64_t length = 0;
    buf_init(&request->head, HEAD_MAX);
    buf_init(&request->body, BODY_MAX);
    const char *end = NULL;
    while (!end) {
        ssize_t got = recv(peer, bytes, sizeof bytes, 0);
        if (got <= 0)
            return false;
        buf_add(&request->head, bytes, (size_t)got);
        end = request->head.data ? strstr(request->head.data, "\r\n\r\n") : NULL;
    }
    size_t head = (size_t)(end + 4 - request->head.data);
    buf_add(&request->body, request->head.data + head, request->head.len - head);
    buf_truncate(&request->head, head);
    request->head.data[head] = '\0';
    (void)snprintf(request->line, sizeof request->line, "%.*s",
                   (int)(strstr(request->head.data, " HTTP/") - request->head.data),
                   request->head.data);
    if (find_header(request, "Content-Length", text, sizeof text))
        (void)num_parse_i64(text, 0, BODY_MAX, &length);
    while (request->body.len < (size_t)length) {
        ssize_t got = recv(peer, bytes, sizeof bytes, 0);
        if (got <= 0)
            return false;
        buf_add(&request->body, bytes, (size_t)got);
    }
    return true;
}

static void send_bytes(int peer, const struct buf *out, size_t drip_from)
{
    static const struct timespec pause = {.tv_nsec = 20000000};
    size_t at = drip_from < out->len ? drip_from : out->len;
    ssize_t sent = send(peer, out->data, at, MSG_NOSIGNAL);
    for (; sent >= 0 && at < out->len; at++) { /* else the client has gone */
        sent = send(peer, out->data + at, 1, MSG_NOSIGNAL);
        (void)nanosleep(&pause, NULL); /* cut short, it drips faster */
    }
}

static void send_answer(struct server *server, int peer, const char *answer)
{
    struct buf out;
    size_t drip_from = SIZE_MAX;
    buf_init(&out, HEAD_MAX);
    for (const char *at = answer; *at; at++) {
        const char *value = NULL;
        size_t len = 0;
        if (strncmp(at, "{drip}", 6) == 0) {
            drip_from = out.len;
            at += 5;
            continue;
        }
        if (strncmp(at, "{last}", len = 6) == 0)
            value = server->last;
        else if (strncmp(at, "{epoch}", len = 7) == 0)
            value = server->epoch;
        else if (strncmp(at, "{sum}", len = 5) == 0)
            value = server->sum;
        else if (strncmp(at, "{generation}", len = 12) == 0)
            value = server->generation;
        if (value) {
            buf_add_str(&out, value);
            at += len - 1;
        } else {
            buf_add_char(&out, *at);
        }
    }
    send_bytes(peer, &out, drip_from);
    buf_deinit(&out);
}

/* What later answers refer to. */
static void remember(struct server *server, const struct request *request)
{
    static const char snapshots[] = "/snapshots/";
    const char *at = strstr(request->line, snapshots);
    (void)find_header(request, "Spoor-Last", server->last, sizeof server->last);
    (void)find_header(request, "Spoor-Epoch", server->epoch, sizeof server->epoch);
    (void)find_header(request, "Spoor-Sum", server->sum, sizeof server->sum);
    if (at) {
        at += sizeof snapshots - 1;
        (void)snprintf(server->generation, sizeof server->generation, "%.*s", (int)strcspn(at, "/"),
                       at); /* digits */
    }
}

/* True when the connection is to stay open. */
static bool serve(struct server *server, int peer)
{
    struct request request = {0};
    bool whole = read_request(peer, &request);
    pthread_mutex_lock(&server->lock);
    if (!whole || server->stopping || server->count == SERVER_REQUESTS_MAX) {
        pthread_mutex_unlock(&server->lock);
        buf_deinit(&request.head);
        buf_deinit(&request.body);
        return false;
    }
    size_t step = server->count < server->step_count ? server->count : server->step_count - 1;
    remember(server, &request);
    server->requests[server->count++] = request;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (server->steps[step].hang)
        return true;
    if (server->steps[step].answer)
        send_answer(server, peer, server->steps[step].answer);
    return false;
}

static void *run(void *arg)
{
    struct server *server = arg;
    for (;;) {
        int peer = accept(server->listener, NULL, NULL);
        pthread_mutex_lock(&server->lock);
        bool stopping = server->stopping || peer < 0;
        server->peer = peer;
        pthread_mutex_unlock(&server->lock);
        if (!stopping && serve(server, peer)) {
            char byte;
            while (recv(peer, &byte, 1, 0) > 0)
                continue; /* until the client gives up or server_stop() shuts it down */
        }
        pthread_mutex_lock(&server->lock);
        server->peer = -1;
        pthread_mutex_unlock(&server->lock);
        if (peer >= 0)
            (void)net_close(peer);
        if (stopping)
            return NULL;
    }
}

struct server *server_start(const struct server_step *steps, size_t count)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    server->steps = steps;
    server->step_count = count;
    server->peer = -1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->listener = net_listen(16, &server->port);
    if (pthread_create(&server->thread, NULL, run, server))
        abort();
    return server;
}

void server_stop(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    if (server->peer >= 0)
        (void)shutdown(server->peer, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    int poke = net_dial(server->port, true); /* ends accept() on every system */
    pthread_join(server->thread, NULL);
    if (poke >= 0)
        (void)net_close(poke);
    (void)net_close(server->listener);
    for (size_t i = 0; i < server->count; i++) {
        buf_deinit(&server->requests[i].head);
        buf_deinit(&server->requests[i].body);
    }
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

int server_port(const struct server *server)
{
    return server->port;
}

bool server_wait(struct server *server, size_t count)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 30;
    int code = 0;
    pthread_mutex_lock(&server->lock);
    while (server->count < count && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
    bool there = server->count >= count;
    pthread_mutex_unlock(&server->lock);
    return there;
}

size_t server_count(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

const char *server_line(struct server *server, size_t index)
{
    return index < server_count(server) ? server->requests[index].line : "";
}

const char *server_header(struct server *server, size_t index, const char *name)
{
    if (index >= server_count(server) ||
        !find_header(&server->requests[index], name, server->value, sizeof server->value))
        return NULL;
    return server->value;
}

const char *server_body(struct server *server, size_t index, size_t *len)
{
    if (index >= server_count(server))
        return NULL;
    *len = server->requests[index].body.len;
    return server->requests[index].body.data;
}
