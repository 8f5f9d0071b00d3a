/* fuzz_retry.c: an answer of any content against any standing of ours. Whatever a server says,
 * nothing is acknowledged beyond what we sent, and no wait is longer than the configuration's. */
#include "err.h"
#include "fuzz.h"
#include "retry.h"

struct input {
    const uint8_t *at;
    size_t left;
};

/* Small numbers mostly: those are where the comparisons are. */
static int64_t take(struct input *input, bool small)
{
    uint8_t bytes[8] = {0};
    size_t want = small ? 1 : sizeof bytes;
    size_t len = input->left < want ? input->left : want;
    uint64_t value = 0;

    if (len)
        memcpy(bytes, input->at, len);
    input->at += len;
    input->left -= len;
    for (size_t i = 0; i < sizeof bytes; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return (int64_t)(value & INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint64_t flags = (uint64_t)take(&input, true);
    bool small = flags & 1;
    struct retry_ask ask = {
        .handshake = flags & 2,
        .ack = flags & 4 ? CONFIG_ACK_STATUS : CONFIG_ACK_SEQUENCE,
        .epoch = 1 + take(&input, true) % 3,
        .acked = take(&input, small),
        .retry_min_ms = 1 + take(&input, true),
        .failures = take(&input, small),
        .random = (uint64_t)take(&input, false),
    };
    struct retry_answer answer = {
        .status = (int)(take(&input, false) % 700),
        .retry_after_ms = take(&input, small),
        .has_acked = flags & 8,
        .has_cursor = flags & 16,
        .acked = take(&input, small),
        .epoch = take(&input, true) % 4,
        .sum = (enum retry_sum)(take(&input, true) % 3),
    };
    struct retry_decision decision = {0};

    ask.gen = ask.handshake ? 0 : take(&input, true) % 3;
    ask.commit = ask.gen && (flags & 32);
    answer.gen = take(&input, true) % 4;
    ask.floor = take(&input, true) % 3 ? 0 : ask.acked / 8;
    ask.acked /= 4; /* room above it */
    ask.first = ask.acked + 1;
    ask.last = ask.first + take(&input, true);
    ask.last_seq = ask.last + take(&input, true);
    ask.retry_max_ms = ask.retry_min_ms + 1000 * take(&input, true);
    retry_decide(&ask, &answer, &decision);
    FUZZ_CHECK(memchr(decision.text, 0, sizeof decision.text));
    FUZZ_CHECK(decision.delay_ms >= 0 && decision.delay_ms <= ask.retry_max_ms);
    switch (decision.action) {
    case RETRY_ACK:
        FUZZ_CHECK(decision.seq >= 0 && decision.seq <= ask.last_seq);
        FUZZ_CHECK(decision.seq >= ask.acked || (ask.gen && !ask.commit));
        FUZZ_CHECK(answer.status >= 200 && answer.status <= 499);
        break;
    case RETRY_AGAIN:
    case RETRY_HALVE:
        break;
    case RETRY_RESTART:
        FUZZ_CHECK(ask.gen);
        break;
    case RETRY_REWIND:
        FUZZ_CHECK(decision.seq >= ask.floor && decision.seq < ask.acked);
        break;
    case RETRY_SNAPSHOT:
    case RETRY_NEW_EPOCH:
    case RETRY_NEW_ID:
        FUZZ_CHECK(decision.text[0] && !ask.gen);
        break;
    case RETRY_PAUSE:
        FUZZ_CHECK(decision.text[0]);
        break;
    default:
        FUZZ_CHECK(!"a known action");
    }
    return 0;
}
