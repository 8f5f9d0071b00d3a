/* pace.h: whether a request under way has stood still for too long. libcurl's own limit
 * (CURLOPT_LOW_SPEED_TIME) is in whole seconds, looks at the mean of five, and lets an answer that
 * comes a byte at a time take for ever. The thread that drives the request. */
#ifndef SPOOR_PACE_H
#define SPOOR_PACE_H

#include <curl/curl.h>

struct config_upload;

struct pace {
    int64_t still_ns;  /* so long nothing may move */
    int64_t answer_ns; /* so long an answer may take from its first byte to its last; 0: for ever */
    int64_t moved;     /* bytes so far, both ways, 0: the connection does not stand yet */
    int64_t moved_ns;  /* when that was last more */
    int64_t begun_ns;  /* the answer's first byte; 0 none yet */
};

/* `send_buffer`: bytes that libcurl takes at once, which under a limited bandwidth it then waits
 * for. `streamed`: the answer is of any length. */
void pace_begin(struct pace *pace, const struct config_upload *config, int64_t send_buffer,
                bool streamed);
/* How long from now the request may go on as it stands, at most `most_ms`; 0: no longer. */
int pace_left_ms(struct pace *pace, CURL *easy, int64_t now_ns, int most_ms);

#endif
