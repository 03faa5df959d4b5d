/* From logits to a token, as an answer's options say. */
#ifndef TACIT_OPS_SERVE_PICK_H
#define TACIT_OPS_SERVE_PICK_H

#include <stdint.h>
#include "core/base/err.h"

struct pick {
    double temperature; /* 0: the likeliest */
    double top_p;       /* 1: all */
    double min_p;       /* of the likeliest's probability; 0: all */
    uint32_t top_k;     /* 0: all */
    double repetition;  /* 1: none; divides positive logits of tokens seen, multiplies others */
    double presence, frequency; /* subtracted from logits of tokens answered, once and per time */
};

/* Room for a vocabulary. */
struct picker {
    uint32_t vocab;
    float *x;        /* changed logits, then weights */
    uint32_t *order; /* a heap of tokens, then those kept */
    uint32_t *counts;
};

TACIT_MUST_CHECK int picker_init(struct picker *p, uint32_t vocab, struct err *e);
void picker_free(struct picker *p); /* also of zeros */

/* u in (0,1) decides. seen: prompt and answer, of which the first prompt tokens are the prompt's.
 * The order: penalties, temperature, top_k, top_p, min_p; ties go to the lower id. */
uint32_t pick_token(struct picker *p, const float *logits, const struct pick *o,
                    const uint32_t *seen, uint32_t count, uint32_t prompt, double u);
/* log Σ exp, in double. */
double pick_log_sum(const float *logits, uint32_t vocab);
/* The n likeliest, best first. */
void pick_top(struct picker *p, const float *logits, uint32_t n, uint32_t *top);

#endif
