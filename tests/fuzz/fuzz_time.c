/* fuzz_time.c: the small texts of people and protocols: times, numbers, durations, sizes, base64,
 * UTF-8, sums and listen addresses. What is read and written again reads the same; what goes to a
 * terminal moves no cursor. */
#include "buf.h"
#include "clock.h"
#include "collect_address.h"
#include "err.h"
#include "fuzz.h"
#include "num.h"
#include "text.h"
#include "wire.h"

#define TEXT_MAX 4096

static void check_times(const char *text, size_t len)
{
    char written[CLOCK_TEXT_SIZE];
    int64_t time_ns = 0;
    int64_t again_ns = 0;

    if (clock_parse(text, len, &time_ns) != 0)
        return;
    clock_format_ns(time_ns, written);
    FUZZ_CHECK(clock_parse(written, strlen(written), &again_ns) == 0 && again_ns == time_ns);
}

static void check_numbers(const char *text)
{
    char written[32];
    int64_t value = 0;
    int64_t again = 0;

    if (num_parse_i64(text, -100, INT64_MAX, &value) == 0)
        FUZZ_CHECK(value >= -100);
    if (num_parse_duration(text, &value) == 0) {
        num_format_duration(value, written);
        FUZZ_CHECK(num_parse_duration(written, &again) == 0 && again == value);
        num_human_duration(value, written);
    }
    if (num_parse_bytes(text, &value) == 0) {
        num_format_bytes(value, written);
        FUZZ_CHECK(num_parse_bytes(written, &again) == 0 && again == value);
        num_human_bytes(value, written);
    }
}

static void check_bytes(const char *text, size_t len)
{
    struct buf out, again;

    buf_init(&out, (size_t)8 * TEXT_MAX);
    buf_init(&again, (size_t)8 * TEXT_MAX);
    text_add_escaped(&out, text, len);
    FUZZ_CHECK(buf_ok(&out) && text_is_utf8(out.data ? out.data : "", out.len));
    for (size_t i = 0; out.data && i < out.len; i++)
        FUZZ_CHECK((unsigned char)out.data[i] >= ' ' && out.data[i] != 0x7f);
    buf_reset(&out);
    if (text_decode_base64(text, len, &out) == 0) {
        text_add_base64(&again, out.data ? out.data : "", out.len);
        FUZZ_CHECK(buf_ok(&again) && again.len == len);
    }
    buf_deinit(&out);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct collect_address address;
    char text[TEXT_MAX + 1];
    uint64_t sum = 0;

    if (size > TEXT_MAX)
        return 0;
    check_times((const char *)data, size);
    check_bytes((const char *)data, size);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    check_numbers(text);
    if (collect_address_parse(text, &address, NULL) == 0)
        FUZZ_CHECK(address.socket.ss_family == (address.ipv6 ? AF_INET6 : AF_INET));
    if (wire_parse_sum(text, &sum)) {
        char written[WIRE_SUM_DIGITS + 1];
        (void)snprintf(written, sizeof written, WIRE_SUM_FORMAT, (unsigned long long)sum);
        FUZZ_CHECK(strcmp(written, text) == 0);
    }
    return 0;
}
