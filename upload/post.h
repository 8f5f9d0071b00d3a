/* post.h: the requests of a delivery, as PROTOCOL.md has them. The upload's thread. */
#ifndef SPOOR_POST_H
#define SPOOR_POST_H

struct delivery_shared;
struct err;
struct journal_info;
struct journal_snapshot;

/* GET cursor of this journal into shared->answer. Errors as of transport_perform(). */
int post_cursor(struct delivery_shared *shared, const struct journal_info *info, struct err *err);
/* POST of shared->batch. */
int post_batch(struct delivery_shared *shared, const struct journal_info *info, struct err *err);
/* POST of shared->batch, which is a part of that snapshot. */
int post_part(struct delivery_shared *shared, const struct journal_info *info,
              const struct journal_snapshot *snapshot, struct err *err);
/* The server has all parts: their tree is to be its tree. */
int post_commit(struct delivery_shared *shared, const struct journal_info *info,
                const struct journal_snapshot *snapshot, struct err *err);

#endif
