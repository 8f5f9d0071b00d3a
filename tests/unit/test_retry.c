/* test_retry.c: every status against the table, cursors against theirs, and the back-off; every
 * status in every state is test_retry_all.c. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "retry.h"

static struct retry_ask ask_post(enum config_ack ack)
{
    return (struct retry_ask){.ack = ack,
                              .epoch = 7,
                              .acked = 100,
                              .last_seq = 500,
                              .first = 101,
                              .last = 200,
                              .rows = 100,
                              .retry_min_ms = 1000,
                              .retry_max_ms = 300000,
                              .random = 123456789};
}

static struct retry_ask ask_cursor(void)
{
    struct retry_ask ask = ask_post(CONFIG_ACK_SEQUENCE);
    ask.handshake = true;
    ask.first = ask.last = 0;
    return ask;
}

/* Answers without any of our headers (RULES 20). */
static enum retry_action expect_bare(int status, enum config_ack ack)
{
    switch (status) {
    case 408:
    case 409:
    case 425:
    case 429:
        return RETRY_AGAIN;
    case 400:
    case 413:
    case 422:
        return RETRY_HALVE;
    case 501:
        return RETRY_PAUSE;
    default:
        break;
    }
    switch (status / 100) {
    case 2:
        return ack == CONFIG_ACK_STATUS ? RETRY_ACK : RETRY_AGAIN;
    case 3:
    case 4:
        return RETRY_PAUSE;
    default:
        return RETRY_AGAIN; /* 1xx is no answer, 5xx is the server's trouble */
    }
}

static void every_status(void **state)
{
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        enum config_ack ack = mode ? CONFIG_ACK_STATUS : CONFIG_ACK_SEQUENCE;
        for (int status = 100; status <= 599; status++) {
            struct retry_ask ask = ask_post(ack);
            struct retry_answer answer = {.status = status};
            struct retry_decision decision;
            retry_decide(&ask, &answer, &decision);
            enum retry_action expected = expect_bare(status, ack);
            if (decision.action != expected)
                fail_msg("status %d, ack mode %d: %s instead of %s", status, mode,
                         retry_action_name(decision.action), retry_action_name(expected));
            if (expected == RETRY_ACK)
                assert_int_equal(decision.seq, 200);
            else
                assert_true(decision.text[0] != '\0');
            if (expected == RETRY_PAUSE)
                assert_int_equal(decision.delay_ms, 300000);
        }
    }
}

static void every_status_of_a_handshake(void **state)
{
    (void)state;
    for (int status = 100; status <= 599; status++) {
        struct retry_ask ask = ask_cursor();
        struct retry_answer answer = {.status = status};
        struct retry_decision decision;
        retry_decide(&ask, &answer, &decision);
        enum retry_action expected = expect_bare(status, CONFIG_ACK_SEQUENCE);
        if (status == 400 || status == 413 || status == 422)
            expected = RETRY_PAUSE; /* there is no batch to halve */
        if (status == 404)
            expected = RETRY_REWIND; /* it has lost all that it had acknowledged */
        if (decision.action != expected)
            fail_msg("handshake status %d: %s instead of %s", status,
                     retry_action_name(decision.action), retry_action_name(expected));
    }
}

/* What is refused of a single row: a log goes on without it, a replica does not. */
static void a_single_row(void **state)
{
    (void)state;
    static const int refusals[] = {400, 413, 422};
    for (int status = 100; status <= 599; status++) {
        struct retry_ask ask = ask_post(CONFIG_ACK_STATUS);
        struct retry_answer answer = {.status = status};
        struct retry_decision decision;
        bool refused = false;
        for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
            refused = refused || status == refusals[i];
        ask.rows = 1;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action,
                         refused ? RETRY_ASIDE : expect_bare(status, CONFIG_ACK_STATUS));
        ask.replica = true;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action,
                         refused ? RETRY_PAUSE : expect_bare(status, CONFIG_ACK_STATUS));
        ask.gen = 3; /* a part of a snapshot is none of somebody's rows */
        ask.rows = 100;
        retry_decide(&ask, &answer, &decision);
        if (status == 400 || status == 422)
            assert_int_equal(decision.action, RETRY_PAUSE);
    }
}

static void a_refusal_names_its_cure(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *cure;
    } rows[] = {{401, "see token_file"},
                {403, "see token_file"},
                {404, "see url"},
                {407, "see proxy_user"},
                {308, "see url, redirect"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct retry_ask ask = ask_post(CONFIG_ACK_STATUS);
        struct retry_answer answer = {.status = rows[i].status};
        struct retry_decision decision;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action, RETRY_PAUSE);
        assert_non_null(strstr(decision.text, rows[i].cure));
    }
}

static void confirmations(void **state)
{
    (void)state;
    static const struct {
        int64_t acked;
        bool cursor;
        int64_t epoch;
        enum retry_sum sum;
        enum retry_action action;
    } rows[] = {
        {200, false, 0, RETRY_SUM_UNKNOWN, RETRY_ACK}, /* just so */
        {260, true, 7, RETRY_SUM_SAME, RETRY_ACK},     /* a duplicate: the server is further */
        {260, true, 7, RETRY_SUM_OTHER, RETRY_ACK},    /* another went on from there: told later */
        {199, false, 0, RETRY_SUM_UNKNOWN, RETRY_AGAIN}, /* less than was sent */
        {200, true, 8, RETRY_SUM_SAME, RETRY_AGAIN},     /* of another epoch */
        {200, true, 7, RETRY_SUM_OTHER, RETRY_AGAIN},    /* another row than the one we sent */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct retry_ask ask = ask_post(CONFIG_ACK_SEQUENCE);
        struct retry_answer answer = {.status = 200,
                                      .has_acked = true,
                                      .acked = rows[i].acked,
                                      .has_cursor = rows[i].cursor,
                                      .epoch = rows[i].epoch,
                                      .sum = rows[i].sum};
        struct retry_decision decision;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action, rows[i].action);
        if (decision.action == RETRY_ACK)
            assert_int_equal(decision.seq, 200); /* never more than we sent */
    }
}

struct cursor_row {
    int64_t epoch, seq;
    enum retry_sum sum;
    enum retry_action post, handshake;
    int64_t to;
    const char *says;
};

static void cursors(void **state)
{
    (void)state;
    /* ours: epoch 7, rows 21..500, acked 100, batch 101..200 */
    static const struct cursor_row rows[] = {
        {7, 100, RETRY_SUM_SAME, RETRY_AGAIN, RETRY_ACK, 100, "follows its own cursor"},
        {7, 150, RETRY_SUM_SAME, RETRY_ACK, RETRY_ACK, 150, ""},
        {7, 200, RETRY_SUM_SAME, RETRY_ACK, RETRY_ACK, 200, ""},
        {7, 500, RETRY_SUM_SAME, RETRY_ACK, RETRY_ACK, 500, ""},
        {7, 501, RETRY_SUM_UNKNOWN, RETRY_NEW_EPOCH, RETRY_NEW_EPOCH, 7, "ends at 500"},
        {7, 501, RETRY_SUM_SAME, RETRY_NEW_EPOCH, RETRY_NEW_EPOCH, 7, "ends at 500"},
        {7, 150, RETRY_SUM_OTHER, RETRY_NEW_EPOCH, RETRY_NEW_EPOCH, 7, "is not ours"},
        {7, 100, RETRY_SUM_OTHER, RETRY_NEW_EPOCH, RETRY_NEW_EPOCH, 7, "is not ours"},
        {7, 10, RETRY_SUM_OTHER, RETRY_NEW_EPOCH, RETRY_NEW_EPOCH, 7, "is not ours"},
        {7, 150, RETRY_SUM_UNKNOWN, RETRY_AGAIN, RETRY_AGAIN, 0, "cannot be compared"},
        {7, 99, RETRY_SUM_SAME, RETRY_REWIND, RETRY_REWIND, 99, "lost 1 rows"},
        {7, 20, RETRY_SUM_SAME, RETRY_REWIND, RETRY_REWIND, 20, "lost 80 rows"},
        {7, 19, RETRY_SUM_UNKNOWN, RETRY_SNAPSHOT, RETRY_SNAPSHOT, 0, "stands at row 19"},
        {7, 0, RETRY_SUM_UNKNOWN, RETRY_SNAPSHOT, RETRY_SNAPSHOT, 0, "not kept"},
        {0, 0, RETRY_SUM_UNKNOWN, RETRY_SNAPSHOT, RETRY_SNAPSHOT, 0, "holds nothing"},
        {6, 100, RETRY_SUM_SAME, RETRY_SNAPSHOT, RETRY_SNAPSHOT, 0, "epoch 6"},
        {6, 900, RETRY_SUM_UNKNOWN, RETRY_SNAPSHOT, RETRY_SNAPSHOT, 0, "epoch 6"},
        {8, 0, RETRY_SUM_SAME, RETRY_NEW_ID, RETRY_NEW_ID, 8, "epoch 8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct cursor_row *row = &rows[i];
        struct retry_answer answer = {.status = 409,
                                      .has_acked = true,
                                      .has_cursor = true,
                                      .epoch = row->epoch,
                                      .acked = row->seq,
                                      .sum = row->sum};
        struct retry_decision decision;
        for (int status = 409; status <= 412; status += 3) {
            struct retry_ask ask = ask_post(CONFIG_ACK_SEQUENCE);
            ask.floor = 20;
            answer.status = status;
            retry_decide(&ask, &answer, &decision);
            assert_int_equal(decision.action, row->post);
            assert_non_null(strstr(decision.text, row->says));
            if (decision.action != RETRY_AGAIN)
                assert_int_equal(decision.seq, row->to);
        }
        struct retry_ask ask = ask_cursor();
        ask.floor = 20;
        answer.status = 200;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action, row->handshake);
        if (decision.action == RETRY_ACK)
            assert_int_equal(decision.seq, row->to);
    }
}

static void a_new_journal_finds_nothing_there(void **state)
{
    (void)state;
    struct retry_ask ask = ask_cursor();
    ask.acked = 0;
    struct retry_answer answer = {.status = 404};
    struct retry_decision decision;
    retry_decide(&ask, &answer, &decision);
    assert_int_equal(decision.action, RETRY_ACK);
    assert_int_equal(decision.seq, 0);
    ask.acked = 1;
    retry_decide(&ask, &answer, &decision);
    assert_int_equal(decision.action, RETRY_REWIND);
    assert_int_equal(decision.seq, 0);
    for (ask.acked = 0; ask.acked < 2; ask.acked++) { /* row 1 is gone */
        ask.floor = 1;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action, RETRY_SNAPSHOT);
    }
}

/* Of a snapshot: every status, and what confirms a part and the commit. */
static void parts_and_commits(void **state)
{
    (void)state;
    for (int commit = 0; commit < 2; commit++) {
        struct retry_ask ask = ask_post(CONFIG_ACK_SEQUENCE);
        struct retry_decision decision;
        ask.gen = 5;
        ask.commit = commit;
        for (int status = 100; status <= 599; status++) {
            struct retry_answer answer = {.status = status};
            retry_decide(&ask, &answer, &decision);
            bool refused = status == 400 || status == 422; /* no row of a tree can be left out */
            assert_int_equal(decision.action,
                             refused ? RETRY_PAUSE : expect_bare(status, CONFIG_ACK_SEQUENCE));
        }
        struct retry_answer answer = {.status = 409, .has_cursor = true, .epoch = 7, .gen = 6};
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.action, RETRY_RESTART);
        ask.failures = 20;
        ask.random = 1234;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.delay_ms, 1234); /* two that drop each other's keep a distance */
        answer = (struct retry_answer){.status = 200, .has_acked = true, .has_cursor = true};
        static const struct {
            int64_t epoch, acked, gen;
            bool part, commit;
        } rows[] = {
            {6, 3, 5, true, false},  {7, 200, 4, false, true}, {7, 200, 6, false, true},
            {7, 200, 5, true, true}, {8, 200, 5, true, false}, {7, 199, 5, true, false},
            {0, 0, 5, true, false},
        };
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            answer.epoch = rows[i].epoch;
            answer.acked = rows[i].acked;
            answer.gen = rows[i].gen;
            retry_decide(&ask, &answer, &decision);
            bool confirmed = commit ? rows[i].commit : rows[i].part;
            assert_int_equal(decision.action, confirmed ? RETRY_ACK : RETRY_AGAIN);
        }
    }
}

static void backoff_doubles_up_to_its_cap(void **state)
{
    (void)state;
    int64_t window = 1000;
    for (int64_t failures = 0; failures < 100; failures++) {
        /* random = window gives the window itself, window + 1 wraps to 0: the draw is uniform on
         * 0..window. */
        assert_int_equal(retry_backoff_ms(1000, 300000, failures, (uint64_t)window), window);
        assert_int_equal(retry_backoff_ms(1000, 300000, failures, (uint64_t)window + 1), 0);
        window = window * 2 < 300000 ? window * 2 : 300000;
    }
    assert_int_equal(retry_backoff_ms(INT64_MAX / 2, INT64_MAX, 5, 3), 3);
    assert_true(retry_backoff_ms(10, 5, 0, UINT64_MAX) <= 5);
}

static void retry_after_is_a_floor_with_a_cap(void **state)
{
    (void)state;
    for (int status = 429; status <= 503; status += 74) {
        struct retry_ask ask = ask_post(CONFIG_ACK_SEQUENCE);
        struct retry_answer answer = {.status = status, .retry_after_ms = 7000};
        struct retry_decision decision;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.delay_ms, 7000); /* the window is 1 s */
        answer.retry_after_ms = 86400000;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.delay_ms, 300000);
        ask.failures = 20;
        ask.random = 250000;
        answer.retry_after_ms = 7000;
        retry_decide(&ask, &answer, &decision);
        assert_int_equal(decision.delay_ms, 250000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status),
        cmocka_unit_test(every_status_of_a_handshake),
        cmocka_unit_test(a_single_row),
        cmocka_unit_test(a_refusal_names_its_cure),
        cmocka_unit_test(confirmations),
        cmocka_unit_test(cursors),
        cmocka_unit_test(a_new_journal_finds_nothing_there),
        cmocka_unit_test(parts_and_commits),
        cmocka_unit_test(backoff_doubles_up_to_its_cap),
        cmocka_unit_test(retry_after_is_a_floor_with_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
