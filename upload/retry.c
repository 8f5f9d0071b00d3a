/* retry.c: from an answer to a decision.
 *
 * Nothing is ever dropped: whatever is not clearly an acknowledgement, a promise that trying
 * again may help, or a cursor we can verify by its sum, pauses the stream with its rows kept.
 * A pause is probed slowly, since configurations get mended. Pure; any thread. */
#include "retry.h"

#include <stdarg.h>

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
    case RETRY_ASIDE:
        return "aside";
    case RETRY_PAUSE:
        return "pause";
    case RETRY_REWIND:
        return "rewind";
    case RETRY_SNAPSHOT:
        return "snapshot";
    case RETRY_NEW_EPOCH:
        return "new epoch";
    case RETRY_NEW_ID:
        return "new id";
    case RETRY_RESTART:
        return "restart";
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

static void decide_seq(struct retry_decision *out, enum retry_action action, int64_t seq,
                       const char *format, ...) PRINTF_LIKE(4, 5);

static void decide_seq(struct retry_decision *out, enum retry_action action, int64_t seq,
                       const char *format, ...)
{
    va_list args;
    out->action = action;
    out->seq = seq;
    va_start(args, format);
    (void)vsnprintf(out->text, sizeof out->text, format, args); /* texts here are short */
    va_end(args);
}

/* The server's epoch is ours: which of our rows does it stand at? */
static void decide_row(const struct retry_ask *ask, int64_t seq, enum retry_sum sum,
                       struct retry_decision *out)
{
    if (seq > ask->last_seq)
        decide_seq(out, RETRY_NEW_EPOCH, ask->epoch,
                   "the server holds row %lld, this journal ends at %lld: rows were lost here, it "
                   "was restored from a backup, or a copy of it uploads too",
                   (long long)seq, (long long)ask->last_seq);
    else if (sum == RETRY_SUM_OTHER)
        decide_seq(out, RETRY_NEW_EPOCH, ask->epoch,
                   "the server's row %lld is not ours: rows were lost here, this journal was "
                   "restored from a backup, or a copy of it uploads too",
                   (long long)seq);
    else if (seq < ask->floor)
        decide_seq(out, RETRY_SNAPSHOT, 0,
                   "the server stands at row %lld, and rows up to %lld are not kept any more",
                   (long long)seq, (long long)ask->floor);
    else if (sum != RETRY_SUM_SAME)
        decide(out, RETRY_AGAIN, "the server's row cannot be compared with ours");
    else if (seq < ask->acked)
        decide_seq(out, RETRY_REWIND, seq,
                   "the server has lost %lld rows: it stands at %lld, row %lld was acknowledged",
                   (long long)(ask->acked - seq), (long long)seq, (long long)ask->acked);
    else
        decide_seq(out, RETRY_ACK, seq, "%s", "");
}

/* The server's cursor against our journal. An older epoch: we have begun another since. A newer
 * one: somebody with our id has, and two that both began another each time would go on for ever, so
 * the older one takes another name. */
static void decide_cursor(const struct retry_ask *ask, int64_t epoch, int64_t seq,
                          enum retry_sum sum, struct retry_decision *out)
{
    if (epoch == 0 && ask->floor > 0)
        decide_seq(out, RETRY_SNAPSHOT, 0,
                   "the server holds nothing, and rows up to %lld are not kept any more",
                   (long long)ask->floor);
    else if (epoch == 0 && ask->acked > 0)
        decide_seq(out, RETRY_REWIND, 0,
                   "the server holds nothing, and row %lld was acknowledged: it has lost all",
                   (long long)ask->acked);
    else if (epoch == 0)
        decide_seq(out, RETRY_ACK, 0, "%s", "");
    else if (epoch < ask->epoch)
        decide_seq(out, RETRY_SNAPSHOT, 0,
                   "the server holds epoch %lld of this journal, it is now at epoch %lld",
                   (long long)epoch, (long long)ask->epoch);
    else if (epoch > ask->epoch)
        decide_seq(out, RETRY_NEW_ID, epoch,
                   "the server holds epoch %lld of this journal, which is only at %lld: it was "
                   "restored from a backup, or a copy of it uploads too",
                   (long long)epoch, (long long)ask->epoch);
    else
        decide_row(ask, seq, sum, out);
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
    /* Another epoch, or another row where ours should be: it speaks of somebody else's rows. The
     * next handshake tells whose. */
    bool other =
        answer->has_cursor && (answer->epoch != ask->epoch ||
                               (answer->acked == ask->last && answer->sum == RETRY_SUM_OTHER));
    if (ask->gen && !ask->commit) {
        bool known = ask->ack == CONFIG_ACK_STATUS || answer->gen == ask->gen;
        decide(out, known ? RETRY_ACK : RETRY_AGAIN,
               known ? "" : "the answer does not confirm the part of the snapshot");
        return;
    }
    if (ask->ack == CONFIG_ACK_STATUS ||
        (answer->has_acked && answer->acked >= ask->last && !other)) {
        decide(out, RETRY_ACK, "");
        out->seq = ask->last;
        return;
    }
    decide(out, RETRY_AGAIN,
           answer->has_acked
               ? "the answer does not confirm the batch"
               : "the answer confirms nothing (no Spoor-Acked): something between us and the "
                 "server answered");
}

static void decide_conflict(const struct retry_ask *ask, const struct retry_answer *answer,
                            struct retry_decision *out)
{
    if (ask->gen && answer->has_cursor) {
        decide(out, RETRY_RESTART, "the server does not go on with this snapshot");
        return;
    }
    if (!answer->has_cursor) {
        decide(out, answer->status == 409 ? RETRY_AGAIN : RETRY_PAUSE,
               "the server refuses the batch and names no cursor");
        return;
    }
    decide_cursor(ask, answer->epoch, answer->acked, answer->sum, out);
    /* It stands where the batch begins and yet refused: going on at once would spin. */
    if (out->action == RETRY_ACK && out->seq <= ask->acked)
        decide_seq(out, RETRY_AGAIN, 0, "the server refuses the batch that follows its own cursor");
}

/* It is the rows that it refuses, as far as one can tell. */
static void decide_refusal(const struct retry_ask *ask, int status, struct retry_decision *out)
{
    const char *why = status == 413 ? "too large for the server" : "refused by the server";
    enum retry_action action = ask->rows > 1  ? RETRY_HALVE
                               : ask->replica ? RETRY_PAUSE
                                              : RETRY_ASIDE;
    out->action = action;
    if (ask->rows > 1)
        (void)snprintf(out->text, sizeof out->text, "rows %lld..%lld are %s (%d)",
                       (long long)ask->first, (long long)ask->last, why, status); /* fits */
    else
        (void)snprintf(out->text, sizeof out->text, "row %lld is %s (%d)", (long long)ask->last,
                       why, status); /* fits */
}

/* What helps against a refusal of everything. */
static const char *cure_of(int status)
{
    switch (status) {
    case 401:
        return " (it wants a token or a password, or another: see token_file, user)";
    case 403:
        return " (it does not let this client in: see token_file, user, client_cert)";
    case 404:
    case 405:
    case 410:
        return " (it takes nothing there: see url)";
    case 407:
        return " (the proxy wants a password: see proxy_user)";
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return " (it points elsewhere: see url, redirect)";
    default:
        return "";
    }
}

static bool is_worth_again(int status)
{
    if (status == 408 || status == 425 || status == 429)
        return true;
    return status < 200 || (status >= 500 && status != 501);
}

static void set_delay(const struct retry_ask *ask, const struct retry_answer *answer,
                      struct retry_decision *out)
{
    if (out->action == RETRY_AGAIN || out->action == RETRY_RESTART) {
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
    } else if (!ask->handshake && !ask->gen && (status == 400 || status == 413 || status == 422)) {
        decide_refusal(ask, status, out);
    } else if (ask->gen && status == 413 && ask->rows > 1) {
        decide(out, RETRY_HALVE, "the part is too large for the server");
    } else {
        char text[sizeof out->text];
        (void)snprintf(text, sizeof text, "the server answered %d%s", status, cure_of(status));
        decide(out, is_worth_again(status) ? RETRY_AGAIN : RETRY_PAUSE, status ? text : "");
    }
    set_delay(ask, answer, out);
}
