/* sim_server.c: the sync server and the way to it: transport.c's four calls, wrapped at link time.
 * Behind them is the collector's own mirror; before it a network that refuses, loses answers,
 * delivers twice, and servers and proxies that answer as they please. */
#include "clock.h"
#include "mirror.h"
#include "num.h"
#include "sim.h"
#include "transport.h"
#include "wire.h"

enum { STORE_PATH = SIM_ROOT_PATH + JOURNAL_ID_SIZE + 16 };

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
    answer->gen = mirror_generation(sim->mirror);
}

/* ---- the store, and what may become of it ---- */

static void store_path(const struct sim *sim, const char *dir, char out[STORE_PATH])
{
    (void)snprintf(out, STORE_PATH, "%s/%s/%s.db", sim->dir, dir, sim->journal);
}

/* Opens what is there; without `make` false when nothing is. */
static bool open_store(struct sim *sim, bool make)
{
    char path[STORE_PATH], dir[STORE_PATH];
    struct err err = {0};
    store_path(sim, "mirror", path);
    if (sim->mirror || (!make && access(path, F_OK) != 0)) {
        return sim->mirror != NULL;
    }
    (void)snprintf(dir, sizeof dir, "%s/mirror", sim->dir);
    return mirror_open(dir, sim->journal, &sim->mirror, &err) == 0 ||
           sim_wrong(sim, "the mirror cannot be opened: %s", err.text);
}

bool sim_server_open(struct sim *sim)
{
    return sim->journal[0] && open_store(sim, false);
}

void sim_server_close(struct sim *sim)
{
    mirror_close(sim->mirror);
    sim->mirror = NULL;
}

/* Closed, a store is one file: the last connection brings the log into it. */
void sim_server_lose(struct sim *sim, int64_t how)
{
    char now[STORE_PATH], kept[STORE_PATH];
    if (!sim->journal[0]) {
        return; /* it knows nothing yet */
    }
    sim_server_close(sim);
    store_path(sim, "mirror", now);
    store_path(sim, "backup", kept);
    if (how % 3 == 0) {
        (void)sim_copy_file(now, kept); /* there may be nothing to be saved */
        return;
    }
    (void)remove(now);
    if (how % 3 == 1) {
        (void)sim_copy_file(kept, now); /* or it is wiped */
    }
    sim->server_lost = true;
}

/* ---- requests ---- */

/* One store a journal. */
static void choose_store(struct sim *sim, struct bytes id)
{
    if (!bytes_equal(bytes_str(sim->journal), id)) {
        sim_server_close(sim);
        memcpy(sim->journal, id.at, id.len);
        sim->journal[id.len] = '\0';
    }
}

static void answer_outcome(struct sim *sim, int rc, enum mirror_outcome outcome,
                           const struct transport_request *request, const struct err *err,
                           struct transport_answer *answer)
{
    if (rc != 0 || outcome == MIRROR_REFUSED) {
        (void)sim_wrong(sim, "I3: the server refuses '%s': %s", request->url, err->text);
        return;
    }
    answer_cursor(sim, outcome == MIRROR_CONFLICT ? 409 : 200, answer);
}

static void take_batch(struct sim *sim, const struct transport_request *request,
                       struct transport_answer *answer)
{
    struct err err = {0};
    enum mirror_outcome outcome = MIRROR_REFUSED;
    struct mirror_batch batch = {.epoch = number(request, WIRE_EPOCH),
                                 .first = number(request, WIRE_FIRST),
                                 .last = number(request, WIRE_LAST),
                                 .prev_sum = sum(request, WIRE_PREV),
                                 .last_sum = sum(request, WIRE_SUM),
                                 .has_tree_sum = *header(request, WIRE_TREE) != '\0',
                                 .tree_sum = sum(request, WIRE_TREE),
                                 .rows = request->body.at,
                                 .len = request->body.len};
    int rc = mirror_apply(sim->mirror, &batch, &outcome, &err);
    answer_outcome(sim, rc, outcome, request, &err, answer);
}

/* "snapshots/GENERATION/parts/NUMBER" or "snapshots/GENERATION/commit" */
static void take_snapshot(struct sim *sim, const struct transport_request *request,
                          const char *what, struct transport_answer *answer)
{
    struct err err = {0};
    enum mirror_outcome outcome = MIRROR_REFUSED;
    char text[64];
    int64_t gen = -1, part = -1;
    (void)snprintf(text, sizeof text, "%s", what);
    char *slash = strchr(text, '/');
    const char *rest = slash ? slash + 1 : "";
    if (slash) {
        *slash = '\0';
        (void)num_parse_i64(text, 1, INT64_MAX, &gen); /* -1 is refused */
    }
    int rc;
    if (strncmp(rest, "parts/", 6) == 0) {
        (void)num_parse_i64(rest + 6, 1, INT64_MAX, &part); /* -1 is refused */
        struct mirror_part piece = {gen, part, request->body.at, request->body.len};
        rc = mirror_take_part(sim->mirror, &piece, &outcome, &err);
    } else {
        struct mirror_commit commit = {.gen = gen,
                                       .parts = number(request, WIRE_PARTS),
                                       .epoch = number(request, WIRE_EPOCH),
                                       .seq = number(request, WIRE_LAST),
                                       .sum = sum(request, WIRE_SUM),
                                       .entries = number(request, WIRE_COUNT),
                                       .tree_sum = sum(request, WIRE_TREE),
                                       .folder = header(request, WIRE_FOLDER)};
        rc = mirror_take_snapshot(sim->mirror, &commit, &outcome, &err);
        sim->snapshots += rc == 0 && outcome == MIRROR_APPLIED;
    }
    answer_outcome(sim, rc, outcome, request, &err, answer);
}

/* The server itself, without faults. */
static void serve(struct sim *sim, const struct transport_request *request,
                  struct transport_answer *answer)
{
    static const char prefix[] = "/v1/journals/", snapshots[] = "/snapshots/";
    const char *at = strstr(request->url, prefix);
    const char *id = at ? at + sizeof prefix - 1 : "";
    size_t len = strcspn(id, "/");
    if (!at || len >= sizeof sim->journal) {
        (void)sim_wrong(sim, "the url is '%s'", request->url);
        return;
    }
    choose_store(sim, bytes_of(id, len));
    if (!open_store(sim, request->post)) {
        answer->status = 404;
    } else if (!request->post) {
        answer_cursor(sim, 200, answer);
    } else if (strncmp(id + len, snapshots, sizeof snapshots - 1) == 0) {
        take_snapshot(sim, request, id + len + sizeof snapshots - 1, answer);
    } else {
        take_batch(sim, request, answer);
    }
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
