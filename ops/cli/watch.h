/* How a run's progress looks: words, tables, and the live view of `tacit run wait`. */
#ifndef TACIT_OPS_CLI_WATCH_H
#define TACIT_OPS_CLI_WATCH_H

#include <stdbool.h>
#include "core/protocol/messages.h"
#include "ops/cli/text_table.h"

/* "router 2", "dense, equal FLOPs". */
const char *watch_model(struct arena *a, const struct msg_model_progress *m);
/* "train expert 2, to step 2,000", "score round 3, part 1". */
const char *watch_job(struct arena *a, const struct msg_job *j);
/* "routers: round 3 of 8; 12 % done". */
const char *watch_phase(struct arena *a, const struct msg_run *r);
/* Fills a table of models; digests: with those of published content. */
void watch_table(struct table *t, struct arena *a, const struct msg_model_progress *models,
                 uint32_t count, bool digests);
/* At most `rows` models that a live view shows: what is being trained first, then what belongs to
 * the phase, in their order. Returns how many were written to out. */
uint32_t watch_select(const struct msg_run *r, uint32_t rows, struct msg_model_progress *out);
/* One line for logs: phase, share, the models in training. */
const char *watch_line(struct arena *a, const struct msg_run *r);
/* What a log has been told of a run. */
struct watch_log {
    char phase[64], line[512];
    uint64_t round;
    int64_t told_ms;
    bool began;
};
/* Whether the line is to be printed now, and then counts as printed: a new phase or round at once,
 * others now and then, one that only repeats the last seldom. now: monotonic. */
bool watch_log_due(struct watch_log *g, const struct msg_run *r, const char *line, int64_t now_ms);
/* "[#####.....]" of `width` columns in all. */
const char *watch_bar(struct arena *a, double share, int width);

/* How long it will still take, from how the share grew while one looked. */
struct watch_pace {
    double first_share, last_share, first_s, last_s;
    bool began;
};
/* Seconds left, or NaN where too little has been seen. now: monotonic. */
double watch_left(struct watch_pace *p, double share, double now_s);

#endif
