/* pace.c: see pace.h. */
#include "pace.h"

#include "clock.h"
#include "config.h"

void pace_begin(struct pace *pace, const struct config_upload *config, int64_t send_buffer,
                bool streamed)
{
    *pace = (struct pace){.still_ns = config->timeout_ns,
                          .answer_ns = streamed ? 0 : config->timeout_ns};
    if (config->bandwidth > 0)
        pace->still_ns += send_buffer * CLOCK_NS_PER_S / config->bandwidth;
}

/* Until the connection stands, CURLOPT_CONNECTTIMEOUT_MS sees to it. */
static bool is_connected(CURL *easy)
{
    curl_off_t us = 0;
    return curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0;
}

static int64_t bytes_moved(CURL *easy, bool *answered)
{
    curl_off_t up = 0, down = 0;
    long heads = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &up); /* none of these can fail */
    (void)curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    (void)curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &heads);
    *answered = heads > 0 || down > 0;
    return up + down + heads;
}

int pace_left_ms(struct pace *pace, CURL *easy, int64_t now_ns, int most_ms)
{
    bool answered;
    if (!is_connected(easy))
        return most_ms;
    int64_t moved = 1 + bytes_moved(easy, &answered);
    if (moved != pace->moved) {
        pace->moved = moved;
        pace->moved_ns = now_ns;
    }
    if (answered && pace->begun_ns == 0)
        pace->begun_ns = now_ns;
    int64_t left_ns = pace->moved_ns + pace->still_ns - now_ns;
    if (pace->begun_ns && pace->answer_ns && pace->begun_ns + pace->answer_ns - now_ns < left_ns)
        left_ns = pace->begun_ns + pace->answer_ns - now_ns;
    int64_t left_ms = (left_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
    return left_ms <= 0 ? 0 : left_ms < most_ms ? (int)left_ms : most_ms;
}
