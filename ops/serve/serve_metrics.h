/* Figures for Prometheus, text format 0.0.4. */
#ifndef TACIT_OPS_SERVE_SERVE_METRICS_H
#define TACIT_OPS_SERVE_SERVE_METRICS_H

#include "ops/serve/serve.h"

/* responses: 2xx, 3xx, 4xx, 5xx. */
void metrics_write(struct serve *s, const _Atomic uint64_t responses[4], struct buf *out);

#endif
