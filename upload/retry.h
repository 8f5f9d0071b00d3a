/* retry.h: what an answer means: the tables of PROTOCOL.md, "What the client does" (RULES 14, 20).
 *
 * A pure function: no clock, no network, no randomness of its own. Any thread. */
#ifndef SPOOR_RETRY_H
#define SPOOR_RETRY_H

#include "config.h"

enum retry_action {
    RETRY_ACK,   /* acknowledge up to `seq` and go on from there; failures end */
    RETRY_AGAIN, /* the same bytes after `delay_ms` */
    RETRY_HALVE, /* too large, or a row in it is refused: form the batch anew with half the rows */
    RETRY_ASIDE, /* a single row that a log refuses: set it aside, go on behind it */
    RETRY_PAUSE, /* refused until something changes: keep all, say so, try at `delay_ms` */
    /* The server stands elsewhere (RULES 14, 18); `text` says how that is known. */
    RETRY_REWIND,    /* it has lost rows: send again from what follows `seq` */
    RETRY_SNAPSHOT,  /* rows cannot bring it up to date: send the tree whole */
    RETRY_NEW_EPOCH, /* it holds rows that this journal never had: begin an epoch above `seq` */
    RETRY_NEW_ID,    /* a newer journal of our name is there: leave it the name */
    RETRY_RESTART,   /* it does not know this snapshot: begin another after `delay_ms` */
};
const char *retry_action_name(enum retry_action action);

/* How our row at the server's cursor compares with what the server says of it. */
enum retry_sum { RETRY_SUM_UNKNOWN, RETRY_SUM_SAME, RETRY_SUM_OTHER };

/* Where we stand when we ask. */
struct retry_ask {
    bool handshake; /* GET cursor; otherwise a batch was posted */
    enum config_ack ack;
    int64_t epoch;
    int64_t gen;         /* a part of this generation was posted; 0 none */
    bool commit;         /* or its commit, and `last` is the row that the tree belongs to */
    int64_t floor;       /* rows up to here cannot be sent: purged, or of an older epoch */
    int64_t acked;       /* of the consumer */
    int64_t last_seq;    /* of the journal */
    int64_t first, last; /* of the batch */
    int64_t rows;        /* in it */
    bool replica;        /* which can do without no row (RULES 16) */
    int64_t retry_min_ms, retry_max_ms;
    int64_t failures; /* in a row before this one */
    uint64_t random;
};

struct retry_answer {
    int status;             /* 0: no answer came (transport error, timeout) */
    int64_t retry_after_ms; /* 0 none */
    bool has_acked;         /* Spoor-Acked was there */
    bool has_cursor;        /* and Spoor-Epoch and Spoor-Sum */
    int64_t gen;            /* Spoor-Generation, 0 none */
    int64_t acked;
    int64_t epoch;
    enum retry_sum sum;
};

struct retry_decision {
    enum retry_action action;
    int64_t seq;
    int64_t delay_ms;
    char text[256]; /* why, for people; "" for an acknowledgement */
};

void retry_decide(const struct retry_ask *ask, const struct retry_answer *answer,
                  struct retry_decision *out);

/* Full jitter: uniform between 0 and the window, which doubles from `min_ms` with each failure up
 * to `max_ms`. */
int64_t retry_backoff_ms(int64_t min_ms, int64_t max_ms, int64_t failures, uint64_t random);

#endif
