/* retry.c: from an answer to a decision.
 *
 * Nothing is ever dropped: whatever is not clearly an acknowledgement, a promise that trying
 * again may help, or a cursor we can verify by its sum, pauses the stream with its rows kept.
 * A pause is probed slowly, since configurations get mended. Pure; any thread. */
#include "retry.h"

#define SHIFT_MAX 40 /* doublings after which any window is at its cap */

const char *retry_action_name(enum retry_action action)
{
    switch (action) {
    case RETRY_ACK:
        return "ack";
    case RETRY_AGAIN:
        return "again";
    case RETRY_HALVE:
        return "halve";
    case RETRY_PAUSE:
        return "pause";
    }
    return "?";
}

int64_t retry_backoff_ms(int64_t min_ms, int64_t max_ms, int64_t failures, uint64_t random)
{
    int64_t window = min_ms < 1 ? 1 : min_ms;
    for (int64_t i = 0; i < failures && i < SHIFT_MAX && window < max_ms; i++)
        window = window > max_ms / 2 ? max_ms : window * 2;
    if (window > max_ms)
        window = max_ms;
    return window > 0 ? (int64_t)(random % ((uint64_t)window + 1)) : 0;
}

static void decide(struct retry_decision *out, enum retry_action action, const char *text)
{
    out->action = action;
    (void)snprintf(out->text, sizeof out->text, "%s", text); /* texts here are short */
}

/* The server's cursor against our journal. Behind: it lost rows we have forgotten. Beyond our
 * end, or with another sum: rows came from another copy of this journal. */
static void decide_cursor(const struct retry_ask *ask, int64_t epoch, int64_t seq,
                          enum retry_sum sum, struct retry_decision *out)
{
    char text[sizeof out->text];
    if (seq == 0 && ask->acked == 0 && (epoch == 0 || epoch == ask->epoch)) {
        decide(out, RETRY_ACK, "");
        out->seq = 0;
    } else if (epoch != 0 && epoch != ask->epoch) {
        (void)snprintf(text, sizeof text,
                       "the server holds epoch %lld of this journal, it is now at epoch %lld: a "
                       "resync is needed",
                       (long long)epoch, (long long)ask->epoch);
        decide(out, RETRY_PAUSE, text);
    } else if (seq < ask->acked) {
        (void)snprintf(text, sizeof text,
                       "the server has lost %lld rows: it stands at %lld, row %lld was "
                       "acknowledged: a resync is needed",
                       (long long)(ask->acked - seq), (long long)seq, (long long)ask->acked);
        decide(out, RETRY_PAUSE, text);
    } else if (seq > ask->last_seq) {
        (void)snprintf(text, sizeof text,
                       "the server holds row %lld, this journal ends at %lld: it was restored "
                       "from a backup, or a copy of it uploads too: a resync is needed",
                       (long long)seq, (long long)ask->last_seq);
        decide(out, RETRY_PAUSE, text);
    } else if (sum != RETRY_SUM_SAME) {
        (void)snprintf(text, sizeof text,
                       "the server's row %lld %s: a copy of this journal uploads too, or one was "
                       "restored: a resync is needed",
                       (long long)seq,
                       sum == RETRY_SUM_OTHER ? "is not ours" : "cannot be compared with ours");
        decide(out, RETRY_PAUSE, text);
    } else {
        decide(out, RETRY_ACK, "");
        out->seq = seq;
    }
}

static void decide_handshake(const struct retry_ask *ask, const struct retry_answer *answer,
                             struct retry_decision *out)
{
    if (answer->status == 404)
        decide_cursor(ask, 0, 0, RETRY_SUM_SAME, out);
    else if (answer->has_cursor)
        decide_cursor(ask, answer->epoch, answer->acked, answer->sum, out);
    else
        decide(out, RETRY_AGAIN,
               "the answer carries no cursor: something between us and the server answered");
}

static void decide_success(const struct retry_ask *ask, const struct retry_answer *answer,
                           struct retry_decision *out)
{
    bool other_epoch = answer->has_cursor && answer->epoch != ask->epoch;
    if (ask->ack == CONFIG_ACK_STATUS ||
        (answer->has_acked && answer->acked >= ask->last && !other_epoch)) {
        decide(out, RETRY_ACK, "");
        out->seq = ask->last;
        return;
    }
    decide(out, RETRY_AGAIN,
           answer->has_acked
               ? "the answer confirms less than the batch"
               : "the answer confirms nothing (no Spoor-Acked): something between us and the "
                 "server answered");
}

static void decide_conflict(const struct retry_ask *ask, const struct retry_answer *answer,
                            struct retry_decision *out)
{
    if (!answer->has_cursor) {
        decide(out, answer->status == 409 ? RETRY_AGAIN : RETRY_PAUSE,
               "the server refuses the batch and names no cursor");
        return;
    }
    decide_cursor(ask, answer->epoch, answer->acked, answer->sum, out);
    /* It stands where the batch begins and yet refused: going on at once would spin. */
    if (out->action == RETRY_ACK && out->seq <= ask->acked)
        decide(out, RETRY_AGAIN, "the server refuses the batch that follows its own cursor");
}

static bool is_worth_again(int status)
{
    if (status == 408 || status == 425 || status == 429)
        return true;
    return status < 200 || (status >= 500 && status != 501);
}

void retry_decide(const struct retry_ask *ask, const struct retry_answer *answer,
                  struct retry_decision *out)
{
    int status = answer->status;
    bool success = status >= 200 && status <= 299;
    *out = (struct retry_decision){0};
    if (ask->handshake && (success || status == 404)) {
        decide_handshake(ask, answer, out);
    } else if (success) {
        decide_success(ask, answer, out);
    } else if (!ask->handshake && (status == 409 || status == 412)) {
        decide_conflict(ask, answer, out);
    } else if (ask->handshake && status == 409) {
        decide(out, RETRY_AGAIN, "the server answered 409");
    } else if (!ask->handshake && status == 413 && ask->last > ask->first) {
        decide(out, RETRY_HALVE, "the batch is too large for the server");
    } else {
        char text[sizeof out->text];
        (void)snprintf(text, sizeof text, "the server answered %d", status);
        decide(out, is_worth_again(status) ? RETRY_AGAIN : RETRY_PAUSE, status ? text : "");
    }
    if (out->action == RETRY_AGAIN) {
        int64_t floor_ms =
            answer->retry_after_ms < ask->retry_max_ms ? answer->retry_after_ms : ask->retry_max_ms;
        out->delay_ms =
            retry_backoff_ms(ask->retry_min_ms, ask->retry_max_ms, ask->failures, ask->random);
        if (out->delay_ms < floor_ms)
            out->delay_ms = floor_ms;
    } else if (out->action == RETRY_PAUSE) {
        out->delay_ms = ask->retry_max_ms;
    }
}
