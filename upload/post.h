/* post.h: the two requests of a delivery, as PROTOCOL.md has them. The upload's thread. */
#ifndef SPOOR_POST_H
#define SPOOR_POST_H

struct delivery_shared;
struct err;
struct journal_info;

/* GET cursor of this journal into shared->answer. Errors as of transport_perform(). */
int post_cursor(struct delivery_shared *shared, const struct journal_info *info, struct err *err);
/* POST of shared->batch. */
int post_batch(struct delivery_shared *shared, const struct journal_info *info, struct err *err);

#endif
