/* How much of a run is done, as a share of its FLOPs. */
#ifndef TACIT_COORDINATOR_RUN_RUN_SHARE_H
#define TACIT_COORDINATOR_RUN_RUN_SHARE_H

#include "core/protocol/messages.h"
#include "coordinator/run/advance.h"

/* A figure for each part of a run: its FLOPs, or the share of it that is done. */
struct run_parts {
    double routers, routers_scoring, scoring, experts, dense, dense_flops, evaluation;
};
void run_parts_planned(const struct run_view *v, struct run_parts *flops);
/* What is published. */
void run_parts_done(const struct run_view *v, struct run_parts *share);
/* And what is heard of the jobs under way: few look-ups, however many models there are. */
TACIT_MUST_CHECK int run_parts_now(struct call *c, const struct run_view *v,
                                   struct run_parts *share, struct err *e);
double run_parts_share(const struct run_parts *flops, const struct run_parts *share);

/* 0…1. models: the run's models with the steps that their agents last reported; NULL: what is
 * published alone counts. */
double run_share(const struct run_view *v, const struct msg_model_progress *models, uint32_t count);

#endif
