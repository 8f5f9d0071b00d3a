/* test_collect.c: the collector over real HTTP: batches exactly once, refusals whole, and the
 * requests of somebody who did not read the protocol. Spoken to by raw sockets, so that what is
 * sent is what is written here. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "batch.h"
#include "collect.h"
#include "err.h"
#include "gzip.h"
#include "helper_net.h"
#include "helper_temp.h"
#include "helper_upload.h"
#include "log.h"
#include "reader.h"
#include "sha256.h"
#include "text.h"

struct rig {
    struct upload_rig journal;
    struct collect *collect;
    struct reader *reader;
    struct batch_writer *writer;
    struct batch batch;
    struct journal_info info;
    struct err err;
    char store[300];
    char token_file[300];
    bool has_token;
    struct buf answer; /* the last one, head and body */
};

static void start(struct rig *rig)
{
    struct collect_options options = {
        .listen = "127.0.0.1:0",
        .store = rig->store,
        .token_file = rig->has_token ? rig->token_file : NULL,
    };
    if (collect_open(&options, &rig->collect, &rig->err))
        fail_msg("%s", rig->err.text);
}

static void rig_open(struct rig *rig, bool has_token)
{
    *rig = (struct rig){.has_token = has_token};
    upload_rig_open(&rig->journal, "docs", "main");
    upload_rig_commit(&rig->journal, 10, 0);
    upload_rig_commit(&rig->journal, 10, 0);
    (void)snprintf(rig->store, sizeof rig->store, "%s/store", rig->journal.dir);
    (void)snprintf(rig->token_file, sizeof rig->token_file, "%s/token", rig->journal.dir);
    if (has_token) {
        temp_secret(rig->token_file, "opensesame\n", true);
    }
    start(rig);
    assert_int_equal(reader_open(rig->journal.journal_dir, &rig->reader, &rig->err), 0);
    assert_int_equal(batch_writer_new(1, &rig->writer, &rig->err), 0);
    batch_init(&rig->batch);
    buf_init(&rig->answer, 64 << 20);
    rig->info = upload_rig_info(&rig->journal);
}

static void rig_close(struct rig *rig)
{
    collect_close(rig->collect);
    batch_deinit(&rig->batch);
    batch_writer_free(rig->writer);
    reader_close(rig->reader);
    upload_rig_close(&rig->journal);
    buf_deinit(&rig->answer);
}

/* Sends a request as it stands and reads the answer to its end; returns its status. With
 * `hang_up` the connection is closed at once instead; returns 0. */
static int talk(struct rig *rig, const struct buf *request, bool hang_up)
{
    char piece[65536];
    int64_t sent = 0;
    int fd = net_dial(collect_port(rig->collect), true);
    assert_true(fd >= 0);
    while (sent < (int64_t)request->len) {
        ssize_t put = send(fd, request->data + sent, request->len - (size_t)sent, MSG_NOSIGNAL);
        if (put <= 0)
            break;
        sent += put;
    }
    buf_reset(&rig->answer);
    for (ssize_t got; !hang_up && (got = recv(fd, piece, sizeof piece, 0)) > 0;)
        buf_add(&rig->answer, piece, (size_t)got);
    assert_int_equal(net_close(fd), 0);
    if (rig->answer.len < 12 || strncmp(rig->answer.data, "HTTP/1.1 ", 9) != 0)
        return 0;
    return (int)strtol(rig->answer.data + 9, NULL, 10);
}

/* A request without a body. */
static int ask(struct rig *rig, const char *method, const char *path, const char *headers)
{
    struct buf request;
    buf_init(&request, 1 << 20);
    buf_addf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path,
             headers);
    int status = talk(rig, &request, false);
    buf_deinit(&request);
    return status;
}

static bool says(const struct rig *rig, const char *part)
{
    return rig->answer.data && strstr(rig->answer.data, part) != NULL;
}

static int ask_of(struct rig *rig, const char *what)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/v1/journals/%s/%s", rig->info.id, what);
    return ask(rig, "GET", path, "");
}

static void build(struct rig *rig, int64_t acked, int64_t rows)
{
    struct batch_limits limits = {.rows = rows, .bytes = 1 << 20};
    assert_int_equal(batch_build(rig->writer, rig->reader, acked, &limits, &rig->batch, &rig->err),
                     0);
}

/* What to do differently when a batch is posted. */
struct twist {
    const char *without; /* leave out the header of this name */
    const char *with;    /* further header lines */
    const char *path;    /* instead of the journal's */
    const char *body;    /* instead of the batch's, with its own digest */
    size_t body_len;
    size_t cut_bytes; /* the last so many bytes are announced and not sent */
    size_t flip_byte; /* 1-based: this byte of the body is damaged on the way */
    uint64_t prev_xor, sum_xor, tree_xor;
    long long epoch_add;
};

static void add_header(struct buf *out, const struct twist *twist, const char *name,
                       const char *format, ...) PRINTF_LIKE(4, 5);

static void add_header(struct buf *out, const struct twist *twist, const char *name,
                       const char *format, ...)
{
    char value[256];
    va_list args;
    if (twist->without && strcmp(twist->without, name) == 0)
        return;
    va_start(args, format);
    (void)vsnprintf(value, sizeof value, format, args);
    va_end(args);
    buf_addf(out, "%s: %s\r\n", name, value);
}

static int post(struct rig *rig, const struct twist *twist)
{
    const struct journal_batch *head = &rig->batch.head;
    struct buf request, digest;
    char path[128];
    uint8_t hash[SHA256_SIZE];
    struct bytes body = twist->body ? bytes_of(twist->body, twist->body_len) : head->body;
    buf_init(&request, 256 << 20);
    buf_init(&digest, 100);
    sha256(body.at, body.len, hash);
    text_add_base64(&digest, hash, sizeof hash);
    (void)snprintf(path, sizeof path, "/v1/journals/%s/changes", rig->info.id);
    buf_addf(&request, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
             twist->path ? twist->path : path);
    add_header(&request, twist, "Content-Length", "%zu", body.len);
    if (!twist->body)
        add_header(&request, twist, "Content-Encoding", "gzip");
    add_header(&request, twist, "Content-Digest", "sha-256=:%s:", digest.data);
    add_header(&request, twist, "Spoor-Journal", "%s", rig->info.id);
    add_header(&request, twist, "Spoor-Epoch", "%lld", (long long)head->epoch + twist->epoch_add);
    add_header(&request, twist, "Spoor-First", "%lld", (long long)head->first);
    add_header(&request, twist, "Spoor-Last", "%lld", (long long)head->last);
    add_header(&request, twist, "Spoor-Prev", "%016llx",
               (unsigned long long)(head->prev_sum ^ twist->prev_xor));
    add_header(&request, twist, "Spoor-Sum", "%016llx",
               (unsigned long long)(head->last_sum ^ twist->sum_xor));
    if (head->newest)
        add_header(&request, twist, "Spoor-Tree", "%016llx",
                   (unsigned long long)(head->tree_sum ^ twist->tree_xor));
    buf_addf(&request, "%s\r\n", twist->with ? twist->with : "");
    buf_add(&request, body.at, body.len - twist->cut_bytes);
    if (twist->flip_byte)
        request.data[request.len - body.len + twist->flip_byte - 1] ^= 1;
    int status = talk(rig, &request, twist->cut_bytes > 0);
    buf_deinit(&request);
    buf_deinit(&digest);
    return status;
}

static const struct twist straight;

/* Where the server stands, by its own words. */
static void assert_cursor(struct rig *rig, int64_t seq)
{
    char expected[64];
    if (seq == 0) {
        assert_int_equal(ask_of(rig, "cursor"), 404);
        return;
    }
    assert_int_equal(ask_of(rig, "cursor"), 200);
    (void)snprintf(expected, sizeof expected, "\"seq\":%lld,", (long long)seq);
    assert_true(says(rig, expected));
    (void)snprintf(expected, sizeof expected, "Spoor-Acked: %lld\r\n", (long long)seq);
    assert_true(says(rig, expected));
}

static void batches_are_applied_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, false);
    assert_cursor(&rig, 0);
    build(&rig, 0, 10);
    assert_int_equal(post(&rig, &straight), 200);
    assert_true(says(&rig, "Spoor-Acked: 10\r\n"));
    assert_true(says(&rig, "{\"acked\":10}"));
    assert_int_equal(post(&rig, &straight), 200); /* a duplicate, acknowledged without effect */
    assert_true(says(&rig, "Spoor-Acked: 10\r\n"));
    assert_int_equal(ask_of(&rig, "cursor"), 200);
    assert_true(says(&rig, "\"batches\":1"));
    build(&rig, 10, 10);
    assert_int_equal(post(&rig, &straight), 200);
    assert_cursor(&rig, 20);
    build(&rig, 0, 10); /* an old one, late */
    assert_int_equal(post(&rig, &straight), 200);
    assert_true(says(&rig, "Spoor-Acked: 20\r\n"));
    assert_cursor(&rig, 20);
    /* the same after a restart */
    collect_close(rig.collect);
    start(&rig);
    assert_int_equal(post(&rig, &straight), 200);
    assert_true(says(&rig, "Spoor-Acked: 20\r\n"));
    assert_int_equal(ask(&rig, "GET", "/v1/journals", ""), 200);
    assert_true(says(&rig, rig.info.id));
    rig_close(&rig);
}

static void what_does_not_follow_is_a_conflict(void **state)
{
    (void)state;
    static const struct twist twists[] = {
        {.prev_xor = 1}, /* another row before it */
        {.epoch_add = 1},
    };
    struct rig rig;
    char expected[64];
    rig_open(&rig, false);
    build(&rig, 0, 10);
    assert_int_equal(post(&rig, &straight), 200);
    build(&rig, 10, 10);
    for (size_t i = 0; i < ARRAY_LEN(twists); i++) {
        assert_int_equal(post(&rig, &twists[i]), 409);
        assert_true(says(&rig, "Spoor-Acked: 10\r\n"));
        (void)snprintf(expected, sizeof expected, "Spoor-Epoch: %lld\r\n",
                       (long long)rig.info.epoch);
        assert_true(says(&rig, expected));
        assert_true(says(&rig, "Spoor-Sum: "));
        assert_true(says(&rig, "\"seq\":10,"));
    }
    build(&rig, 0, 10);
    assert_int_equal(post(&rig, &(struct twist){.sum_xor = 1}), 409); /* a duplicate it is not */
    build(&rig, 19, 10);
    assert_int_equal(post(&rig, &straight), 409); /* a gap: rows 11 to 19 are missing */
    assert_true(says(&rig, "Spoor-Acked: 10\r\n"));
    assert_cursor(&rig, 10);
    rig_close(&rig);
}

static void damaged_bodies_are_refused_whole(void **state)
{
    (void)state;
    struct rig rig;
    struct buf packed;
    rig_open(&rig, false);
    build(&rig, 0, 20);
    for (size_t at = 1; at <= rig.batch.head.body.len; at += 7)
        assert_int_equal(post(&rig, &(struct twist){.flip_byte = at}), 400);
    assert_true(says(&rig, "Content-Digest"));
    /* the connection ends within the body: no effect */
    assert_int_equal(post(&rig, &(struct twist){.cut_bytes = 5}), 0);
    /* torn gzip with a digest that fits it */
    struct twist torn = {.body = rig.batch.head.body.at,
                         .body_len = rig.batch.head.body.len - 9,
                         .with = "Content-Encoding: gzip\r\n"};
    assert_int_equal(post(&rig, &torn), 400);
    assert_true(says(&rig, "too early"));
    struct twist plain = {.body = "not json\n", .body_len = 9};
    assert_int_equal(post(&rig, &plain), 422);
    plain.with = "Content-Encoding: gzip\r\n";
    assert_int_equal(post(&rig, &plain), 400);
    plain.with = "Content-Encoding: br\r\n";
    assert_int_equal(post(&rig, &plain), 415);
    struct twist tree = {.tree_xor = 1};
    assert_int_equal(post(&rig, &tree), 422); /* rows that do not make our tree */
    /* nothing was applied; the file is there since rows were tried in it */
    assert_int_equal(ask_of(&rig, "cursor"), 200);
    assert_true(says(&rig, "\"seq\":0,"));
    assert_int_equal(post(&rig, &straight), 200);
    assert_cursor(&rig, 20);
    /* identity is fine */
    buf_init(&packed, 1 << 20);
    assert_int_equal(gzip_unpack(rig.batch.head.body.at, rig.batch.head.body.len, &packed, NULL),
                     0);
    assert_int_equal(post(&rig, &(struct twist){.body = packed.data, .body_len = packed.len}), 200);
    buf_deinit(&packed);
    rig_close(&rig);
}

static void rows_that_do_not_apply_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct buf rows;
    char *line;
    rig_open(&rig, false);
    build(&rig, 0, 10);
    buf_init(&rows, 1 << 20);
    assert_int_equal(gzip_unpack(rig.batch.head.body.at, rig.batch.head.body.len, &rows, NULL), 0);
    struct twist twist = {.body = rows.data, .body_len = rows.len};
    line = strstr(rows.data, "file-00000007");
    assert_non_null(line);
    line[12] = '3'; /* a second file-00000003 */
    assert_int_equal(post(&rig, &twist), 422);
    assert_true(says(&rig, "row 8"));
    line[12] = '7';
    line[4] = '/'; /* in a directory nobody made */
    assert_int_equal(post(&rig, &twist), 422);
    line[4] = '-';
    assert_int_equal(post(&rig, &twist), 200); /* nothing of the refused ones was kept */
    assert_cursor(&rig, 10);
    buf_deinit(&rows);
    rig_close(&rig);
}

static void requests_that_miss_something(void **state)
{
    (void)state;
    static const char *const needed[] = {"Content-Digest", "Spoor-Journal", "Spoor-Epoch",
                                         "Spoor-First",    "Spoor-Last",    "Spoor-Prev",
                                         "Spoor-Sum"};
    struct rig rig;
    rig_open(&rig, false);
    build(&rig, 0, 10);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        char expected[64];
        assert_int_equal(post(&rig, &(struct twist){.without = needed[i]}), 400);
        (void)snprintf(expected, sizeof expected, "header %s: missing", needed[i]);
        assert_true(says(&rig, expected));
    }
    struct twist odd = {.without = "Spoor-First", .with = "Spoor-First: 1x\r\n"};
    assert_int_equal(post(&rig, &odd), 400);
    odd = (struct twist){.without = "Spoor-Last", .with = "Spoor-Last: 0\r\n"};
    assert_int_equal(post(&rig, &odd), 400);
    odd = (struct twist){.without = "Spoor-Journal", .with = "Spoor-Journal: other\r\n"};
    assert_int_equal(post(&rig, &odd), 400);
    odd = (struct twist){.without = "Content-Digest", .with = "Content-Digest: sha-256=:!:\r\n"};
    assert_int_equal(post(&rig, &odd), 400);
    odd = (struct twist){.without = "Content-Digest", .with = "Content-Digest: md5=:AA==:\r\n"};
    assert_int_equal(post(&rig, &odd), 400);
    assert_cursor(&rig, 0);
    rig_close(&rig);
}

static void paths_and_methods(void **state)
{
    (void)state;
    static const char *const unknown[] = {
        "/",
        "/v1",
        "/v1/journalsx",
        "/v1/journals/",
        "/v1/journals/abc",
        "/v1/journals/abc/",
        "/v1/journals/abc/cursorx",
        "/v1/journals/../cursor",
        "/v1/journals/a%2fb/cursor",
        "/v1/journals//cursor",
        "/v1/journals/0123456789012345678901234567890123456789/cursor",
        "/v1/journals/abc/snapshots/0/commit",
        "/v1/journals/abc/snapshots/4611686018427387905/commit", /* over WIRE_GENERATION_MAX */
        "/v1/journals/abc/snapshots/1/parts/0",
        "/v1/journals/abc/cursor", /* a good path, and nothing there */
        "/v1/journals/abc/tree",
    };
    struct rig rig;
    rig_open(&rig, false);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_int_equal(ask(&rig, "GET", unknown[i], ""), 404);
    assert_int_equal(ask(&rig, "GET", "/v1/journals/abc/changes", ""), 405);
    assert_true(says(&rig, "Allow: POST\r\n"));
    assert_int_equal(ask(&rig, "GET", "/v1/journals/abc/snapshots/4611686018427387904/commit", ""),
                     405);
    assert_int_equal(ask(&rig, "DELETE", "/v1/journals/abc/tree", ""), 405);
    assert_true(says(&rig, "Allow: GET\r\n"));
    assert_int_equal(ask(&rig, "POST", "/v1/journals", "Content-Length: 0\r\n"), 405);
    assert_int_equal(ask(&rig, "GET", "/v1/journals", ""), 200);
    assert_null(strstr(rig.answer.data, "\"journal\"")); /* asking made nothing */
    rig_close(&rig);
}

static void bodies_have_a_limit(void **state)
{
    (void)state;
    struct rig rig;
    struct buf bomb;
    struct gzip *gzip;
    char announced[64];
    static char zeros[1 << 20];
    rig_open(&rig, false);
    (void)snprintf(announced, sizeof announced, "Content-Length: %d\r\n", COLLECT_BODY_MAX + 1);
    build(&rig, 0, 10);
    /* announced too large; sent in full it is read and then refused */
    struct buf large;
    buf_init(&large, (size_t)COLLECT_BODY_MAX + 10);
    assert_non_null(buf_extend(&large, COLLECT_BODY_MAX + 1));
    memset(large.data, 'x', large.len);
    assert_int_equal(post(&rig, &(struct twist){.body = large.data, .body_len = large.len}), 413);
    buf_deinit(&large);
    /* small on the wire, larger than the limit unpacked */
    buf_init(&bomb, 8 << 20);
    assert_int_equal(gzip_new(9, &gzip, &rig.err), 0);
    gzip_begin(gzip);
    for (int i = 0; i < 257; i++)
        gzip_add(gzip, zeros, sizeof zeros, &bomb);
    gzip_finish(gzip, &bomb);
    gzip_free(gzip);
    struct twist twist = {
        .body = bomb.data, .body_len = bomb.len, .with = "Content-Encoding: gzip\r\n"};
    assert_int_equal(post(&rig, &twist), 413);
    assert_true(says(&rig, "unpacked"));
    buf_deinit(&bomb);
    assert_int_equal(post(&rig, &straight), 200); /* and it still serves */
    rig_close(&rig);
}

static void a_token_is_asked_of_every_request(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer opensesam\r\n",
        "Authorization: Bearer opensesamee\r\n",
        "Authorization: Bearer opensesameopensesame\r\n",
        "Authorization: Basic opensesame\r\n",
    };
    struct rig rig;
    rig_open(&rig, true);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(ask(&rig, "GET", "/v1/journals", wrong[i]), 401);
        assert_true(says(&rig, "WWW-Authenticate: Bearer\r\n"));
        assert_false(says(&rig, "opensesame"));
    }
    assert_int_equal(ask(&rig, "GET", "/v1/journals", "Authorization: Bearer opensesame\r\n"), 200);
    build(&rig, 0, 10);
    assert_int_equal(post(&rig, &straight), 401);
    assert_int_equal(post(&rig, &(struct twist){.with = "Authorization: Bearer opensesame\r\n"}),
                     200);
    rig_close(&rig);
}

static void more_journals_than_are_held_open(void **state)
{
    (void)state;
    struct rig rig;
    char id[JOURNAL_ID_SIZE], real[JOURNAL_ID_SIZE];
    rig_open(&rig, false);
    build(&rig, 0, 10);
    memcpy(real, rig.info.id, sizeof real);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 34; i++) {
            (void)snprintf(id, sizeof id, "journal-%d", i);
            memcpy(rig.info.id, id, sizeof id);
            assert_int_equal(post(&rig, &straight), 200); /* second round: duplicates */
        }
    }
    assert_int_equal(ask(&rig, "GET", "/v1/journals", ""), 200);
    size_t lines = 0;
    for (const char *at = rig.answer.data; (at = strstr(at, "\"seq\":10,")); at++)
        lines++;
    assert_int_equal(lines, 34);
    assert_null(strstr(rig.answer.data, "\"batches\":2"));
    memcpy(rig.info.id, real, sizeof real);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_applied_once),
        cmocka_unit_test(what_does_not_follow_is_a_conflict),
        cmocka_unit_test(damaged_bodies_are_refused_whole),
        cmocka_unit_test(rows_that_do_not_apply_are_refused),
        cmocka_unit_test(requests_that_miss_something),
        cmocka_unit_test(paths_and_methods),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(a_token_is_asked_of_every_request),
        cmocka_unit_test(more_journals_than_are_held_open),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
