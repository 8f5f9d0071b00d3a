/* sim_server.c: the sync server and the way to it: transport.c's four calls, wrapped at link time.
 * Behind them is the collector's own mirror; before it a network that refuses, loses answers,
 * delivers twice, and servers and proxies that answer as they please. */
#include "clock.h"
#include "mirror.h"
#include "num.h"
#include "sim.h"
#include "transport.h"
#include "wire.h"

struct transport {
    int unused;
};

int __wrap_transport_open(const struct config_upload *config, struct transport **out,
                          struct err *err);
void __wrap_transport_close(struct transport *transport);
int __wrap_transport_perform(struct transport *transport, const struct transport_request *request,
                             struct transport_answer *answer, struct err *err);
void __wrap_transport_cancel(struct transport *transport);

enum fault {
    FAULT_NONE,
    FAULT_REFUSED,   /* no connection */
    FAULT_LOST,      /* it came, it was done, the answer is lost */
    FAULT_TWICE,     /* it came twice */
    FAULT_BUSY,      /* 503, come again later */
    FAULT_TOO_MANY,  /* 429 */
    FAULT_TOO_LARGE, /* 413 */
    FAULT_DONE_500,  /* done, and 500 */
    FAULT_PORTAL,    /* 200 by somebody who knows nothing of it */
    FAULT_DENIED,    /* 403 */
    FAULT_COUNT,
};

int __wrap_transport_open(const struct config_upload *config, struct transport **out,
                          struct err *err)
{
    (void)config;
    (void)err;
    *out = calloc(1, sizeof **out);
    return *out ? 0 : ERR_NOMEM;
}

void __wrap_transport_close(struct transport *transport)
{
    free(transport);
}

void __wrap_transport_cancel(struct transport *transport)
{
    (void)transport; /* nothing is ever in flight: one thread */
}

void sim_server_close(struct sim *sim)
{
    mirror_close(sim->mirror);
    sim->mirror = NULL;
}

static const char *header(const struct transport_request *request, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *line = request->headers; line && *line; line++) {
        if (strncmp(*line, name, len) == 0 && strncmp(*line + len, ": ", 2) == 0) {
            return *line + len + 2;
        }
    }
    return "";
}

static int64_t number(const struct transport_request *request, const char *name)
{
    int64_t value = -1;
    (void)num_parse_i64(header(request, name), 0, INT64_MAX, &value); /* -1 matches nothing */
    return value;
}

static uint64_t sum(const struct transport_request *request, const char *name)
{
    uint64_t value = 0;
    (void)wire_parse_sum(header(request, name), &value); /* 0 matches nothing */
    return value;
}

static void answer_cursor(struct sim *sim, int status, struct transport_answer *answer)
{
    const struct mirror_cursor *cursor = mirror_cursor(sim->mirror);
    answer->status = status;
    answer->has_acked = answer->has_epoch = answer->has_sum = true;
    answer->acked = cursor->seq;
    answer->epoch = cursor->epoch;
    answer->sum = cursor->sum;
}

/* The server itself, without faults. */
static void serve(struct sim *sim, const struct transport_request *request,
                  struct transport_answer *answer)
{
    char journal[JOURNAL_ID_SIZE] = "";
    struct err err = {0};
    const char *at = strstr(request->url, "/v1/journals/");
    size_t len = at ? strcspn(at + 13, "/") : 0;
    if (!at || len >= sizeof journal) {
        (void)sim_wrong(sim, "the url is '%s'", request->url);
        return;
    }
    memcpy(journal, at + 13, len);
    if (!sim->mirror && !request->post) {
        answer->status = 404;
        return;
    }
    if (!sim->mirror) {
        char dir[SIM_ROOT_PATH + 16];
        (void)snprintf(dir, sizeof dir, "%s/mirror", sim->dir);
        if (mirror_open(dir, journal, &sim->mirror, &err) != 0) {
            (void)sim_wrong(sim, "the mirror cannot be opened: %s", err.text);
            return;
        }
    }
    if (!request->post) {
        answer_cursor(sim, 200, answer);
        return;
    }
    struct mirror_batch batch = {.epoch = number(request, WIRE_EPOCH),
                                 .first = number(request, WIRE_FIRST),
                                 .last = number(request, WIRE_LAST),
                                 .prev_sum = sum(request, WIRE_PREV),
                                 .last_sum = sum(request, WIRE_SUM),
                                 .has_tree_sum = *header(request, WIRE_TREE) != '\0',
                                 .tree_sum = sum(request, WIRE_TREE),
                                 .rows = request->body.at,
                                 .len = request->body.len};
    enum mirror_outcome outcome = MIRROR_REFUSED;
    int rc = mirror_apply(sim->mirror, &batch, &outcome, &err);
    if (rc != 0 || outcome == MIRROR_REFUSED) {
        (void)sim_wrong(sim, "I3: the server refuses rows %lld..%lld: %s", (long long)batch.first,
                        (long long)batch.last, err.text);
        return;
    }
    answer_cursor(sim, outcome == MIRROR_CONFLICT ? 409 : 200, answer);
}

static int fail(struct err *err)
{
    return err_set(err, ERR_NETWORK, 0, "cannot reach the simulated server");
}

/* PROTOCOL.md: the client asks for the cursor when it starts and after every failure. */
static void check_order(struct sim *sim, bool post)
{
    if (post && sim->must_ask) {
        (void)sim_wrong(sim, "rows are sent after a failure, and the cursor was not asked for");
    }
}

static bool is_failure(enum fault fault, bool post)
{
    return fault != FAULT_NONE && fault != FAULT_TWICE && !(fault == FAULT_TOO_LARGE && post);
}

int __wrap_transport_perform(struct transport *transport, const struct transport_request *request,
                             struct transport_answer *answer, struct err *err)
{
    struct sim *sim = sim_world;
    (void)transport;
    buf_reset(&answer->body);
    struct buf body = answer->body;
    *answer = (struct transport_answer){.body = body};
    sim_seam();
    if (sim->crashed) {
        return fail(err); /* the process is dead: nothing leaves it any more */
    }
    enum fault fault = FAULT_NONE;
    if (sim->fault_count) {
        fault = (enum fault)(sim->faults[0] % FAULT_COUNT);
        memmove(sim->faults, sim->faults + 1, (size_t)--sim->fault_count);
    }
    check_order(sim, request->post);
    sim->must_ask = is_failure(fault, request->post) || (sim->must_ask && request->post);
    if (fault == FAULT_NONE || fault == FAULT_LOST || fault == FAULT_TWICE ||
        fault == FAULT_DONE_500) {
        serve(sim, request, answer);
    }
    struct transport_answer first = *answer;
    switch (fault) {
    case FAULT_REFUSED:
    case FAULT_LOST:
        return fail(err);
    case FAULT_TWICE:
        serve(sim, request, answer);
        if (answer->status != first.status || answer->acked != first.acked) {
            (void)sim_wrong(sim, "I3: the same request twice: %d at %lld, then %d at %lld",
                            first.status, (long long)first.acked, answer->status,
                            (long long)answer->acked);
        }
        break;
    case FAULT_BUSY:
        answer->status = 503;
        answer->retry_after_ms = 2000;
        break;
    case FAULT_TOO_MANY:
        answer->status = 429;
        break;
    case FAULT_TOO_LARGE:
        answer->status = request->post ? 413 : 500;
        break;
    case FAULT_DONE_500:
        *answer = (struct transport_answer){.body = body, .status = 500};
        break;
    case FAULT_PORTAL:
        answer->status = 200;
        break;
    case FAULT_DENIED:
        answer->status = 403;
        break;
    default:
        break;
    }
    sim_seam(); /* between the answer and what is made of it */
    return 0;
}
