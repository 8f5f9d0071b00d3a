/* test_retry_all.c: every answer after every state, against the tables of PROTOCOL.md, "What the
 * client does", written down a second time. Ours: epoch 7, rows 1..500 of which those up to `floor`
 * are gone, batch `acked` + 1..200. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "retry.h"

enum kind { HANDSHAKE, BATCH, PART, COMMIT, KIND_COUNT };

/* What decides when the status alone does not. */
enum verdict {
    AGAIN = 1,
    PAUSE,
    NOTHING,     /* the server has nothing */
    CURSOR,      /* its cursor, which must be there */
    ROWS,        /* it refuses the rows */
    PART_SIZE,   /* or a part's size */
    STATUS_409,  /* the cursor; without one again */
    STATUS_412,  /* the cursor; without one pause */
    CONFIRMED,   /* rows up to `last` */
    CONFIRMS_GEN /* the generation */
};

struct status_row {
    int from, to;
    enum verdict verdicts[KIND_COUNT];
};

/* The first that holds the status. */
static const struct status_row status_table[] = {
    {0, 199, {AGAIN, AGAIN, AGAIN, AGAIN}},
    {200, 299, {CURSOR, CONFIRMED, CONFIRMS_GEN, CONFIRMED}},
    {400, 400, {PAUSE, ROWS, PAUSE, PAUSE}},
    {404, 404, {NOTHING, PAUSE, PAUSE, PAUSE}},
    {408, 408, {AGAIN, AGAIN, AGAIN, AGAIN}},
    {409, 409, {AGAIN, STATUS_409, STATUS_409, STATUS_409}},
    {412, 412, {PAUSE, STATUS_412, STATUS_412, STATUS_412}},
    {413, 413, {PAUSE, ROWS, PART_SIZE, PAUSE}},
    {422, 422, {PAUSE, ROWS, PAUSE, PAUSE}},
    {425, 425, {AGAIN, AGAIN, AGAIN, AGAIN}},
    {429, 429, {AGAIN, AGAIN, AGAIN, AGAIN}},
    {300, 499, {PAUSE, PAUSE, PAUSE, PAUSE}},
    {501, 501, {PAUSE, PAUSE, PAUSE, PAUSE}},
    {500, 999, {AGAIN, AGAIN, AGAIN, AGAIN}},
};

/* Where the server's row of our epoch lies; ours is known, the same, or another. */
static const struct {
    const char *where;
    enum retry_action unknown, same, other;
} place_table[] = {
    {"gone", RETRY_SNAPSHOT, RETRY_SNAPSHOT, RETRY_NEW_EPOCH},
    {"lost", RETRY_AGAIN, RETRY_REWIND, RETRY_NEW_EPOCH},
    {"acknowledged or later", RETRY_AGAIN, RETRY_ACK, RETRY_NEW_EPOCH},
    {"beyond the end", RETRY_NEW_EPOCH, RETRY_NEW_EPOCH, RETRY_NEW_EPOCH},
};

static enum retry_action expect_nothing(const struct retry_ask *ask)
{
    return ask->floor > 0 ? RETRY_SNAPSHOT : ask->acked > 0 ? RETRY_REWIND : RETRY_ACK;
}

static enum retry_action expect_place(const struct retry_ask *ask,
                                      const struct retry_answer *answer)
{
    if (answer->epoch != ask->epoch)
        return answer->epoch == 0           ? expect_nothing(ask)
               : answer->epoch < ask->epoch ? RETRY_SNAPSHOT
                                            : RETRY_NEW_ID;
    size_t where = answer->acked > ask->last_seq ? 3
                   : answer->acked < ask->floor  ? 0
                   : answer->acked < ask->acked  ? 1
                                                 : 2;
    return answer->sum == RETRY_SUM_SAME    ? place_table[where].same
           : answer->sum == RETRY_SUM_OTHER ? place_table[where].other
                                            : place_table[where].unknown;
}

static enum retry_action expect_conflict(enum kind kind, const struct retry_ask *ask,
                                         const struct retry_answer *answer)
{
    if (kind != BATCH)
        return RETRY_RESTART;
    enum retry_action action = expect_place(ask, answer);
    int64_t stands = answer->epoch == 0 ? 0 : answer->acked;
    return action == RETRY_ACK && stands == ask->acked ? RETRY_AGAIN : action;
}

static bool confirms(const struct retry_ask *ask, const struct retry_answer *answer)
{
    if (ask->ack == CONFIG_ACK_STATUS)
        return true;
    if (!answer->has_acked || answer->acked < ask->last)
        return false;
    return !answer->has_cursor || (answer->epoch == ask->epoch &&
                                   !(answer->acked == ask->last && answer->sum == RETRY_SUM_OTHER));
}

static enum verdict verdict_of(int status, enum kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(status_table); i++) {
        if (status >= status_table[i].from && status <= status_table[i].to)
            return status_table[i].verdicts[kind];
    }
    fail_msg("status %d is in no row", status);
    return PAUSE;
}

static enum retry_action expect(enum kind kind, const struct retry_ask *ask,
                                const struct retry_answer *answer)
{
    switch (verdict_of(answer->status, kind)) {
    case AGAIN:
        return RETRY_AGAIN;
    case PAUSE:
        return RETRY_PAUSE;
    case NOTHING:
        return expect_nothing(ask);
    case CURSOR:
        return answer->has_cursor ? expect_place(ask, answer) : RETRY_AGAIN;
    case ROWS:
        return ask->rows > 1 ? RETRY_HALVE : ask->replica ? RETRY_PAUSE : RETRY_ASIDE;
    case PART_SIZE:
        return ask->rows > 1 ? RETRY_HALVE : RETRY_PAUSE;
    case STATUS_409:
        return answer->has_cursor ? expect_conflict(kind, ask, answer) : RETRY_AGAIN;
    case STATUS_412:
        return answer->has_cursor ? expect_conflict(kind, ask, answer) : RETRY_PAUSE;
    case CONFIRMED:
        return confirms(ask, answer) ? RETRY_ACK : RETRY_AGAIN;
    case CONFIRMS_GEN:
        return ask->ack == CONFIG_ACK_STATUS || answer->gen == ask->gen ? RETRY_ACK : RETRY_AGAIN;
    }
    return RETRY_PAUSE;
}

static int64_t expect_seq(enum kind kind, const struct retry_ask *ask,
                          const struct retry_answer *answer, enum retry_action action)
{
    bool success = answer->status >= 200 && answer->status <= 299;
    if (action == RETRY_NEW_EPOCH)
        return ask->epoch;
    if (action == RETRY_NEW_ID)
        return answer->epoch;
    if (action == RETRY_ACK && kind != HANDSHAKE && success)
        return kind == PART ? 0 : ask->last; /* never more than was sent */
    if (action != RETRY_ACK && action != RETRY_REWIND)
        return 0;
    return answer->status == 404 || answer->epoch == 0 ? 0 : answer->acked;
}

static void check_one(enum kind kind, const struct retry_ask *ask,
                      const struct retry_answer *answer)
{
    struct retry_decision decision;
    enum retry_action expected = expect(kind, ask, answer);
    bool waits = expected == RETRY_AGAIN || expected == RETRY_RESTART;
    retry_decide(ask, answer, &decision);
    if (decision.action == expected && decision.seq == expect_seq(kind, ask, answer, expected) &&
        decision.delay_ms == (waits                     ? 789
                              : expected == RETRY_PAUSE ? 300000
                                                        : 0) &&
        (decision.text[0] == '\0') == (expected == RETRY_ACK || answer->status == 0))
        return;
    fail_msg("kind %d, status %d, ack %d, replica %d, rows %lld, floor %lld, acked %lld; answer: "
             "cursor %d %d, epoch %lld, acked %lld, sum %d, gen %lld: %s %lld, %lld ms '%s' "
             "instead of %s",
             kind, answer->status, (int)ask->ack, ask->replica, (long long)ask->rows,
             (long long)ask->floor, (long long)ask->acked, answer->has_acked, answer->has_cursor,
             (long long)answer->epoch, (long long)answer->acked, (int)answer->sum,
             (long long)answer->gen, retry_action_name(decision.action), (long long)decision.seq,
             (long long)decision.delay_ms, decision.text, retry_action_name(expected));
}

/* Every headers' content that makes a difference. Returns how many. */
static int64_t check_answers(enum kind kind, const struct retry_ask *ask, int status)
{
    static const int64_t seqs[] = {0, 19, 20, 99, 100, 101, 199, 200, 201, 500, 501, INT64_MAX};
    static const int64_t epochs[] = {0, 6, 7, 8};
    static const int64_t gens[] = {0, 4, 5, 6};
    int64_t count = 0;
    for (size_t g = 0; g < ARRAY_LEN(gens); g++) {
        struct retry_answer answer = {.status = status, .gen = gens[g]};
        check_one(kind, ask, &answer);
        count++;
        for (size_t s = 0; s < ARRAY_LEN(seqs); s++) {
            answer = (struct retry_answer){
                .status = status, .gen = gens[g], .has_acked = true, .acked = seqs[s]};
            check_one(kind, ask, &answer);
            answer.has_cursor = true;
            for (size_t i = 0; i < 3 * ARRAY_LEN(epochs); i++) {
                answer.epoch = epochs[i / 3];
                answer.sum = (enum retry_sum)(i % 3);
                check_one(kind, ask, &answer);
            }
            count += 1 + 3 * (int64_t)ARRAY_LEN(epochs);
        }
    }
    return count;
}

static void every_answer_after_every_state(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 2, 100};
    int64_t count = 0;
    /* Bits: ack, replica, rows gone, rows acknowledged; then how many rows, then what was asked. */
    for (size_t bits = 0; bits < 16 * ARRAY_LEN(rows) * KIND_COUNT; bits++) {
        enum kind kind = (enum kind)(bits / (16 * ARRAY_LEN(rows)));
        struct retry_ask ask = {.ack = bits & 1 ? CONFIG_ACK_STATUS : CONFIG_ACK_SEQUENCE,
                                .epoch = 7,
                                .last_seq = 500,
                                .last = 200,
                                .retry_min_ms = 1000,
                                .retry_max_ms = 300000};
        ask.replica = bits & 2;
        ask.floor = bits & 4 ? 20 : 0;
        ask.acked = bits & 8 ? 100 : 0;
        ask.first = ask.acked + 1;
        ask.rows = kind == COMMIT ? 0 : rows[bits / 16 % ARRAY_LEN(rows)];
        ask.random = 789; /* below the first window: what is drawn */
        ask.handshake = kind == HANDSHAKE;
        ask.gen = kind == PART || kind == COMMIT ? 5 : 0;
        ask.commit = kind == COMMIT;
        /* Within a row of the table one status is as good as another: its two ends of headers of
         * every content, all between with none, and with a good confirmation. */
        for (int status = 0; status <= 999; status = status ? status + 1 : 100) {
            struct retry_answer answer = {.status = status};
            check_one(kind, &ask, &answer);
            answer.has_acked = answer.has_cursor = true;
            answer.acked = 200;
            answer.epoch = 7;
            answer.gen = 5;
            answer.sum = RETRY_SUM_SAME;
            check_one(kind, &ask, &answer);
            count += 2;
        }
        for (size_t i = 0; i < ARRAY_LEN(status_table); i++) {
            count += check_answers(kind, &ask, status_table[i].from);
            if (status_table[i].to != status_table[i].from)
                count += check_answers(kind, &ask, status_table[i].to);
        }
    }
    print_message("%lld answers\n", (long long)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_answer_after_every_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
