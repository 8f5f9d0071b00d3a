/* fuzz_answer.c: the raw bytes of an HTTP answer, read by our client: status, headers (Retry-After,
 * Spoor-Acked, Spoor-Epoch, Spoor-Sum) and body, whole, torn or nonsense. A thread plays the
 * server: it reads one request, sends the input, closes. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "clock.h"
#include "config.h"
#include "err.h"
#include "fuzz.h"
#include "transport.h"

#define REQUEST_MAX 8192
#define INPUT_MAX   65536

static struct {
    int listener;
    uint8_t data[INPUT_MAX]; /* the server's own: the client may leave before it is sent */
    size_t size;
    pthread_mutex_t lock; /* of data and size */
    char url[64];
    struct config_upload config;
    struct transport *transport;
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Reads up to the blank line that ends a GET. */
static void read_request(int fd)
{
    char request[REQUEST_MAX];
    size_t len = 0;

    while (len < sizeof request && !memmem(request, len, "\r\n\r\n", 4)) {
        ssize_t n = recv(fd, request + len, sizeof request - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
    }
}

static void *serve(void *ctx)
{
    for (;;) {
        int fd = accept4(peer.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return ctx;
        read_request(fd);
        (void)pthread_mutex_lock(&peer.lock); /* a plain mutex, correctly used, cannot fail */
        for (size_t sent = 0; sent < peer.size;) {
            ssize_t n = send(fd, peer.data + sent, peer.size - sent, MSG_NOSIGNAL);
            if (n <= 0)
                break; /* the client has heard enough */
            sent += (size_t)n;
        }
        (void)pthread_mutex_unlock(&peer.lock); /* as above */
        (void)close(fd);                        /* the client sees the end, or has gone */
    }
}

static void open_peer(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    struct err err = {0};

    peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(peer.listener >= 0);
    FUZZ_CHECK(bind(peer.listener, (struct sockaddr *)&address, sizeof address) == 0);
    FUZZ_CHECK(listen(peer.listener, 16) == 0);
    FUZZ_CHECK(getsockname(peer.listener, (struct sockaddr *)&address, &len) == 0);
    (void)snprintf(peer.url, sizeof peer.url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    peer.config = (struct config_upload){.url = peer.url,
                                         .connect_timeout_ns = 20 * CLOCK_NS_PER_S,
                                         .timeout_ns = 20 * CLOCK_NS_PER_S};
    FUZZ_CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    FUZZ_CHECK(transport_open(&peer.config, &peer.transport, &err) == 0);
    FUZZ_CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
    FUZZ_CHECK(pthread_detach(thread) == 0); /* lives as long as the process */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transport_request request = {0};
    struct transport_answer answer;
    struct err err = {0};
    struct buf excerpt;

    if (size > INPUT_MAX)
        return 0;
    if (!peer.transport)
        open_peer();
    (void)pthread_mutex_lock(&peer.lock); /* as above */
    if (size)
        memcpy(peer.data, data, size);
    peer.size = size;
    (void)pthread_mutex_unlock(&peer.lock); /* as above */
    request.url = peer.url;
    transport_answer_init(&answer);
    int rc = transport_perform(peer.transport, &request, &answer, &err);
    if (rc == 0) {
        FUZZ_CHECK(answer.status >= 200 && answer.status <= 999);
        FUZZ_CHECK(answer.retry_after_ms >= 0 && answer.acked >= 0 && answer.epoch >= 0);
        FUZZ_CHECK(answer.body.len <= size);
        buf_init(&excerpt, TRANSPORT_EXCERPT_MAX);
        transport_add_excerpt(&excerpt, &answer);
        FUZZ_CHECK(buf_ok(&excerpt));
        buf_deinit(&excerpt);
    } else {
        FUZZ_CHECK(rc == err.code && err.text[0]);
        FUZZ_CHECK(rc == ERR_NETWORK || rc == ERR_LIMIT || rc == ERR_TIMEOUT);
    }
    transport_answer_deinit(&answer);
    return 0;
}
